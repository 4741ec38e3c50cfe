/* SPDX-License-Identifier: MIT */
/*
 * Promptness of the threads that turn the host's events into interrupts.
 *
 * They run for microseconds, and while every CPU is busy, with guests that compute for example,
 * each waits until the thread that runs there has used up its time slice: milliseconds.  Since 6.12
 * Linux lets a thread ask for a slice of its own, and one that wakes takes the CPU from another
 * whose slice is longer, without a greater share of it.  Source: sched_setattr(2); Linux,
 * kernel/sched/fair.c, PREEMPT_SHORT; Stoica and Abdel-Wahab, "Earliest Eligible Virtual Deadline
 * First", 1995.
 */
#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/machine_priv.h"

#define SLICE_NS 100000u /* the least there is */

/* struct sched_attr, in its first version: <linux/sched/types.h> does not go with <sched.h>. */
struct sched_request {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

void io_thread_prompt(void)
{
	struct sched_request rq = { .size = sizeof(rq), .runtime_ns = SLICE_NS };

	errno = 0;
	rq.nice = getpriority(PRIO_PROCESS, 0);
	/* A policy that somebody chose for us stays.  An older kernel ignores the slice. */
	if (!errno && sched_getscheduler(0) == SCHED_OTHER)
		syscall(SYS_sched_setattr, 0, &rq, 0);
}
