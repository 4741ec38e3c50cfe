/* SPDX-License-Identifier: MIT */
/*
 * The rows of the report.  One is a cause of either engine's account, with all events that the
 * model tells apart in it; or an event that is no exit of the world engine (an interrupt on its
 * way, RAM first touched).  Both are found by their names, which both engines share.
 */
#include <stdlib.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"

struct json_object *compare_account(const struct compare_engine *e)
{
	return e->runs ? e->run[e->shown].account : NULL;
}

uint64_t compare_cause(const struct compare_run *r, const char *cause)
{
	struct json_object *list = js(r->account, "causes");

	for (size_t i = 0; i < js_len(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *name = js_text(o, "cause");

		if (name && !strcmp(name, cause))
			return js_num(o, "count");
	}
	return 0;
}

struct json_object *compare_stat(const struct compare_engine *e,
				 uint64_t (*get)(const struct compare_run *r, const char *key),
				 const char *key)
{
	uint64_t min = UINT64_MAX, max = 0;
	struct json_object *o;

	if (!compare_account(e))
		return NULL;
	for (unsigned i = 0; i < e->runs; i++) {
		uint64_t n = get(&e->run[i], key);

		min = n < min ? n : min;
		max = n > max ? n : max;
	}
	o = json_object_new_object();
	js_add_num(o, "n", get(&e->run[e->shown], key));
	js_add_num(o, "min", min);
	js_add_num(o, "max", max);
	return o;
}

/* ---- one row ---- */

/* Why KVM has exits that the world engine has not. */
static const struct {
	const char *cause, *why;
} kvm_only[] = {
	{ "step", "single steps of this program's, which only kvm_pvm needs: it reports no "
		  "interrupt window" },
	{ "emulation failure",
	  "this KVM cannot execute the instruction and hands it back; hardware would execute it" },
	{ "interrupt window", "an interrupt waits for IF: KVM tells when the guest sets it" },
	{ "kick", "another thread asked for the vCPU, mostly to announce an interrupt" },
};

static bool is_steady(struct json_object *stat)
{
	return !stat || js_num(stat, "min") == js_num(stat, "max");
}

static struct json_object *row_new(const struct compare *c, const char *name, bool cause)
{
	const struct compare_engine *w = &c->engine[COMPARE_WORLD], *k = &c->engine[COMPARE_KVM];
	struct json_object *o = json_object_new_object(), *world = NULL, *kvm = NULL;

	world = compare_stat(w, compare_cause, name);
	kvm = compare_stat(k, compare_cause, name);
	js_add_str(o, "name", name);
	js_add_bool(o, "exit", cause);
	js_add_bool(o, "varies", !is_steady(world) || !is_steady(kvm));
	json_object_object_add(o, "world", world);
	json_object_object_add(o, "kvm", kvm);
	json_object_object_add(o, "model", NULL);
	json_object_object_add(o, "events", json_object_new_array());
	json_object_object_add(o, "kvm_why", NULL);
	for (size_t i = 0; i < sizeof(kvm_only) / sizeof(kvm_only[0]); i++)
		if (!strcmp(kvm_only[i].cause, name) && js_num(kvm, "n"))
			js_add_str(o, "kvm_why", kvm_only[i].why);
	return o;
}

/* The row of @name in @rows, made if it is not there. */
static struct json_object *row_of(const struct compare *c, struct json_object *rows,
				  const char *name, bool cause)
{
	struct json_object *row;

	for (size_t i = 0; i < js_len(rows); i++) {
		row = json_object_array_get_idx(rows, i);
		if (!strcmp(js_str(row, "name"), name))
			return row;
	}
	row = row_new(c, name, cause);
	json_object_array_add(rows, row);
	return row;
}

static void add_causes(const struct compare *c, const struct compare_engine *e,
		       struct json_object *rows)
{
	/* Of all its runs: a rare cause may not be in the one that is shown. */
	for (unsigned r = 0; r < e->runs; r++) {
		struct json_object *list = js(e->run[r].account, "causes");

		for (size_t i = 0; i < js_len(list); i++)
			row_of(c, rows, js_str(json_object_array_get_idx(list, i), "cause"), true);
	}
}

/* ---- the model's part ---- */

/* [min, max] += [min, max]; a max of null is without bound. */
static struct json_object *range_sum(struct json_object *a, struct json_object *b)
{
	struct json_object *sum = json_object_new_array();

	for (size_t i = 0; i < 2; i++) {
		struct json_object *x = json_object_array_get_idx(a, i);
		struct json_object *y = json_object_array_get_idx(b, i);

		json_object_array_add(sum,
				      x && y ? json_object_new_uint64(json_object_get_uint64(x) +
								      json_object_get_uint64(y))
					     : NULL);
	}
	return sum;
}

static void add_ranges(struct json_object *row, struct json_object *exits)
{
	struct json_object *sums = js(row, "model");

	if (!sums) {
		sums = json_object_new_object();
		json_object_object_add(row, "model", sums);
	}
	json_object_object_foreach(exits, config, range)
	{
		struct json_object *old = js(sums, config);

		json_object_object_add(sums, config,
				       old ? range_sum(old, range) : json_object_get(range));
	}
}

static void add_event(struct json_object *row, struct json_object *from, struct json_object *why)
{
	static const char *const keys[] = { "vtx_why", "vtx_ref", "svm_why", "svm_ref" };
	struct json_object *o = json_object_new_object();

	js_add_str(o, "event", js_text(from, "event"));
	js_add_num(o, "count", js_num(from, "count"));
	json_object_object_add(o, "exits", json_object_get(js(from, "exits")));
	for (size_t i = 0; i < 4; i++)
		js_add_str(o, keys[i], js_text(why, keys[i]));
	json_object_array_add(js(row, "events"), o);
	add_ranges(row, js(from, "exits"));
}

static void add_model(const struct compare *c, struct json_object *rows)
{
	struct json_object *model = js(compare_account(&c->engine[COMPARE_WORLD]), "model");
	struct json_object *list = js(model, "rows"), *events = js(model, "events");

	for (size_t i = 0; i < js_len(list); i++) {
		struct json_object *from = json_object_array_get_idx(list, i);
		const char *cause = js_text(from, "cause"), *event = js_text(from, "event");

		add_event(row_of(c, rows, cause ? cause : event, cause != NULL), from,
			  js(events, event));
	}
}

/* ---- their order: most exits first, what is no exit last ---- */

static uint64_t count_of(struct json_object *row, const char *engine)
{
	return js_num(js(row, engine), "n");
}

static int by_count(const void *x, const void *y)
{
	struct json_object *a = *(struct json_object *const *)x;
	struct json_object *b = *(struct json_object *const *)y;

	if (js_true(a, "exit") != js_true(b, "exit"))
		return js_true(a, "exit") ? -1 : 1;
	if (count_of(a, "world") != count_of(b, "world"))
		return count_of(a, "world") < count_of(b, "world") ? 1 : -1;
	if (count_of(a, "kvm") != count_of(b, "kvm"))
		return count_of(a, "kvm") < count_of(b, "kvm") ? 1 : -1;
	return strcmp(js_str(a, "name"), js_str(b, "name"));
}

struct json_object *compare_rows(const struct compare *c)
{
	struct json_object *rows = json_object_new_array();

	for (unsigned i = 0; i < COMPARE_ENGINES; i++)
		add_causes(c, &c->engine[i], rows);
	add_model(c, rows);
	json_object_array_sort(rows, by_count);
	return rows;
}
