/* SPDX-License-Identifier: MIT */
/*
 * guest/conform on QEMU (TCG) and on Ringside, line by line.  They must be equal but for exactly
 * the differences of tests/conform.expected-differences, each of which says who is right.
 */
#include <cpuid.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/child.h"

#define QEMU           "/usr/bin/qemu-system-i386"
#define EXPECTED       "tests/conform.expected-differences"
#define LINES_MAX      5000
#define DIFFS_MAX      800
#define CASES_AT_LEAST 3600 /* without those that need XSAVE */

/* Every list of guest/conform/main.c, in a few runs: the output of one must fit in struct child. */
static const char *const groups[] = {
	"flags interrupts io dtable control msr probe segload segstore",
	"far softint iret exceptions step undefined limits prefix",
	"pfmatrix paging",
	"user restart userseg",
	"rings inner tss",
};
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

/*
 * "max" less what Ringside's CPUID policy never offers and what would show: so both have DE, PSE,
 * PAE, PGE, MCE, PAT, MTRR, SSE, XSAVE (if the host has), and neither VME, SEP, SMAP, UMIP, ...
 */
static const char *qemu_cpu(void)
{
	static char cpu[256];
	unsigned a, b, c = 0, d;

	__get_cpuid(1, &a, &b, &c, &d);
	snprintf(cpu, sizeof(cpu),
		 "max,-vme,-sep,-smap,-smep,-umip,-fsgsbase,-monitor,-rdpid,-svm,-pku,-invpcid,"
		 "-pcid,-x2apic%s",
		 c & (1u << 27) ? "" : ",-xsave");
	return cpu;
}

/* ---- the lines of a run ---- */

struct conform_line {
	char *name, *result;
};

struct conform_run {
	struct conform_line line[LINES_MAX];
	unsigned lines;
	struct child c;
};

/* Cut the output into "name: result"; the last line says how many there must be. */
static void split(struct conform_run *r, const char *who)
{
	unsigned first = r->lines, counted = 0;
	char *next, *p;

	cr_assert_eq(r->c.status, 33, "%s: status %d\n%s%s", who, r->c.status, r->c.out, r->c.err);
	for (p = strdup(r->c.out); p && *p; p = next) {
		char *colon;

		next = strchr(p, '\n');
		cr_assert_not_null(next, "%s: the last line has no end: %s", who, p);
		*next++ = 0;
		if (sscanf(p, "conform: %u cases", &counted) == 1)
			break;
		colon = strstr(p, ": ");
		cr_assert_not_null(colon, "%s: no case: %s", who, p);
		*colon = 0;
		cr_assert_lt(r->lines, LINES_MAX);
		r->line[r->lines++] = (struct conform_line){ p, colon + 2 };
	}
	cr_assert_eq(r->lines - first, counted, "%s: %u lines for %u cases", who, r->lines - first,
		     counted);
}

static void run_qemu(struct conform_run *r, const char *lists)
{
	struct child qemu = { .argv = { QEMU, "-accel", "tcg", "-cpu", qemu_cpu(), "-m", "64",
					"-kernel", child_guest("conform"), "-append", lists,
					"-display", "none", "-serial", "stdio", "-no-reboot",
					"-device", "isa-debug-exit,iobase=0xf4,iosize=4", NULL },
			      .seconds = 60 };

	r->c = qemu;
	child_run(&r->c);
	split(r, "qemu");
}

static void run_ringside(struct conform_run *r, const char *lists)
{
	struct child ringside = { .argv = { child_ringside(), "run", "-m", "64", "--cpuid",
					    "-x2apic", child_guest("conform"), "-append", lists,
					    NULL },
				  .seconds = 60 };

	r->c = ringside;
	child_run(&r->c);
	split(r, "ringside");
}

/* ---- the differences that are known ---- */

struct conform_diff {
	char name[96], qemu[400], ringside[400];
	bool seen;
};

static struct conform_diff diffs[DIFFS_MAX];
static unsigned diff_count;

/* What stands behind a key like "case " becomes @to. */
static void take(char *to, size_t size, const char *line, unsigned number)
{
	cr_assert_lt(strlen(line), size, EXPECTED ":%u: too long", number);
	strcpy(to, line);
}

/*
 * Reads the file (its format is at its top).  Every class must say who is right and why, and every
 * case belong to one.
 */
static void read_expected(void)
{
	bool in_class = false, explained = false;
	struct conform_diff *d = NULL;
	char line[512], right[32];
	unsigned number = 0;
	FILE *f = fopen(EXPECTED, "r");

	cr_assert_not_null(f, "no " EXPECTED);
	while (fgets(line, sizeof(line), f)) {
		number++;
		line[strcspn(line, "\n")] = 0;
		if (!*line || *line == '#')
			continue;
		if (sscanf(line, "class %*[^:]: %31s", right) == 1) {
			cr_assert(!strcmp(right, "ringside") || !strcmp(right, "qemu") ||
					  !strcmp(right, "undefined"),
				  EXPECTED ":%u: who is right?", number);
			in_class = true;
			explained = false;
		} else if (line[0] == '|') {
			explained |= strstr(line, "SDM") != NULL;
		} else if (!strncmp(line, "case ", 5)) {
			cr_assert(in_class && explained,
				  EXPECTED ":%u: a case without a class that cites the SDM",
				  number);
			cr_assert_lt(diff_count, DIFFS_MAX);
			d = &diffs[diff_count++];
			take(d->name, sizeof(d->name), line + 5, number);
		} else if (d && !strncmp(line, "q ", 2)) {
			take(d->qemu, sizeof(d->qemu), line + 2, number);
		} else if (d && !strncmp(line, "r ", 2)) {
			take(d->ringside, sizeof(d->ringside), line + 2, number);
		} else {
			cr_assert_fail(EXPECTED ":%u: not understood: %s", number, line);
		}
	}
	fclose(f);
}

