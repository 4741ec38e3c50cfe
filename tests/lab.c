/* SPDX-License-Identifier: MIT */
/*
 * The course lab: what a student gets, and does; and whether the grader judges right.  LAB_TARBALL
 * is the students' tree, LAB_CHECK lab/grade/check.c as a program.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <json-c/json.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/child.h"

static const char *from_env(const char *name)
{
	const char *val = getenv(name);

	cr_assert_not_null(val, "set %s, or use `make test`", name);
	return val;
}

/* @script by sh with @a and @b as $1 and $2, without the make around us. */
static const char *sh(const char *script, const char *a, const char *b, unsigned seconds,
		      int status)
{
	static struct child c;

	c = (struct child){ .argv = { "env", "-u", "MAKEFLAGS", "-u", "MFLAGS", "-u", "MAKELEVEL",
				      "sh", "-c", script, "sh", a, b, NULL },
			    .seconds = seconds };
	child_run(&c);
	cr_assert_eq(c.status, status, "%s: %d\n%s%s", script, c.status, c.out, c.err);
	return c.out;
}

static struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *val = NULL;

	cr_assert(json_object_object_get_ex(o, key, &val), "no %s", key);
	return val;
}

/* What Gradescope would read; the score. */
static int results(const char *dir, int *max, bool *silent)
{
	char path[128];
	struct json_object *o, *tests;
	int score;

	snprintf(path, sizeof(path), "%s/r.json", dir);
	o = json_object_from_file(path);
	cr_assert_not_null(o, "%s", json_util_get_last_err());
	tests = member(o, "tests");
	*max = 0;
	*silent = false;
	for (size_t i = 0; i < json_object_array_length(tests); i++) {
		struct json_object *t = json_object_array_get_idx(tests, i);
		int got = json_object_get_int(member(t, "score")),
		    of = json_object_get_int(member(t, "max_score"));

		*max += of;
		/* Whoever loses points reads why. */
		*silent |= got < of && strlen(json_object_get_string(member(t, "output"))) < 10;
	}
	score = json_object_get_int(member(o, "score"));
	json_object_put(o);
	return score;
}

/* Students have no sanitizers. */
#define GRADE \
	"unset SAN O; cd $1/ringside-lab && make -s -j2 CFLAGS=-O0 -C lab grade JSON=$1/r.json"

Test(lab, a_student_gets_0_then_100, .timeout = 240)
{
	char dir[] = "/tmp/ringside-student-XXXXXX", check[512];
	const char *out;
	int max;
	bool silent;

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_not_null(realpath(from_env("LAB_CHECK"), check));
	sh("tar -xzf $2 -C $1", dir, from_env("LAB_TARBALL"), 20, 0);
	out = sh(GRADE, dir, "", 200, 0);
	cr_expect_null(strstr(out, "does not build"), "%s", out);
	cr_expect_null(strstr(out, "warning:"), "%s", out);
	cr_expect_eq(results(dir, &max, &silent), 0, "%s", out);
	cr_expect_eq(max % 20, 0, "%d points", max);
	cr_expect_not(silent, "%s", out);

	/* $PWD is the product's: the file that a part's part.mk names, and its solution. */
	sh("for x in lab/[A-E]; do f=$(sed -n 's/^[A-E]_FILE *?= *//p' $x/part.mk) && "
	   "$2 --flatten $x/reference.c >$1/ringside-lab/$f || exit; done",
	   dir, check, 20, 0);
	out = sh(GRADE, dir, "", 100, 0);
	cr_expect_eq(results(dir, &max, &silent), max, "%s", out);
	cr_expect(max >= 20 && max <= 100, "%d points", max);
	sh("rm -rf $1", dir, "", 20, 0);
}

