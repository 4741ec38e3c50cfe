/* SPDX-License-Identifier: MIT */
/*
 * Scheduler activations in real runs: what guests are told fits together and to what the scheduler
 * did, and user-level threads that go on elsewhere lose nothing.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/child.h"

#define GOOD 33 /* what the guest's exit port makes of 0x10 */

TestSuite(activations_run, .timeout = 180);

static const char *programs(void)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/minios-programs.a", getenv("GUESTS"));
	return path;
}

static void minios(struct child *c, const char *smp, const char *pcpus, const char *command)
{
	*c = (struct child){ .argv = { child_ringside(), "run", "--smp", smp, "--pcpus", pcpus,
				       child_guest("minios"), "--module", programs(), "--append",
				       command, NULL },
			     .seconds = 100 };
	child_run(c);
	cr_assert_eq(c->status, GOOD, "%s of %s, %s: status %d\n%s%s", pcpus, smp, command,
		     c->status, c->out, c->err);
	cr_assert_null(strstr(c->out, "not ok"), "%s", c->out);
}

static unsigned number_after(const struct child *c, const char *text, const char *unit)
{
	const char *p = strstr(c->out, text);
	unsigned n = 0;

	/* "TEXT ... N UNIT" */
	cr_assert_not_null(p, "no \"%s\" in\n%s", text, c->out);
	p = strstr(p, unit);
	cr_assert_not_null(p, "no \"%s\" after \"%s\" in\n%s", unit, text, c->out);
	while (p > c->out && p[-1] == ' ')
		p--;
	while (p > c->out && p[-1] >= '0' && p[-1] <= '9')
		p--;
	cr_assert_eq(sscanf(p, "%u", &n), 1);
	return n;
}

/*
 * guest/upcall: idle, want, yield, the ring.  With a slice of a second, 50 turns on one pCPU take
 * longer than the test may unless a yield gives the pCPU away at once.
 */
Test(activations_run, idle_want_and_yield)
{
	static struct child c;

	for (char pcpus = '1'; pcpus <= '2'; pcpus++) {
		char n[2] = { pcpus, 0 };

		c = (struct child){ .argv = { child_ringside(), "run", "--smp", "2", "--pcpus", n,
					      "--slice", "1000", child_guest("upcall"), NULL } };
		child_run(&c);
		cr_expect_eq(c.status, GOOD, "%s pCPUs: status %d: see guest/upcall\n%s", n,
			     c.status, c.err);
		cr_expect_lt(c.wall_ms, 25000, "no yield gave the pCPU away");
	}
}

struct way {
	char pcpus[4], args[48];
};

static struct way ways[] = {
	{ "1", "run=threads 8 40 10000" },        { "1", "run=threads -a 8 200 10000" },
	{ "1", "run=threads -a -l 8 100 10000" }, { "2", "run=threads -a 16 200 10000" },
	{ "2", "run=threads -a -l 8 200 10000" }, { "2", "run=threads -a -s 0 3 200 10000" },
};

ParameterizedTestParameters(activations_run, threads_lose_nothing)
{
	return cr_make_param_array(struct way, ways, sizeof(ways) / sizeof(ways[0]), NULL);
}

/* 4 processors on 1 or 2 pCPUs: each sum is that of one thread alone. */
ParameterizedTest(struct way *w, activations_run, threads_lose_nothing)
{
	static struct child c;

	minios(&c, "4", w->pcpus, w->args);
	cr_assert_not_null(strstr(c.out, "ok sum of "), "%s", c.out);
	cr_assert_not_null(strstr(c.out, "ok every thread came to every barrier"), "%s", c.out);
	if (strstr(w->args, "-a")) {
		cr_assert_not_null(strstr(c.out, "activations on"), "%s", c.out);
		cr_assert_not_null(strstr(c.out, "ok every event can follow the one before"), "%s",
				   c.out);
		/* Who was taken from comes back once, or not before the end. */
		cr_expect_leq(number_after(&c, "activations on", " lost"),
			      number_after(&c, "activations on", " taken"), "%s", c.out);
	}
}

