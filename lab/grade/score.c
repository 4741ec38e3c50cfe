/* SPDX-License-Identifier: MIT */
#include "lab/grade/score.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/grade/proc.h"

#define BUILD_SECONDS 60

unsigned score_parts(char parts[27])
{
	unsigned n = 0;

	for (char c = 'A'; c <= 'Z'; c++) {
		char path[32];

		snprintf(path, sizeof(path), "lab/%c/points", c);
		if (!access(path, R_OK))
			parts[n++] = c;
	}
	parts[n] = 0;
	return n;
}

static int bad(const char *path, unsigned line, const char *what)
{
	fprintf(stderr, "grade: %s:%u: %s\n", path, line, what);
	return -EINVAL;
}

int score_read(struct score *s, char part)
{
	char path[32], text[256];
	unsigned line = 0;
	FILE *f;

	memset(s, 0, sizeof(*s));
	s->part = part;
	snprintf(path, sizeof(path), "lab/%c/points", part);
	f = fopen(path, "r");
	if (!f)
		return bad(path, 0, strerror(errno));
	while (fgets(text, sizeof(text), f)) {
		struct score_item *i = &s->item[s->items];
		int end = 0;

		line++;
		text[strcspn(text, "\n")] = 0;
		if (sscanf(text, "title %79[^\n]", s->title) == 1 || *text == '#' || !*text)
			continue;
		if (s->items == SCORE_ITEMS ||
		    sscanf(text, "%u %u %63[a-z0-9_]%n", &i->points, &i->seconds, i->name, &end) !=
			    3 ||
		    text[end] || i->points > 100 || !i->seconds || i->seconds > 60) {
			fclose(f);
			return bad(path, line, "not POINTS SECONDS ITEM");
		}
		s->points += i->points;
		s->items++;
	}
	fclose(f);
	return 0;
}

/* The first error in the output of make, with the lines that belong to it. */
static void first_error(const char *out, char *buf, size_t size)
{
	static const char *const marks[] = { " error: ", "undefined reference",
					     "multiple definition", "error:", "***" };
	const char *at = NULL, *end;

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks) && !at; i++)
		at = strstr(out, marks[i]);
	if (!at) {
		snprintf(buf, size, "%.4000s", *out ? out : "make failed and said nothing");
		return;
	}
	while (at > out && at[-1] != '\n')
		at--;
	end = at;
	for (unsigned lines = 0; *end && lines < 3; lines++)
		end += strcspn(end, "\n") + (end[strcspn(end, "\n")] == '\n');
	snprintf(buf, size, "%.*s", (int)(end - at), at);
}

static int build(struct score *s, struct proc *p, const char *file, const char *out)
{
	char target[16], file_var[600], out_var[600], o_var[600];
	const char *o = getenv("LAB_O");
	int r;

	snprintf(target, sizeof(target), "lab-%c", s->part);
	snprintf(file_var, sizeof(file_var), "%c_FILE=%s", s->part, file ? file : "");
	snprintf(out_var, sizeof(out_var), "LAB_OUT=%s", out);
	snprintf(o_var, sizeof(o_var), "O=%s", o ? o : "build");
	unsetenv("MAKEFLAGS"); /* of the make that started us, and its jobs */
	unsetenv("MFLAGS");
	unsetenv("MAKELEVEL");
	p->argv = (const char *const[]){ "make",  "-s",   "--no-print-directory", "-j2", o_var,
					 out_var, target, file ? file_var : NULL, NULL };
	p->seconds = BUILD_SECONDS;
	p->scratch = p->word = NULL;
	r = proc_run(p);
	if (r < 0)
		return r;
	s->built = !p->hung && p->status == 0;
	if (p->hung)
		snprintf(s->error, sizeof(s->error), "it did not compile within %u s",
			 BUILD_SECONDS);
	else if (!s->built)
		first_error(p->out, s->error, sizeof(s->error));
	return 0;
}

/* 128 random bits: nothing that a program prints by accident. */
static int new_word(char word[33])
{
	uint8_t r[16];

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		return -EIO;
	for (unsigned i = 0; i < sizeof(r); i++)
		snprintf(word + 2 * i, 3, "%02x", r[i]);
	return 0;
}

/* At most @lines lines of @text, from its end. */
static const char *last_lines(const char *text, unsigned lines)
{
	const char *p = text + strlen(text);

	while (p > text && !(p[-1] == '\n' && !lines--))
		p--;
	return p;
}

static void judge(struct score_item *i, const struct proc *p)
{
	size_t len;

	i->ok = p->reported && !strcmp(p->verdict, "OK ");
	if (i->ok)
		return;
	if (p->reported && !strncmp(p->verdict, "LOST ", 5))
		snprintf(i->why, sizeof(i->why), "%s", p->verdict + 5);
	else if (p->hung)
		snprintf(i->why, sizeof(i->why), "it did not end within %u s", i->seconds);
	else if (p->status >= 128)
		snprintf(i->why, sizeof(i->why), "the test was ended by signal %d (%s)",
			 p->status - 128, strsignal(p->status - 128));
	else
		snprintf(i->why, sizeof(i->why),
			 "the test ended (status %d) before it came to a verdict", p->status);
	len = strlen(i->why);
	if (p->out_len && len < sizeof(i->why))
		snprintf(i->why + len, sizeof(i->why) - len, "\nit printed:\n%.2000s",
			 last_lines(p->out, 6));
}

static int run_item(struct score_item *i, struct proc *p, const char *out, char part,
		    const char *scratch)
{
	char path[600], word[33];
	int r = new_word(word);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/%c/items", out, part);
	p->argv = (const char *const[]){ path, i->name, NULL };
	p->seconds = i->seconds;
	p->scratch = scratch;
	p->word = word;
	r = proc_run(p);
	p->word = NULL;
	if (r == 0)
		judge(i, p);
	return r;
}

static void empty_directory(const char *dir)
{
	static struct proc p;

	p.argv = (const char *const[]){ "rm", "-rf", dir, NULL };
	p.seconds = 10;
	proc_run(&p);
}

int score_part(struct score *s, char part, const char *file, const char *out)
{
	char scratch[] = "/tmp/ringside-lab-XXXXXX", path[600], guests[600];
	static struct proc p;
	const char *o = getenv("LAB_O");
	int r = score_read(s, part);

	if (r == 0)
		r = build(s, &p, file, out);
	if (r < 0 || !s->built)
		return r;
	if (!mkdtemp(scratch))
		return -errno;
	snprintf(path, sizeof(path), "%s/%c/ringside", out, part);
	snprintf(guests, sizeof(guests), "%s/guest", o ? o : "build");
	setenv("RINGSIDE", path, 1);
	setenv("GUESTS", guests, 1);
	for (unsigned i = 0; i < s->items && r == 0; i++) {
		r = run_item(&s->item[i], &p, out, part, scratch);
		s->earned += s->item[i].ok ? s->item[i].points : 0;
	}
	empty_directory(scratch);
	return r;
}
