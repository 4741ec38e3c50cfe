/* SPDX-License-Identifier: MIT */
/*
 * grade [--json=FILE] [PART[=FILE]...]: the student's points, as MIT's `make grade` prints them.
 * Run from the top of the tree; LAB_O is the build directory.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/grade/score.h"

static const char *out_dir(void)
{
	static char dir[512];
	const char *o = getenv("LAB_O");

	snprintf(dir, sizeof(dir), "%s/lab", o ? o : "build");
	return dir;
}

static void print_indented(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		printf("      %.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void print(const struct score *s)
{
	printf("Part %c: %s\n", s->part, s->title);
	if (!s->built) {
		printf("  it does not build: FAIL (0 of %u points)\n", s->points);
		print_indented(s->error);
	}
	for (unsigned i = 0; s->built && i < s->items; i++) {
		const struct score_item *t = &s->item[i];

		if (t->ok) {
			printf("  %s: OK (%u point%s)\n", t->name, t->points,
			       t->points == 1 ? "" : "s");
			continue;
		}
		printf("  %s: FAIL (0 of %u)\n", t->name, t->points);
		print_indented(t->why);
	}
	printf("  Score of part %c: %u/%u\n\n", s->part, s->earned, s->points);
	fflush(stdout);
}

static void add_test(struct json_object *tests, const char *part, const char *name, unsigned score,
		     unsigned max, const char *output)
{
	struct json_object *t = json_object_new_object();
	char full[80];

	snprintf(full, sizeof(full), "%s: %s", part, name);
	json_object_object_add(t, "name", json_object_new_string(full));
	json_object_object_add(t, "score", json_object_new_int((int)score));
	json_object_object_add(t, "max_score", json_object_new_int((int)max));
	json_object_object_add(t, "output", json_object_new_string(output));
	json_object_array_add(tests, t);
}

/* Output of a student's program may be anything; JSON wants UTF-8. */
static const char *printable(const char *text)
{
	static char buf[SCORE_TEXT];
	size_t i;

	for (i = 0; text[i] && i < sizeof(buf) - 1; i++)
		buf[i] = (text[i] >= ' ' && text[i] < 127) || text[i] == '\n' ? text[i] : '?';
	buf[i] = 0;
	return buf;
}

/* Gradescope, "Autograder Specifications", results.json. */
static void add_json(struct json_object *tests, const struct score *s)
{
	char part[2] = { s->part, 0 };

	if (!s->built)
		add_test(tests, part, "build", 0, 0, printable(s->error));
	for (unsigned i = 0; i < s->items; i++) {
		const struct score_item *t = &s->item[i];

		add_test(tests, part, t->name, t->ok ? t->points : 0, t->points,
			 s->built ? printable(t->why) : "the part does not build");
	}
}

static int write_json(const char *path, struct json_object *tests, unsigned earned, unsigned points)
{
	struct json_object *o = json_object_new_object();
	char text[64];
	int r;

	snprintf(text, sizeof(text), "%u of %u points", earned, points);
	json_object_object_add(o, "score", json_object_new_int((int)earned));
	json_object_object_add(o, "output", json_object_new_string(text));
	json_object_object_add(o, "tests", tests);
	r = json_object_to_file_ext(path, o, JSON_C_TO_STRING_PRETTY);
	json_object_put(o);
	if (r < 0)
		fprintf(stderr, "grade: %s cannot be written\n", path);
	return r;
}

int main(int argc, char **argv)
{
	struct json_object *tests = json_object_new_array();
	unsigned earned = 0, points = 0, parts = 0;
	const char *json = NULL, *file;
	static struct score s;
	char all[27];

	score_parts(all);
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "--json=", 7))
			json = argv[i] + 7;
		else if (strchr(all, *argv[i]) && (!argv[i][1] || argv[i][1] == '='))
			parts++;
		else
			return fprintf(stderr, "usage: grade [--json=FILE] [PART[=FILE]...]\n"), 2;
	}
	for (int i = 1; parts ? i < argc : all[i - 1] != 0; i++) {
		int r;

		if (parts && argv[i][0] == '-')
			continue;
		file = parts && argv[i][1] == '=' ? argv[i] + 2 : NULL;
		r = score_part(&s, parts ? *argv[i] : all[i - 1], file, out_dir());
		if (r < 0) {
			fprintf(stderr, "grade: %s\n", strerror(-r));
			return 2;
		}
		print(&s);
		add_json(tests, &s);
		earned += s.earned;
		points += s.points;
	}
	printf("Score: %u/%u\n", earned, points);
	if (json)
		return write_json(json, tests, earned, points) < 0 ? 2 : 0;
	json_object_put(tests);
	return 0;
}
