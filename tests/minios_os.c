/* SPDX-License-Identifier: MIT */
/*
 * minios as an operating system: paging, processes, system calls and crashing programs, on Ringside
 * and, for equivalence, on QEMU.
 *
 * What must come out is deterministic by construction: pids count up, nothing prints a time.
 * guest/minios/README.md documents the scripts.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/child.h"

#define QEMU "/usr/bin/qemu-system-i386"
#define GOOD 33 /* what the guest's exit port makes of 0x10 */
#define BAD  35

static const char *guests(void)
{
	const char *dir = getenv("GUESTS");
	cr_assert_not_null(dir, "set GUESTS to the directory of guest images, or use `make test`");
	return dir;
}

/* The archive with all programs. */
static const char *programs(void)
{
	static char path[512];
	snprintf(path, sizeof(path), "%s/minios-programs.a", guests());
	return path;
}

/*
 * ps finds the shell waiting, but for the rare tick that came between its fork() and its wait() and
 * ended its slice: then it is READY.  Both are right.
 */
static void settle(char *out)
{
	static const char rare[] = "    1      0 READY            sh\n";
	static const char usual[] = "    1      0 BLOCKED child    sh\n";
	for (char *p = out; (p = strstr(p, rare)); p++)
		memcpy(p, usual, sizeof(usual) - 1);
}

static void on_ringside(struct child *c, const char *megabytes, const char *module,
			const char *args)
{
	const char *argv[] = { child_ringside(),
			       "run",
			       "-m",
			       megabytes,
			       child_guest("minios"),
			       "--append",
			       args,
			       module ? "--module" : NULL,
			       module,
			       NULL };
	memset(c->argv, 0, sizeof(c->argv));
	memcpy(c->argv, argv, sizeof(argv));
	child_run(c);
	settle(c->out);
}

static void on_qemu(struct child *c, const char *megabytes, const char *module, const char *args)
{
	const char *argv[] = { QEMU,      "-accel",
			       "tcg",     "-m",
			       megabytes, "-display",
			       "none",    "-serial",
			       "stdio",   "-no-reboot",
			       "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
			       "-kernel", child_guest("minios"),
			       "-append", args,
			       "-initrd", module,
			       NULL };
	cr_assert_eq(access(QEMU, X_OK), 0,
		     QEMU " is missing, so there is nothing to compare with; run `make deps`");
	memset(c->argv, 0, sizeof(c->argv));
	memcpy(c->argv, argv, sizeof(argv));
	child_run(c);
	settle(c->out);
}

static void expect_end(const struct child *c, int status, const char *says)
{
	cr_assert_eq(c->status, status,
		     "status %d, not %d\n--- standard output:\n%s\n--- standard error:\n%s",
		     c->status, status, c->out, c->err);
	cr_expect_not_null(strstr(c->out, says), "no \"%s\" in\n%s", says, c->out);
}

/* ---- the same on both machines ---- */

/* Arrays, not pointers: Criterion hands a row to another process. */
struct script {
	char args[128];
	int status;
	char says[400];
};

