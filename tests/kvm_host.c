/* SPDX-License-Identifier: MIT */
/*
 * The kvm engine without a KVM: every way in which it is refused, what is made of KVM's exits, and
 * its counters, from files that look like KVM's.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/child.h"
#include "vmm/kvm/priv.h"
#include "vmm/vcpu.h"

TestSuite(kvm_host, .timeout = 60);

/* ---- no KVM ---- */

struct temp {
	char dir[64], path[96];
};

static void temp_make(struct temp *t, const char *name)
{
	strcpy(t->dir, "/tmp/ringside-kvm-XXXXXX");
	cr_assert_not_null(mkdtemp(t->dir));
	snprintf(t->path, sizeof(t->path), "%s/%s", t->dir, name);
}

static void temp_free(struct temp *t)
{
	remove(t->path);
	rmdir(t->dir);
}

static void expect_refused(const char *path, const char *why)
{
	char err[512] = "";
	int fd = kvm_open(path, err, sizeof(err));

	cr_expect_lt(fd, 0, "%s", path);
	cr_expect_not_null(strstr(err, why), "%s", err);
	cr_expect_not_null(strstr(err, path), "%s", err);
	cr_expect_not_null(strstr(err, "--engine world"), "says what to do: %s", err);
}

Test(kvm_host, what_is_not_a_device_of_kvm_is_refused)
{
	struct temp t;
	int fd;

	temp_make(&t, "kvm");
	expect_refused(t.path, "there is no ");
	cr_assert_eq(mkfifo(t.path, 0600), 0);
	expect_refused(t.path, "is not KVM's device");
	remove(t.path);
	fd = open(t.path, O_CREAT | O_WRONLY, 0600);
	cr_assert_geq(fd, 0);
	close(fd);
	expect_refused(t.path, "is not KVM's device");
	if (geteuid()) { /* root may */
		cr_assert_eq(chmod(t.path, 0), 0);
		expect_refused(t.path, "no permission to open");
	}
	expect_refused("/dev/null", "is not KVM's device");
	expect_refused(t.dir, "cannot open");
	temp_free(&t);
}

Test(kvm_host, the_module_behind_kvm_must_be_known)
{
	char err[512] = "", sub[128];
	const char *name;
	struct temp t;

	temp_make(&t, "kvm_other");
	cr_assert_eq(mkdir(t.path, 0700), 0);
	cr_expect_null(kvm_module(t.dir, err, sizeof(err)));
	cr_expect_not_null(strstr(err, "none of kvm_intel, kvm_amd and kvm_pvm"), "%s", err);
	cr_expect_not_null(strstr(err, "--engine world"), "%s", err);
	snprintf(sub, sizeof(sub), "%s/kvm_amd", t.dir);
	cr_assert_eq(mkdir(sub, 0700), 0);
	name = kvm_module(t.dir, err, sizeof(err));
	cr_assert_not_null(name, "%s", err);
	cr_expect_str_eq(name, "kvm_amd");
	rmdir(sub);
	temp_free(&t);
}

Test(kvm_host, a_kvm_that_is_too_old_is_told_why)
{
	static const struct kvm_need need[] = { { 1, "eyes", "9.9" } };
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* has no capability at all */
	char err[512] = "";

	cr_expect_eq(kvm_require(fd, need, 0, err, sizeof(err)), 0);
	cr_expect_lt(kvm_require(fd, need, 1, err, sizeof(err)), 0);
	cr_expect_not_null(strstr(err, "lacks eyes, which came with Linux 9.9"), "%s", err);
	close(fd);
}

/* Run as @script says, in a mount namespace where /dev and /sys/module can be changed. */
static void in_namespace(const char *script, const char *why)
{
	static struct child c;
	char line[512];

	snprintf(line, sizeof(line), "%s && exec \"$0\" run --timeout 20 --engine kvm \"$1\"",
		 script);
	c = (struct child){ .argv = { "unshare", "-m", "sh", "-c", line, child_ringside(),
				      child_guest("smp"), NULL } };
	child_run(&c);
	cr_expect_eq(c.status, 4, "%s: status %d\n%s", script, c.status, c.err);
	cr_expect_eq(strncmp(c.err, "ringside: host: ", 16), 0, "%s", c.err);
	cr_expect_not_null(strstr(c.err, why), "%s", c.err);
	cr_expect_str_eq(c.out, "");
}

