/* SPDX-License-Identifier: MIT */
/*
 * guest/workloads: each does its work on Ringside, with exactly the traps that follow from the
 * number of its operations; on QEMU, with the same result; and on KVM, where that can run it.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/child.h"
#include "tests/kvm_here.h"
#include "vmm/kvm/priv.h"

TestSuite(workloads, .timeout = 100);

#define QEMU "/usr/bin/qemu-system-i386"
#define GOOD 33
#define BAD  35

struct trap {
	const char *cause;
	int per, more; /* so many for each operation, and these */
};

static const struct workload {
	const char *name;
	int n;
	struct trap trap[5];     /* of the world engine */
	int vector;              /* an interrupt for each operation; 0: none */
	const char *pvm_refuses; /* what kvm_pvm makes of it: it cannot run */
} workloads[] = {
	{ "cli-sti", 1000, { { "cli", 1, 0 }, { "sti", 1, 0 }, { "mmio", 0, 0 } }, 0, NULL },
	{ "popf", 1001, { { "popf", 1, 0 }, { "cli", 0, 0 }, { "sti", 0, 0 } }, 0, NULL },
	{ "pushf", 1001, { { "pushf", 1, 0 }, { "cli", 0, 1 }, { "sti", 0, 1 } }, 0, NULL },
	{ "cpuid", 1000, { { "cpuid", 1, 0 } }, 0, NULL },
	{ "mmio", 1000, { { "mmio", 3, 0 } }, 0, NULL },
	{ "pio", 1000, { { "mmio", 0, 0 }, { "cli", 0, 0 } }, 0, NULL },
	/* the local APIC is set up with 5 writes */
	{ "apic-eoi", 1000, { { "mmio", 1, 5 } }, 0, NULL },
	{ "apic-tpr", 1000, { { "mmio", 2, 6 } }, 0, NULL },
	{ "apic-icr", 500, { { "mmio", 2, 5 }, { "iret", 1, 0 }, { "cli", 0, 1 } }, 0x41, NULL },
	{ "timer", 30, { { "mmio", 2, 6 }, { "iret", 1, 0 } }, 0x40, NULL },
	{ "ipi", 50, { { "iret", 2, 0 } }, 0x42, NULL },
	{ "syscall",
	  1000,
	  { { "int 0x80", 1, 0 }, { "iret", 1, 1 }, { "int 0x81", 0, 1 }, { "mov to cr", 0, 0 } },
	  0,
	  "vector 6," },
	{ "syscall-paging",
	  1000,
	  { { "int 0x80", 1, 0 }, { "iret", 1, 1 }, { "int 0x81", 0, 1 }, { "mov to cr", 0, 3 } },
	  0,
	  "vector 13," },
	{ "context-switch",
	  1001,
	  { { "int 0x82", 1, 0 }, { "iret", 1, 1 }, { "int 0x81", 0, 1 }, { "mov to cr", 0, 0 } },
	  0,
	  "vector 6," },
	/* CR3 at each switch, and when the first task begins; CR4, CR3, CR0 to begin with paging */
	{ "context-switch-paging",
	  1001,
	  { { "int 0x82", 1, 0 }, { "iret", 1, 1 }, { "mov to cr", 1, 4 }, { "#PF", 0, 0 } },
	  0,
	  "vector 13," },
	/* 64 frames: the first 64 faults take nothing away; CR2 each, and CR4 and CR0 once */
	{ "page-fault",
	  1200,
	  { { "#PF", 1, 0 },
	    { "iret", 1, 1 },
	    { "mov from cr", 1, 2 },
	    { "invlpg", 1, -64 },
	    { "int 0x81", 0, 1 } },
	  14,
	  "vector 13," },
};
#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

static const char *image(const struct workload *w)
{
	char name[64];

	snprintf(name, sizeof(name), "workload-%s", w->name);
	return child_guest(name);
}

/* "n=1000"; for one test at a time. */
static const char *count_of(const struct workload *w)
{
	static char text[32];

	snprintf(text, sizeof(text), "n=%d", w->n);
	return text;
}

static void on_ringside(struct child *c, const struct workload *w, const char *engine)
{
	*c = (struct child){ .argv = { child_ringside(), "run", "--engine", engine, "--smp", "2",
				       "--stats=json", image(w), "-append", count_of(w), NULL },
			     .seconds = 60 };
	child_run(c);
}

static void on_qemu(struct child *c, const struct workload *w)
{
	*c = (struct child){ .argv = { QEMU, "-accel", "tcg,thread=single", "-smp", "2", "-kernel",
				       image(w), "-append", count_of(w), "-display", "none",
				       "-serial", "stdio", "-no-reboot", "-device",
				       "isa-debug-exit,iobase=0xf4,iosize=4", NULL },
			     .seconds = 60 };
	child_run(c);
}

static void expect_result(const struct child *c, const struct workload *w, const char *where)
{
	char line[96];

	snprintf(line, sizeof(line), "%s: %d operations, checksum 0x", w->name, w->n);
	cr_assert_eq(c->status, GOOD, "%s on %s: status %d\n%s%s", w->name, where, c->status,
		     c->out, c->err);
	cr_expect_not_null(strstr(c->out, line), "%s on %s: %s", w->name, where, c->out);
}

/* ---- the account ---- */