static struct script scripts[] = {
	{ "script=hello;hello a bc", GOOD,
	  "hello from process 2\nhello from process 3\nargument 1: a\nargument 2: bc\n" },
	{ "script=help", GOOD,
	  "programs: burn crash forktest hello kill lazy primes ps sh sleep spin stress threads "
	  "uptime\n" },
	{ "script=primes 50;primes 100000", GOOD,
	  "2 3 5 7 11 13 17 19 23 29 31 37 41 43 47 \n15 primes below 50, the last is 47\n"
	  "9592 primes below 100000, the last is 99991\n" },
	/* Who computes is READY while ps runs; who sleeps or waits is BLOCKED. */
	{ "script=sleep 20000 &;burn 20000 &;sleep 200;ps;exit", GOOD,
	  "  PID PARENT STATE   WAITS    NAME\n"
	  "    1      0 BLOCKED child    sh\n"
	  "    2      1 BLOCKED clock    sleep\n"
	  "    3      1 READY            burn\n"
	  "    5      1 RUNNING          ps\n" },
	{ "script=forktest", GOOD,
	  "ok memory is separate\nok memory is separate, again\nok eight generations\n"
	  "ok a hundred, one after the other\n30 children, then error -11\n"
	  "ok as many as there may be\nok kill ends a sleeper\nok kill ends a worker\n"
	  "ok errors are told\nok all memory came back\n" },
	/* A page costs a frame when it is first touched, and a second one when both write. */
	{ "script=lazy", GOOD,
	  "nothing                                   0 frames\n"
	  "a heap of 1024 pages                      0 frames\n"
	  "ten of them written to                   10 frames\n"
	  "child: the ten read, shared with parent   0 frames\n"
	  "child: four written to, so copied         4 frames\n"
	  "the heap given back                      -10 frames\n" },
	{ "script=nosuch;hello", BAD, "sh: nosuch: no such program\nhello from process 3\n" },
	{ "script=! hello", BAD, "hello from process 2\nminios: process 1 ended with status 1\n" },
	{ "script=! nosuch", GOOD, "sh: nosuch: no such program\n" },
	{ "script=burn 100 &;sleep 50 &;hello;wait;hello", GOOD, "hello from process 5\n" },
	{ "run=hello x", GOOD, "hello from process 1\nargument 1: x\n" },
	{ "run=crash cli", BAD, "crash (1) killed: general protection, error 0, at 4" },
	{ "run=nosuch", BAD, "panic: cannot start nosuch: error -2" },
};
#define SCRIPTS (sizeof(scripts) / sizeof(scripts[0]))

ParameterizedTestParameters(minios_os, runs_as_on_qemu)
{
	return cr_make_param_array(struct script, scripts, SCRIPTS, NULL);
}

ParameterizedTest(struct script *s, minios_os, runs_as_on_qemu, .timeout = 120)
{
	static struct child ours, theirs;
	on_ringside(&ours, "64", programs(), s->args);
	expect_end(&ours, s->status, s->says);
	on_qemu(&theirs, "64", programs(), s->args);
	cr_expect_eq(theirs.status, s->status, "QEMU: status %d", theirs.status);
	cr_expect_str_eq(ours.out, theirs.out, "--- ringside:\n%s\n--- qemu:\n%s", ours.out,
			 theirs.out);
}

/* ---- crashes: each ends its process as the manual says, and nothing else ---- */

static const struct {
	const char *name;
	const char *killed; /* why; NULL: it lives on */
} crashes[] = {
	{ "divide", "divide error, error 0," },
	{ "undefined", "undefined opcode, error 0," },
	{ "step", "debug, error 0," },
	{ "breakpoint", "general protection, error 1a," },      /* 3 << 3 | 2: in the IDT */
	{ "fake-page-fault", "general protection, error 72," }, /* 14 << 3 | 2 */
	{ "null-read", "page fault, read of 0 " },
	{ "null-write", "page fault, write to 0 " },
	{ "null-jump", "page fault, jump to 0 at 0: not yours" },
	{ "kernel-read", "page fault, read of 100000 " },
	{ "kernel-write", "page fault, write to 100000 " },
	{ "kernel-jump", "page fault, jump to 100000 at 100000: not yours" },
	{ "hole-read", "page fault, read of 3ffff000 " },
	{ "device-read", "page fault, read of fee00000 " },
	{ "code-write", ": read-only" },
	{ "heap-end", ": nothing is there" },
	{ "stack-overflow", "page fault, write to 7ffe" },
	{ "kernel-stack", "page fault, write to 100ffc " },
	{ "cli", "general protection, error 0," },
	{ "hlt", "general protection, error 0," },
	{ "in", "general protection, error 0," },
	{ "out", "general protection, error 0," },
	{ "cr3", "general protection, error 0," },
	{ "kernel-segment", "general protection, error 10," },
	{ "kernel-call", "general protection, error 8," },
	{ "flags", NULL },
	{ "null-segments", NULL },
	{ "bad-call", NULL },
	{ "bad-pointer", NULL },
};
#define CRASHES (sizeof(crashes) / sizeof(crashes[0]))

/* Take the next line off @*at; NULL at the end. */
static char *next_line(char **at)
{
	char *line = *at, *end = strchr(line, '\n');
	if (!end)
		return NULL;
	*end = 0;
	*at = end + 1;
	return line;
}

