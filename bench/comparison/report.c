/* SPDX-License-Identifier: MIT */
/*
 * From reports of `ringside compare --json` to docs/comparison.md: comparison FILE.json...
 * Beside each report there can be FILE.about: a sentence on what the workload does.  `make compare`
 * runs it.  The keys of a report are in docs/ringside.1.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/comparison/page.h"

#define FILES_MAX  64
#define CONFIG_MAX 16
#define SHARE_MIN  0.02 /* of all exits: what is less has no row */
#define WHYS_MAX   64
#define TEXT_MAX   1024

/* What has been read of one file. */
struct workload {
	char name[64];        /* of the file, without ".json" */
	char about[TEXT_MAX]; /* "": nothing is known */
	struct json_object *o;
};

static struct json_object *engine(const struct workload *w, const char *name)
{
	return get(get(w->o, "engines"), name);
}

/* KVM ran the guest to the same end as the world engine did. */
static bool kvm_completed(const struct workload *w)
{
	struct json_object *k = engine(w, "kvm");

	return is_true(k, "ran") && !is_true(k, "failed") &&
	       num(k, "status") == num(engine(w, "world"), "status");
}

/* ---- reading ---- */

static bool read_about(struct workload *w, const char *path, size_t stem)
{
	char file[512];
	size_t n;
	FILE *f;

	if (snprintf(file, sizeof(file), "%.*s.about", (int)stem, path) >= (int)sizeof(file))
		return false;
	f = fopen(file, "re");
	if (!f)
		return true;
	n = fread(w->about, 1, sizeof(w->about) - 1, f);
	fclose(f);
	while (n && (w->about[n - 1] == '\n' || w->about[n - 1] == ' '))
		n--;
	w->about[n] = '\0';
	n = strspn(w->about, " \n");
	memmove(w->about, w->about + n, strlen(w->about + n) + 1);
	return true;
}

static bool read_report(struct workload *w, const char *path)
{
	const char *base = strrchr(path, '/'), *dot = strrchr(path, '.');

	base = base ? base + 1 : path;
	if (!dot || dot < base || strcmp(dot, ".json")) {
		fprintf(stderr, "comparison: %s: the name of a report ends with .json\n", path);
		return false;
	}
	snprintf(w->name, sizeof(w->name), "%.*s", (int)(dot - base), base);
	w->o = json_object_from_file(path);
	if (!w->o || num(w->o, "version") != 1 || !length(get(w->o, "rows"))) {
		fprintf(stderr, "comparison: %s: no report of ringside compare%s%s\n", path,
			w->o ? "" : ": ", w->o ? "" : json_util_get_last_err());
		return false;
	}
	return read_about(w, path, (size_t)(dot - path));
}

/* All were made on one machine by one program, or the tables would mix what cannot be compared. */
static bool same_machine(const struct workload *a, const struct workload *b)
{
	if (json_object_equal(get(a->o, "machine"), get(b->o, "machine")) &&
	    json_object_equal(get(a->o, "configs"), get(b->o, "configs")) &&
	    !strcmp(str(a->o, "ringside"), str(b->o, "ringside")))
		return true;
	fprintf(stderr, "comparison: %s and %s come from different machines\n", a->name, b->name);
	return false;
}

/* ---- cells ---- */

static void put_stat(struct json_object *stat)
{
	printf(" | ");
	if (!stat) {
		putchar('-');
		return;
	}
	if (num(stat, "min") != num(stat, "max"))
		putchar('~');
	put_grouped(num(stat, "n"));
}

/* "12", "12 to 34", "12 or more"; "-": the model says nothing */
static void put_range(struct json_object *range)
{
	struct json_object *max = length(range) == 2 ? json_object_array_get_idx(range, 1) : NULL;
	uint64_t min;

	printf(" | ");
	if (length(range) != 2) {
		putchar('-');
		return;
	}
	min = json_object_get_uint64(json_object_array_get_idx(range, 0));
	put_grouped(min);
	if (!max) {
		printf(" or more");
	} else if (json_object_get_uint64(max) != min) {
		printf(" to ");
		put_grouped(json_object_get_uint64(max));
	}
}

