/* SPDX-License-Identifier: MIT */
/* The model of a run as a table and as JSON. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/account.h"
#include "vmm/model.h"

const char *model_range_text(const struct model_range *r, char *buf, size_t size)
{
	if (r->max == MODEL_UNKNOWN)
		snprintf(buf, size, "%" PRIu64 "..?", r->min);
	else if (r->min == r->max)
		snprintf(buf, size, "%" PRIu64, r->min);
	else
		snprintf(buf, size, "%" PRIu64 "..%" PRIu64, r->min, r->max);
	return buf;
}

static const char *cause_of(const struct model_row *row, char *buf, size_t size)
{
	return row->cause < CAUSE_COUNT ? cause_name(row->cause, buf, size) : "-";
}

static void print_ranges(const struct model_range *r, FILE *f)
{
	char buf[48];

	for (unsigned c = 0; c < MODEL_CONFIGS; c++)
		fprintf(f, " %15s", model_range_text(&r[c], buf, sizeof(buf)));
	fputc('\n', f);
}

static void print_unseen(FILE *f)
{
	const struct model_unseen *u;
	size_t n;

	u = model_unseen(&n);
	fputs("not seen, so not counted:\n", f);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "  %s: %s\n", u[i].what, u[i].why);
}

void model_print(const struct vm *vm, FILE *f)
{
	struct model *m = model_compute(vm);
	char name[32];

	if (!m) {
		fputs("model of hardware: out of memory\n", f);
		return;
	}
	fprintf(f, "model of hardware: exits that this run would have made\n");
	fprintf(f, "  %-18s %-25s %11s", "cause", "event", "world");
	for (unsigned c = 0; c < MODEL_CONFIGS; c++)
		fprintf(f, " %15s", model_config_title(c));
	fputc('\n', f);
	for (size_t i = 0; i < m->rows; i++) {
		const struct model_row *row = &m->row[i];

		fprintf(f, "  %-18s %-25s", cause_of(row, name, sizeof(name)),
			model_answer(row->event)->name);
		if (row->cause < CAUSE_COUNT)
			fprintf(f, " %11" PRIu64, row->count);
		else /* no exit of the world engine's */
			fprintf(f, " %3s(%" PRIu64 ")", "", row->count);
		print_ranges(row->exits, f);
	}
	fprintf(f, "  %-18s %-25s %11" PRIu64, "total", "", m->world);
	print_ranges(m->total, f);
	print_unseen(f);
	model_free(m);
}

/* ---- JSON ---- */

static void add_num(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_uint64(n));
}

static void add_str(struct json_object *o, const char *key, const char *s)
{
	json_object_object_add(o, key, s ? json_object_new_string(s) : NULL);
}

/* { "vtx-ept": [3, 7], ... }: least and most; the latter is null where nothing bounds it */
static struct json_object *ranges_json(const struct model_range *r)
{
	struct json_object *o = json_object_new_object();

	for (unsigned c = 0; c < MODEL_CONFIGS; c++) {
		struct json_object *item = json_object_new_array();
		bool open = r[c].max == MODEL_UNKNOWN;

		json_object_array_add(item, json_object_new_uint64(r[c].min));
		json_object_array_add(item, open ? NULL : json_object_new_uint64(r[c].max));
		json_object_object_add(o, model_config_name(c), item);
	}
	return o;
}

static struct json_object *row_json(const struct model_row *row)
{
	struct json_object *o = json_object_new_object();
	char name[32];

	add_str(o, "cause",
		row->cause < CAUSE_COUNT ? cause_name(row->cause, name, sizeof(name)) : NULL);
	add_str(o, "event", model_answer(row->event)->name);
	add_num(o, "count", row->count);
	json_object_object_add(o, "exits", ranges_json(row->exits));
	return o;
}

/* Why, for each event of the rows: many causes share one. */
static struct json_object *events_json(const struct model *m)
{
	struct json_object *all = json_object_new_object();

	for (size_t i = 0; i < m->rows; i++) {
		const struct model_answer *a = model_answer(m->row[i].event);
		struct json_object *o;

		if (json_object_object_get_ex(all, a->name, &o))
			continue;
		o = json_object_new_object();
		add_str(o, "vtx_why", a->vtx);
		add_str(o, "vtx_ref", a->vtx_ref);
		add_str(o, "svm_why", a->svm);
		add_str(o, "svm_ref", a->svm_ref);
		json_object_object_add(all, a->name, o);
	}
	return all;
}

static struct json_object *unseen_json(void)
{
	struct json_object *list = json_object_new_array();
	const struct model_unseen *u;
	size_t n;

	u = model_unseen(&n);
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_new_object(), *where = json_object_new_array();

		for (unsigned c = 0; c < MODEL_CONFIGS; c++)
			if (u[i].where[c])
				json_object_array_add(where,
						      json_object_new_string(model_config_name(c)));
		add_str(o, "what", u[i].what);
		json_object_object_add(o, "where", where);
		add_str(o, "why", u[i].why);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *pages_json(const struct model_pages *p)
{
	struct json_object *o;

	if (!p->known)
		return NULL;
	o = json_object_new_object();
	add_num(o, "before", p->before);
	add_num(o, "after", p->after);
	add_num(o, "chunks", p->chunks);
	return o;
}

struct json_object *model_json(const struct vm *vm)
{
	struct model *m = model_compute(vm);
	struct json_object *o, *rows;

	if (!m)
		return NULL;
	o = json_object_new_object();
	rows = json_object_new_array();
	for (size_t i = 0; i < m->rows; i++)
		json_object_array_add(rows, row_json(&m->row[i]));
	add_num(o, "world", m->world);
	json_object_object_add(o, "total", ranges_json(m->total));
	json_object_object_add(o, "pages", pages_json(&m->pages));
	json_object_object_add(o, "rows", rows);
	json_object_object_add(o, "events", events_json(m));
	json_object_object_add(o, "unseen", unseen_json());
	model_free(m);
	return o;
}
