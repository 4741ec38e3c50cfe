/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: which vCPU runs on which pCPU, and for how long.  It is a data structure and
 * nothing more: no threads, no clock, no locks, no system calls, no signals.  Time is the parameter
 * @now (ns of any monotonic clock, one for all calls; a value that goes backwards counts as no time
 * passed).  The *dispatcher* owns the threads, loads vCPUs and keeps the clock; the simulator in
 * tests/sched_sim.c is another such caller and drives the same code.
 *
 * Locking: the caller serialises all calls on one struct sched, and reads of the entities and
 *groups in it, with one lock.  No call blocks or allocates, but sched_new().
 *
 * What a caller does (every line under the lock, the guest runs outside it):
 *
 *	pCPU thread p:	for (;;) {
 *				e = sched_pick(s, p, now);
 *				at = sched_next_event(s, p, now);
 *				tell every pCPU in sched_take_kicks(s);
 *				if (!e) { sleep until told or @at; continue; }
 *				run e until told, @at, or it has something to say;
 *				sched_put(s, e, why, now), or sched_block(s, e, now),
 *				or sched_yield_to(s, e, to, now);
 *			}
 *	anyone:		sched_wake(s, e, now); tell every pCPU in sched_take_kicks(s);
 *
 * "Telling" a pCPU is a request to come back soon: an idle one wakes and picks; a running one stops
 * its vCPU, puts it with SCHED_PREEMPTED and picks.  A pCPU must not be told under sched_pick()'s
 * nose and then forget it: the request stands until its next sched_pick().
 *
 * Lost wake-ups: a vCPU that is not BLOCKED cannot be woken (sched_wake() returns false).  So the
 * dispatcher looks for pending work *under the lock* right before sched_block(), and whoever makes
 * work calls sched_wake() under the lock *after* the work can be seen.
 *
 *	             sched_add                     sched_pick
 *	    (OUT) -------------> BLOCKED   READY -------------> RUNNING
 *	      ^                   |   ^     ^ ^                  |  |
 *	      |                   |   |     | +------------------+  |
 *	      | sched_remove      |   |     |    sched_put,         |
 *	      | from any state    |   |     |    sched_yield_to     |
 *	      +----               |   |     |                       |
 *	                          +---|-----+                       |
 *	                     sched_wake                             |
 *	                              +-----------------------------+
 *	                                        sched_block
 *
 * READY with @held set is READY but not to be picked: its group is paused, or has used up its cap.
 */
#ifndef RINGSIDE_VMM_SCHED_SCHED_H
#define RINGSIDE_VMM_SCHED_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/hist.h"

#define SCHED_MAX_PCPUS     64u
#define SCHED_SLICE_NS      10000000ull /* the default */
#define SCHED_SLICE_MIN_NS  100000ull
#define SCHED_SLICE_MAX_NS  1000000000ull
#define SCHED_WEIGHT        100u /* the default */
#define SCHED_WEIGHT_MAX    10000u
#define SCHED_CAP_PERIOD_NS 100000000ull /* caps hold over each of these */
#define SCHED_ALL_PCPUS     UINT64_MAX
#define SCHED_NEVER         UINT64_MAX

struct sched;
struct sched_policy;

enum sched_state { SCHED_OUT, SCHED_BLOCKED, SCHED_READY, SCHED_RUNNING, SCHED_STATES };

/* Why a vCPU leaves its pCPU though it could go on. */
enum sched_why {
	SCHED_SLICE_END, /* sched_next_event() came */
	SCHED_PREEMPTED, /* its pCPU was told */
	SCHED_SPIN,      /* it waits in a loop (PAUSE, an IPI's delivery): others first */
	SCHED_VOLUNTARY, /* it asked to (a hypercall): others first */
	SCHED_WHYS
};

/*
 * A VM.  Embedded by its owner, set up by sched_group_init(), must outlive its entities.  Weight is
 * the VM's, not the vCPU's: each runnable vCPU counts weight / (runnable vCPUs of the group).
 */