static void put_ranges(const struct workload *w, struct json_object *ranges)
{
	struct json_object *configs = get(w->o, "configs");

	for (size_t i = 0; i < length(configs); i++)
		put_range(get(ranges, str(json_object_array_get_idx(configs, i), "name")));
}

static void put_head(const struct workload *w, const char *first)
{
	struct json_object *configs = get(w->o, "configs");

	printf("| %s | world | kvm", first);
	for (size_t i = 0; i < length(configs); i++)
		printf(" | %s", str(json_object_array_get_idx(configs, i), "title"));
	printf(" |\n| --- | ---: | ---:");
	for (size_t i = 0; i < length(configs); i++)
		printf(" | ---:");
	printf(" |\n");
}

/* ---- the beginning ---- */

static void put_machine(const struct workload *w)
{
	struct json_object *m = get(w->o, "machine");
	const char *module = str(m, "kvm_module");

	printf("<!-- Written by `make compare` from build/compare/*.json; edits are lost. -->\n"
	       "# Comparison\n\n"
	       "The same guests on both engines of Ringside, and what hardware would have made of "
	       "them.\n\n"
	       "- *world*: traps of the engine `world`, measured.\n"
	       "- *kvm*: returns of KVM to the process (engine `kvm`, interrupt controllers in the "
	       "process), measured. \"-\": KVM did not run this guest to its end; why is below.\n"
	       "- The others: exits of hardware under KVM in that configuration, modelled from the "
	       "run of the world engine ([hardware-assist.md](hardware-assist.md)). A range is "
	       "what "
	       "such a run leaves open.\n"
	       "- ~: the number is not the same in each run.\n\n"
	       "| machine | |\n| --- | --- |\n| CPU | ");
	put_text(str(m, "cpu"));
	printf(", %" PRIu64 " CPUs%s |\n| kernel | Linux ", num(m, "cpus"),
	       is_true(m, "virtual") ? ", itself a virtual machine" : "");
	put_text(str(m, "kernel"));
	printf(" |\n| KVM module | ");
	put_text(*module ? module : "none");
	printf(" |\n| ringside | ");
	put_text(str(w->o, "ringside"));
	printf(" |\n");
	if (!strcmp(module, "kvm_pvm"))
		printf("\nkvm_pvm is KVM in software: it interprets a 32-bit guest. The column kvm "
		       "says how often it came back, no time of it is shown, and what it cannot "
		       "execute (paging, `int n` at ring 3) hardware can.\n");
	printf("\nThe same workloads on emulated CPUs with VT-x and SVM, where the exits of the "
	       "hardware are counted: [comparison-hardware.md](comparison-hardware.md).\n");
}

static void put_overview(const struct workload *w, unsigned n)
{
	printf("\n## Exits\n\n");
	put_head(w, "workload");
	for (unsigned i = 0; i < n; i++, w++) {
		printf("| [%s](#%s)", w->name, w->name);
		put_stat(get(engine(w, "world"), "exits"));
		put_stat(kvm_completed(w) ? get(engine(w, "kvm"), "exits") : NULL);
		put_ranges(w, get(w->o, "total"));
		printf(" |\n");
	}
}

/* ---- times ---- */

static double ms(struct json_object *times, const char *key)
{
	return (double)num(times, key) / 1e6;
}

static void put_times_of(const struct workload *w, const char *name)
{
	struct json_object *e = engine(w, name), *t = get(e, "time_ns");
	uint64_t exits = num(get(e, "exits"), "n");
	double busy = ms(t, "guest") + ms(t, "handoff") + ms(t, "handling");

	if (!t || (!strcmp(name, "kvm") && !kvm_completed(w)))
		return;
	printf("| %s | %s%s%s | %.1f | %.1f | %.1f | %.1f | %.2f |\n", w->name, name,
	       *str(e, "module") ? ", " : "", str(e, "module"), ms(t, "guest"), ms(t, "handoff"),
	       ms(t, "handling"), ms(t, "blocked"), exits ? 1000 * busy / (double)exits : 0);
}

