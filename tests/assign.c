/* SPDX-License-Identifier: MIT */
/* Assigned devices: the option, and doorbells through their thread to a local APIC. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/dev/assign.h"
#include "vmm/dev/devices.h"
#include "vmm/irq_stats.h"
#include "vmm/machine.h"
#include "vmm/machine_priv.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static int as_parse(const char *text, struct assign_config *c)
{
	static char copy[256];
	char err[256] = "";
	int ret;

	snprintf(copy, sizeof(copy), "%s", text);
	ret = assign_parse(copy, c, err, sizeof(err));
	cr_expect_eq(ret == 0, !*err, "\"%s\": %d, \"%s\"", text, ret, err);
	return ret;
}

Test(assign, the_option_in_any_order)
{
	struct assign_config c;

	cr_expect_eq(as_parse("vcpu=1,eventfd=7,vector=0x51", &c), 0);
	cr_expect_eq(c.vcpu, 1);
	cr_expect_eq(c.eventfd, 7);
	cr_expect_eq(c.vector, 0x51);
	cr_expect_null(c.shm);
	cr_expect_eq(as_parse("eventfd=7,vector=81,vcpu=0,shm=/dev/shm/x,gpa=0xd0000000", &c), 0);
	cr_expect_str_eq(c.shm, "/dev/shm/x");
	cr_expect_eq(c.gpa, 0xd0000000);
	cr_expect_eq(c.doorbell, -1);
	cr_expect_eq(as_parse("doorbell=9,eventfd=7,gpa=0xd0000000,vector=81,vcpu=0,shm=x", &c), 0);
	cr_expect_eq(c.doorbell, 9);
}

Test(assign, bad_options_are_refused_with_a_sentence)
{
	static const char *const bad[] = {
		"",
		"eventfd",
		"eventfd=7",
		"eventfd=7,vector=81",
		"eventfd=,vector=81,vcpu=0",
		"eventfd=-1,vector=81,vcpu=0",
		"eventfd=7,vector=15,vcpu=0",
		"eventfd=7,vector=256,vcpu=0",
		"eventfd=7,vector=81,vcpu=8",
		"eventfd=7,vector=81,vcpu=0,vcpu=0",
		"eventfd=7,vector=81,vcpu=0,",
		"eventfd=7,vector=81,vcpu=0,color=red",
		"eventfd=7,vector=81,vcpu=0,shm=x",
		"eventfd=7,vector=81,vcpu=0,gpa=0xd0000000",
		"eventfd=7,vector=81,vcpu=0,shm=x,gpa=0xd0000001",
		"eventfd=7,vector=81,vcpu=0,shm=x,gpa=0x100000000",
		"eventfd=99999999999999999999,vector=81,vcpu=0",
		"eventfd=7,vector=81,vcpu=0,doorbell=8",
		"eventfd=7,vector=81,vcpu=0,shm=x,gpa=0xd0000000,doorbell=-1",
	};
	struct assign_config c;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(as_parse(bad[i], &c), -EINVAL, "\"%s\"", bad[i]);
}

static struct vm as_vm;

static void as_vcpus(void)
{
	cr_assert_eq(vm_init(&as_vm, VM_RAM_MIN), 0);
	as_vm.dead_quietly = true;
	for (unsigned i = 0; i < 2; i++) {
		as_vm.vcpu[i] = calloc(1, sizeof(struct vcpu));
		as_vm.vcpu[i]->vm = &as_vm;
		as_vm.vcpu[i]->id = i;
		vcpu_reset(as_vm.vcpu[i]);
	}
	as_vm.vcpus = 2;
}

static void as_free(void)
{
	machine_destroy(&as_vm);
	for (unsigned i = 0; i < 2; i++)
		free(as_vm.vcpu[i]);
	vm_destroy(&as_vm);
}

TestSuite(assign_board, .init = as_vcpus, .fini = as_free, .timeout = 30);

static int as_create(const struct assign_config *c)
{
	const struct machine_config cfg = {
		.console_in = -1, .console_out = -1, .debugcon_out = -1, .assign = c, .assigns = 1
	};

	return machine_create(&as_vm, &cfg);
}

Test(assign_board, a_descriptor_that_is_no_eventfd_is_refused)
{
	int p[2];
	struct assign_config c = { .vector = 0x51, .vcpu = 1, .doorbell = -1 };

	cr_assert_eq(pipe(p), 0);
	c.eventfd = p[0];
	cr_expect_eq(as_create(&c), -EBADF);
	cr_expect_not_null(strstr(as_vm.death, "eventfd"));
}

Test(assign_board, shared_memory_must_lie_between_ram_and_the_apics)
{
	static const struct {
		uint64_t gpa;
		off_t len;
		bool good;
	} row[] = { { 0xd0000000, 8192, true },  { 0x100000, 4096, true },
		    { 0xff000, 4096, false },    { 0xfebff000, 4096, true },
		    { 0xfebff000, 8192, false }, { 0xfffff000, 4096, false },
		    { 0xd0000000, 4095, false }, { 0xd0000000, 0, false } };
	char path[64], err[256];
	struct assign a;
	int fd = memfd_create("shm", 0), bell = eventfd(0, 0);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct assign_config c = { .eventfd = bell,
					   .vector = 0x51,
					   .shm = path,
					   .gpa = row[i].gpa,
					   .doorbell = -1 };

		cr_assert_eq(ftruncate(fd, row[i].len), 0);
		cr_expect_eq(assign_open(&a, &c, &as_vm, err, sizeof(err)) == 0, row[i].good,
			     "row %u: %s", i, err);
		if (row[i].good)
			cr_expect_eq(a.shm_len, (uint64_t)row[i].len);
		assign_close(&a);
	}
}

/* One sentence each; the eventfd is good. */
Test(assign_board, what_cannot_be_shared_is_refused)
{
	char fifo[] = "/tmp/ringside-fifo-XXXXXX", sealed[64], huge[64], err[256];
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING), big = memfd_create("big", 0);
	const struct {
		const char *shm, *says;
	} row[] = { { "/nonexistent", "cannot be opened (No such file" },
		    { "/dev/shm", "cannot be opened (Is a directory)" },
		    { "/dev/null", "is not shared memory" },
		    { "/proc/self/comm", "is not shared memory" },
		    { fifo, "is not shared memory" },
		    { huge, "is not shared memory" },
		    { sealed, "cannot be shared for writing" } };
	struct assign_config c = {
		.eventfd = eventfd(0, 0), .vector = 0x51, .gpa = 0xd0000000, .doorbell = -1
	};
	struct assign a;

	cr_assert_eq(mkstemp(fifo) < 0 || unlink(fifo) || mkfifo(fifo, 0600), 0);
	cr_assert_eq(ftruncate(fd, 4096), 0);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	cr_assert_eq(ftruncate(big, ASSIGN_SHM_MAX + 4096), 0);
	snprintf(sealed, sizeof(sealed), "/proc/self/fd/%d", fd);
	snprintf(huge, sizeof(huge), "/proc/self/fd/%d", big);
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		c.shm = row[i].shm;
		cr_expect_lt(assign_open(&a, &c, &as_vm, err, sizeof(err)), 0, "%s", c.shm);
		cr_expect_not_null(strstr(err, row[i].says), "%s: %s", c.shm, err);
		assign_close(&a);
	}
	unlink(fifo);
}

