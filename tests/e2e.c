/* SPDX-License-Identifier: MIT */
/* The whole program, as a user runs it: minios on Ringside and on QEMU, and the command's ends. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/child.h"

#define QEMU "/usr/bin/qemu-system-i386"

/* `ringside run IMAGE ...`; the arguments end with NULL. */
#define RINGSIDE_RUN(...)                                  \
	{                                                  \
		child_ringside(), "run", __VA_ARGS__, NULL \
	}

static void expect_status(const struct child *c, int status)
{
	cr_assert_eq(c->status, status,
		     "status %d, not %d.\n--- standard output:\n%s\n--- standard error:\n%s",
		     c->status, status, c->out, c->err);
}

static void expect_in(const struct child *c, const char *where, const char *what)
{
	cr_expect_not_null(strstr(where, what),
			   "no \"%s\".\n--- standard output:\n%s\n--- standard error:\n%s", what,
			   c->out, c->err);
}

/* ---- minios ---- */

/* The command line's first word is the image's path, so the same path on both machines. */
static void run_minios(struct child *c)
{
	struct child run = { .argv = RINGSIDE_RUN(child_guest("minios")),
			     .input = "a line of input\n",
			     .seconds = 60 };
	*c = run;
	child_run(c);
}

Test(e2e, minios_passes_its_checks, .timeout = 90)
{
	static struct child c;
	unsigned ok = 0, checks = 0, failed = 1;
	const char *summary;

	run_minios(&c);
	expect_status(&c, 33);
	cr_expect_null(strstr(c.out, "not ok"), "%s", c.out);
	expect_in(&c, c.out, "ok 100 lapic timer ticks\n");
	expect_in(&c, c.out, "\necho: a line of input\n");
	for (const char *p = c.out; (p = strstr(p, "\nok ")); p++)
		ok++;
	summary = strstr(c.out, "\nminios: ");
	while (summary && sscanf(summary, "\nminios: %u checks, %u failed", &checks, &failed) != 2)
		summary = strstr(summary + 1, "\nminios: ");
	cr_expect_geq(checks, 40, "only %u checks", checks);
	cr_expect_eq(ok, checks, "%u ok lines for %u checks", ok, checks);
	cr_expect_eq(failed, 0);
}

/* Equivalence (Popek and Goldberg 1974): the same image prints the same on both. */
Test(e2e, minios_prints_the_same_on_qemu, .timeout = 150)
{
	static struct child ours, theirs;
	struct child qemu = { .argv = { QEMU, "-accel", "tcg", "-m", "64", "-kernel",
					child_guest("minios"), "-display", "none", "-serial",
					"stdio", "-no-reboot", "-device",
					"isa-debug-exit,iobase=0xf4,iosize=4", NULL },
			      .input = "a line of input\n",
			      .seconds = 60 };

	cr_assert_eq(access(QEMU, X_OK), 0,
		     QEMU " is missing, so there is nothing to compare with; run `make deps`");
	run_minios(&ours);
	theirs = qemu;
	child_run(&theirs);
	cr_expect_eq(theirs.status, 33, "QEMU: status %d\n%s", theirs.status, theirs.err);
	cr_expect_eq(ours.status, theirs.status);
	cr_expect_str_eq(ours.out, theirs.out, "--- ringside:\n%s\n--- qemu:\n%s", ours.out,
			 theirs.out);
}

Test(e2e, demo_needs_no_input, .timeout = 60)
{
	static struct child c = { .seconds = 60 };
	const char *argv[] = RINGSIDE_RUN("--stats", child_guest("minios"), "-append", "demo");
	memcpy(c.argv, argv, sizeof(argv));
	child_run(&c);
	expect_status(&c, 33);
	expect_in(&c, c.out, "command line: demo\n");
	expect_in(&c, c.out, ", 0 failed\n");
	expect_in(&c, c.err, "cli"); /* the trap account counts it */
}

Test(e2e, console_echoes_until_quit, .timeout = 60)
{
	static struct child c = { .input = "first\nsecond\nquit\n" };
	const char *argv[] = RINGSIDE_RUN(child_guest("minios"), "-append", "echo");
	memcpy(c.argv, argv, sizeof(argv));
	child_run(&c);
	expect_status(&c, 33);
	cr_expect_str_eq(c.out,
			 "> first\necho: first\n> second\necho: second\n> quit\necho: quit\n");
}

