/* SPDX-License-Identifier: MIT */
/*
 * guest/irqbench, briefly: every path delivers on Ringside and on QEMU, and Ringside's account of
 * it adds up.  No figure is judged here: `make bench` is for that.
 */
#include <criterion/criterion.h>
#include <json-c/json.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/child.h"
#include "vmm/machine_priv.h"

TestSuite(irqbench, .timeout = 150);

static const struct {
	const char *name;
	unsigned samples;
} ib_measures[] = {
	{ "pit_ioapic_halted", 10 },
	{ "pit_ioapic_busy", 10 },
	{ "pit_pic_halted", 10 },
	{ "pit_pic_busy", 10 },
	{ "uart", 20 },
	{ "lapic_halted", 10 },
	{ "lapic_busy", 10 },
	{ "jitter_halted", 10 },
	{ "jitter_busy", 10 },
	{ "ipi_self", 20 },
	{ "ipi_halted", 10 },
	{ "ipi_busy", 10 },
	{ "trip_halted", 10 },
	{ "trip_busy", 10 },
	{ "trip_asleep", 10 },
	{ "broadcast4", 10 },
};

static void ib_run(struct child *c)
{
	child_run(c);
	cr_assert_eq(c->status, 33, "status %d\n%s%s", c->status, c->out, c->err);
	cr_expect_not_null(strstr(c->out, "done\n"), "%s", c->out);
}

/* A line for each measure, with as many samples as asked for, in order of size. */
static void ib_expect_all(const struct child *c)
{
	for (size_t i = 0; i < sizeof(ib_measures) / sizeof(ib_measures[0]); i++) {
		int min = 0, p50 = 0, p99 = 0, max = 0;
		char line[64];
		const char *at;
		unsigned n = 0;

		snprintf(line, sizeof(line), "\n%s ", ib_measures[i].name);
		at = strstr(c->out, line);
		cr_assert_not_null(at, "no %s in\n%s", ib_measures[i].name, c->out);
		sscanf(at + strlen(line), "%d %d %d %d %u", &min, &p50, &p99, &max, &n);
		cr_expect_eq(n, ib_measures[i].samples, "%s", at);
		cr_expect(min <= p50 && p50 <= p99 && p99 <= max, "%s", at);
		cr_expect_gt(max, 0, "%s", at);
	}
}

static int64_t ib_num(struct json_object *o, const char *key)
{
	struct json_object *n;

	cr_assert(json_object_object_get_ex(o, key, &n), "no key %s", key);
	return json_object_get_int64(n);
}

/* The account's row of @vector on @vcpu; nothing that was raised there is lost. */
static struct json_object *ib_row(struct json_object *account, int vcpu, int vector)
{
	struct json_object *o, *list;

	cr_assert(json_object_object_get_ex(account, "interrupts", &o));
	cr_assert(json_object_object_get_ex(o, "vectors", &list));
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		o = json_object_array_get_idx(list, i);
		if (ib_num(o, "vcpu") != vcpu || ib_num(o, "vector") != vector)
			continue;
		cr_expect_eq(ib_num(o, "raised"),
			     ib_num(o, "delivered") + ib_num(o, "coalesced") +
				     ib_num(o, "dropped") + ib_num(o, "pending"),
			     "vector %#x of vCPU %d", vector, vcpu);
		return o;
	}
	cr_assert_fail("no vector %#x on vCPU %d", vector, vcpu);
	return NULL;
}

static void ib_expect_row(struct json_object *account, int vcpu, int vector, const char *path,
			  int64_t least)
{
	struct json_object *o = ib_row(account, vcpu, vector), *p;

	cr_assert(json_object_object_get_ex(o, "path", &p));
	cr_expect_str_eq(json_object_get_string(p), path, "vector %#x", vector);
	cr_expect_geq(ib_num(o, "delivered"), least, "vector %#x of vCPU %d", vector, vcpu);
}