/* Neither as source nor as text in an object. */
Test(lab, the_students_tree_gives_nothing_away, .timeout = 60)
{
	static const char *const never[] = { "reference.c", "/wrong/",       "/right/",
					     "answers.md",  "instructor.md", "check.c" };
	const char *tarball = from_env("LAB_TARBALL"), *out;

	out = sh("tar -tzf $1", tarball, "", 20, 0);
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		cr_expect_null(strstr(out, never[i]), "%s is in the tarball", never[i]);
	/* Nothing that any part replaces or hides. */
	sh("for f in $(sed -n '/_\\(REPLACES\\|HIDES\\) *:=/,/[^\\\\]$/p' lab/[A-E]/part.mk | "
	   "tr ' ' '\\n' | grep /); do test -f $f || { echo no $f; exit 2; }; "
	   "! tar -tzf $1 ringside-lab/$f 2>/dev/null || exit; done",
	   tarball, "", 30, 0);
	/* Objects without debug information, our paths, and assertions. */
	out = sh("d=$(mktemp -d) && tar -xzf $1 -C $d && cd $d/ringside-lab/lab/reference && ls && "
		 "for o in *.o; do readelf -SW $o | grep debug; strings $o | "
		 "grep -E '^/[a-z]+/|[.]c$|__assert_fail'; nm $o | awk '$2 == \"t\" && $3 !~ "
		 "/^[.]/'; "
		 "done; "
		 "rm -rf $d",
		 tarball, "", 30, 0);
	cr_expect_not_null(strstr(out, "E.o\n"), "%s", out);
	for (const char *p = strtok((char *)out, "\n"); p; p = strtok(NULL, "\n"))
		cr_expect_str_eq(p + strlen(p) - 2, ".o", "%s", p);
}

/*
 * A grader of its own for each part, so that they run side by side; of the wrong solutions every
 * third.  `make -C lab check` judges all.
 */
static void check_part(const char *part)
{
	static struct child c;
	char o[512], var[600];

	snprintf(o, sizeof(o), "%s", child_ringside());
	*strrchr(o, '/') = 0;
	snprintf(var, sizeof(var), "LAB_O=%s", o);
	c = (struct child){ .argv = { "env", "-u", "MAKEFLAGS", "-u", "MFLAGS", "-u", "MAKELEVEL",
				      var, from_env("LAB_CHECK"), "--sample", part, NULL },
			    .seconds = 170 };
	child_run(&c);
	cr_expect_eq(c.status, 0, "%s%s", c.out, c.err);
	cr_expect_not_null(strstr(c.out, ", 0 misjudged\n"), "%s", c.out);
}

struct part {
	char name[2];
};

ParameterizedTestParameters(lab, solutions_earn_what_they_should)
{
	static struct part part[26];
	size_t n = 0;

	for (char c = 'A'; c <= 'Z'; c++) {
		char path[32];

		snprintf(path, sizeof(path), "lab/%c/points", c);
		if (!access(path, R_OK))
			part[n++].name[0] = c;
	}
	return cr_make_param_array(struct part, part, n, NULL);
}

ParameterizedTest(struct part *part, lab, solutions_earn_what_they_should, .timeout = 180)
{
	check_part(part->name);
}

/* lab/grade/nasty.c: nothing earned, nothing left, nothing written, and the grader goes on. */
Test(lab, the_grader_stands_a_nasty_submission, .timeout = 120)
{
	static const char script[] = "d=${2%/lab/grade/check}; LAB_O=$d $1 E=lab/grade/nasty.c";
	char grade[512];
	const char *out, *check = from_env("LAB_CHECK");

	snprintf(grade, sizeof(grade), "%.*sgrade", (int)(strlen(check) - strlen("check")), check);
	out = sh(script, grade, check, 100, 0);
	cr_expect_not_null(strstr(out, "\nScore: 0/20\n"), "%s", out);
	cr_expect_not_null(strstr(out, "did not end within"), "%s", out);
	cr_expect_not_null(strstr(out, "it loops"), "%s", out);
	cr_expect_not_null(strstr(out, "before it came to a verdict"), "%s", out);
#ifndef __SANITIZE_ADDRESS__ /* whose malloc() has no limit */
	cr_expect_not_null(strstr(out, "crashed: Segmentation fault at"), "%s", out);
#endif
	/* The one thing that needs a kernel with Landlock (lab/instructor.md). */
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0)
		cr_expect(access("lab-nasty-was-here", F_OK) < 0, "it wrote a file");
	unlink("lab-nasty-was-here");
}

/* Each stop of the tour says something and is followed by code; the numbers go up. */
Test(lab, the_tour_has_no_holes, .timeout = 30)
{
	const char *out = sh("make -s --no-print-directory tour", "", "", 20, 0), *p = out;
	unsigned stops = 0, number;
	int width;

	while ((p = strstr(p, "\n== "))) {
		cr_assert_eq(sscanf(p, "\n== %u. %*[^(](%*[^:]:%*u)%n", &number, &width), 1,
			     "%.80s", p);
		stops++;
		cr_expect_eq(number, stops, "stop %u after %u", number, stops - 1);
		cr_expect_not_null(strstr(p, "\n    "), "no code at stop %u", number);
		p += 4;
	}
	cr_expect_geq(stops, 20, "%u stops", stops);
}
