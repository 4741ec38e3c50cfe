/* SPDX-License-Identifier: MIT */
#include "bench/bench.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void row_finish(struct row *r)
{
	qsort(r->ns, ROUNDS, sizeof(r->ns[0]), by_value);
	r->median = r->ns[ROUNDS / 2];
	r->min = r->ns[0];
	r->max = r->ns[ROUNDS - 1];
}

void rows_print(const char *title, struct row *rows, size_t n, size_t base)
{
	for (size_t i = 0; i < n; i++)
		row_finish(&rows[i]);
	printf("%-42s %10s %10s %10s %8s\n", title, "median ns", "min", "max", "ratio");
	for (size_t i = 0; i < n; i++)
		printf("%-42s %10.0f %10.0f %10.0f %7.2fx\n", rows[i].name, rows[i].median,
		       rows[i].min, rows[i].max, rows[i].median / rows[base].median);
}

struct json_object *bench_json_top(void)
{
	struct json_object *top = json_object_new_object();
	struct utsname u;

	uname(&u);
	json_object_object_add(top, "kernel", json_object_new_string(u.release));
	json_object_object_add(top, "cpus", json_object_new_int64(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_object_add(top, "rounds", json_object_new_int(ROUNDS));
	return top;
}

struct json_object *row_json(const struct row *r)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "median_ns", json_object_new_double(r->median));
	json_object_object_add(o, "min_ns", json_object_new_double(r->min));
	json_object_object_add(o, "max_ns", json_object_new_double(r->max));
	return o;
}

int bench_json_write(const char *path, struct json_object *top)
{
	int err = 0;

	if (json_object_to_file_ext(path, top, JSON_C_TO_STRING_PRETTY) < 0)
		err = -EIO;
	json_object_put(top);
	if (err)
		fprintf(stderr, "bench: cannot write %s\n", path);
	return err;
}

int rows_write(const char *path, const struct bench_json *j, const struct row *rows, size_t n)
{
	struct json_object *top = bench_json_top(), *list = json_object_new_object();

	json_object_object_add(top, j->per_round, json_object_new_int(j->count));
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = row_json(&rows[i]);

		json_object_object_add(
			o, j->ratio, json_object_new_double(rows[i].median / rows[j->base].median));
		json_object_object_add(list, rows[i].key, o);
	}
	json_object_object_add(top, j->name, list);
	return bench_json_write(path, top);
}

int bench_args(int argc, char **argv, const char **json)
{
	*json = argc == 3 && !strcmp(argv[1], "--json") ? argv[2] : NULL;
	if (argc == 1 || *json)
		return 0;
	fprintf(stderr, "usage: %s [--json FILE]\n", argv[0]);
	return 2;
}