struct sched_group {
	uint32_t weight; /* 1..SCHED_WEIGHT_MAX */
	uint32_t cap;    /* percent of one pCPU, all its vCPUs together; 0: none; may exceed 100 */
	bool paused;
	uint32_t runnable;  /* its entities that are READY (not held) or RUNNING */
	uint64_t ran_ns;    /* of all its entities, up to the last call */
	uint64_t period_ns; /* when the current cap period began; SCHED_NEVER: none did */
	int64_t budget_ns;  /* of the cap: not yet used or granted; negative: overrun */
	uint64_t throttled; /* times an entity was held back by the cap */
};

/* What `top` shows.  Counts of events; the histogram in ns. */
struct sched_stats {
	uint64_t dispatches;       /* times picked */
	uint64_t wakes;            /* BLOCKED -> READY */
	uint64_t blocks;           /* RUNNING -> BLOCKED */
	uint64_t puts[SCHED_WHYS]; /* RUNNING -> READY, by reason */
	uint64_t migrations;       /* picked on another pCPU than the one before */
	uint64_t steals;           /* of those: by a pCPU whose own queue had nobody */
	uint64_t boosts;           /* picked out of turn: a directed yield to it */
	struct hist wake_latency;  /* sched_wake() to sched_pick() */
};

/* A vCPU.  Embedded by its owner; set up by sched_entity_init(); read only for all others. */
struct sched_entity {
	struct sched_group *group;
	void *owner;         /* the caller's */
	uint64_t hard, soft; /* pCPUs it may run on, and those it had rather; bit n: pCPU n */
	enum sched_state state;
	bool held;    /* READY, but paused or throttled */
	uint8_t pcpu; /* RUNNING: where; READY: in whose queue; BLOCKED: where it was */
	uint64_t time_ns[SCHED_STATES]; /* without the current stretch: see sched_time() */
	uint64_t held_ns;               /* of READY: while held */
	uint64_t since_ns;              /* in this state */
	struct sched_stats stats;

	/* The scheduler's own. */
	struct sched_entity *next, *prev; /* the queue it waits in */
	struct sched_entity *all_next, *all_prev;
	uint64_t held_since_ns;
	uint64_t ready_ns;   /* when it last became READY, */
	uint64_t order;      /* and as the how-manieth: the lowest waits longest */
	uint64_t end_ns;     /* RUNNING: end of its slice or grant */
	uint64_t granted_ns; /* RUNNING in a capped group: what was taken from the budget */
	bool woken;          /* not yet dispatched since sched_wake() */
	bool dispatched;     /* was on a pCPU before: its move is a migration */
	bool skip;           /* yielded: others first, once */
	bool counted;        /* in group->runnable, and joined in the policy */
	union {              /* the policy's, all zero at sched_add() */
		struct {
			double vtime; /* ns of service for a unit of weight */
			double rate;  /* its share of a pCPU, 0 to 1; 0: new */
			double due;   /* while rates change: its lag */
			uint8_t domain;
		} fair;
		struct {
			double pass; /* ns of service for a unit of weight */
		} stride;
		double own[4]; /* of a policy that is not one of these (the lab) */
	} u;
};

struct sched_config {
	unsigned pcpus;    /* 1..SCHED_MAX_PCPUS */
	uint64_t slice_ns; /* SCHED_SLICE_MIN_NS..SCHED_SLICE_MAX_NS; 0: SCHED_SLICE_NS */
	uint64_t seed;     /* for policies that draw lots */
};

/* The policies `--sched=` knows; the first is the default; ends with NULL. */
extern const struct sched_policy *const sched_policies[];
/* NULL: there is none of that name. */
const struct sched_policy *sched_policy_find(const char *name);
const char *sched_policy_name(const struct sched_policy *p);
/* One line for --help. */
const char *sched_policy_summary(const struct sched_policy *p);

/* NULL with errno EINVAL (a number out of range) or ENOMEM.  @policy NULL: the default. */
struct sched *sched_new(const struct sched_policy *policy, const struct sched_config *config);
/* All entities must have been removed. */
void sched_free(struct sched *s);
const struct sched_policy *sched_policy_of(const struct sched *s);
uint64_t sched_slice_ns(const struct sched *s);

/* -EINVAL: @weight out of range. */
int sched_group_init(struct sched_group *g, uint32_t weight, uint32_t cap_percent);
/* Any pCPU, no preference. */
void sched_entity_init(struct sched_entity *e, struct sched_group *g, void *owner);