static struct conform_diff *find_diff(const char *name)
{
	for (unsigned i = 0; i < diff_count; i++)
		if (!strcmp(diffs[i].name, name))
			return &diffs[i];
	return NULL;
}

/* ---- the tests ---- */

TestSuite(conform, .timeout = 300);

static struct conform_run theirs, ours;

/* A name is how a case is found in the list of differences.  Returns how many are not unique. */
static unsigned twice(const struct conform_run *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->lines; i++)
		for (unsigned j = 0; j < i; j++)
			if (!strcmp(r->line[i].name, r->line[j].name)) {
				cr_log_error("two cases of the name \"%s\"", r->line[i].name);
				n++;
			}
	return n;
}

Test(conform, equals_qemu_but_for_the_explained_differences)
{
	unsigned bad = 0;

	read_expected();
	for (size_t i = 0; i < GROUPS; i++) {
		run_qemu(&theirs, groups[i]);
		run_ringside(&ours, groups[i]);
	}
	cr_assert_geq(ours.lines, CASES_AT_LEAST, "only %u cases", ours.lines);
	cr_assert_eq(ours.lines, theirs.lines, "%u cases on Ringside, %u on QEMU", ours.lines,
		     theirs.lines);
	cr_assert_eq(twice(&ours), 0);
	for (unsigned i = 0; i < ours.lines; i++) {
		const char *name = ours.line[i].name;
		const char *q = theirs.line[i].result, *r = ours.line[i].result;
		struct conform_diff *d = find_diff(name);

		cr_assert_str_eq(name, theirs.line[i].name);
		if (d && !d->seen) {
			d->seen = true;
			if (strcmp(d->qemu, q) || strcmp(d->ringside, r) || !strcmp(q, r)) {
				bad++;
				cr_expect_fail("%s: not the expected difference\n  qemu:     %s\n"
					       "  expected: %s\n  ringside: %s\n  expected: %s",
					       name, q, d->qemu, r, d->ringside);
			}
		} else if (d) {
			cr_expect_fail("%s: two cases of that name", name);
		} else if (strcmp(q, r)) {
			bad++;
			cr_expect_fail("%s\n  qemu:     %s\n  ringside: %s", name, q, r);
		}
	}
	for (unsigned i = 0; i < diff_count; i++)
		cr_expect(diffs[i].seen, "%s: an expected difference, but no such case",
			  diffs[i].name);
	cr_assert_eq(bad, 0, "%u of %u cases", bad, ours.lines);
}

/* guest/conform names its lists itself: none is forgotten above. */
Test(conform, no_list_is_left_out)
{
	run_ringside(&ours, "lists");
	cr_assert_geq(ours.lines, 20);
	for (unsigned i = 0; i < ours.lines; i++) {
		const char *name = ours.line[i].name;
		bool found = !strcmp(name, "alone"); /* cases_without_qemu */

		for (size_t g = 0; g < GROUPS && !found; g++) {
			const char *at = strstr(groups[g], name);

			for (; at && !found; at = strstr(at + 1, name))
				found = (at == groups[g] || at[-1] == ' ') &&
					(at[strlen(name)] == ' ' || !at[strlen(name)]);
		}
		cr_expect(found, "list \"%s\" is not compared", name);
	}
}

/* Cases that QEMU cannot run: reserved bits of CR4, CR0 without sense, LOCK with control flow. */
Test(conform, cases_without_qemu)
{
	static const char *const must[] = {
		"mov cr0/80000010: #GP(0000) +0", /* PG without PE */
		"mov cr0/a0000011: #GP(0000) +0", /* NW without CD */
		"lock hlt: #UD +0",
		"lock lgdt: #UD +0",
		"lock iret: #UD +0",
		"lock lret: #UD +0",
	};
	unsigned cr4 = 0;

	run_ringside(&ours, "alone");
	for (size_t i = 0; i < sizeof(must) / sizeof(must[0]); i++)
		cr_expect_not_null(strstr(ours.c.out, must[i]), "no \"%s\" in\n%s", must[i],
				   ours.c.out);
	for (unsigned i = 0; i < ours.lines; i++) {
		if (strncmp(ours.line[i].name, "mov cr4/", 8))
			continue;
		cr4++;
		cr_expect_str_eq(ours.line[i].result, "#GP(0000) +0", "%s: %s", ours.line[i].name,
				 ours.line[i].result);
	}
	cr_expect_eq(cr4, 21);
}