Test(e2e, module_and_debug_console_are_passed, .timeout = 60)
{
	static struct child c = { .seconds = 60 };
	char module[] = "/tmp/ringside-module-XXXXXX", debug[] = "/tmp/ringside-debug-XXXXXX";
	char said[64] = "";
	int mfd = mkstemp(module), dfd = mkstemp(debug);
	const char *argv[] = RINGSIDE_RUN(child_guest("minios"), "-append", "demo", "--module",
					  module, "--debugcon", debug);
	cr_assert(mfd >= 0 && dfd >= 0);
	cr_assert_eq(write(mfd, "\1\2\3", 3), 3);
	memcpy(c.argv, argv, sizeof(argv));
	child_run(&c);
	unlink(module);
	unlink(debug);
	expect_status(&c, 33);
	expect_in(&c, c.out, "module 0: 3 bytes, sum 6\n");
	cr_assert_gt(pread(dfd, said, sizeof(said) - 1, 0), 0, "nothing came out of port 0xe9");
	cr_expect_str_eq(said, "minios: hello, debug port\n");
	close(mfd);
	close(dfd);
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
	char buf[65536];
	ssize_t n;
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	cr_assert(in >= 0 && out >= 0, "copying %s to %s: %s", from, to, strerror(errno));
	while ((n = read(in, buf, sizeof(buf))) > 0)
		cr_assert_eq(write(out, buf, (size_t)n), n);
	close(in);
	close(out);
}

/* A user may have no way to map address 0 (vm.mmap_min_addr), nor to reach our build directory. */
Test(e2e, minios_passes_its_checks_without_privilege, .timeout = 90)
{
	static struct child c = { .unprivileged = true, .seconds = 60 };
	char dir[] = "/tmp/ringside-user-XXXXXX", binary[64], image[64];
	const char *argv[] = { binary, "run", image, "-append", "demo", NULL };

	if (geteuid())
		cr_skip_test("not root: every other test runs without privilege already");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chmod(dir, 0755), 0);
	snprintf(binary, sizeof(binary), "%s/ringside", dir);
	snprintf(image, sizeof(image), "%s/minios.elf", dir);
	copy_file(child_ringside(), binary, 0755);
	copy_file(child_guest("minios"), image, 0644);
	memcpy(c.argv, argv, sizeof(argv));
	child_run(&c);
	unlink(binary);
	unlink(image);
	rmdir(dir);
	expect_status(&c, 33);
	expect_in(&c, c.out, ", 0 failed\n");
}

/* ---- what a world is and costs ---- */

/* DESIGN section 3: a world is exec'd with exactly two descriptors. */
static void look_at_children(int pid, const char *thread, unsigned *worlds)
{
	char path[64], child[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.10s/children", pid, thread);
	f = fopen(path, "r");
	cr_assert_not_null(f, "%s", path);
	while (fscanf(f, "%31s", child) == 1) {
		unsigned n = 0;
		struct dirent *e;
		DIR *d;
		snprintf(path, sizeof(path), "/proc/%s/fd", child);
		d = opendir(path);
		cr_assert_not_null(d, "%s", path);
		while ((e = readdir(d)))
			n += isdigit((unsigned char)e->d_name[0]) != 0;
		closedir(d);
		cr_expect_leq(n, 2, "world %s has %u descriptors", child, n);
		++*worlds;
	}
	fclose(f);
}

/* They are children of the thread that made them: a pCPU's. */
static void look_at_worlds(int pid, void *arg)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	cr_assert_not_null(d, "%s", path);
	while ((e = readdir(d)))
		if (isdigit((unsigned char)e->d_name[0]))
			look_at_children(pid, e->d_name, arg);
	closedir(d);
}

Test(e2e, world_has_two_descriptors_and_dies_with_its_vmm, .timeout = 60)
{
	static struct child c;
	const char *argv[] = RINGSIDE_RUN(child_guest("minios"), "-append", "idle");
	unsigned worlds = 0;
	memcpy(c.argv, argv, sizeof(argv));
	child_look(&c, "idle\n", look_at_worlds, &worlds); /* then SIGKILL: no farewell */
	cr_expect_geq(worlds, 1, "no world found");
}

/* Issue 2: a guest in HLT costs less than 2 % of one CPU.  The start is taken out. */
Test(e2e, halted_guest_costs_no_cpu, .timeout = 60)
{
	static struct child one, four;
	const char *argv[] = RINGSIDE_RUN(child_guest("minios"), "-append", "idle", "--timeout",
					  "1");
	memcpy(one.argv, argv, sizeof(argv));
	child_run(&one);
	expect_status(&one, 124);
	argv[6] = "4";
	memcpy(four.argv, argv, sizeof(argv));
	child_run(&four);
	expect_status(&four, 124);
	cr_expect_leq(four.cpu_ms, one.cpu_ms + 60, "%u ms of CPU time in 1 s, %u ms in 4 s",
		      one.cpu_ms, four.cpu_ms);
}

