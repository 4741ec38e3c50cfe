/* SPDX-License-Identifier: MIT */
/*
 * The emulator and the decoder against the real CPU in a world: random instructions of every form
 * (tests/diff.h).  `make fuzz` runs many more; a failing case is printed with the arguments for
 * build/tests/fuzz-differential that run it alone.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/diff.h"

#define CASES 20000ul

TestSuite(differential, .timeout = 120);

static struct diff *begin(FILE *out)
{
	struct diff *d = malloc(sizeof(*d));

	cr_assert(d);
	cr_assert_eq(diff_open(d, out), 0);
	return d;
}

static void end(struct diff *d)
{
	diff_close(d);
	free(d);
}

Test(differential, emulator_agrees_with_the_cpu)
{
	unsigned forms = diff_templates();
	bool *worked = calloc(forms, sizeof(*worked));
	struct diff *d = begin(stderr);
	struct diff_case c;

	cr_assert(worked);
	for (unsigned long i = 0; i < CASES; i++) {
		int verdict;

		diff_generate(&c, 20240229, i);
		verdict = diff_run(d, &c);
		cr_assert_geq(verdict, 0, "the world failed: %s", d->native_vm.death);
		worked[i % forms] |= verdict == DIFF_SAME;
		if (d->count[DIFF_MISMATCH] == 5)
			break;
	}
	cr_expect_eq(d->count[DIFF_MISMATCH], 0);
	/* The comparison must be worth something: most cases run, and each form at least once. */
	cr_expect_gt(d->count[DIFF_SAME], CASES * 7 / 10, "only %lu ran", d->count[DIFF_SAME]);
	for (unsigned i = 0; i < forms && !d->count[DIFF_MISMATCH]; i++) {
		diff_generate(&c, 0, i);
		cr_expect(worked[i], "form %u, %s, never ran to its end", i, c.template);
	}
	free(worked);
	end(d);
}

/* A wrong register in one case in two is noticed in all of these, and nowhere else. */
Test(differential, a_wrong_result_is_noticed)
{
	FILE *null = fopen("/dev/null", "w");
	struct diff *d;
	struct diff_case c;

	cr_assert(null);
	d = begin(null);
	for (unsigned long i = 0; i < 200; i++) {
		int honest, wrong;

		diff_generate(&c, 5, i);
		d->tamper = 0;
		honest = diff_run(d, &c);
		d->tamper = 0x80;
		wrong = diff_run(d, &c);
		if (honest == DIFF_SAME)
			cr_expect_eq(wrong, DIFF_MISMATCH, "case %lu, %s", i, c.template);
		else
			cr_expect_neq(honest, DIFF_MISMATCH, "case %lu, %s", i, c.template);
	}
	cr_expect_gt(d->count[DIFF_MISMATCH], 100);
	end(d);
	fclose(null);
}

/* The same seed and index give the same case, another index another one. */
Test(differential, cases_are_reproducible)
{
	struct diff_case a, b;

	diff_generate(&a, 7, 123456);
	diff_generate(&b, 7, 1);
	diff_generate(&b, 7, 123456);
	cr_expect_arr_eq(&a, &b, sizeof(a));
	diff_generate(&b, 7, 123456 + diff_templates());
	cr_expect_neq(memcmp(&a, &b, sizeof(a)), 0);
	diff_generate(&b, 8, 123456);
	cr_expect_neq(memcmp(&a, &b, sizeof(a)), 0);
}
