/* SPDX-License-Identifier: MIT */
/* What the benchmarks share: rounds, a table, and the same as JSON. */
#ifndef RINGSIDE_BENCH_BENCH_H
#define RINGSIDE_BENCH_BENCH_H

#include <stddef.h>

#define ROUNDS 9

struct row {
	const char *key, *name;
	double ns[ROUNDS];
	double median, min, max; /* row_finish() */
};

struct json_object;

/* Sorts ns[]. */
void row_finish(struct row *r);
/* Finish and print @n rows under @title; the last column is the ratio to row @base. */
void rows_print(const char *title, struct row *rows, size_t n, size_t base);
/*
 * Write {kernel, cpus, rounds, <per_round>: count, <name>: {key: {median_ns, min_ns, max_ns,
 * <ratio>}}} to @path.  Returns 0 or -EIO.
 */
struct bench_json {
	const char *name, *per_round, *ratio;
	int count;
	size_t base;
};
int rows_write(const char *path, const struct bench_json *j, const struct row *rows, size_t n);
/* { kernel, cpus, rounds }, and { median_ns, min_ns, max_ns } of a finished row. */
struct json_object *bench_json_top(void);
struct json_object *row_json(const struct row *r);
/* Write @top to @path, and free it.  Returns 0 or -EIO. */
int bench_json_write(const char *path, struct json_object *top);
/* "--json FILE" or nothing.  Returns 0 with *@json, or 2 after a usage line. */
int bench_args(int argc, char **argv, const char **json);

#endif