static void put_times(const struct workload *w, unsigned n)
{
	printf("\n## Times\n\n"
	       "Of one run, of all vCPUs, in ms; the last column is guest, hand-off and handling "
	       "together, in us for each exit. With the engine kvm, and for signals with world, "
	       "the "
	       "kernel's part is in the guest's time. They change with what else the machine does; "
	       "the counts above do not.\n\n"
	       "| workload | engine | guest | hand-off | handling | blocked | each exit |\n"
	       "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n");
	for (unsigned i = 0; i < n; i++) {
		put_times_of(&w[i], "world");
		put_times_of(&w[i], "kvm");
	}
}

/* ---- one workload ---- */

/* So many, or more, are worth a row. */
static bool is_much(const struct workload *w, uint64_t count)
{
	return (double)count >= SHARE_MIN * (double)num(get(engine(w, "world"), "exits"), "n") &&
	       count;
}

static bool is_shown(const struct workload *w, struct json_object *row)
{
	struct json_object *configs = get(w->o, "configs");

	if (is_much(w, num(get(row, "world"), "n")) ||
	    (kvm_completed(w) && is_much(w, num(get(row, "kvm"), "n"))))
		return true;
	for (size_t i = 0; i < length(configs); i++) {
		const char *name = str(json_object_array_get_idx(configs, i), "name");
		struct json_object *range = get(get(row, "model"), name);

		/* at least: an open end alone says nothing */
		if (length(range) == 2 &&
		    is_much(w, json_object_get_uint64(json_object_array_get_idx(range, 0))))
			return true;
	}
	return false;
}

/* Reasons that are said already, once each. */
struct whys {
	struct {
		char causes[256];
		const char *why;
	} why[WHYS_MAX];
	unsigned count;
};

static void why_add(struct whys *all, const char *cause, const char *why)
{
	unsigned i = 0;
	char *causes;
	size_t len;

	if (!*why)
		return;
	while (i < all->count && strcmp(all->why[i].why, why))
		i++;
	if (i == WHYS_MAX)
		return;
	if (i == all->count)
		all->why[all->count++].why = why;
	causes = all->why[i].causes;
	len = strlen(causes);
	if (!strstr(causes, cause))
		snprintf(causes + len, sizeof(all->why[i].causes) - len, "%s%s", len ? ", " : "",
			 cause);
}

static void whys_of(const struct workload *w, struct json_object *row, struct whys *all)
{
	struct json_object *events = get(row, "events");
	char text[160];

	why_add(all, str(row, "name"), str(row, "kvm_why"));
	for (size_t i = 0; i < length(events); i++) {
		struct json_object *e = json_object_array_get_idx(events, i);
		const char *vtx = str(e, "vtx_why"), *svm = str(e, "svm_why");

		if (!is_much(w, num(e, "count")))
			continue;
		if (!strcmp(vtx, svm)) {
			why_add(all, str(row, "name"), vtx);
			continue;
		}
		snprintf(text, sizeof(text), "%s, VT-x", str(e, "event"));
		why_add(all, text, vtx);
		snprintf(text, sizeof(text), "%s, SVM", str(e, "event"));
		why_add(all, text, svm);
	}
}

static void put_whys(const struct workload *w)
{
	struct json_object *rows = get(w->o, "rows");
	struct whys all = { .count = 0 };

	for (size_t i = 0; i < length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (is_shown(w, row))
			whys_of(w, row, &all);
	}
	if (all.count)
		putchar('\n');
	for (unsigned i = 0; i < all.count; i++) {
		printf("- *");
		put_text(all.why[i].causes);
		printf("*: ");
		put_text(all.why[i].why);
		putchar('\n');
	}
}

