/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "tests/devices.h"
#include "vmm/timer.h"

static char timer_log[16];
static unsigned timer_log_len;

struct timer_subject {
	struct vtimer t;
	struct timers *ts;
	char name;
	uint64_t rearm_ns;            /* re-arm this much after the run; 0: do not */
	struct timer_subject *cancel; /* cancel this one when firing */
};

static void subject_fire(void *arg, uint64_t now_ns)
{
	struct timer_subject *s = arg;

	timer_log[timer_log_len++ % sizeof(timer_log)] = s->name;
	if (s->cancel)
		timer_cancel(s->ts, &s->cancel->t);
	if (s->rearm_ns)
		timer_set(s->ts, &s->t, now_ns + s->rearm_ns);
}

static void subject_init(struct timer_subject *s, struct bench *b, char name)
{
	*s = (struct timer_subject){ .ts = &b->timers, .name = name };
	timer_init(&s->t, subject_fire, s);
}

Test(timer, due_ones_fire_in_order_of_deadline_and_equals_in_order_of_arming)
{
	struct timer_subject s[4];
	struct bench b;

	bench_init(&b);
	for (unsigned i = 0; i < 4; i++)
		subject_init(&s[i], &b, (char)('a' + i));
	timer_set(&b.timers, &s[0].t, 30);
	timer_set(&b.timers, &s[1].t, 10);
	timer_set(&b.timers, &s[2].t, 10);
	timer_set(&b.timers, &s[3].t, 31);
	timers_run(&b.timers, 30);
	cr_expect_str_eq(timer_log, "bca");
	cr_expect_eq(timers_next(&b.timers), 31);
}

Test(timer, nothing_armed_means_never)
{
	struct timer_subject s;
	struct bench b;

	bench_init(&b);
	subject_init(&s, &b, 'a');
	cr_expect_eq(timers_next(&b.timers), TIMER_NEVER);
	timer_set(&b.timers, &s.t, 5);
	timer_set(&b.timers, &s.t, TIMER_NEVER);
	cr_expect_eq(timers_next(&b.timers), TIMER_NEVER);
	timers_run(&b.timers, TIMER_NEVER - 1);
	cr_expect_eq(timer_log_len, 0);
}

Test(timer, setting_an_armed_timer_moves_it)
{
	struct timer_subject s;
	struct bench b;

	bench_init(&b);
	subject_init(&s, &b, 'a');
	timer_set(&b.timers, &s.t, 10);
	timer_set(&b.timers, &s.t, 20);
	timers_run(&b.timers, 10);
	cr_expect_eq(timer_log_len, 0);
	timers_run(&b.timers, 20);
	timers_run(&b.timers, 30);
	cr_expect_eq(timer_log_len, 1);
}

Test(timer, a_callback_can_cancel_another_that_is_due_in_the_same_run)
{
	struct timer_subject a, c;
	struct bench b;

	bench_init(&b);
	subject_init(&a, &b, 'a');
	subject_init(&c, &b, 'c');
	a.cancel = &c;
	timer_set(&b.timers, &a.t, 10);
	timer_set(&b.timers, &c.t, 11);
	timers_run(&b.timers, 20);
	cr_expect_str_eq(timer_log, "a");
	cr_expect_eq(timers_next(&b.timers), TIMER_NEVER);
}

/* Or a guest could keep the I/O thread in here for ever. */
Test(timer, one_that_rearms_in_the_past_waits_for_the_next_run)
{
	struct timer_subject s;
	struct bench b;

	bench_init(&b);
	subject_init(&s, &b, 'a');
	timer_set(&b.timers, &s.t, 10);
	s.rearm_ns = (uint64_t)-90;
	timers_run(&b.timers, 100);
	cr_expect_eq(timer_log_len, 1);
	cr_expect_eq(timers_next(&b.timers), 10);
	timers_run(&b.timers, 100);
	cr_expect_eq(timer_log_len, 2);
}

static void count_call(void *arg)
{
	++*(unsigned *)arg;
}

Test(timer, rearmed_is_called_only_when_the_earliest_gets_earlier)
{
	struct timer_subject a, c;
	unsigned calls = 0;
	struct bench b;

	bench_init(&b);
	subject_init(&a, &b, 'a');
	subject_init(&c, &b, 'c');
	b.timers.rearmed = count_call;
	b.timers.rearmed_arg = &calls;
	timer_set(&b.timers, &a.t, 100);
	cr_expect_eq(calls, 1);
	timer_set(&b.timers, &c.t, 200);
	cr_expect_eq(calls, 1);
	timer_set(&b.timers, &c.t, 50);
	cr_expect_eq(calls, 2);
	timer_cancel(&b.timers, &c.t);
	timer_set(&b.timers, &a.t, 150);
	cr_expect_eq(calls, 2, "later is not earlier");
}