static void expect_crashes(char *out)
{
	for (size_t i = 0; i < CRASHES; i++) {
		char ok[40], *line = next_line(&out);
		cr_assert_not_null(line, "%s: the output ends before it", crashes[i].name);
		if (crashes[i].killed) {
			cr_expect(!strncmp(line, "crash (", 7) && strstr(line, ") killed: ") &&
					  strstr(line, crashes[i].killed),
				  "%s: killed because \"%s\", not \"%s\"", crashes[i].name, line,
				  crashes[i].killed);
			line = next_line(&out);
			cr_assert_not_null(line);
		}
		snprintf(ok, sizeof(ok), "ok %s", crashes[i].name);
		cr_assert_str_eq(line, ok);
	}
}

Test(minios_os, each_crash_ends_its_process_and_no_more, .timeout = 120)
{
	static struct child ours, theirs;
	on_ringside(&ours, "64", programs(), "script=crash;hello");
	expect_end(&ours, GOOD, "\nhello from process 31\n"); /* 1, 2 and 28 tries before */
	on_qemu(&theirs, "64", programs(), "script=crash;hello");
	cr_expect_str_eq(ours.out, theirs.out, "--- ringside:\n%s\n--- qemu:\n%s", ours.out,
			 theirs.out);
	expect_crashes(ours.out);
}

/* A crash with no row above would be looked at by nobody. */
Test(minios_os, every_crash_has_a_row, .timeout = 60)
{
	static struct child c;
	char *at = c.out, *line;
	on_ringside(&c, "64", programs(), "run=crash list");
	cr_assert_eq(c.status, GOOD);
	for (size_t i = 0; i < CRASHES; i++) {
		line = next_line(&at);
		cr_assert_not_null(line);
		cr_expect_str_eq(line, crashes[i].name);
	}
	cr_expect_null(next_line(&at));
}

static void copy_file(const char *from, const char *dir, const char *name)
{
	char command[1200];
	snprintf(command, sizeof(command), "install -m 755 '%s' '%s/%s'", from, dir, name);
	cr_assert_eq(system(command), 0, "%s", command);
}

static void remove_dir(const char *dir)
{
	char command[600];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	cr_assert_eq(system(command), 0);
}

/* A user may not map page 0, and reaches no build directory: no difference to the guest. */
Test(minios_os, crashes_are_the_same_without_privilege, .timeout = 60)
{
	static struct child c = { .unprivileged = true };
	char dir[] = "/tmp/ringside-minios-XXXXXX", binary[64], image[64], module[64];
	const char *argv[] = { binary,         "run",      image,  "--append",
			       "script=crash", "--module", module, NULL };

	if (geteuid())
		cr_skip_test("not root: every other test runs without privilege already");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chmod(dir, 0755), 0);
	snprintf(binary, sizeof(binary), "%s/ringside", dir);
	snprintf(image, sizeof(image), "%s/minios.elf", dir);
	snprintf(module, sizeof(module), "%s/programs.a", dir);
	copy_file(child_ringside(), dir, "ringside");
	copy_file(child_guest("minios"), dir, "minios.elf");
	copy_file(programs(), dir, "programs.a");
	memcpy(c.argv, argv, sizeof(argv));
	child_run(&c);
	remove_dir(dir);
	cr_assert_eq(c.status, GOOD, "status %d\n%s%s", c.status, c.out, c.err);
	expect_crashes(c.out);
}

/* ---- scheduling ---- */

/* Three workers that never give the CPU away, 12 ticks each, in slices of 3. */
Test(minios_os, timer_takes_the_cpu_away, .timeout = 60)
{
	static struct child c;
	unsigned count[3] = { 0 }, turns = 0;
	on_ringside(&c, "64", programs(), "script=spin 3 12");
	cr_assert_eq(c.status, GOOD, "%s%s", c.out, c.err);
	for (const char *p = c.out; *p && *p != '\n'; p++) {
		cr_assert(*p >= 'a' && *p <= 'c', "%s", c.out);
		count[*p - 'a']++;
		turns += p == c.out || p[-1] != *p;
	}
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(count[i], 12, "worker %u said %u letters: %s", i, count[i], c.out);
	/* One after the other would be 3 turns; round robin is 12 to 15. */
	cr_expect_geq(turns, 9, "%u turns: %s", turns, c.out);
}

