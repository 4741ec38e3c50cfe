/* SPDX-License-Identifier: MIT */
/* Build a part with a student's file and run its items. */
#ifndef RINGSIDE_LAB_GRADE_SCORE_H
#define RINGSIDE_LAB_GRADE_SCORE_H

#include <stdbool.h>

#define SCORE_ITEMS 40
#define SCORE_TEXT  6000

struct score_item {
	char name[64];
	unsigned points;  /* to be had; 0: shown, but not counted */
	unsigned seconds; /* its time limit */
	bool ok;
	char why[SCORE_TEXT]; /* lost: a sentence, and lines of context */
};

struct score {
	char part;
	char title[80];
	unsigned items, points, earned;
	bool built;
	char error[SCORE_TEXT]; /* not built: the compiler's first error, or the linker's */
	struct score_item item[SCORE_ITEMS];
};

/* The parts there are, as "ABCDE".  Returns how many. */
unsigned score_parts(char parts[27]);
/*
 * What can be earned in @part, from lab/X/points.  Returns 0, or -EINVAL with a sentence on stderr.
 * The items are read from there and not from the program under test.
 */
int score_read(struct score *s, char part);
/*
 * Build @part with the student's @file (NULL: the one in lab/) into @out and run its items.
 * Up to two make jobs.  Returns 0 whatever the student's code does; negative errno if the grader
 * itself could not work.
 */
int score_part(struct score *s, char part, const char *file, const char *out);

#endif
