/* SPDX-License-Identifier: MIT */
/* Images of several processors, run as a user would, and on QEMU. */
#include <criterion/criterion.h>
#include <json-c/json.h>
#include <string.h>

#include "tests/child.h"

#define QEMU "qemu-system-i386"
#define WELL 33 /* 0x10 through port 0xf4 */

/*
 * With one thread for all processors: with several, QEMU 7.2 now and then leaves an interrupt in
 * the IRR of a processor that could take it.
 */
static void on_qemu(const char *guest, const char *cpus, const char *cmdline)
{
	static struct child c;

	c = (struct child){ .argv = { QEMU, "-accel", "tcg,thread=single", "-smp", cpus, "-kernel",
				      child_guest(guest), "-append", cmdline, "-display", "none",
				      "-no-reboot", "-device",
				      "isa-debug-exit,iobase=0xf4,iosize=4", NULL },
			    .seconds = 80 };
	child_run(&c);
	cr_expect_eq(c.status, WELL, "%s on QEMU: %d\n%s%s", guest, c.status, c.out, c.err);
}

/*
 * One vCPU changes a page table and interrupts another, which does INVLPG: from its acknowledgement
 * on it never sees what was mapped before (SDM Vol. 3A, 4.10.5).
 */
Test(smp_guests, tlb_shootdown, .timeout = 180)
{
	static struct child c;

	for (unsigned pause = 0; pause < 2; pause++) {
		c = (struct child){ .argv = { child_ringside(), "run", "--smp", "2", "--pause",
					      pause ? "trap" : "native", child_guest("shootdown"),
					      NULL },
				    .seconds = 60 };
		child_run(&c);
		cr_expect_eq(c.status, WELL, "status %d: %s%s", c.status, c.out, c.err);
	}
	on_qemu("shootdown", "2", "");
}

static int64_t number(struct json_object *o, const char *key)
{
	struct json_object *val;

	cr_assert(json_object_object_get_ex(o, key, &val), "%s", key);
	return json_object_get_int64(val);
}

/* What was raised is delivered, coalesced, dropped or pending; each delivery is in the histogram.
 */
Test(smp_guests, the_account_of_interrupts_adds_up, .timeout = 90)
{
	struct json_object *o, *irqs, *vectors, *row, *latency, *buckets;
	static struct child c;
	int64_t delivered = 0;

	c = (struct child){ .argv = { child_ringside(), "run", "--smp", "2", "--stats=json",
				      child_guest("shootdown"), NULL },
			    .seconds = 60 };
	child_run(&c);
	cr_expect_eq(c.status, WELL, "status %d: %s%s", c.status, c.out, c.err);
	o = json_tokener_parse(c.err);
	cr_assert(json_object_object_get_ex(o, "interrupts", &irqs), "%s", c.err);
	cr_assert(json_object_object_get_ex(irqs, "vectors", &vectors));
	for (size_t i = 0; i < json_object_array_length(vectors); i++) {
		int64_t sum = 0;

		row = json_object_array_get_idx(vectors, i);
		delivered += number(row, "delivered");
		cr_expect_eq(number(row, "raised"),
			     number(row, "delivered") + number(row, "coalesced") +
				     number(row, "dropped") + number(row, "pending"));
		cr_assert(json_object_object_get_ex(row, "latency", &latency));
		cr_assert(json_object_object_get_ex(latency, "buckets_ns", &buckets));
		for (size_t k = 0; k < json_object_array_length(buckets); k++)
			sum += json_object_get_int64(json_object_array_get_idx(
				json_object_array_get_idx(buckets, k), 2));
		cr_expect_eq(sum, number(latency, "count"));
		cr_expect_eq(sum, number(row, "delivered"));
	}
	cr_expect_eq(delivered, 50, "one a shootdown: %lld", (long long)delivered);
	json_object_put(o);
}

/* The number of PAUSEs in the account of @argv's run, whose statistics are JSON on stderr. */
static long pauses(struct child *c)
{
	struct json_object *o, *exits, *row, *val;
	long n = 0;

	child_run(c);
	cr_expect_eq(c->status, WELL, "status %d: %s%s", c->status, c->out, c->err);
	o = json_tokener_parse(c->err);
	cr_assert_not_null(o, "%s", c->err);
	cr_assert(json_object_object_get_ex(o, "causes", &exits));
	for (size_t i = 0; i < json_object_array_length(exits); i++) {
		row = json_object_array_get_idx(exits, i);
		cr_assert(json_object_object_get_ex(row, "cause", &val));
		if (strcmp(json_object_get_string(val), "pause"))
			continue;
		cr_assert(json_object_object_get_ex(row, "count", &val));
		n = json_object_get_int64(val);
	}
	json_object_put(o);
	return n;
}

/*
 * A ticket lock with more vCPUs than CPUs.  Each is in its turn the only one that can go on, and
 * the others spin: where PAUSE does not trap, a turn may take a time slice of each of them.
 */
Test(smp_guests, eight_vcpus_pass_a_ticket_lock_on, .timeout = 180)
{
	static struct child c;

	c = (struct child){ .argv = { child_ringside(), "run", "--smp", "8", "--pause", "trap",
				      "--stats=json", "--append", "8", child_guest("ticket"),
				      NULL },
			    .seconds = 120 };
	cr_expect_geq(pauses(&c), 1);
	on_qemu("ticket", "8", "8");
}

/* auto: where there are more vCPUs than CPUs; one waits for nobody. */
Test(smp_guests, pause_traps_by_itself_where_vcpus_compete, .timeout = 180)
{
	static struct child c;

	c = (struct child){ .argv = { "taskset", "-c", "0", child_ringside(), "run", "--smp", "2",
				      "--stats=json", "--append", "2", child_guest("ticket"),
				      NULL },
			    .seconds = 120 };
	cr_expect_geq(pauses(&c), 1);
	c = (struct child){ .argv = { child_ringside(), "run", "--stats=json", "--append", "1",
				      child_guest("ticket"), NULL } };
	cr_expect_eq(pauses(&c), 0);
}
