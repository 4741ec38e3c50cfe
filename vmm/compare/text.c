/* SPDX-License-Identifier: MIT */
/* The report in the terminal. */
#include <inttypes.h>
#include <stdlib.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"

#define CELL     48
#define COLUMNS  10
#define ROWS_MAX 1024 /* a guest can make 256 kinds of int n, and more */

/* ---- tables whose columns are as wide as they must be ---- */

struct table {
	char (*cell)[COLUMNS][CELL];
	unsigned rows, columns;
};

static bool table_init(struct table *t, unsigned columns)
{
	*t = (struct table){ .cell = calloc(ROWS_MAX, sizeof(*t->cell)), .columns = columns };
	return t->cell;
}

static void table_row(struct table *t)
{
	if (t->rows < ROWS_MAX)
		t->rows++;
}

/* @s into column @col of the last row */
static void table_set(struct table *t, unsigned col, const char *s)
{
	if (t->rows && col < t->columns)
		snprintf(t->cell[t->rows - 1][col], CELL, "%s", s);
}

static void table_end(struct table *t, FILE *f)
{
	int width[COLUMNS] = { 0 };

	for (unsigned r = 0; r < t->rows; r++)
		for (unsigned c = 0; c < t->columns; c++) {
			int len = (int)strlen(t->cell[r][c]);

			width[c] = len > width[c] ? len : width[c];
		}
	for (unsigned r = 0; r < t->rows; r++) {
		fprintf(f, "  %-*s", width[0], t->cell[r][0]);
		for (unsigned c = 1; c < t->columns; c++)
			fprintf(f, "  %*s", width[c], t->cell[r][c]);
		fputc('\n', f);
	}
	free(t->cell);
}

/* ---- cells ---- */

/* "994", "~994" if it is not the same in all runs, "-" if there is none */
static const char *stat_text(struct json_object *stat, char buf[CELL])
{
	bool varies = js_num(stat, "min") != js_num(stat, "max");

	if (!stat)
		return "-";
	snprintf(buf, CELL, "%s%" PRIu64, varies ? "~" : "", js_num(stat, "n"));
	return buf;
}

static const char *between(uint64_t min, uint64_t max, char buf[CELL])
{
	if (min == max)
		snprintf(buf, CELL, "%" PRIu64, min);
	else
		snprintf(buf, CELL, "%" PRIu64 "..%" PRIu64, min, max);
	return buf;
}

/* "3", "3..7", "3..?" */
static const char *range_text(struct json_object *range, char buf[CELL])
{
	struct json_object *max = range ? json_object_array_get_idx(range, 1) : NULL;
	uint64_t min;

	if (!range)
		return "-";
	min = json_object_get_uint64(json_object_array_get_idx(range, 0));
	if (!max)
		snprintf(buf, CELL, "%" PRIu64 "..?", min);
	else
		between(min, json_object_get_uint64(max), buf);
	return buf;
}

static void set_models(struct table *t, struct json_object *report, struct json_object *ranges)
{
	struct json_object *configs = js(report, "configs");
	char buf[CELL];

	for (unsigned i = 0; i < js_len(configs); i++) {
		struct json_object *c = json_object_array_get_idx(configs, i);

		table_set(t, 3 + i, range_text(js(ranges, js_str(c, "name")), buf));
	}
}

