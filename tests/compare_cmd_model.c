/* SPDX-License-Identifier: MIT */
/*
 * The model against a KVM, where there is one: exits to user space that both engines must have, in
 * guests that do the same however long things take.  Tolerance: none for port I/O, MMIO and hlt;
 * nor for windows and interrupts in guest/exits, whose interrupts are its own.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/compare_cmd.h"
#include "vmm/cli.h"

TestSuite(compare_cmd_model, .timeout = 120);

/* Only what KVM says why it does not run may keep this from being tested. */
static bool measured(struct json_object *o)
{
	if (json_object_get_boolean(compare_at(o, "engines/kvm/ran")))
		return true;
	cr_expect_gt(strlen(compare_str(o, "engines/kvm/why")), 10, "no reason");
	cr_expect_not_null(strstr(compare_child.out, compare_str(o, "engines/kvm/why")));
	return false;
}

static struct json_object *row_of(struct json_object *o, const char *name)
{
	struct json_object *rows = compare_at(o, "rows");

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (!strcmp(compare_str(row, "name"), name))
			return row;
	}
	return NULL;
}

static struct json_object *agreement_of(struct json_object *o, const char *what)
{
	struct json_object *list = compare_at(o, "agreement");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *a = json_object_array_get_idx(list, i);

		if (!strcmp(compare_str(a, "what"), what))
			return a;
	}
	cr_assert_fail("no row %s", what);
	return NULL;
}

static void expect_agreement(struct json_object *o, const char *what, uint64_t min, uint64_t max)
{
	struct json_object *a = agreement_of(o, what);

	cr_expect(json_object_get_boolean(json_object_object_get(a, "agree")), "%s:\n%s", what,
		  compare_child.out);
	cr_expect_geq(compare_num(a, "measured_min"), min, "%s:\n%s", what, compare_child.out);
	cr_expect_leq(compare_num(a, "measured_max"), max, "%s:\n%s", what, compare_child.out);
}

static uint64_t least(struct json_object *o, const char *name, const char *config)
{
	struct json_object *r = json_object_object_get(
		json_object_object_get(row_of(o, name), "model"), config);

	cr_assert_not_null(r, "%s, %s", name, config);
	return json_object_get_uint64(json_object_array_get_idx(r, 0));
}

/* What guest/exits/start.S does: 400 in and out and the last out; outs of 16, ins of 8. */
Test(compare_cmd_model, known_exits_are_modelled_and_measured_exactly)
{
	struct json_object *o = compare_guest("exits", NULL, NULL, STATUS_OK);

	cr_expect_eq(compare_num(o, "engines/world/status"), 33);
	cr_expect_eq(compare_num(row_of(o, "out"), "world/n"), 201);
	cr_expect_eq(compare_num(row_of(o, "in"), "world/n"), 200);
	cr_expect_eq(compare_num(row_of(o, "hlt"), "world/n"), 20);
	cr_expect_eq(compare_num(row_of(o, "mmio"), "world/n"), 183);
	cr_expect_eq(compare_num(row_of(o, "sti"), "world/n"), 40);
	cr_expect_eq(least(o, "sti", "vtx-ept"), 0);
	cr_expect_eq(least(o, "out", "svm-npt"), 201);
	cr_expect_eq(least(o, "interrupt window", "vtx-ept"), 40);
	cr_expect_eq(least(o, "interrupt window", "vtx-apicv"), 0);
	if (measured(o)) {
		cr_expect_eq(compare_num(o, "engines/kvm/status"), 33);
		cr_expect_eq(compare_num(row_of(o, "in"), "kvm/n"), 200);
		/* One exit for a string instruction, or for each of its elements. */
		expect_agreement(o, "port I/O", 201 + 200 + 2, 201 + 200 + 16 + 8);
		/* One of the instructions reads and writes. */
		expect_agreement(o, "MMIO", 183, 184);
		expect_agreement(o, "accesses of devices", 201 + 200 + 16 + 8 + 184,
				 201 + 200 + 16 + 8 + 184);
		expect_agreement(o, "hlt", 20, 20);
		expect_agreement(o, "interrupt windows", 40, 40);
		expect_agreement(o, "interrupts taken", 40, 40);
		cr_expect(json_object_get_boolean(compare_at(o, "console/same")));
	}
	json_object_put(o);
}

/* A kernel with timers: no count of ours, but the same exits within what the report allows. */
Test(compare_cmd_model, the_demo_of_minios_agrees)
{
	struct json_object *o = compare_guest("minios", "-append=demo", NULL, STATUS_OK);

	if (measured(o)) {
		expect_agreement(o, "port I/O", 1900, 2100);
		expect_agreement(o, "hlt", 50, 200);
		expect_agreement(o, "interrupts taken", 50, 200);
		cr_expect(json_object_get_boolean(compare_at(o, "console/same")), "%s",
			  compare_child.out);
	}
	json_object_put(o);
}