/* A device with two pages at 0xd0000000, its doorbell after them; @s[1] is the device's end. */
static struct assign_config as_doorbell(char *path, size_t size, int s[2])
{
	int fd = memfd_create("shm", 0);

	cr_assert_eq(ftruncate(fd, 8192), 0);
	snprintf(path, size, "/proc/self/fd/%d", fd);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s), 0);
	/* The other side has the same open socket, and may make it wait. */
	fcntl(s[0], F_SETFL, 0);
	return (struct assign_config){ .eventfd = eventfd(0, 0),
				       .vector = 0x51,
				       .shm = path,
				       .gpa = 0xd0000000,
				       .doorbell = s[0] };
}

Test(assign_board, doorbell_is_the_page_behind_the_memory)
{
	static char bytes[1 << 20];
	char path[64];
	int s[2];
	struct assign_config c = as_doorbell(path, sizeof(path), s);
	struct vcpu *v = as_vm.vcpu[0];

	cr_assert_eq(as_create(&c), 0);
	machine_mmio_write(&as_vm, v, 0xd0002000, 4, 1);
	machine_mmio_write(&as_vm, v, 0xd0002ffc, 1, 0);
	cr_expect_eq(machine_mmio_read(&as_vm, v, 0xd0002000, 4), 0);
	cr_expect_eq(recv(s[1], bytes, sizeof(bytes), 0), 2);
	/* Memory in front of it, nothing behind. */
	machine_mmio_write(&as_vm, v, 0xd0001ffc, 4, 0x600d);
	cr_expect_eq(machine_mmio_read(&as_vm, v, 0xd0001ffc, 4), 0x600d);
	machine_mmio_write(&as_vm, v, 0xd0003000, 4, 0);
	cr_expect_eq(machine_mmio_read(&as_vm, v, 0xd0003000, 4), 0xffffffff);
	cr_expect_eq(recv(s[1], bytes, sizeof(bytes), 0), -1);
	/* Nobody listens: it neither waits nor fails.  Then there is nobody. */
	for (unsigned i = 0; i < 100000; i++)
		machine_mmio_write(&as_vm, v, 0xd0002000, 4, 0);
	cr_expect_gt(recv(s[1], bytes, sizeof(bytes), 0), 0);
	close(s[1]);
	machine_mmio_write(&as_vm, v, 0xd0002000, 4, 0);
	cr_expect_eq(atomic_load(&as_vm.end), VM_RUNNING);
}

