/* SPDX-License-Identifier: MIT */
/*
 * check --flatten FILE: FILE with the .c files that it includes pasted in.
 * check [--sample] [PART]...: does the grader judge right?  Every part's reference.c and right/
 * must earn everything, each of wrong/ must lose exactly the items that its first line names
 * (?ITEM: it may or may not, when time decides); of those, in a sample, every third.  Run from the
 * top of the tree; LAB_O is the build directory.  Not in the students' tree, as its material.
 */
#include <errno.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/grade/proc.h"
#include "lab/grade/score.h"

static unsigned judged, misjudged, every = 1;

static const char *work_dir(void)
{
	static char dir[512];
	const char *o = getenv("LAB_O");

	snprintf(dir, sizeof(dir), "%s/lab/check", o ? o : "build");
	return dir;
}

static bool run(const char *const *argv)
{
	static struct proc p;

	p = (struct proc){ .argv = argv, .seconds = 10 };
	if (proc_run(&p) < 0 || p.hung || p.status) {
		printf("%s: %s\n", argv[0], p.out);
		return false;
	}
	return true;
}

/* The file at @from to @to, with the .c files that it includes pasted in. */
static bool flatten(const char *from, FILE *to)
{
	FILE *f = fopen(from, "r");
	char line[1024], path[512];
	int end;

	if (!f) {
		printf("%s: %s\n", from, strerror(errno));
		return false;
	}
	while (fgets(line, sizeof(line), f)) {
		end = 0;
		if (sscanf(line, "#include \"%511[^\"]\"%n", path, &end) == 1 && end &&
		    !strcmp(path + strlen(path) - 2, ".c")) {
			if (!flatten(path, to))
				break;
		} else {
			fputs(line, to);
		}
	}
	end = !feof(f);
	fclose(f);
	return !end;
}

/* @solution as one C file, at @path. */
static bool prepare(char part, const char *solution, const char *path)
{
	const char *end = strrchr(solution, '.');
	char reference[32];
	bool ok;
	FILE *f;

	snprintf(reference, sizeof(reference), "lab/%c/reference.c", part);
	f = fopen(path, "w");
	if (!f) {
		printf("%s: %s\n", path, strerror(errno));
		return false;
	}
	ok = flatten(strcmp(end, ".patch") ? solution : reference, f);
	ok = fclose(f) == 0 && ok;
	if (ok && !strcmp(end, ".patch"))
		ok = run((const char *const[]){ "patch", "-s", "-F0", path, solution, NULL });
	return ok;
}

/* The items after "Loses:" in the first lines of @solution, with a space on either side. */
static bool should_lose(const char *solution, char *items, size_t size)
{
	FILE *f = fopen(solution, "r");
	char line[1024];
	bool found = false;

	for (unsigned i = 0; f && i < 5 && !found && fgets(line, sizeof(line), f); i++) {
		char *at = strstr(line, "Loses: ");

		if (!at)
			continue;
		at[strcspn(at, "*\n")] = 0;
		snprintf(items, size, " %s ", at + 7);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

static void expect(bool ok, const char *solution, const char *what, const char *item,
		   const char *why)
{
	if (ok)
		return;
	misjudged++;
	printf("MISJUDGED %s: %s %s%s%.*s\n", solution, item, what, *why ? ": " : "",
	       (int)strcspn(why, "\n"), why);
}

static void judge(char part, const char *solution, bool wrong)
{
	char path[600], out[600], lose[1024] = "", word[80];
	const char *name = strrchr(solution, '/') + 1;
	static struct score s;
	unsigned lost = 0;

	judged++;
	snprintf(out, sizeof(out), "%s/%c-%.*s", work_dir(), part, (int)strcspn(name, "."), name);
	snprintf(path, sizeof(path), "%.500s/solution.c", out);
	if (!run((const char *const[]){ "mkdir", "-p", out, NULL }) ||
	    !prepare(part, solution, path) ||
	    (wrong && !should_lose(solution, lose, sizeof(lose)))) {
		expect(false, solution, "cannot be judged", "it", "");
		return;
	}
	if (score_part(&s, part, path, out) < 0 || !s.built) {
		expect(false, solution, "does not build", "it", s.error);
		return;
	}
	for (unsigned i = 0; i < s.items; i++) {
		char *named, *perhaps;

		snprintf(word, sizeof(word), " %s ", s.item[i].name);
		named = strstr(lose, word);
		if (named)
			memset(named + 1, '-', strlen(word) - 2);
		snprintf(word, sizeof(word), " ?%s ", s.item[i].name);
		perhaps = strstr(lose, word);
		if (perhaps) {
			memset(perhaps + 1, '-', strlen(word) - 2);
			continue;
		}
		lost += s.item[i].ok ? 0 : s.item[i].points;
		expect(!named || !s.item[i].ok, solution, "should be lost", s.item[i].name, "");
		expect(named || s.item[i].ok, solution, "should not be lost", s.item[i].name,
		       s.item[i].why);
	}
	expect(strspn(lose, " -") == strlen(lose), solution, "are named and are none", lose, "");
	printf("%s: loses %u of %u\n", solution, lost, s.points);
	fflush(stdout);
}

static void check_part(char part)
{
	static const char *const pattern[] = { "lab/%c/reference.c", "lab/%c/right/*.c",
					       "lab/%c/right/*.patch", "lab/%c/wrong/*.c",
					       "lab/%c/wrong/*.patch" };
	static struct score s;
	char path[32];
	glob_t g;

	for (unsigned k = 0; k < 5; k++) {
		snprintf(path, sizeof(path), pattern[k], part);
		if (glob(path, 0, NULL, &g) == 0) {
			for (size_t i = 0; i < g.gl_pathc; i += k >= 3 ? every : 1)
				judge(part, g.gl_pathv[i], k >= 3);
			globfree(&g);
		}
	}
	if (score_read(&s, part) < 0 || s.points != 20)
		expect(false, "points", "is not 20", "the sum", "");
}

int main(int argc, char **argv)
{
	char parts[27];

	if (argc == 3 && !strcmp(argv[1], "--flatten"))
		return !flatten(argv[2], stdout);
	if (argc > 1 && !strcmp(argv[1], "--sample")) {
		every = 3;
		argc--;
		argv++;
	}
	score_parts(parts);
	for (const char *p = parts; *p; p++) {
		bool wanted = argc < 2;

		for (int i = 1; i < argc; i++)
			wanted |= *argv[i] == *p;
		if (wanted)
			check_part(*p);
	}
	printf("%u solutions judged, %u misjudged\n", judged, misjudged);
	return misjudged || !judged;
}
