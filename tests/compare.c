/* SPDX-License-Identifier: MIT */
/* Comparing the lines of two runs, and the files of known differences. */
#include "tests/compare.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIFFS_MAX 800

/* ---- the lines of a run ---- */

/* Cut the output into "name: result"; the last line says how many there must be. */
static void split(struct compare_run *r, const char *who, const char *image)
{
	unsigned first = r->lines, counted = 0;
	size_t len = strlen(image);
	char *next, *p;

	cr_assert_eq(r->c.status, 33, "%s: status %d\n%s%s", who, r->c.status, r->c.out, r->c.err);
	for (p = strdup(r->c.out); p && *p; p = next) {
		char *colon;

		next = strchr(p, '\n');
		cr_assert_not_null(next, "%s: the last line has no end: %s", who, p);
		*next++ = 0;
		if (!strncmp(p, image, len) && sscanf(p + len, ": %u cases", &counted) == 1)
			break;
		colon = strstr(p, ": ");
		cr_assert_not_null(colon, "%s: no case: %s", who, p);
		*colon = 0;
		cr_assert_lt(r->lines, COMPARE_LINES_MAX);
		r->line[r->lines++] = (struct compare_line){ p, colon + 2 };
	}
	cr_assert_eq(r->lines - first, counted, "%s: %u lines for %u cases", who, r->lines - first,
		     counted);
}

void compare_run(struct compare_run *r, const char *who, const char *image)
{
	child_run(&r->c);
	split(r, who, image);
}

void compare_take(struct compare_run *r, const char *who, const char *image, const char *out,
		  int status)
{
	cr_assert_lt(strlen(out), sizeof(r->c.out), "%s: too much", who);
	strcpy(r->c.out, out);
	r->c.err[0] = 0;
	r->c.status = status;
	split(r, who, image);
}

/* ---- the differences that are known ---- */

struct diff {
	char name[96], qemu[400], ringside[400];
	bool seen, may; /* may: or none */
};

static struct diff diffs[DIFFS_MAX];
static unsigned diff_count;

/* What stands behind a key like "case " becomes @to. */
static void take(char *to, size_t size, const char *line, const char *file, unsigned number)
{
	cr_assert_lt(strlen(line), size, "%s:%u: too long", file, number);
	strcpy(to, line);
}

/* A manual that a reason may cite. */
static bool cites(const char *line)
{
	static const char *const manuals[] = { "SDM", "data sheet", "Specification",
					       "Technical Reference" };

	for (size_t i = 0; i < sizeof(manuals) / sizeof(manuals[0]); i++)
		if (strstr(line, manuals[i]))
			return true;
	return false;
}

/*
 * Every class must say who is right and why, and every case belong to one.  They are added to those
 * that were read before.
 */
static void read_expected(const char *file)
{
	bool in_class = false, explained = false;
	struct diff *d = NULL;
	char line[512], right[32];
	unsigned number = 0;
	FILE *f = fopen(file, "r");

	cr_assert_not_null(f, "no %s", file);
	while (fgets(line, sizeof(line), f)) {
		number++;
		line[strcspn(line, "\n")] = 0;
		if (!*line || *line == '#')
			continue;
		if (sscanf(line, "class %*[^:]: %31s", right) == 1) {
			cr_assert(!strcmp(right, "ringside") || !strcmp(right, "qemu") ||
					  !strcmp(right, "undefined"),
				  "%s:%u: who is right?", file, number);
			in_class = true;
			explained = false;
		} else if (line[0] == '|') {
			explained |= cites(line);
		} else if (!strncmp(line, "case ", 5)) {
			cr_assert(in_class && explained,
				  "%s:%u: a case without a class that cites a manual", file,
				  number);
			cr_assert_lt(diff_count, DIFFS_MAX);
			d = &diffs[diff_count++];
			memset(d, 0, sizeof(*d));
			take(d->name, sizeof(d->name), line + 5, file, number);
		} else if (d && !strncmp(line, "q ", 2)) {
			take(d->qemu, sizeof(d->qemu), line + 2, file, number);
		} else if (d && !strncmp(line, "r ", 2)) {
			take(d->ringside, sizeof(d->ringside), line + 2, file, number);
		} else {
			cr_assert_fail("%s:%u: not understood: %s", file, number, line);
		}
	}
	fclose(f);
}

static struct diff *find_diff(const char *name)
{
	for (unsigned i = diff_count; i-- > 0;) /* the later file counts */
		if (!strcmp(diffs[i].name, name))
			return &diffs[i];
	return NULL;
}

/* ---- comparing ---- */

/* A name is how a case is found in the list of differences.  Returns how many are not unique. */
static unsigned twice(const struct compare_run *r)
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

static bool as_expected(const struct diff *d, const char *theirs, const char *ours)
{
	if (d && d->may && !strcmp(theirs, ours))
		return true;
	return d ? !strcmp(d->qemu, theirs) && !strcmp(d->ringside, ours) && strcmp(theirs, ours)
		 : !strcmp(theirs, ours);
}

static void compare(const struct compare_run *ours, const struct compare_run *theirs,
		    const char *who, unsigned at_least)
{
	unsigned bad = 0;

	cr_assert_geq(ours->lines, at_least, "only %u cases", ours->lines);
	cr_assert_eq(ours->lines, theirs->lines, "%u cases on Ringside, %u on %s", ours->lines,
		     theirs->lines, who);
	cr_assert_eq(twice(ours), 0);
	for (unsigned i = 0; i < ours->lines; i++) {
		const char *name = ours->line[i].name;
		const char *q = theirs->line[i].result, *r = ours->line[i].result;
		struct diff *d = find_diff(name);

		cr_assert_str_eq(name, theirs->line[i].name);
		if (d)
			d->seen = true;
		if (as_expected(d, q, r))
			continue;
		bad++;
		cr_expect_fail("%s: not the expected %s\n  %s: %s\n  expected: %s\n"
			       "  ringside: %s\n  expected: %s",
			       name, d ? "difference" : "same", who, q, d ? d->qemu : r, r,
			       d ? d->ringside : q);
	}
	for (unsigned i = 0; i < diff_count; i++)
		cr_expect(diffs[i].seen || diffs[i].may,
			  "%s: an expected difference, but no such case", diffs[i].name);
	cr_assert_eq(bad, 0, "%u of %u cases", bad, ours->lines);
}

void compare_runs(const struct compare_run *ours, const struct compare_run *theirs,
		  const char *expected, unsigned at_least)
{
	diff_count = 0;
	read_expected(expected);
	compare(ours, theirs, "qemu", at_least);
}

void compare_third(const struct compare_run *ours, const struct compare_run *third, const char *who,
		   const char *known, const char *expected, unsigned at_least)
{
	diff_count = 0;
	read_expected(known);
	for (unsigned i = 0; i < diff_count; i++)
		diffs[i].may = true;
	read_expected(expected);
	compare(ours, third, who, at_least);
}

bool compare_is_listed(const char *list, const char *const *groups, size_t count)
{
	size_t len = strlen(list);

	for (size_t g = 0; g < count; g++)
		for (const char *at = strstr(groups[g], list); at; at = strstr(at + 1, list))
			if ((at == groups[g] || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
				return true;
	return false;
}
