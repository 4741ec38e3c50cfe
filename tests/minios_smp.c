/* SPDX-License-Identifier: MIT */
/*
 * minios on several processors: the same image, the same programs and the same output as on one, on
 * Ringside and on QEMU; and its stress tests, which print what does not depend on time or on how
 * many processors there are.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/child.h"

#define QEMU "/usr/bin/qemu-system-i386"
#define GOOD 33 /* what the guest's exit port makes of 0x10 */

static const char *programs(void)
{
	static char path[512];
	const char *dir = getenv("GUESTS");
	cr_assert_not_null(dir, "set GUESTS to the directory of guest images, or use `make test`");
	snprintf(path, sizeof(path), "%s/minios-programs.a", dir);
	return path;
}

static void run(struct child *c, unsigned smp, const char *args)
{
	char count[8];
	const char *argv[] = {
		child_ringside(), "run",      "--smp",    count, child_guest("minios"),
		"--module",       programs(), "--append", args,  NULL
	};
	snprintf(count, sizeof(count), "%u", smp);
	memset(c, 0, sizeof(*c));
	memcpy(c->argv, argv, sizeof(argv));
	c->seconds = 60;
	child_run(c);
	cr_expect_eq(c->status, GOOD, "%u processors, %s: status %d\n%s%s", smp, args, c->status,
		     c->out, c->err);
}

static void run_on_qemu(struct child *c, unsigned smp, const char *args)
{
	char count[8];
	const char *argv[] = { QEMU,
			       "-accel",
			       "tcg,thread=single",
			       "-smp",
			       count,
			       "-kernel",
			       child_guest("minios"),
			       "-initrd",
			       programs(),
			       "-append",
			       args,
			       "-display",
			       "none",
			       "-serial",
			       "stdio",
			       "-no-reboot",
			       "-device",
			       "isa-debug-exit,iobase=0xf4,iosize=4",
			       NULL };
	snprintf(count, sizeof(count), "%u", smp);
	memset(c, 0, sizeof(*c));
	memcpy(c->argv, argv, sizeof(argv));
	c->seconds = 60;
	child_run(c);
	cr_expect_eq(c->status, GOOD, "QEMU, %u processors, %s: status %d\n%s%s", smp, args,
		     c->status, c->out, c->err);
}

/* ---- the same output on 1, 2, 4, 8 processors, and on 4 of QEMU ---- */

/* An array, not a pointer: Criterion hands a row to another process. */
struct script {
	char args[64];
	char says[400];
};

static struct script scripts[] = {
	{ "script=hello a;primes 50;! nosuch;sleep 20 &;wait;hello",
	  "hello from process 2\nargument 1: a\n"
	  "2 3 5 7 11 13 17 19 23 29 31 37 41 43 47 \n15 primes below 50, the last is 47\n"
	  "sh: nosuch: no such program\nhello from process 6\n" },
	{ "script=forktest;lazy",
	  "ok kill ends a worker\nok errors are told\nok all memory came back\n" },
	{ "script=crash;hello", "ok bad-pointer\nhello from process 31\n" },
	{ "script=stress 3", "ok no addition is lost, 4 threads, 3 rounds\n"
			     "ok no wake-up is lost, 4 threads, 3 rounds\n"
			     "ok no page is seen that was given back, 4 threads, 3 rounds\n"
			     "ok fork() divides what is written, 4 threads, 3 rounds\n" },
};
#define SCRIPTS (sizeof(scripts) / sizeof(scripts[0]))

ParameterizedTestParameters(minios_smp, same_on_any_number)
{
	return cr_make_param_array(struct script, scripts, SCRIPTS, NULL);
}

ParameterizedTest(struct script *s, minios_smp, same_on_any_number, .timeout = 300)
{
	static struct child one, many;
	run(&one, 1, s->args);
	cr_expect_not_null(strstr(one.out, s->says), "no \"%s\" in\n%s", s->says, one.out);
	for (unsigned smp = 2; smp <= 8; smp *= 2) {
		run(&many, smp, s->args);
		cr_expect_str_eq(many.out, one.out, "--- %u:\n%s\n--- 1:\n%s", smp, many.out,
				 one.out);
	}
	run_on_qemu(&many, 4, s->args);
	cr_expect_str_eq(many.out, one.out, "--- QEMU, 4:\n%s\n--- 1:\n%s", many.out, one.out);
}

/* ---- the kernel's own: interrupts, wake-ups, clocks, locks, translations ---- */

static const char stress_says[] = "ok every interrupt from each processor to each came, 5 rounds\n"
				  "ok every sleeper was woken up, 5 rounds\n"
				  "ok every clock ticks, 5 rounds\n"
				  "ok locks and locked instructions lose no addition, 5 rounds\n"
				  "ok nobody sees a page that was taken away, 5 rounds\n";

static void expect_stress(const struct child *c, unsigned smp)
{
	char want[sizeof(stress_says) + 32];
	snprintf(want, sizeof(want), "smp: %u processors\n%s", smp, stress_says);
	cr_expect_str_eq(c->out, want, "--- is:\n%s\n--- should be:\n%s", c->out, want);
}

