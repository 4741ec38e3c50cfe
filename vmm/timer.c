/* SPDX-License-Identifier: MIT */
#include "vmm/timer.h"

#include <stdbool.h>
#include <stddef.h>

void timers_init(struct timers *ts, uint64_t (*clock)(void *), void *clock_arg)
{
	*ts = (struct timers){ .clock = clock, .clock_arg = clock_arg };
}

uint64_t timers_now(struct timers *ts)
{
	return ts->clock(ts->clock_arg);
}

void timer_init(struct vtimer *t, void (*fire)(void *arg, uint64_t now_ns), void *arg)
{
	*t = (struct vtimer){ .deadline_ns = TIMER_NEVER, .fire = fire, .arg = arg };
}

static bool unlink_from(struct vtimer **list, const struct vtimer *t)
{
	for (struct vtimer **p = list; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			return true;
		}
	}
	return false;
}

void timer_cancel(struct timers *ts, struct vtimer *t)
{
	if (t->deadline_ns == TIMER_NEVER)
		return;
	if (!unlink_from(&ts->head, t))
		unlink_from(&ts->due, t);
	t->deadline_ns = TIMER_NEVER;
	t->next = NULL;
}

void timer_set(struct timers *ts, struct vtimer *t, uint64_t deadline_ns)
{
	struct vtimer **p = &ts->head;
	uint64_t earliest = timers_next(ts);

	timer_cancel(ts, t);
	if (deadline_ns == TIMER_NEVER)
		return;
	/* After its equals: timers due at the same instant fire in the order they were set. */
	while (*p && (*p)->deadline_ns <= deadline_ns)
		p = &(*p)->next;
	t->deadline_ns = deadline_ns;
	t->next = *p;
	*p = t;
	if (deadline_ns < earliest && ts->rearmed)
		ts->rearmed(ts->rearmed_arg);
}

uint64_t timers_next(const struct timers *ts)
{
	/* Everything in @due is earlier than everything that stayed in @head. */
	if (ts->due)
		return ts->due->deadline_ns;
	return ts->head ? ts->head->deadline_ns : TIMER_NEVER;
}

void timers_run(struct timers *ts, uint64_t now_ns)
{
	struct vtimer **end = &ts->due;

	/*
	 * Take off what is due before firing any of it: a callback that re-arms itself in the past
	 * waits for the next run and so cannot keep this one from ending.
	 */
	while (*end)
		end = &(*end)->next;
	while (ts->head && ts->head->deadline_ns <= now_ns) {
		*end = ts->head;
		ts->head = ts->head->next;
		end = &(*end)->next;
		*end = NULL;
	}
	while (ts->due) {
		struct vtimer *t = ts->due;

		ts->due = t->next;
		t->next = NULL;
		t->deadline_ns = TIMER_NEVER;
		t->fire(t->arg, now_ns);
	}
}