static void print_causes(struct json_object *report, FILE *f)
{
	struct json_object *rows = js(report, "rows"), *engines = js(report, "engines");
	struct json_object *configs = js(report, "configs");
	struct table t;
	char buf[CELL];

	if (!table_init(&t, 3 + (unsigned)js_len(configs)))
		return;
	table_row(&t);
	table_set(&t, 0, "cause");
	table_set(&t, 1, "world");
	table_set(&t, 2, "kvm");
	for (unsigned i = 0; i < js_len(configs); i++)
		table_set(&t, 3 + i, js_str(json_object_array_get_idx(configs, i), "title"));
	for (size_t i = 0; i < js_len(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		table_row(&t);
		table_set(&t, 0, js_str(row, "name"));
		if (js_true(row, "exit")) {
			table_set(&t, 1, stat_text(js(row, "world"), buf));
			table_set(&t, 2, stat_text(js(row, "kvm"), buf));
		}
		set_models(&t, report, js(row, "model"));
	}
	table_row(&t);
	table_set(&t, 0, "total");
	table_set(&t, 1, stat_text(js(js(engines, "world"), "exits"), buf));
	table_set(&t, 2, stat_text(js(js(engines, "kvm"), "exits"), buf));
	set_models(&t, report, js(report, "total"));
	fputs("exits by cause: traps of the engine world; returns of KVM to this program, "
	      "measured; "
	      "exits of hardware\nunder a KVM with its defaults, modelled (a..b: between)\n",
	      f);
	table_end(&t, f);
}

/* ---- the other tables ---- */

static void print_agreement(struct json_object *report, FILE *f)
{
	struct json_object *list = js(report, "agreement");
	struct table t;

	if (!js_len(list) || !table_init(&t, 4))
		return;
	fputs("exits to user space, as the model expects them of KVM here, and measured\n", f);
	table_row(&t);
	table_set(&t, 1, "expected");
	table_set(&t, 2, "measured");
	table_set(&t, 3, "agree");
	for (size_t i = 0; i < js_len(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i), *yes = js(o, "agree");
		char buf[CELL];

		table_row(&t);
		table_set(&t, 0, js_str(o, "what"));
		table_set(&t, 1, between(js_num(o, "min"), js_num(o, "max"), buf));
		table_set(&t, 2,
			  between(js_num(o, "measured_min"), js_num(o, "measured_max"), buf));
		table_set(&t, 3, json_object_get_boolean(yes) ? "yes" : "no");
	}
	table_end(&t, f);
	for (size_t i = 0; i < js_len(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i), *yes = js(o, "agree");

		if (!json_object_get_boolean(yes))
			fprintf(f, "    %s: %s\n", js_str(o, "what"), js_str(o, "rule"));
	}
}

/* "npf 4105, hlt 3" */
static void counts_text(struct json_object *counts, char *buf, size_t size)
{
	size_t used = 0;

	*buf = '\0';
	if (!counts)
		return;
	json_object_object_foreach(counts, name, n)
	{
		if (used < size)
			used += (size_t)snprintf(buf + used, size - used, "%s%s %" PRIu64,
						 used ? ", " : "", name, json_object_get_uint64(n));
	}
}

static void hardware_row(struct table *t, struct json_object *o)
{
	struct json_object *yes = js(o, "agree");
	char buf[CELL];

	table_row(t);
	table_set(t, 0, js_str(o, "cause"));
	table_set(t, 1, range_text(js(o, "model"), buf));
	table_set(t, 2, stat_text(js(o, "measured"), buf));
	table_set(t, 3, !yes ? "-" : json_object_get_boolean(yes) ? "yes" : "no");
	counts_text(js(o, "reasons"), buf, sizeof(buf));
	table_set(t, 4, buf);
}

static const char *config_title(struct json_object *report, const char *name)
{
	struct json_object *configs = js(report, "configs");

	for (size_t i = 0; i < js_len(configs); i++) {
		struct json_object *c = json_object_array_get_idx(configs, i);

		if (!strcmp(js_str(c, "name"), name))
			return js_str(c, "title");
	}
	return "model";
}

static void print_hardware(struct json_object *report, FILE *f)
{
	struct json_object *hw = js(report, "hardware"), *list = js(hw, "causes");
	const char *module = js_str(js(js(report, "engines"), "kvm"), "module");
	struct table t;
	char buf[CELL];

	if (js(hw, "why")) {
		fprintf(f, "exits of the hardware were not measured: %s\n", js_str(hw, "why"));
		return;
	}
	if (!table_init(&t, 5))
		return;
	fprintf(f, "exits of the hardware under %s, modelled and measured\n", module);
	table_row(&t);
	table_set(&t, 0, "cause");
	table_set(&t, 1, config_title(report, js_str(hw, "config")));
	table_set(&t, 2, "measured");
	table_set(&t, 3, "agree");
	table_set(&t, 4, "reasons");
	for (size_t i = 0; i < js_len(list); i++)
		hardware_row(&t, json_object_array_get_idx(list, i));
	table_row(&t);
	table_set(&t, 0, "total");
	table_set(&t, 2, stat_text(js(hw, "exits"), buf));
	table_end(&t, f);
	if (js(hw, "config_why"))
		fprintf(f, "    %s\n", js_str(hw, "config_why"));
	if (js_num(js(hw, "lost"), "max"))
		fprintf(f, "    up to %" PRIu64 " exits of a run were lost, and are in no row\n",
			js_num(js(hw, "lost"), "max"));
	for (size_t i = 0; i < js_len(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (js(o, "agree") && !js_true(o, "agree"))
			fprintf(f, "    %s: %s\n", js_str(o, "cause"), js_str(o, "rule"));
	}
}

static void print_times(struct json_object *report, FILE *f)
{
	static const char *const keys[] = { "guest", "handoff", "handling", "blocked" };
	static const char *const titles[] = { "guest", "hand-off", "handling", "blocked" };
	struct json_object *engines = js(report, "engines"), *rate = js(report, "rate");
	struct table t;

	if (!table_init(&t, 6))
		return;
	table_row(&t);
	table_set(&t, 0, "time, ms");
	for (unsigned i = 0; i < 4; i++)
		table_set(&t, 1 + i, titles[i]);
	table_set(&t, 5,
		  !strncmp(js_str(rate, "unit"), "sec", 3) ? "exits per s" : "exits per 1e6");
	json_object_object_foreach(engines, name, e)
	{
		struct json_object *ns = js(e, "time_ns"), *r = js(rate, name);
		char buf[CELL];

		if (!ns)
			continue;
		table_row(&t);
		table_set(&t, 0, name);
		for (unsigned i = 0; i < 4; i++) {
			snprintf(buf, sizeof(buf), "%.3f", (double)js_num(ns, keys[i]) / 1e6);
			/* KVM hands over in the kernel, where nobody here looks. */
			table_set(&t, 1 + i, i == 1 && !js_num(ns, keys[i]) ? "-" : buf);
		}
		snprintf(buf, sizeof(buf), "%.0f", json_object_get_double(r));
		table_set(&t, 5, r ? buf : "-");
	}
	fprintf(f, "where the time went; exits are per %s (%s)\n", js_str(rate, "unit"),
		js_str(rate, "why"));
	table_end(&t, f);
	if (js(js(engines, "kvm"), "time_why"))
		fprintf(f, "  kvm: %s\n", js_str(js(engines, "kvm"), "time_why"));
}

static void print_counters(struct json_object *report, FILE *f)
{
	struct json_object *kvm = js(js(report, "engines"), "kvm"), *all = js(kvm, "counters");
	size_t used = 0, size = 0;
	char *text = NULL;
	FILE *m;

	if (!all || !(m = open_memstream(&text, &size)))
		return;
	json_object_object_foreach(all, name, val)
	{
		if (json_object_is_type(val, json_type_array) || !json_object_get_uint64(val))
			continue;
		used += (size_t)fprintf(m, "%s%s %" PRIu64, used ? ", " : "", name,
					json_object_get_uint64(val));
	}
	fclose(m);
	fprintf(f,
		"KVM's own counters (module %s): exits are all of the hardware, those the kernel "
		"handled too\n  ",
		js_str(kvm, "module"));
	compare_put_wrapped(text, 2, f);
	free(text);
}

/* What is not the same in all runs. */
static void print_spread(struct json_object *report, FILE *f)
{
	static const char *const engines[] = { "world", "kvm" };
	struct json_object *rows = js(report, "rows");
	unsigned n = 0;

	for (size_t i = 0; i < js_len(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		for (unsigned e = 0; e < 2 && js_true(row, "varies"); e++) {
			struct json_object *s = js(row, engines[e]);

			if (js_num(s, "min") == js_num(s, "max"))
				continue;
			if (!n++)
				fputs("~ counts that vary from run to run\n", f);
			fprintf(f, "  %-20s %-6s %" PRIu64 "..%" PRIu64 "\n", js_str(row, "name"),
				engines[e], js_num(s, "min"), js_num(s, "max"));
		}
	}
}

static void print_console(struct json_object *report, FILE *f)
{
	struct json_object *c = js(report, "console");

	if (!js(c, "same"))
		return;
	if (js_true(c, "same")) {
		fprintf(f, "  both printed the same %" PRIu64 " bytes\n", js_num(c, "world_bytes"));
		return;
	}
	fprintf(f,
		"  they printed %" PRIu64 " and %" PRIu64 " bytes, which differ in line %" PRIu64
		":\n    world: %s\n    kvm:   %s\n",
		js_num(c, "world_bytes"), js_num(c, "kvm_bytes"), js_num(c, "line"),
		js_str(c, "world"), js_str(c, "kvm"));
}

static void print_head(struct json_object *report, FILE *f)
{
	struct json_object *m = js(report, "machine"), *kvm = js(js(report, "engines"), "kvm");
	struct json_object *world = js(js(report, "engines"), "world");
	struct json_object *options = js(report, "options");
	const char *module = js_str(kvm, "module");
	uint64_t repeat = js_num(report, "repeat");

	fprintf(f, "comparison of %s", js_str(report, "image"));
	for (size_t i = 0; i < js_len(options); i++)
		fprintf(f, " %s", json_object_get_string(json_object_array_get_idx(options, i)));
	fprintf(f, ": %" PRIu64 " run%s of each engine\n", repeat, repeat == 1 ? "" : "s");
	fprintf(f, "  %s, Linux %s%s, ringside %s\n", js_str(m, "cpu"), js_str(m, "kernel"),
		js_true(m, "virtual") ? ", itself a virtual machine" : "",
		js_str(report, "ringside"));
	fprintf(f, "  world: %s\n", js_str(world, "end"));
	if (js_true(kvm, "ran"))
		fprintf(f, "  kvm (module %s): %s\n", module, js_str(kvm, "end"));
	else
		fprintf(f, "  kvm did not run: %s\n", js_str(kvm, "why"));
	print_console(report, f);
}

static void print_unseen(struct json_object *report, FILE *f)
{
	struct json_object *list = js(report, "unseen");

	if (js_len(list))
		fputs("what a run of the engine world does not show, so that no model counts it\n",
		      f);
	for (size_t i = 0; i < js_len(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		char *text = NULL;

		if (asprintf(&text, "%s: %s", js_str(o, "what"), js_str(o, "why")) >= 0) {
			fputs("  ", f);
			compare_put_wrapped(text, 2, f);
		}
		free(text);
	}
}

void compare_print_text(struct json_object *report, FILE *f)
{
	print_head(report, f);
	print_causes(report, f);
	print_spread(report, f);
	compare_print_reasons(report, f);
	print_agreement(report, f);
	print_hardware(report, f);
	print_times(report, f);
	print_counters(report, f);
	print_unseen(report, f);
}
