/* SPDX-License-Identifier: MIT */
/*
 * The dispatcher: threads that stand for physical CPUs, and what they do with the vCPU that the
 * scheduler (sched.h) chose: load it, resume it, and give the CPU back when it blocks, when its
 * slice is over or when one with a better claim woke up.
 *
 * The scheduler is a data structure and knows no thread, clock or lock; everything of that kind is
 * here.  One lock, taken last of all (vcpu_kick() may be called with any other held), serializes
 * the calls into it.  Each function may be called by any thread but a pCPU's, unless it says
 * otherwise.
 */
#ifndef RINGSIDE_VMM_SCHED_DISPATCH_H
#define RINGSIDE_VMM_SCHED_DISPATCH_H

#include <limits.h>
#include <stdio.h>

#include "vmm/sched/sched.h"

struct vm;
struct vcpu;
struct dispatcher;

struct dispatch_config {
	unsigned pcpus;     /* threads, each pinned to a CPU; 0: as many as this process may use */
	uint64_t slice_ns;  /* 0: SCHED_SLICE_NS */
	const char *policy; /* name of a policy; NULL: the default */
};

struct dispatch_params {
	unsigned weight;   /* 0: SCHED_WEIGHT */
	unsigned cap;      /* percent of one CPU; 0: none */
	uint64_t affinity; /* bit i: may run on pCPU i; 0: on all */
	uint64_t near;     /* where the first vCPU had rather be; 0: anywhere */
	bool paused;       /* nothing runs until dispatch_pause(vm, false) */
};

/* Returns NULL with a sentence in @err.  The calling thread must not be pinned to a CPU. */
struct dispatcher *dispatcher_new(const struct dispatch_config *cfg, char *err, size_t err_size);
/* Every VM must have been removed. */
void dispatcher_free(struct dispatcher *d);
unsigned dispatcher_pcpus(const struct dispatcher *d);
/* The pCPU of the CPU that the calling thread is on, as a bit for dispatch_params. */
uint64_t dispatcher_here(const struct dispatcher *d);

/*
 * Run @vm's vCPUs.  When the last one has ended @ended(@arg) is called by a pCPU thread without
 * locks.  Returns 0 or negative errno: -ENOMEM, -EINVAL (a weight, cap or affinity out of range);
 * dispatch_remove() in any case.
 */
int dispatch_add(struct dispatcher *d, struct vm *vm, const struct dispatch_params *params,
		 void (*ended)(void *arg), void *arg);
/* Wait until all of its vCPUs have ended (vm_end() makes them) and @ended() has returned. */
void dispatch_wait(struct dispatcher *d, struct vm *vm);
/* The same, and forget the VM.  Nobody may call vcpu_kick() for its vCPUs meanwhile or after. */
void dispatch_remove(struct dispatcher *d, struct vm *vm);

/* Hold all vCPUs of the VM, or let them go on.  They stop at their next exit; a kick makes one. */
void dispatch_pause(struct dispatcher *d, struct vm *vm, bool pause);
/*
 * 0 in a field leaves it as it is, a cap of DISPATCH_NO_CAP takes it away; -EINVAL and no change if
 * one is out of range.
 */
#define DISPATCH_NO_CAP UINT_MAX
int dispatch_change(struct dispatcher *d, struct vm *vm, const struct dispatch_params *params);

/* The vCPU seems to wait for another: @v's own thread, from within vcpu_resume(). */
void dispatch_spin(struct vcpu *v);

/*
 * What a guest asks for, by MSR (activations.h): @v's own thread, from within vcpu_resume().  With
 * no dispatcher they do nothing, and all vCPUs are active.
 *
 * Give @v's pCPU to @to, a vCPU of the same VM, if that is READY; otherwise go on.
 */
void dispatch_yield_to(struct vcpu *v, struct vcpu *to);
/* Note in vm->activations how all vCPUs are. */
void dispatch_states(struct vm *vm);
/* How many have been started and are not idle by SA_MSR_IDLE. */
unsigned dispatch_active(struct vm *vm);
/*
 * @n shall be active: those of the idle ones, as bits, that are to be woken up by an interrupt,
 * which is the caller's to send, and will count as added.
 */
uint32_t dispatch_want(struct vm *vm, unsigned n);

/* One vCPU as the scheduler sees it now. */
struct dispatch_stat {
	enum sched_state state;
	bool held;                 /* paused, or its cap is used up */
	unsigned pcpu;             /* where it runs, or ran last */
	uint64_t ns[SCHED_STATES]; /* in each state, up to now */
	uint64_t held_ns;          /* of SCHED_READY: while it was held, up to now */
	struct sched_stats sched;
};
void dispatch_get(struct dispatcher *d, const struct vcpu *v, struct dispatch_stat *out);

#endif