/* What KVM did instead of running the guest to its end. */
static void put_failure(const struct workload *w)
{
	struct json_object *k = engine(w, "kvm"), *console = get(w->o, "console");
	const char *why = is_true(k, "ran") ? str(k, "end") : str(k, "why");

	printf("\nNot run to its end by KVM%s", *str(k, "module") ? ", module " : "");
	put_text(str(k, "module"));
	printf(": ");
	put_text(*why ? why : "it does not say why");
	if (is_true(k, "ran") && *str(console, "kvm")) {
		printf("; where the consoles differ it says \"");
		put_text(str(console, "kvm"));
		putchar('"');
	}
	printf(".\n");
}

/* One sentence for what agrees, one for each that does not. */
static void put_agreement(const struct workload *w)
{
	struct json_object *list = get(w->o, "agreement"), *console = get(w->o, "console");
	unsigned agree = 0, compared = 0;

	for (size_t i = 0; i < length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		bool open = !get(o, "agree");

		compared += !open;
		agree += is_true(o, "agree");
		if (is_true(o, "agree"))
			continue;
		printf("\nThe model and KVM %s on ", open ? "cannot be compared" : "disagree");
		put_text(str(o, "what"));
		if (!open)
			printf(": %" PRIu64 " to %" PRIu64 " expected, %" PRIu64 " measured",
			       num(o, "min"), num(o, "max"), num(o, "measured"));
		printf(" (");
		put_text(str(o, "rule"));
		printf(").\n");
	}
	printf("\nOf what KVM must hand to the process, %u of %u numbers compared are as the model "
	       "expects. %s\n",
	       agree, compared,
	       is_true(console, "same") ? "Both engines printed the same."
					: "The engines printed different things.");
}

static void put_workload(const struct workload *w)
{
	struct json_object *rows = get(w->o, "rows"), *options = get(w->o, "options");
	unsigned left_out = 0;

	printf("\n### %s\n\n", w->name);
	put_text(w->about);
	for (size_t i = 0; i + 1 < length(options); i++)
		if (strstr(json_object_get_string(json_object_array_get_idx(options, i)), "append"))
			printf("%s`%s`", *w->about ? " " : "",
			       json_object_get_string(json_object_array_get_idx(options, i + 1)));
	printf("\n\n");
	put_head(w, "cause");
	for (size_t i = 0; i < length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (!is_shown(w, row)) {
			left_out++;
			continue;
		}
		printf("| ");
		put_text(str(row, "name"));
		if (is_true(row, "exit")) {
			put_stat(get(row, "world"));
			put_stat(kvm_completed(w) ? get(row, "kvm") : NULL);
		} else {
			printf(" | | "); /* an event that is no exit of these two */
		}
		put_ranges(w, get(row, "model"));
		printf(" |\n");
	}
	if (left_out)
		printf("\nLeft out: %u with less than %.0f %%.\n", left_out, 100 * SHARE_MIN);
	put_whys(w);
	if (kvm_completed(w))
		put_agreement(w);
	else
		put_failure(w);
}

int main(int argc, char **argv)
{
	static struct workload w[FILES_MAX];
	unsigned n = (unsigned)argc - 1;
	int status = 0;

	if (argc < 2 || n > FILES_MAX) {
		fprintf(stderr, "usage: comparison FILE.json... (at most %d)\n", FILES_MAX);
		return 2;
	}
	for (unsigned i = 0; i < n && !status; i++)
		if (!read_report(&w[i], argv[1 + i]) || !same_machine(&w[0], &w[i]))
			status = 2;
	if (!status) {
		put_machine(&w[0]);
		put_overview(w, n);
		put_times(w, n);
		printf("\n## Cause by cause\n");
		for (unsigned i = 0; i < n; i++)
			put_workload(&w[i]);
		if (fflush(stdout) || ferror(stdout)) {
			perror("comparison");
			status = 4;
		}
	}
	for (unsigned i = 0; i < n; i++)
		json_object_put(w[i].o);
	return status;
}