/* ---- the interactive shell ---- */

static void compare_shells(const char *input, const char *transcript)
{
	static struct child ours, theirs;
	ours.input = theirs.input = input;
	on_ringside(&ours, "64", programs(), "sh");
	cr_expect_eq(ours.status, GOOD, "status %d\n%s", ours.status, ours.err);
	cr_expect_str_eq(ours.out, transcript, "--- is:\n%s\n--- should be:\n%s", ours.out,
			 transcript);
	on_qemu(&theirs, "64", programs(), "sh");
	cr_expect_str_eq(ours.out, theirs.out, "--- ringside:\n%s\n--- qemu:\n%s", ours.out,
			 theirs.out);
}

Test(minios_os, shell_takes_lines_from_the_console, .timeout = 60)
{
	/* A typing error with its correction; a job in the background, seen and killed. */
	compare_shells("helxx\b\blo\nsleep 60000 &\nsleep 200\nps\nkill 3; wait\nps\n\nexit\n",
		       "minios shell; help helps\n"
		       "$ helxx\b \b\b \blo\n"
		       "hello from process 2\n"
		       "$ sleep 60000 &\n"
		       "$ sleep 200\n"
		       "$ ps\n"
		       "  PID PARENT STATE   WAITS    NAME\n"
		       "    1      0 BLOCKED child    sh\n"
		       "    3      1 BLOCKED clock    sleep\n"
		       "    5      1 RUNNING          ps\n"
		       "$ kill 3; wait\n"
		       "$ ps\n"
		       "  PID PARENT STATE   WAITS    NAME\n"
		       "    1      0 BLOCKED child    sh\n"
		       "    7      1 RUNNING          ps\n"
		       "$ \n"
		       "$ exit\n");
}

/* More than the kernel's ring of 256 bytes holds: what does not fit must wait, not get lost. */
Test(minios_os, shell_loses_no_input_while_it_is_busy, .timeout = 60)
{
	static char input[2048], want[8192];
	size_t in = 0, out = 0;
	out += (size_t)sprintf(want, "minios shell; help helps\n");
	for (unsigned i = 0; i < 30; i++) {
		in += (size_t)sprintf(input + in, "hello number %u\n", i);
		out += (size_t)sprintf(want + out,
				       "$ hello number %u\nhello from process %u\n"
				       "argument 1: number\nargument 2: %u\n",
				       i, i + 2, i);
	}
	sprintf(input + in, "exit\n");
	sprintf(want + out, "$ exit\n");
	compare_shells(input, want);
}

/* ---- programs as modules ---- */

/* One ELF file a module: called as the file is, or as the module's string says. */
Test(minios_os, modules_may_be_single_programs, .timeout = 60)
{
	static struct child ours, theirs;
	char hello[600], erat[600], sh[600], initrd[2000];
	const char *argv[] = { child_ringside(),
			       "run",
			       child_guest("minios"),
			       "--append",
			       "script=help;hello;erat 20",
			       "--module",
			       hello,
			       "--module",
			       erat,
			       "--module",
			       sh,
			       NULL };

	snprintf(hello, sizeof(hello), "%s/minios/user/hello.elf", guests());
	snprintf(erat, sizeof(erat), "%s/minios/user/primes.elf,erat", guests());
	snprintf(sh, sizeof(sh), "%s/minios/user/sh.elf,sh", guests());
	memcpy(ours.argv, argv, sizeof(argv));
	child_run(&ours);
	expect_end(&ours, GOOD, "programs: hello erat sh\n");
	expect_end(&ours, GOOD, "8 primes below 20, the last is 19\n");
	snprintf(initrd, sizeof(initrd), "%s,%s/minios/user/primes.elf erat,%s/minios/user/sh.elf",
		 hello, guests(), guests());
	on_qemu(&theirs, "64", initrd, "script=help;hello;erat 20");
	cr_expect_str_eq(ours.out, theirs.out, "%s\n---\n%s", ours.out, theirs.out);
}