Test(minios_smp, processors_test_each_other, .timeout = 300)
{
	static struct child c;
	for (unsigned smp = 1; smp <= 8; smp *= 2) {
		run(&c, smp, "smp-stress=5");
		expect_stress(&c, smp);
	}
	run(&c, 3, "smp-stress=5"); /* not a power of two */
	expect_stress(&c, 3);
}

Test(minios_smp, processors_test_each_other_on_qemu, .timeout = 120)
{
	static struct child c;
	run_on_qemu(&c, 4, "smp-stress=5");
	expect_stress(&c, 4);
}

/* ---- what is wrong is noticed, said, and ends with 35 ---- */

Test(minios_smp, broken_rules_are_noticed, .timeout = 240)
{
	static const struct {
		const char *args, *says;
	} rules[] = {
		{ "smp-break=1", "panic: lock order: low taken while high is held\n" },
		{ "smp-break=2", "panic: lock low dropped by a processor that does not hold it\n" },
		{ "smp-break=3", " with 1 locks held\n" },
		{ "smp-break=4", "panic: interrupt 0 from 0 to 2 is lost\n" },
	};
	static struct child c;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const char *argv[] = { child_ringside(),      "run",      "--smp",       "3",
				       child_guest("minios"), "--append", rules[i].args, NULL };
		memset(&c, 0, sizeof(c));
		memcpy(c.argv, argv, sizeof(argv));
		c.seconds = 60;
		child_run(&c);
		cr_expect_eq(c.status, 35, "%s: status %d\n%s%s", rules[i].args, c.status, c.out,
			     c.err);
		cr_expect_not_null(strstr(c.out, rules[i].says), "no \"%s\" in\n%s", rules[i].says,
				   c.out);
	}
}

/* ---- that they are really used ---- */

/* Two that compute run on two processors, and ps tells which. */
Test(minios_smp, ps_shows_the_processors, .timeout = 120)
{
	static struct child c;
	unsigned cpu[2] = { 99, 99 }, burns = 0, parent;
	char state[16];
	run(&c, 4, "script=burn 60000 &;burn 60000 &;sleep 100;ps;exit");
	cr_assert_not_null(strstr(c.out, "  PID PARENT STATE   WAITS    CPU NAME\n"), "%s", c.out);
	for (const char *at = strchr(c.out, '\n'); at && *++at; at = strchr(at, '\n')) {
		unsigned pid, where;
		char name[16];
		if (sscanf(at, "%u %u %15s %u %15s", &pid, &parent, state, &where, name) != 5 ||
		    strcmp(name, "burn") != 0)
			continue;
		cr_assert_lt(burns, 2, "%s", c.out);
		cpu[burns++] = where;
		cr_expect_str_eq(state, "RUNNING", "%s", c.out);
	}
	cr_expect_eq(burns, 2, "%s", c.out);
	cr_expect_neq(cpu[0], cpu[1], "%s", c.out);
	cr_expect_lt(cpu[0], 4);
	cr_expect_lt(cpu[1], 4);
}

Test(minios_smp, shell_works_on_several, .timeout = 120)
{
	static struct child c = { .input = "helxx\b\blo\nsleep 60000 &\nkill 3; wait\nexit\n",
				  .seconds = 60 };
	const char *argv[] = {
		child_ringside(), "run",      "--smp",    "4",  child_guest("minios"),
		"--module",       programs(), "--append", "sh", NULL
	};
	memcpy(c.argv, argv, sizeof(argv));
	child_run(&c);
	cr_expect_eq(c.status, GOOD, "status %d\n%s", c.status, c.err);
	cr_expect_str_eq(c.out, "minios shell; help helps\n"
				"$ helxx\b \b\b \blo\n"
				"hello from process 2\n"
				"$ sleep 60000 &\n"
				"$ kill 3; wait\n"
				"$ exit\n");
}

/*
 * Processors with nothing to do sleep, and but for the first need no clock: eight rest, and in two
 * seconds only the 200 ticks of one end a HLT (eight clocks would be 1600).
 */
Test(minios_smp, idle_processors_stay_asleep, .timeout = 120)
{
	static struct child c;
	const char *argv[] = { child_ringside(),
			       "run",
			       "--smp",
			       "8",
			       "--stats",
			       "--timeout",
			       "2",
			       child_guest("minios"),
			       "--module",
			       programs(),
			       "--append",
			       "run=sleep 60000",
			       NULL };
	unsigned halts = 0;
	memcpy(c.argv, argv, sizeof(argv));
	c.seconds = 60;
	child_run(&c);
	cr_expect_eq(c.status, 124, "%s%s", c.out, c.err);
	for (const char *at = strstr(c.err, "  hlt "); at; at = NULL)
		for (at += 5; *at == ' ' || *at == ',' || (*at >= '0' && *at <= '9'); at++) {
			if (*at == ' ' && halts)
				break;
			if (*at >= '0')
				halts = halts * 10 + (unsigned)(*at - '0');
		}
	cr_expect_gt(halts, 8, "%u times\n%s", halts, c.err);
	cr_expect_lt(halts, 600, "%u times\n%s", halts, c.err);
}