/*
 * Four that spin on one pCPU cannot get far in a slice unless threads move: with the deadline of
 * 10 ms to each slice there are some, and all is done.
 */
Test(activations_run, threads_of_preempted_processors_are_taken)
{
	static struct child c;

	minios(&c, "4", "1", "run=threads -a -l 8 300 20000");
	cr_expect_gt(number_after(&c, "activations on", " taken"), 0, "%s", c.out);
	cr_expect_gt(number_after(&c, "processor 0", " ms, idle"), 0, "no steal time:\n%s", c.out);
}

/* A rival on the same pCPU: each processor that was resumed was preempted or blocked, or runs. */
Test(activations_run, events_agree_with_the_dispatcher)
{
	static struct child c;
	static char pair[512];
	unsigned added, preempted, resumed, blocked, unblocked, elided, dispatches;

	/* build/guest -> build/tests */
	snprintf(pair, sizeof(pair), "%s/../tests/activations-pair", getenv("GUESTS"));
	c = (struct child){ .argv = { pair, "1", "2", "1", child_guest("minios"), programs(),
				      "run=threads -a -l 4 100 20000", NULL },
			    .seconds = 100 };
	child_run(&c);
	cr_assert_eq(c.status, GOOD, "status %d\n%s%s", c.status, c.out, c.err);
	cr_assert_null(strstr(c.out, "not ok"), "%s", c.out);
	added = number_after(&c, "told:", " added");
	preempted = number_after(&c, "told:", " preempted");
	resumed = number_after(&c, "told:", " resumed");
	blocked = number_after(&c, "told:", " blocked");
	unblocked = number_after(&c, "told:", " unblocked");
	elided = number_after(&c, "told:", " elided");
	dispatches = number_after(&c, "told:", " dispatches");
	cr_expect_gt(preempted, 0, "%s", c.out);
	cr_expect_leq(resumed + elided, dispatches, "%s", c.out);
	/* Each of the two may have been in another state when it began, and when it ended. */
	cr_expect_leq(abs((int)(resumed - preempted - blocked)), 2, "%s", c.out);
	cr_expect_leq(abs((int)(blocked - unblocked - added)), 2, "%s", c.out);
	cr_expect_eq(number_after(&c, "told:", " lost"), 0, "%s", c.out);
}

/* No leaf, no activations: the same program, the same result. */
Test(activations_run, another_machine_offers_nothing)
{
	static struct child c;

	c = (struct child){ .argv = { "/usr/bin/qemu-system-i386", "-accel", "tcg,thread=single",
				      "-smp", "2", "-kernel", child_guest("minios"), "-initrd",
				      programs(), "-append", "script=threads -a 4 10 1000;uptime",
				      "-display", "none", "-serial", "stdio", "-no-reboot",
				      "-device", "isa-debug-exit,iobase=0xf4,iosize=4", NULL },
			    .seconds = 100 };
	child_run(&c);
	cr_assert_eq(c.status, GOOD, "status %d\n%s%s", c.status, c.out, c.err);
	cr_expect_not_null(strstr(c.out, "ok sum of 4 threads, 10 rounds"), "%s", c.out);
	cr_expect_not_null(strstr(c.out, "activations not offered"), "%s", c.out);
	cr_expect_not_null(strstr(c.out, "nothing is known of other users"), "%s", c.out);
}

Test(activations_run, uptime_shows_stolen_time)
{
	static struct child c;

	minios(&c, "2", "1", "script=uptime;burn 300 &;burn 300;wait;uptime");
	cr_expect_not_null(strstr(c.out, "1:  run "), "%s", c.out);
	/* The last line is that of processor 1, and it had to share for 0.3 s at least. */
	{
		const char *p = strstr(c.out, "steal"), *last = p;
		double s = 0;

		while (p && (p = strstr(p + 1, "steal")))
			last = p;
		cr_assert_not_null(last, "%s", c.out);
		cr_assert_eq(sscanf(last, "steal %lf", &s), 1);
		cr_expect_gt(s, 0.05, "%s", c.out);
	}
}