/* Five samples to warm up before each measure; the vectors are those of guest/irqbench/layout.h. */
Test(irqbench, every_path_delivers)
{
	static struct child c;
	struct json_object *account;

	c = (struct child){ .argv = { child_ringside(), "run", "--smp", "4", "--stats=json",
				      child_guest("irqbench"), "-append", "cpus=4 brief", NULL },
			    .seconds = 100 };
	ib_run(&c);
	ib_expect_all(&c);
	account = json_tokener_parse(c.err);
	cr_assert_not_null(account, "%s", c.err);
	ib_expect_row(account, 0, 0x20, "external", 2 * 15); /* through the 8259A */
	ib_expect_row(account, 0, 0x41, "external", 2 * 15); /* through the I/O APIC */
	ib_expect_row(account, 0, 0x42, "external", 25);     /* UART */
	ib_expect_row(account, 0, 0x43, "system", 2 * 15 + 2 * 15);
	ib_expect_row(account, 0, 0x50, "ipi", 25 + 15); /* to itself, broadcast */
	ib_expect_row(account, 0, 0x51, "ipi", 3 * 15);  /* answers */
	ib_expect_row(account, 1, 0x50, "ipi", 2 * 15 + 3 * 15 + 15);
	ib_expect_row(account, 2, 0x50, "ipi", 15);
	ib_expect_row(account, 3, 0x50, "ipi", 15);
	json_object_put(account);
}

Test(irqbench, the_same_on_qemu)
{
	static struct child c;

	c = (struct child){ .argv = { "/usr/bin/qemu-system-i386", "-accel", "tcg,thread=single",
				      "-smp", "4", "-kernel", child_guest("irqbench"), "-append",
				      "cpus=4 brief", "-display", "none", "-serial", "stdio",
				      "-no-reboot", "-device",
				      "isa-debug-exit,iobase=0xf4,iosize=4", NULL },
			    .seconds = 100 };
	ib_run(&c);
	ib_expect_all(&c);
}

/* ---- posted by the host ---- */

static int ib_bell;
static _Atomic bool ib_quiet;

/* Rings each ms: the guest ends when it has had enough. */
static void *ib_ringer(void *arg)
{
	uint64_t one = 1;

	(void)arg;
	while (!atomic_load(&ib_quiet)) {
		if (write(ib_bell, &one, sizeof(one)) != sizeof(one))
			break;
		poll(NULL, 0, 1);
	}
	return NULL;
}

static void ib_assigned(const char *append)
{
	static struct child c;
	struct json_object *account, *o, *latency;
	pthread_t ringer;
	char option[64];

	ib_bell = eventfd(0, 0);
	snprintf(option, sizeof(option), "--assign=eventfd=%d,vector=0x60,vcpu=0", ib_bell);
	c = (struct child){ .argv = { child_ringside(), "run", option, "--stats=json",
				      child_guest("irqbench"), "-append", append, NULL },
			    .seconds = 60 };
	atomic_store(&ib_quiet, false);
	cr_assert_eq(pthread_create(&ringer, NULL, ib_ringer, NULL), 0);
	child_run(&c);
	atomic_store(&ib_quiet, true);
	pthread_join(ringer, NULL);
	close(ib_bell);
	cr_assert_eq(c.status, 33, "%s: status %d\n%s%s", append, c.status, c.out, c.err);
	cr_expect_not_null(strstr(c.out, "assigned 20\n"), "%s", c.out);
	account = json_tokener_parse(c.err);
	cr_assert_not_null(account, "%s", c.err);
	ib_expect_row(account, 0, 0x60, "assigned", 20);
	o = ib_row(account, 0, 0x60);
	cr_assert(json_object_object_get_ex(o, "latency", &latency));
	cr_expect_geq(ib_num(latency, "count"), 20);
	cr_expect_gt(ib_num(latency, "p50_ns"), 0);
	json_object_put(account);
}

Test(irqbench, posted_interrupts_reach_a_halted_and_a_computing_guest)
{
	ib_assigned("assigned=halted brief");
	ib_assigned("assigned=busy brief");
}

/* Asking for a short slice is all that it does. */
Test(irqbench, prompt_threads_keep_policy_and_niceness)
{
	struct sched_param none = { 0 };

	cr_assert_eq(setpriority(PRIO_PROCESS, 0, 7), 0);
	io_thread_prompt();
	cr_expect_eq(getpriority(PRIO_PROCESS, 0), 7);
	cr_expect_eq(sched_getscheduler(0), SCHED_OTHER);
	cr_assert_eq(sched_setscheduler(0, SCHED_BATCH, &none), 0);
	io_thread_prompt();
	cr_expect_eq(sched_getscheduler(0), SCHED_BATCH);
}
