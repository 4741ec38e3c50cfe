/* SPDX-License-Identifier: MIT */
/* Options of `run` that change how a guest runs, seen from its account; and the user's terminal. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tests/child.h"

/* Run minios' demo with --stats=json and one more option; its account. */
static struct json_object *demo_account(const char *option)
{
	static struct child c;
	struct json_object *o;

	c = (struct child){ .argv = { child_ringside(), "run", "--stats=json", option,
				      child_guest("minios"), "-append", "demo" },
			    .seconds = 60 };
	child_run(&c);
	cr_assert_eq(c.status, 33, "%s: status %d\n%s", option, c.status, c.err);
	o = json_tokener_parse(c.err);
	cr_assert_not_null(o, "%s", c.err);
	return o;
}

static int64_t opt_num(struct json_object *o, const char *key)
{
	struct json_object *n;

	cr_assert(json_object_object_get_ex(o, key, &n), "no key %s", key);
	return json_object_get_int64(n);
}

/* Exits of @cause. */
static int64_t exits_of(struct json_object *account, const char *cause)
{
	struct json_object *list = json_object_object_get(account, "causes");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (!strcmp(json_object_get_string(json_object_object_get(o, "cause")), cause))
			return opt_num(o, "count");
	}
	return 0;
}

Test(options, a_forced_handoff_never_changes, .timeout = 120)
{
	static const char *const options[] = { "--handoff=share", "--handoff=spin" };

	for (size_t i = 0; i < 2; i++) {
		struct json_object *o;

		if (i && sysconf(_SC_NPROCESSORS_ONLN) < 2)
			cr_skip_test("one CPU");
		o = demo_account(options[i]);
		cr_expect_eq(opt_num(o, "handoff_switches"), 0, "%s", options[i]);
		json_object_put(o);
	}
}

/* With one CPU a spinner would wait for a peer that cannot run. */
Test(options, spinning_needs_two_cpus)
{
	static struct child c;
	cpu_set_t one, all;
	int cpu = sched_getcpu();

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	cr_assert_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	c = (struct child){ .argv = { child_ringside(), "run", "--handoff", "spin",
				      child_guest("minios"), "-append", "demo" } };
	child_run(&c);
	cr_expect_eq(c.status, 4, "status %d", c.status);
	cr_expect_str_eq(c.err, "ringside: host: --handoff spin needs two CPUs, and this process "
				"may use one\n");
	c = (struct child){ .argv = { child_ringside(), "run", "--handoff", "share",
				      child_guest("minios"), "-append", "demo" },
			    .seconds = 60 };
	child_run(&c);
	cr_expect_eq(c.status, 33, "%s", c.err);
	sched_setaffinity(0, sizeof(all), &all);
}

/* minios reads the counter; natively nobody sees that, unless it had set it. */
Test(options, tsc_trap_makes_rdtsc_an_exit, .timeout = 120)
{
	struct json_object *native = demo_account("--tsc=native");
	struct json_object *trap = demo_account("--tsc=trap");

	cr_expect_geq(exits_of(trap, "rdtsc"), 2);
	cr_expect_eq(exits_of(native, "rdtsc"), 0);
	json_object_put(native);
	json_object_put(trap);
}

Test(options, account_tells_of_shadow_code_pages, .timeout = 60)
{
	struct json_object *o = demo_account("--tsc=native"), *code;

	code = json_object_object_get(o, "code");
	cr_assert_not_null(code);
	cr_expect_geq(opt_num(code, "pages"), 2);
	cr_expect_geq(opt_num(code, "patches"), 10, "pushf, mov from segments, cpuid, sgdt ...");
	cr_expect_geq(opt_num(code, "scans"), opt_num(code, "pages"));
	cr_expect_gt(opt_num(code, "scan_ns"), 0);
	cr_expect_gt(opt_num(code, "verified_bytes"), 1000);
	cr_expect_leq(opt_num(code, "verified_bytes") + opt_num(code, "assumed_bytes") +
			      opt_num(code, "unverified_bytes"),
		      4096 * opt_num(code, "pages"));
	cr_expect_eq(opt_num(code, "scans"), exits_of(o, "scan"));
	json_object_put(o);
}

Test(options, account_prints_shadow_code_pages, .timeout = 60)
{
	static struct child c;
	unsigned pages = 0, patches = 0;
	const char *line;

	c = (struct child){ .argv = { child_ringside(), "run", "--stats", child_guest("minios"),
				      "-append", "demo" },
			    .seconds = 60 };
	child_run(&c);
	line = strstr(c.err, "\nshadow code pages: ");
	cr_assert_not_null(line, "%s", c.err);
	cr_assert_eq(sscanf(line, " shadow code pages: %u pages, %u patched", &pages, &patches), 2,
		     "%s", line);
	cr_expect_geq(pages, 2);
	cr_expect_geq(patches, 10);
	cr_expect_not_null(strstr(line, " verified, "), "%s", line);
}

