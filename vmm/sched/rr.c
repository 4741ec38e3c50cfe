/* SPDX-License-Identifier: MIT */
/*
 * Round robin: a slice each, in the order in which they became ready; weights do not count.  Who
 * waited longest is next, in whatever queue it waits: were the queues apart, of 3 hogs on 2 pCPUs
 * two would have half a pCPU and the third a whole one.
 */
#include "vmm/sched/policy.h"

static struct sched_entity *rr_pick(struct sched *s, unsigned pcpu)
{
	struct sched_entity *e, *best = NULL;

	sched_for_each_candidate (s, pcpu, e) {
		if (!best || e->order < best->order)
			best = e;
	}
	return best;
}

const struct sched_policy sched_rr = {
	.name = "rr",
	.summary = "round robin: a slice each, in turn, whatever the weight",
	.pick = rr_pick,
};
