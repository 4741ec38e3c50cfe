/* SPDX-License-Identifier: MIT */
/*
 * Stride: the lottery without luck.  Each has a pass that goes on by a stride, the inverse of its
 * tickets, for each slice it runs (by part of it for part of a slice); the lowest pass is next.
 * The global pass is how far the last one picked was.  Who joins starts there: sleeping saves
 * nothing; unless its own pass is beyond: sleeping loses no debt.
 *
 * Waldspurger and Weihl, "Stride Scheduling: Deterministic Proportional-Share Resource Management",
 * MIT/LCS/TM-528, 1995.  The paper's global pass goes on with time, by the stride of all tickets
 * together; with several pCPUs that falls behind everybody as soon as one of them has more tickets
 * than a whole pCPU is worth, and a newcomer would have to catch up.  So ours follows the picks, as
 * in Goyal, Vin and Cheng, "Start-Time Fair Queueing", SIGCOMM 1996.
 */
#include "vmm/sched/policy.h"

static void stride_join(struct sched *s, struct sched_entity *e)
{
	if (e->u.stride.pass < s->u.stride.pass)
		e->u.stride.pass = s->u.stride.pass;
}

static void stride_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns)
{
	(void)s;
	e->u.stride.pass += (double)ran_ns / sched_weight(e);
}

static bool stride_preempts(const struct sched *s, const struct sched_entity *woken,
			    const struct sched_entity *running)
{
	/* By a slice at least, or two equals would preempt each other all the time. */
	return woken->u.stride.pass + (double)s->slice_ns / sched_weight(running) <
	       running->u.stride.pass;
}

static struct sched_entity *stride_pick(struct sched *s, unsigned pcpu)
{
	struct sched_entity *e, *best = NULL;

	sched_for_each_candidate (s, pcpu, e) {
		if (!best || e->u.stride.pass < best->u.stride.pass)
			best = e;
	}
	if (best && best->u.stride.pass > s->u.stride.pass)
		s->u.stride.pass = best->u.stride.pass;
	return best;
}

const struct sched_policy sched_stride = {
	.name = "stride",
	.summary = "the lottery without luck: the lowest pass runs, and moves on by 1/weight",
	.pick = stride_pick,
	.join = stride_join,
	.charge = stride_charge,
	.preempts = stride_preempts,
};