/* Status 4 and one sentence each, from the program itself; never another engine instead. */
Test(kvm_host, the_program_says_what_is_missing)
{
	static struct child c;

	if (geteuid()) { /* cannot mount: what this user finds is in tests/kvm.c */
		cr_expect_neq(access("/proc/self/ns/mnt", F_OK), -1);
		return;
	}
	in_namespace("mount -t tmpfs none /dev", "there is no /dev/kvm");
	in_namespace("mount -t tmpfs none /dev && mkfifo /dev/kvm", "/dev/kvm is not KVM's device");
	if (access(KVM_PATH, F_OK))
		return;
	in_namespace("mount -t tmpfs none $(ls -d /sys/module /sys 2>/dev/null | tail -n 1)",
		     "none of kvm_intel, kvm_amd and kvm_pvm");
	c = (struct child){ .argv = { child_ringside(), "run", "--engine", "kvm",
				      child_guest("smp") },
			    .unprivileged = true };
	struct stat st;

	cr_assert_eq(stat(KVM_PATH, &st), 0);
	if (st.st_mode & S_IWOTH)
		return; /* everybody may here */
	child_run(&c);
	cr_expect_eq(c.status, 4, "%s", c.err);
	cr_expect_not_null(strstr(c.err, "no permission to open /dev/kvm"), "%s", c.err);
}

Test(kvm_host, options_of_the_other_engine_are_refused)
{
	static const struct {
		const char *engine, *option, *why;
	} bad[] = {
		{ "world", "--irqchip=kernel", "needs --engine kvm" },
		{ "kvm", "--lookahead", "--lookahead is of the world engine" },
		{ "kvm", "--tsc=trap", "--tsc trap is of the world engine" },
		{ "kvm", "--worlds=4", "--worlds is of the world engine" },
		{ "kvm", "--handoff=spin", "--handoff is of the world engine" },
	};
	static struct child c;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = (struct child){ .argv = { child_ringside(), "run", "--engine", bad[i].engine,
					      bad[i].option, child_guest("smp") } };
		child_run(&c);
		cr_expect_eq(c.status, 2, "%s: %d", bad[i].option, c.status);
		cr_expect_not_null(strstr(c.err, bad[i].why), "%s", c.err);
	}
}

/* ---- KVM's exits ---- */

struct fake {
	struct vm vm;
	struct vcpu v;
	struct kvm_vm kvm;
	struct kvm_engine e;
	union {
		struct kvm_run run;
		uint8_t page[8192];
	} u;
	struct exit x;
};

static int fake_exit(struct fake *f, uint32_t reason)
{
	f->v.vm = &f->vm;
	f->kvm.vm = &f->vm;
	f->kvm.module = "kvm_test";
	f->e.v = &f->v;
	f->e.kvm = &f->kvm;
	f->e.run = &f->u.run;
	f->e.fd = -1;
	f->v.regs.eip = 0x1234;
	f->u.run.exit_reason = reason;
	return kvm_exit_decode(&f->e, &f->x);
}

Test(kvm_host, exits_are_ours_by_name)
{
	static const struct {
		uint32_t kvm;
		enum exit_reason reason;
	} same[] = { { KVM_EXIT_HLT, EXIT_HLT },
		     { KVM_EXIT_IRQ_WINDOW_OPEN, EXIT_IRQ_WINDOW },
		     { KVM_EXIT_SHUTDOWN, EXIT_SHUTDOWN },
		     { KVM_EXIT_INTR, EXIT_KICK },
		     { KVM_EXIT_DEBUG, EXIT_STEP } };
	static struct fake f;

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		cr_expect_eq(fake_exit(&f, same[i].kvm), 0);
		cr_expect_eq(f.x.reason, same[i].reason);
		cr_expect_not(f.e.incomplete);
	}
	f.u.run.io.port = 0x3f8;
	f.u.run.io.size = 2;
	f.u.run.io.count = 5;
	f.u.run.io.direction = KVM_EXIT_IO_IN;
	f.u.run.io.data_offset = 4096;
	cr_expect_eq(fake_exit(&f, KVM_EXIT_IO), 0);
	cr_expect(f.x.reason == EXIT_IO && f.x.access.io.port == 0x3f8 &&
		  f.x.access.io.width == 2 && f.x.access.io.in && f.x.access.io.count == 5 &&
		  f.x.access.io.data == f.u.page + 4096);
	cr_expect(f.e.incomplete);
	f.u.run.mmio.phys_addr = 0xfee00020;
	f.u.run.mmio.len = 4;
	f.u.run.mmio.is_write = 1;
	cr_expect_eq(fake_exit(&f, KVM_EXIT_MMIO), 0);
	cr_expect(f.x.reason == EXIT_MMIO && f.x.access.mmio.gpa == 0xfee00020 &&
		  f.x.access.mmio.len == 4 && f.x.access.mmio.write);
	f.u.run.msr.index = 0x1b;
	cr_expect_eq(fake_exit(&f, KVM_EXIT_X86_WRMSR), 0);
	cr_expect(f.x.reason == EXIT_MSR && f.x.access.msr.index == 0x1b && f.x.access.msr.write);
	cr_expect_eq(fake_exit(&f, KVM_EXIT_X86_RDMSR), 0);
	cr_expect_not(f.x.access.msr.write);
}