/* minios with processes: enough of them to need more views than @worlds. */
static void run_processes(struct child *c, const char *stats, const char *worlds)
{
	static char module[600];

	snprintf(module, sizeof(module), "%s/minios-programs.a", getenv("GUESTS"));
	*c = (struct child){ .argv = { child_ringside(), "run", stats, "--worlds", worlds,
				       child_guest("minios"), "--module", module, "-append",
				       "script=hello;burn 20 &;burn 20" },
			     .seconds = 60 };
	child_run(c);
	cr_assert_eq(c->status & 0x81, 1, "status %d\n%s%s", c->status, c->out, c->err);
	cr_assert_not_null(strstr(c->out, "hello"), "%s", c->out);
}

Test(options, worlds_bounds_what_the_account_shows_of_the_shadow_mmu, .timeout = 120)
{
	static struct child c;
	struct json_object *first, *second, *few, *many;

	cr_assert_not_null(getenv("GUESTS"));
	run_processes(&c, "--stats=json", "2");
	first = json_tokener_parse(c.err);
	few = json_object_object_get(first, "shadow");
	cr_assert_not_null(few, "%s", c.err);
	cr_expect_eq(opt_num(few, "spaces"), 2);
	cr_expect_gt(opt_num(few, "evicted"), 0);
	cr_expect_gt(opt_num(few, "switches"), opt_num(few, "evicted"));
	cr_expect_geq(opt_num(few, "pages"), opt_num(few, "fills"));
	cr_expect_gt(opt_num(few, "validated"), 0);
	cr_expect_geq(opt_num(few, "stale"), 0);
	cr_expect_eq(opt_num(few, "flushed"), 0);
	run_processes(&c, "--stats=json", "64");
	second = json_tokener_parse(c.err);
	many = json_object_object_get(second, "shadow");
	cr_assert_not_null(many, "%s", c.err);
	cr_expect_eq(opt_num(many, "evicted"), 0);
	cr_expect_eq(opt_num(many, "created") + 1, opt_num(many, "spaces"));
	cr_expect_gt(opt_num(many, "spaces"), 2);
	run_processes(&c, "--stats", "3");
	cr_expect_not_null(strstr(c.err, "\nshadow MMU: 3 spaces, "), "%s", c.err);
	json_object_put(first);
	json_object_put(second);
}

/* ---- the terminal ---- */

static pid_t start_on(int slave)
{
	const struct rlimit no_core = { 0 };
	const char *ringside = child_ringside(), *image = child_guest("minios");
	pid_t pid = fork();

	if (pid)
		return pid;
	setrlimit(RLIMIT_CORE, &no_core);
	dup2(slave, 0);
	dup2(slave, 1);
	dup2(slave, 2);
	execl(ringside, ringside, "run", image, "-append", "echo", NULL);
	_exit(127);
}

/* Poll until the terminal is raw, or not, for at most ten seconds. */
static bool becomes_raw(int tty, bool raw)
{
	struct termios t;

	for (int i = 0; i < 1000; i++) {
		tcgetattr(tty, &t);
		if (!(t.c_lflag & ICANON) == raw)
			return true;
		usleep(10000);
	}
	return false;
}

static void crash_with(int signo)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, status;
	struct termios before, after;
	pid_t pid;

	cr_assert(master >= 0 && !grantpt(master) && !unlockpt(master));
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	cr_assert_geq(slave, 0);
	tcgetattr(slave, &before);
	pid = start_on(slave);
	cr_assert(becomes_raw(slave, true), "signal %d: never raw", signo);
	kill(pid, signo);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	/* A sanitizer reports some of these and exits instead. */
	cr_expect(WIFSIGNALED(status) ? WTERMSIG(status) == signo : WEXITSTATUS(status) != 0,
		  "signal %d: wait status %#x", signo, status);
	tcgetattr(slave, &after);
	cr_expect_eq(after.c_lflag, before.c_lflag, "signal %d: the terminal is still raw", signo);
	cr_expect_eq(after.c_iflag, before.c_iflag);
	close(slave);
	close(master);
}

Test(options, a_crash_gives_the_terminal_back, .timeout = 60)
{
	crash_with(SIGSEGV);
	crash_with(SIGABRT);
	crash_with(SIGTRAP);
}
