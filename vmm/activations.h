/* SPDX-License-Identifier: MIT */
/*
 * Scheduler activations: a guest that registers a page and an interrupt vector is told what
 * happens to its virtual processors.  docs/activations.md is what the guest sees.
 *
 * Two halves, because events happen under the dispatcher's lock, where guest memory must not be
 * touched.  activations_event() notes what happened, in memory of ours; the same thread calls
 * activations_publish() after it has let go of the lock, and before the vCPU it has picked runs. So
 * a vCPU's record says RUNNING before its first instruction.
 *
 * The page is written, never read.  Source: Anderson, Bershad, Lazowska, Levy, "Scheduler
 * Activations: Effective Kernel Support for the User-Level Management of Parallelism" (1992).
 */
#ifndef RINGSIDE_VMM_ACTIVATIONS_H
#define RINGSIDE_VMM_ACTIVATIONS_H

#include "vmm/activations_abi.h"
#include "vmm/types.h"

struct vm;
struct vcpu;
struct activations;

/* NULL if memory ran out.  @vm may be NULL until the first publish: it is what the page is in. */
struct activations *activations_new(struct vm *vm);
void activations_free(struct activations *a);

/* What the scheduler says about a vCPU at an event. */
struct activations_now {
	uint32_t state; /* SA_RUNNING ..: after the event */
	unsigned pcpu;
	uint64_t now_ns; /* the times are up to here */
	uint64_t run_ns, steal_ns, idle_ns;
	/* It has just left its pCPU: its registers are to be shown.  NULL: somebody else's vCPU. */
	const struct vcpu *left;
};

/* Has the guest registered?  Any thread, no lock. */
bool activations_on(const struct activations *a);
/*
 * Note an event of kind @kind (SA_ADDED ..; 0: only the state) of vCPU @id.  Any thread, any lock
 * held; never blocks for long.
 */
void activations_event(struct activations *a, unsigned id, unsigned kind,
		       const struct activations_now *now);
/*
 * Write to the guest what was noted, and send upcalls.  No lock held; returns when all that was
 * noted before the call is written.  Any thread.
 */
void activations_publish(struct activations *a);

/* The MSRs by number (SA_MSR_PAGE ..).  The vCPU's thread.  Returns 0, or EMU_FAULT for #GP. */
uint64_t activations_read_msr(struct vcpu *v, unsigned i);
int activations_write_msr(struct vcpu *v, unsigned i, uint64_t val);

/* Counts, for tests. */
struct activations_stats {
	uint64_t events[SA_KINDS], elided, lost, upcalls, published;
};
void activations_get_stats(struct activations *a, struct activations_stats *out);

#endif