static void expect_host_failure(struct fake *f, uint32_t reason, const char *why)
{
	atomic_store(&f->vm.end, VM_RUNNING);
	cr_expect_lt(fake_exit(f, reason), 0);
	cr_expect_eq(atomic_load(&f->vm.end), VM_HOST_FAIL, "exit status 4");
	cr_expect_not_null(strstr(f->vm.death, why), "%s", f->vm.death);
	cr_expect_not_null(strstr(f->vm.death, "kvm_test"), "%s", f->vm.death);
}

Test(kvm_host, a_failed_entry_is_the_hosts_failure)
{
	static struct fake f;

	f.u.run.fail_entry.hardware_entry_failure_reason = 0x80000021;
	expect_host_failure(&f, KVM_EXIT_FAIL_ENTRY, "refused to enter the guest at 0x1234");
	cr_expect_not_null(strstr(f.vm.death, "0x80000021 (invalid guest state)"), "%s",
			   f.vm.death);
	f.u.run.fail_entry.hardware_entry_failure_reason = 7;
	expect_host_failure(&f, KVM_EXIT_FAIL_ENTRY, "hardware reason 0x7;");
	f.u.run.internal.suberror = KVM_INTERNAL_ERROR_SIMUL_EX;
	f.u.run.internal.ndata = 1;
	f.u.run.internal.data[0] = 0xabc;
	expect_host_failure(&f, KVM_EXIT_INTERNAL_ERROR, "internal error 2, data 0xabc 0 0");
	expect_host_failure(&f, 999, "exit reason 999");
}

/* ---- KVM's counters ---- */

#define STAT_NAME 16

struct stat_file {
	struct kvm_stats_header head;
	char id[STAT_NAME];
	struct {
		struct kvm_stats_desc desc;
		char name[STAT_NAME];
	} d[4];
	uint64_t data[8];
};

static void stat_desc(struct stat_file *s, unsigned i, const char *name, uint32_t flags,
		      uint16_t size, uint32_t first)
{
	s->d[i].desc.flags = flags;
	s->d[i].desc.size = size;
	s->d[i].desc.offset = first * 8;
	strcpy(s->d[i].name, name);
}

static struct stat_file stat_file(void)
{
	struct stat_file s = { .head = { .name_size = STAT_NAME,
					 .num_desc = 4,
					 .id_offset = offsetof(struct stat_file, id),
					 .desc_offset = offsetof(struct stat_file, d),
					 .data_offset = offsetof(struct stat_file, data) },
			       .data = { 10, 20, 30, 1, 2, 3 } };

	stat_desc(&s, 0, "exits", KVM_STATS_TYPE_CUMULATIVE, 1, 0);
	stat_desc(&s, 1, "level", KVM_STATS_TYPE_INSTANT, 1, 1);
	stat_desc(&s, 2, "peak", KVM_STATS_TYPE_PEAK, 1, 2);
	stat_desc(&s, 3, "hist", KVM_STATS_TYPE_LOG_HIST, 3, 3);
	return s;
}

static int stat_fd(const void *data, size_t len)
{
	int fd = memfd_create("stats", MFD_CLOEXEC);

	cr_assert(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	return fd;
}

Test(kvm_host, counters_describe_themselves)
{
	struct stat_file s = stat_file();
	int fd = stat_fd(&s, sizeof(s)), other = dup(fd);
	struct kvm_stats *st = kvm_stats_open(fd);

	cr_assert_not_null(st);
	cr_expect_eq(kvm_stats_get(st, "exits"), 0, "nothing since");
	s.data[0] = 110;
	s.data[1] = 5;
	s.data[2] = 31;
	cr_assert_eq(pwrite(other, &s, sizeof(s), 0), (ssize_t)sizeof(s));
	cr_expect_eq(kvm_stats_read(st), 0);
	cr_expect_eq(kvm_stats_get(st, "exits"), 100, "the difference");
	cr_expect_eq(kvm_stats_get(st, "level"), 5, "as it is");
	cr_expect_eq(kvm_stats_get(st, "peak"), 31, "as it is");
	cr_expect_eq(kvm_stats_get(st, "no such"), 0);
	kvm_stats_free(st);
	close(other);
}

Test(kvm_host, counters_that_make_no_sense_are_left_alone)
{
	const struct stat_file good = stat_file();
	struct stat_file s;

	for (size_t len = 0; len < offsetof(struct stat_file, data) + 6 * 8; len += 5)
		cr_expect_null(kvm_stats_open(stat_fd(&good, len)), "%zu bytes", len);
	s = good;
	s.head.num_desc = UINT32_MAX;
	cr_expect_null(kvm_stats_open(stat_fd(&s, sizeof(s))));
	s = good;
	s.head.name_size = UINT32_MAX;
	cr_expect_null(kvm_stats_open(stat_fd(&s, sizeof(s))));
	s = good;
	s.d[2].desc.size = UINT16_MAX;
	cr_expect_null(kvm_stats_open(stat_fd(&s, sizeof(s))));
	s = good;
	s.d[3].desc.offset = UINT32_MAX - 7;
	cr_expect_null(kvm_stats_open(stat_fd(&s, sizeof(s))));
}