/*
 * @e becomes BLOCKED: wake it to have it run.  The hard affinity set in @e beforehand holds.
 * -EINVAL: it allows no pCPU there is.
 */
int sched_add(struct sched *s, struct sched_entity *e, uint64_t now);
/*
 * From any state; its statistics stay readable.  If it is RUNNING the caller has taken it off its
 * pCPU, or will not let it go on; that pCPU counts as idle and is among the kicks.
 */
void sched_remove(struct sched *s, struct sched_entity *e, uint64_t now);

/* BLOCKED -> READY.  False: it was not BLOCKED, nothing happened. */
bool sched_wake(struct sched *s, struct sched_entity *e, uint64_t now);
/* RUNNING -> BLOCKED: nothing to do until sched_wake(). */
void sched_block(struct sched *s, struct sched_entity *e, uint64_t now);
/* RUNNING -> READY.  With SCHED_SPIN and SCHED_VOLUNTARY others, where there are, run first. */
void sched_put(struct sched *s, struct sched_entity *e, enum sched_why why, uint64_t now);
/*
 * @from (RUNNING) gives up its pCPU as with SCHED_SPIN, and @to, a sibling that is READY, gets it
 * for what is left of @from's slice: when a lock holder was preempted, or an IPI's target.  @to
 * NULL: the sibling that waits longest.  Chains of such yields share the one slice, so that a VM
 * gains nothing by them.  The caller goes on with sched_pick() for that pCPU.
 * Returns whether there was one to yield to (@from is READY in both cases).
 */
bool sched_yield_to(struct sched *s, struct sched_entity *from, struct sched_entity *to,
		    uint64_t now);

/*
 * Who runs on @pcpu now: READY -> RUNNING, or NULL: idle.  Nobody may be RUNNING on it.
 * Never returns one whose hard affinity forbids @pcpu, or that is held.
 */
struct sched_entity *sched_pick(struct sched *s, unsigned pcpu, uint64_t now);
/*
 * When (absolute ns, maybe past) @pcpu must call back if nothing else happens: for a running vCPU
 * its slice's (or its cap's) end, to be put with SCHED_SLICE_END; for an idle pCPU the next cap
 * period of somebody held back, to pick.  SCHED_NEVER: no need.  Does not change between
 * sched_pick() and the next kick.
 */
uint64_t sched_next_event(struct sched *s, unsigned pcpu, uint64_t now);
/*
 * The pCPUs that must be told because of the calls so far, each once.  To be called after any other
 * call, before the lock is let go.
 */
uint64_t sched_take_kicks(struct sched *s);

/*
 * At any time, any state.  What no longer may run where it does is kicked off.
 * -EINVAL: @weight out of range; @hard allows no pCPU there is.
 */
int sched_set_weight(struct sched *s, struct sched_group *g, uint32_t weight, uint64_t now);
void sched_set_cap(struct sched *s, struct sched_group *g, uint32_t cap_percent, uint64_t now);
int sched_set_affinity(struct sched *s, struct sched_entity *e, uint64_t hard, uint64_t soft,
		       uint64_t now);
/* While paused none of its vCPUs is picked; those RUNNING are among the kicks.  They still wake. */
void sched_pause(struct sched *s, struct sched_group *g, uint64_t now);
void sched_resume(struct sched *s, struct sched_group *g, uint64_t now);

/* Time in @state up to @now, ns. */
uint64_t sched_time(const struct sched_entity *e, enum sched_state state, uint64_t now);
const char *sched_state_name(enum sched_state state);

/* All entities in the order they were added. */
struct sched_entity *sched_first(const struct sched *s);
#define sched_for_each(s, e) for ((e) = sched_first(s); (e); (e) = (e)->all_next)

struct sched_pcpu_stats {
	struct sched_entity *running; /* NULL: idle */
	unsigned queued;              /* READY here, held ones included */
	uint64_t picks;
	uint64_t busy_ns, idle_ns; /* since sched_new()'s first call, up to @now */
};
void sched_pcpu_stats(const struct sched *s, unsigned pcpu, uint64_t now,
		      struct sched_pcpu_stats *out);

#endif
