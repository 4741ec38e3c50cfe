/* SPDX-License-Identifier: MIT */
/*
 * One-shot timers of a VM over a clock that tests can drive by hand.  The I/O thread sleeps until
 * timers_next() and calls timers_run(); a device re-arms in its callback for periodic behaviour,
 * from the old deadline so that no drift accumulates.  All calls under the VM's device lock.
 */
#ifndef RINGSIDE_VMM_TIMER_H
#define RINGSIDE_VMM_TIMER_H

#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

struct vtimer {
	uint64_t deadline_ns; /* absolute; TIMER_NEVER when idle */
	void (*fire)(void *arg, uint64_t now_ns);
	void *arg;
	struct vtimer *next; /* sorted list of the armed ones */
};

struct timers {
	struct vtimer *head;
	struct vtimer *due; /* taken off @head by the timers_run() in progress, not fired yet */
	uint64_t (*clock)(void *clock_arg); /* CLOCK_MONOTONIC ns in production */
	void *clock_arg;
	void (*rearmed)(
		void *arg); /* called when the earliest deadline became earlier; may be NULL */
	void *rearmed_arg;
};

void timers_init(struct timers *ts, uint64_t (*clock)(void *), void *clock_arg);
uint64_t timers_now(struct timers *ts);
void timer_init(struct vtimer *t, void (*fire)(void *arg, uint64_t now_ns), void *arg);
/* Arm @t for @deadline_ns (absolute), moving it if armed.  A deadline in the past fires at the next
 * run. */
void timer_set(struct timers *ts, struct vtimer *t, uint64_t deadline_ns);
void timer_cancel(struct timers *ts, struct vtimer *t);
/* Deadline of the earliest armed timer, TIMER_NEVER if none. */
uint64_t timers_next(const struct timers *ts);
/* Fire everything due at @now_ns, in order of deadline; callbacks may arm and cancel. */
void timers_run(struct timers *ts, uint64_t now_ns);

#endif