/* ---- how it ends ---- */

Test(e2e, timeout_ends_a_spinning_guest, .timeout = 60)
{
	static struct child c;
	const char *argv[] = RINGSIDE_RUN(child_guest("minios"), "-append", "spin", "--timeout",
					  "1");
	memcpy(c.argv, argv, sizeof(argv));
	child_run(&c);
	expect_status(&c, 124);
	expect_in(&c, c.out, "spin\n");
	cr_expect_geq(c.wall_ms, 1000);
	cr_expect_leq(c.wall_ms, 10000);
}

Test(e2e, triple_fault_ends_with_a_report, .timeout = 60)
{
	static struct child c;
	const char *argv[] = RINGSIDE_RUN(child_guest("minios"), "-append", "triple");
	memcpy(c.argv, argv, sizeof(argv));
	child_run(&c);
	expect_status(&c, 3);
	cr_expect_str_eq(c.out, "triple fault\n");
	expect_in(&c, c.err, "triple fault");
	expect_in(&c, c.err, "idtr base 00000000 limit 0000");
	expect_in(&c, c.err, "int3"); /* the disassembly */
}

Test(e2e, storm_of_traps_is_weathered, .timeout = 150)
{
	static struct child c = { .seconds = 120 };
	const char *argv[] = RINGSIDE_RUN(child_guest("minios"), "-append", "storm=50000");
	memcpy(c.argv, argv, sizeof(argv));
	child_run(&c);
	expect_status(&c, 33);
	cr_expect_str_eq(c.out, "storm of 50000\nstorm over\n");
}

/* Bad input: status 2, one sentence, nothing started. */
Test(e2e, bad_input_is_status_2, .timeout = 60)
{
	char text[] = "/tmp/ringside-text-XXXXXX";
	int fd = mkstemp(text);
	const struct {
		const char *argv[4]; /* behind "run" */
		const char *says;
	} cases[] = {
		{ { "/nonexistent.elf" }, "/nonexistent.elf: cannot be opened" },
		{ { "/" }, "/: is not a regular file" },
		{ { "/dev/null" }, "/dev/null: is not a regular file" },
		{ { text }, "is not an ELF file" },
		{ { "/proc/self/exe" }, "has ELF class 2 (64-bit)" },
		{ { child_guest("minios"), "--module", "/nonexistent" }, "/nonexistent: cannot" },
		{ { child_guest("minios"), "-m", "12x" }, "12x" },
		{ { child_guest("minios"), "-m", "0" }, "0" },
		{ { child_guest("minios"), "-m", "64G" }, "64G" },
		{ { child_guest("minios"), "--engine", "steam" }, "steam" },
		{ { child_guest("minios"), "--timeout", "soon" }, "soon" },
		{ { child_guest("minios"), "--trace", "/nonexistent/file" }, "/nonexistent/file" },
		{ { child_guest("minios"), "--frobnicate" }, "frobnicate" },
		{ { NULL }, "needs the image" },
	};

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, "no kernel\n", 10), 10);
	close(fd);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static struct child c;
		memset(&c, 0, sizeof(c));
		c.argv[0] = child_ringside();
		c.argv[1] = "run";
		memcpy(&c.argv[2], cases[i].argv, sizeof(cases[i].argv));
		child_run(&c);
		cr_expect_eq(c.status, 2, "%s %s: status %d\n%s%s", cases[i].argv[0],
			     cases[i].argv[1], c.status, c.out, c.err);
		cr_expect_str_eq(c.out, "", "%s: printed something", cases[i].says);
		expect_in(&c, c.err, cases[i].says);
		cr_expect_eq(strcspn(c.err, "\n") + 1, strlen(c.err), "not one line: %s", c.err);
	}
	unlink(text);
}

/* INIT and start-up IPIs through the local APIC, from a real-mode trampoline, on both machines. */
Test(e2e, other_processors_start_as_on_qemu, .timeout = 120)
{
	static struct child ours, theirs;

	ours = (struct child){ .argv = { child_ringside(), "run", "--smp", "4", child_guest("smp"),
					 NULL } };
	child_run(&ours);
	cr_expect_eq(ours.status, 33, "%s%s", ours.out, ours.err);
	theirs = (struct child){ .argv = { QEMU, "-accel", "tcg,thread=single", "-smp", "4",
					   "-kernel", child_guest("smp"), "-display", "none",
					   "-no-reboot", "-device",
					   "isa-debug-exit,iobase=0xf4,iosize=4", NULL },
				 .seconds = 60 };
	child_run(&theirs);
	cr_expect_eq(theirs.status, 33, "%s%s", theirs.out, theirs.err);
}