Test(minios_os, no_modules_no_shell, .timeout = 60)
{
	static struct child c;
	on_ringside(&c, "64", NULL, "sh");
	expect_end(&c, BAD, "panic: cannot start sh: error -2; is there a module with it?\n");
}

/* The bytes of hello.elf, some changed: refused with a reason, or at worst killed. */
static void run_changed(const char *what, long offset, uint32_t value, off_t cut, const char *says)
{
	static struct child c;
	char path[] = "/tmp/ringside-hello-XXXXXX", from[600], command[1300], module[64];
	int fd = mkstemp(path);

	memset(&c, 0, sizeof(c));
	cr_assert_geq(fd, 0);
	snprintf(from, sizeof(from), "%s/minios/user/hello.elf", guests());
	snprintf(command, sizeof(command), "cat '%s' > '%s'", from, path);
	cr_assert_eq(system(command), 0);
	if (cut)
		cr_assert_eq(ftruncate(fd, cut), 0);
	else
		cr_assert_eq(pwrite(fd, &value, sizeof(value), offset), (ssize_t)sizeof(value));
	snprintf(module, sizeof(module), "%s,bad", path);
	on_ringside(&c, "64", module, "run=bad");
	close(fd);
	unlink(path);
	cr_expect_eq(c.status, BAD, "%s: status %d\n%s%s", what, c.status, c.out, c.err);
	cr_expect_not_null(strstr(c.out, says), "%s: no \"%s\" in\n%s", what, says, c.out);
}

/* Offsets: System V ABI, "ELF Header" (52 bytes), then the program headers (32 bytes each). */
Test(minios_os, broken_programs_are_refused, .timeout = 60)
{
	enum { PHDR = 52 };
	run_changed("empty", 0, 0, 1, "bad: too short\n");
	run_changed("cut in the first segment", 0, 0, 4100, "bad: a segment is not in the file\n");
	run_changed("magic", 0, 0x464c4500, 0, "bad: not a 32-bit ELF file\n");
	run_changed("64-bit", 4, 0x00010102, 0, "bad: not a 32-bit ELF file\n");
	run_changed("machine", 16, 0x003e0002, 0, "bad: not an executable for this machine\n");
	run_changed("headers far away", 28, 0xffffffff, 0, "the program headers are not in the");
	run_changed("offset", PHDR + 4, 0xfffff000, 0, "bad: a segment is not in the file\n");
	run_changed("in the kernel", PHDR + 8, 0x00100000, 0, "bad: a segment is out of place\n");
	run_changed("above us", PHDR + 8, 0xfffff000, 0, "bad: a segment is out of place\n");
	run_changed("not on a page", PHDR + 8, 0x40000001, 0, "does not begin with a page\n");
	run_changed("in the file, not in memory", PHDR + 20, 1, 0,
		    "a segment is not in the file\n");
	run_changed("as large as all memory", PHDR + 20, 0xffffffff, 0, "out of place\n");
	run_changed("entry in the kernel", 24, 0x00100000, 0,
		    "bad (1) killed: page fault, jump to 100000 at 100000: not yours\n");
}

/* ---- out of memory ---- */

Test(minios_os, memory_runs_out_for_one_process_only, .timeout = 60)
{
	static struct child c;
	on_ringside(&c, "16", programs(), "script=! primes 40000000;hello;primes 10000");
	expect_end(&c, GOOD, "primes (2) killed: page fault, write to 4");
	expect_end(&c, GOOD, ": out of memory\nhello from process 3\n");
	expect_end(&c, GOOD, "1229 primes below 10000, the last is 9973\n");
}

/* fork() fails for want of memory, before it does for want of a slot; nothing is lost by it. */
Test(minios_os, fork_survives_a_full_memory, .timeout = 60)
{
	static struct child c;
	on_ringside(&c, "2112K", programs(), "script=! forktest;hello");
	expect_end(&c, GOOD, " children, then error -12\nnot ok as many as there may be\n");
	expect_end(&c, GOOD, "ok all memory came back\nhello from process");
}
