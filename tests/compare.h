/* SPDX-License-Identifier: MIT */
/*
 * The lines of one guest image on two machines: "name: result", one a case, and at the end how many
 * there must have been.  They must be equal but for exactly the differences of a file, each of
 * which says who is right and why.
 */
#ifndef RINGSIDE_TESTS_COMPARE_H
#define RINGSIDE_TESTS_COMPARE_H

#include "tests/child.h"

#define COMPARE_LINES_MAX 5000

struct compare_line {
	char *name, *result;
};

/* A run, or several one after the other. */
struct compare_run {
	struct compare_line line[COMPARE_LINES_MAX];
	unsigned lines;
	struct child c; /* the last one */
};

/*
 * Run @r->c, which must end with status 33, and append its lines.  @who names it in messages,
 * @image is what the guest calls itself in its last line.  The test fails if that is not
 * well-formed.
 */
void compare_run(struct compare_run *r, const char *who, const char *image);

/* The same with what somebody else ran: it printed @out and ended with @status. */
void compare_take(struct compare_run *r, const char *who, const char *image, const char *out,
		  int status);

/*
 * Fails the test unless @ours and @theirs have the same cases, at least @at_least, each of its own
 * name, with the same results but for those in @expected.  The format of that file is at its top.
 */
void compare_runs(const struct compare_run *ours, const struct compare_run *theirs,
		  const char *expected, unsigned at_least);

/*
 * The same for a machine @who that QEMU's CPU carries: a case may also have the result that the
 * file
 * @known has for QEMU.  In @expected, which has the same format, are those with a third one ("q"),
 * which must be so.
 */
void compare_third(const struct compare_run *ours, const struct compare_run *third, const char *who,
		   const char *known, const char *expected, unsigned at_least);

/* Is @list one of the words of @groups, an array of @count strings? */
bool compare_is_listed(const char *list, const char *const *groups, size_t count);

#endif
