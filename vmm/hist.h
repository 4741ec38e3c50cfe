/* SPDX-License-Identifier: MIT */
/*
 * A log-linear histogram of durations: 16 equal buckets to every power of two, so that a percentile
 * is known to within 1/16 of itself, with a fixed size and no sorting.
 */
#ifndef RINGSIDE_VMM_HIST_H
#define RINGSIDE_VMM_HIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HIST_SUB_BITS 4
#define HIST_SUB      (1u << HIST_SUB_BITS)
#define HIST_MAX_EXP  40 /* values from 2^41 ns (37 minutes) on share the last bucket */
#define HIST_BUCKETS  ((HIST_MAX_EXP - HIST_SUB_BITS + 2) * HIST_SUB)

struct hist {
	uint64_t count, sum, max;
	uint64_t bucket[HIST_BUCKETS];
};

/* One thread at a time. */
void hist_add(struct hist *h, uint64_t val);
/* Add all of @from, to which another thread may be adding, to @to, which is the caller's. */
void hist_merge(struct hist *to, const struct hist *from);
/* Rounded down; 0 if there are no values. */
uint64_t hist_mean(const struct hist *h);
/*
 * The next bucket from @*i on that holds values: their number in *@count, the least and the
 * greatest it can hold in *@from and *@to (UINT64_MAX: no end).  Returns false if there is none;
 * *@i is moved behind it.  Start with 0.
 */
bool hist_next(const struct hist *h, size_t *i, uint64_t *from, uint64_t *to, uint64_t *count);
/* The smallest value that a share @q (0 < q <= 1) of the values do not exceed; 0 if there are none.
 */
uint64_t hist_percentile(const struct hist *h, double q);

#endif
