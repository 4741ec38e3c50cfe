/* SPDX-License-Identifier: MIT */
/* One world as the VMM sees it.  Private to vmm/world/. */
#ifndef RINGSIDE_WORLD_WORLD_H
#define RINGSIDE_WORLD_WORLD_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "vmm/engine.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"
#include "vmm/world/share.h"

/* Real selectors (the host's GDT, the same on every x86-64 Linux). */
#define REAL_CS64 0x33
#define REAL_CS32 0x23

/*
 * LDT slots the VMM hands out, from the top of the table down: a guest's own LDT selectors are
 * small, so they stay not-present and fault.  Content-keyed: a descriptor that was used before
 * needs no modify_ldt.
 */
#define LDT_SLOTS 64
#define LDT_FIRST (8192 - LDT_SLOTS)

/* A runner that ignores a kick, or a mapper that ignores requests, so long is not ours any more. */
#define UNANSWERED_NS 10000000000u

/* How pCPU thread and runner take turns; see handoff.c. */
enum handoff_mode {
	HANDOFF_SHARE, /* both on one CPU, futex */
	HANDOFF_SPIN,  /* on two CPUs, the waiting one polls */
};

struct handoff {
	enum handoff_mode mode;
	unsigned worlds;      /* that share this */
	struct world *last;   /* that ran */
	bool forced;          /* a benchmark or --handoff fixed the mode */
	int home_cpu;         /* where the pCPU thread is pinned */
	unsigned quick;       /* quick exits in a row while sharing */
	unsigned window;      /* hand-offs in the current average while spinning */
	uint64_t cost;        /* their TSC ticks */
	uint64_t retry_tsc;   /* no spinning before this */
	uint64_t recheck_tsc; /* next look at the host's load while spinning */
	uint64_t backoff;     /* ns of the next pause after a failed attempt */
	uint64_t rehome_tsc;  /* when to look for a better CPU next */
	uint64_t spin_ticks, quick_ticks, fair_ticks, dear_ticks; /* TSC ticks */
};

struct world {
	struct engine engine;
	struct vcpu *vcpu;
	pid_t pid;    /* of the world; its main thread is the runner */
	pid_t mapper; /* thread id, 0 if it is not known */
	int pidfd;
	int done_fd; /* eventfd of the mapper's reports */
	struct world_ctl *ctl;
	struct world_xchg *xchg;
	uint8_t *share;
	bool started; /* the stub's first exit was seen */
	bool dead;
	_Atomic bool in_guest;               /* the runner has the turn: a kick needs a signal */
	struct segment installed[SEG_COUNT]; /* the vCPU's segments that @real stands for */
	uint16_t real[SEG_COUNT];            /* selectors the runner was last resumed with */
	uint64_t ldt_key[LDT_SLOTS];
	unsigned ldt_used, ldt_next;
	pthread_mutex_t map_lock; /* over the request queue and the LDT slots, up to seq */
	unsigned queued;          /* requests in ctl->req not yet flushed */
	unsigned descs;           /* descriptors in ctl->desc used by them */
	uint32_t seq;
	uint64_t tsc_posted;     /* when the turn was last given to the runner */
	uint64_t kick_ns;        /* CLOCK_MONOTONIC of the first unanswered kick, 0 if none */
	struct handoff *handoff; /* shared by the worlds of a vCPU */
	int placed_cpu;          /* where the runner was put last, for which mode */
	enum handoff_mode placed_mode;
};

static inline struct world *world_of(struct engine *e)
{
	return (struct world *)e; /* engine is the first member */
}

/*
 * spawn.c: start the world process.  Returns 0 or negative errno with a sentence in vm->death.
 * Any thread that lives as long as the world (it dies with its parent thread).
 */
int world_spawn(struct world *w);
/* Kill and reap it.  Returns its wait status. */
int world_reap(struct world *w);

/* mapper.c: queue a system call for the mapper; world_flush() has them done.  Under map_lock. */
int world_queue(struct world *w, const struct world_request *rq);
int world_flush(struct world *w);

/* segments.c: real selectors for the vCPU's segments, making LDT descriptors as needed. */
int world_install_segments(struct world *w, uint16_t real[SEG_COUNT]);
/*
 * Compare the selectors the runner trapped with (@now) with those installed; where they differ the
 * guest loaded a host selector natively: load it again from the guest's own tables.
 * *@repaired says whether any differed.  Returns EMU_OK, or EMU_FAULT with v->fault if the guest's
 * tables do not allow the selector.
 */
int world_reconcile(struct world *w, const uint16_t now[SEG_COUNT], bool *repaired);

/* classify.c: from what the runner reported (@x, a private copy) to an exit; updates v->regs. */
int world_classify(struct world *w, const struct world_xchg *x, unsigned flags, struct exit *out);

/* Alignment checks are live at ring 3; the guest wants them at vCPL 3 with CR0.AM only. */
static inline bool world_checks_alignment(const struct vcpu *v)
{
	return v->sh.cpl == 3 && (v->sh.cr0 & CR0_AM);
}

/* handoff.c */
/* Join and leave the vCPU's hand-off state.  0 or -ENOMEM. */
int handoff_attach(struct world *w);
void handoff_detach(struct world *w);
/* Before a world runs or starts: put its runner and mapper where the mode wants them. */
void handoff_enter(struct world *w);
/*
 * Give the turn to the runner and wait until it is the VMM's again; or only wait.  0, -ESRCH if the
 * world died or had to be killed, -EPROTO if it wrote nonsense to the turn word.
 */
int handoff_run(struct world *w);
int handoff_wait(struct world *w);
/* Learn from a finished exit: guest time and hand-off latency in TSC ticks. */
void handoff_learn(struct world *w, uint64_t guest_ticks, uint64_t handoff_ticks);
/* Fix the mode (benchmarks). */
void handoff_force(struct world *w, enum handoff_mode mode);
/* Fix it as the user said: vm->handoff.  Returns 0, or -EINVAL where there is no CPU to spin on. */
int handoff_choose(struct world *w, int option);
const char *handoff_name(enum handoff_mode mode);

extern const uint8_t world_stub[], world_stub_end[];

#endif