Test(assign_board, devices_in_the_way_of_each_other_are_refused)
{
	char path[64];
	int s[2];
	struct assign_config c[2];
	const struct machine_config cfg = {
		.console_in = -1, .console_out = -1, .debugcon_out = -1, .assign = c, .assigns = 2
	};

	c[0] = c[1] = as_doorbell(path, sizeof(path), s);
	cr_expect_eq(machine_create(&as_vm, &cfg), -EINVAL);
	cr_expect_not_null(strstr(as_vm.death, "is that of two devices"), "%s", as_vm.death);
	as_vm.end = VM_RUNNING;
	c[1].eventfd = eventfd(0, 0);
	c[1].gpa = 0xd0002000; /* the doorbell of the first */
	cr_expect_lt(machine_create(&as_vm, &cfg), 0);
	cr_expect_not_null(strstr(as_vm.death, "there is something else"), "%s", as_vm.death);
	cr_expect_eq(as_vm.regions, 0);
}

Test(assign_board, doorbell_that_is_no_unix_socket_is_refused)
{
	char path[64];
	int s[2];
	struct assign_config c = as_doorbell(path, sizeof(path), s);

	c.doorbell = c.eventfd;
	cr_expect_eq(as_create(&c), -EBADF);
	cr_expect_not_null(strstr(as_vm.death, "not a Unix socket"), "%s", as_vm.death);
}

/* The whole way: doorbell, thread, posted descriptor, kick, IRR; and the account of it. */
Test(assign_board, doorbells_arrive_at_the_target_and_none_is_lost)
{
	struct assign_config c = { .vector = 0x51, .vcpu = 1, .doorbell = -1 };
	struct vcpu *v = as_vm.vcpu[1];
	struct irq_vector *row;
	uint64_t one = 1;

	c.eventfd = eventfd(0, 0);
	cr_assert_eq(as_create(&c), 0);
	machine_mmio_write(&as_vm, v, LAPIC_BASE + 0xf0, 4, 0x1ff);
	atomic_store(&as_vm.vcpu[0]->irq_pending, false); /* set at power-on */
	cr_assert_eq(machine_start(&as_vm), 0);
	row = &v->irq_stats->vector[0x51];
	for (unsigned i = 1; i <= 200; i++) {
		cr_assert_eq(write(c.eventfd, &one, sizeof(one)), 8);
		while (!atomic_load(&v->irq_pending))
			sched_yield();
		cr_assert_eq(machine_ack_interrupt(&as_vm, v), 0x51);
		irq_stats_delivered(v, 0x51, host_ns());
		machine_mmio_write(&as_vm, v, LAPIC_BASE + 0xb0, 4, 0);
	}
	cr_expect(atomic_load(&v->kicked));
	machine_stop(&as_vm);
	cr_expect_eq(row->n.raised, 200);
	cr_expect_eq(row->n.delivered, 200);
	cr_expect_eq(row->latency->count, 200);
	cr_expect_eq(row->path, IRQ_PATH_ASSIGNED);
	cr_expect_not(atomic_load(&as_vm.vcpu[0]->irq_pending));
}

#define AS_RINGS 20000u

static _Atomic bool as_rung;

static void *as_ringer(void *arg)
{
	uint64_t one = 1;

	for (unsigned i = 0; i < AS_RINGS; i++)
		if (write(*(int *)arg, &one, sizeof(one)) != sizeof(one))
			break;
	atomic_store(&as_rung, true);
	return NULL;
}

static unsigned as_take_all(struct vcpu *v)
{
	unsigned n = 0;

	while (machine_ack_interrupt(&as_vm, v) >= 0) {
		machine_mmio_write(&as_vm, v, LAPIC_BASE + 0xb0, 4, 0);
		n++;
	}
	return n;
}

static bool as_unread(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* A device that rings as fast as it can, a vCPU that takes as fast as it can: the sums agree. */
Test(assign_board, a_storm_of_doorbells_adds_up)
{
	struct assign_config c = { .vector = 0x51, .vcpu = 1, .doorbell = -1 };
	struct vcpu *v = as_vm.vcpu[1];
	struct irq_counts *n;
	pthread_t ringer;
	uint64_t seen = 0;

	c.eventfd = eventfd(0, 0);
	cr_assert_eq(as_create(&c), 0);
	machine_mmio_write(&as_vm, v, LAPIC_BASE + 0xf0, 4, 0x1ff);
	cr_assert_eq(machine_start(&as_vm), 0);
	n = &v->irq_stats->vector[0x51].n;
	pthread_create(&ringer, NULL, as_ringer, &c.eventfd);
	while (!atomic_load(&as_rung) || as_unread(c.eventfd)) {
		if (atomic_load(&v->irq_pending))
			seen += as_take_all(v);
		else
			sched_yield();
	}
	pthread_join(ringer, NULL);
	machine_stop(&as_vm);
	seen += as_take_all(v);
	cr_expect_eq(n->raised, AS_RINGS);
	cr_expect_eq(n->delivered, seen);
	cr_expect_eq(n->raised, n->delivered + n->coalesced);
}
