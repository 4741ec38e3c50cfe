/* SPDX-License-Identifier: MIT */
/* What the differences come from, in words. */
#include <stdlib.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"

#define LINE_LEN 104
#define INDENT   "      "

void compare_put_wrapped(const char *text, int column, FILE *f)
{
	bool first = true;

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (!first && column + 1 + len > LINE_LEN)
			column = fprintf(f, "\n" INDENT) - 1;
		else if (!first)
			column += fprintf(f, " ");
		column += fprintf(f, "%.*s", len, text);
		text += len + strspn(text + len, " ");
		first = false;
	}
	fputc('\n', f);
}

/* "out", or "mov to cr (CR3)" where a cause is several events */
static void event_name(struct json_object *row, struct json_object *event, char *buf, size_t size)
{
	if (js_len(js(row, "events")) > 1)
		snprintf(buf, size, "%s (%s)", js_str(row, "name"), js_str(event, "event"));
	else
		snprintf(buf, size, "%s", js_str(row, "name"));
}

static void phrase_of(struct json_object *event, char *buf, size_t size)
{
	const char *vtx = js_str(event, "vtx_why"), *svm = js_str(event, "svm_why");

	if (strcmp(vtx, svm) != 0)
		snprintf(buf, size, "VT-x: %s; SVM: %s", vtx, svm);
	else
		snprintf(buf, size, "%s", vtx);
}

/* Does hardware differ from the engine world in any configuration? */
static bool differs(struct json_object *row, struct json_object *event)
{
	uint64_t count = js_true(row, "exit") ? js_num(event, "count") : 0;

	json_object_object_foreach(js(event, "exits"), config, range)
	{
		struct json_object *max = json_object_array_get_idx(range, 1);

		(void)config;
		if (json_object_get_uint64(json_object_array_get_idx(range, 0)) != count || !max ||
		    json_object_get_uint64(max) != count)
			return true;
	}
	return false;
}

struct reason {
	char phrase[512];
	char names[2048];
};

static void add_reason(struct reason *all, unsigned *n, unsigned max, const char *phrase,
		       const char *name)
{
	unsigned i = 0;
	size_t used;

	while (i < *n && strcmp(all[i].phrase, phrase) != 0)
		i++;
	if (i == max)
		return;
	if (i == *n) {
		(*n)++;
		snprintf(all[i].phrase, sizeof(all[i].phrase), "%s", phrase);
	}
	used = strlen(all[i].names);
	snprintf(all[i].names + used, sizeof(all[i].names) - used, "%s%s", used ? ", " : "", name);
}

/* Many causes have one reason: a line for each reason. */
void compare_print_reasons(struct json_object *report, FILE *f)
{
	enum { MAX = 128 };
	struct reason *all = calloc(MAX, sizeof(*all));
	struct json_object *rows = js(report, "rows");
	unsigned n = 0;

	for (size_t i = 0; all && i < js_len(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		struct json_object *events = js(row, "events");
		char name[128], phrase[512];

		for (size_t k = 0; k < js_len(events); k++) {
			struct json_object *e = json_object_array_get_idx(events, k);

			if (!differs(row, e))
				continue;
			event_name(row, e, name, sizeof(name));
			phrase_of(e, phrase, sizeof(phrase));
			add_reason(all, &n, MAX, phrase, name);
		}
		if (js(row, "kvm_why")) {
			snprintf(name, sizeof(name), "%s, on kvm", js_str(row, "name"));
			add_reason(all, &n, MAX, js_str(row, "kvm_why"), name);
		}
	}
	if (n)
		fputs("what the differences come from\n", f);
	for (unsigned i = 0; i < n; i++) {
		int column = fprintf(f, "  ");
		char *text = NULL;

		if (asprintf(&text, "%s: %s", all[i].names, all[i].phrase) >= 0)
			compare_put_wrapped(text, column, f);
		free(text);
	}
	free(all);
}
