/* SPDX-License-Identifier: MIT */
/*
 * Round robin: a slice each, in the order in which they came to the pCPU's queue; weights do not
 * count.  A pCPU whose queue is empty takes the oldest from the longest one.
 */
#include "vmm/sched/policy.h"

const struct sched_policy sched_rr = {
	.name = "rr",
	.summary = "round robin: a slice each, in turn, whatever the weight",
	.pick = sched_oldest,
};