static struct json_object *account_of(const struct child *c)
{
	const char *json = strchr(c->err, '{'); /* behind the note on kvm_pvm */
	struct json_object *o = json ? json_tokener_parse(json) : NULL;

	cr_assert_not_null(o, "%s", c->err);
	return o;
}

static int64_t num(struct json_object *o, const char *key)
{
	struct json_object *n;

	cr_assert(json_object_object_get_ex(o, key, &n), "no key %s", key);
	return json_object_get_int64(n);
}

static int64_t traps(struct json_object *account, const char *cause)
{
	struct json_object *list, *name;

	cr_assert(json_object_object_get_ex(account, "causes", &list));
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (json_object_object_get_ex(o, "cause", &name) &&
		    !strcmp(json_object_get_string(name), cause))
			return num(o, "count");
	}
	return 0;
}

static int64_t injected(struct json_object *account, int vector)
{
	struct json_object *list;

	cr_assert(json_object_object_get_ex(account, "injected", &list));
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (num(json_object_array_get_idx(list, i), "vector") == vector)
			return num(json_object_array_get_idx(list, i), "count");
	return 0;
}

static void expect_traps(struct json_object *account, const struct workload *w, size_t printed)
{
	for (const struct trap *t = w->trap; t < w->trap + 5 && t->cause; t++)
		cr_expect_eq(traps(account, t->cause), t->per * w->n + t->more,
			     "%s: %lld %s, not %d * %d + %d", w->name,
			     (long long)traps(account, t->cause), t->cause, t->per, w->n, t->more);
	if (w->vector)
		cr_expect_eq(injected(account, w->vector), w->n, "%s: vector %#x %lld times",
			     w->name, w->vector, (long long)injected(account, w->vector));
	/* Each character, a mask for each 8259A, the exit port. */
	cr_expect_eq(traps(account, "out"), printed + 3, "%s: %lld out", w->name,
		     (long long)traps(account, "out"));
	/* One look at the UART before each character, at least one after the last. */
	cr_expect_geq(traps(account, "in"), printed + 1, "%s", w->name);
}

/* A tick needs no more than one sleep; several that came together have been one. */
static void expect_sleeps(struct json_object *account, const struct workload *w)
{
	int64_t sleeps = traps(account, "hlt");

	if (strcmp(w->name, "timer"))
		return;
	cr_expect(sleeps > 0 && sleeps <= w->n, "%lld sleeps", (long long)sleeps);
	cr_expect_eq(traps(account, "sti"), sleeps);
	cr_expect_eq(traps(account, "cli"), sleeps);
}

/* ---- KVM ---- */

static void expect_on_kvm(const struct workload *w, struct json_object *world, const char *result)
{
	static const char *const same[] = { "mmio", "out" };
	static struct child c;
	struct json_object *account;

	on_ringside(&c, w, "kvm");
	if (!kvm_here()) {
		cr_expect_eq(c.status, 4, "%d %s", c.status, c.err);
		cr_expect_not_null(strstr(c.err, "--engine world"), "%s", c.err);
		return;
	}
	if (w->pvm_refuses && kvm_here_is_pvm()) {
		cr_expect_eq(c.status, BAD, "%s: %d %s%s", w->name, c.status, c.out, c.err);
		cr_expect_not_null(strstr(c.out, w->pvm_refuses), "%s: %s", w->name, c.out);
		return;
	}
	expect_result(&c, w, "KVM");
	cr_expect_str_eq(c.out, result);
	account = account_of(&c);
	/* ipi polls a timer while the second CPU starts */
	for (size_t i = 0; i < 2 && strcmp(w->name, "ipi"); i++)
		cr_expect_eq(traps(account, same[i]), traps(world, same[i]), "%s: %s", w->name,
			     same[i]);
	json_object_put(account);
}

/* ---- the tests ---- */

ParameterizedTestParameters(workloads, same_work_everywhere)
{
	static int index[WORKLOADS];

	for (size_t i = 0; i < WORKLOADS; i++)
		index[i] = (int)i;
	return cr_make_param_array(int, index, WORKLOADS);
}

ParameterizedTest(const int *index, workloads, same_work_everywhere)
{
	const struct workload *w = &workloads[*index];
	static struct child ours, theirs;
	struct json_object *account;

	on_ringside(&ours, w, "world");
	expect_result(&ours, w, "the world engine");
	account = account_of(&ours);
	expect_traps(account, w, strlen(ours.out));
	expect_sleeps(account, w);
	on_qemu(&theirs, w);
	expect_result(&theirs, w, "QEMU");
	cr_expect_str_eq(ours.out, theirs.out, "%s\n%s", ours.out, theirs.out);
	expect_on_kvm(w, account, ours.out);
	json_object_put(account);
}

/* Without n=: the number of its own; words that only look like it do not count. */
Test(workloads, has_a_number_of_its_own)
{
	static struct child c;

	c = (struct child){ .argv = { child_ringside(), "run", child_guest("workload-cli-sti"),
				      "-append", "nn=7 m n", NULL } };
	child_run(&c);
	cr_expect_eq(c.status, GOOD, "%d %s%s", c.status, c.out, c.err);
	cr_expect_not_null(strstr(c.out, "cli-sti: 20000 operations"), "%s", c.out);
}
