/* SPDX-License-Identifier: MIT */
/*
 * The model against the exits of the hardware, of which KVM tells every one with its reason.  What
 * the events of the model and the reasons have in common is the cause (hw_exit.h).
 */
#include <stdlib.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"
#include "vmm/hw_exit.h"

static struct json_object *hardware_of(const struct compare_run *r)
{
	return js(js(r->account, "kvm"), "hardware");
}

/* ---- what the model expects ---- */

struct expected {
	uint64_t min[HW_CAUSES], max[HW_CAUSES];
	bool open[HW_CAUSES]; /* no bound above */
	bool seen[HW_CAUSES]; /* the run of the world engine had such events */
};

static bool is_msr(struct json_object *row)
{
	return !strcmp(js_str(row, "cause"), "rdmsr") || !strcmp(js_str(row, "cause"), "wrmsr");
}

static void expect_row(struct expected *x, struct json_object *row, struct hw_context ctx)
{
	struct json_object *range = js(js(row, "exits"), model_config_name(ctx.config)), *max;
	enum hw_cause cause;

	ctx.msr = is_msr(row);
	cause = hw_event_cause(model_event_find(js_str(row, "event")), &ctx);
	if (!range)
		return;
	max = json_object_array_get_idx(range, 1);
	x->min[cause] += json_object_get_uint64(json_object_array_get_idx(range, 0));
	x->max[cause] += max ? json_object_get_uint64(max) : 0;
	x->open[cause] |= !max;
	x->seen[cause] |= !max || json_object_get_uint64(max);
}

/* Of all runs of the world engine together: from the least to the most of any. */
static void expect_all(struct expected *all, const struct compare_engine *w, struct hw_context ctx)
{
	*all = (struct expected){ 0 };
	for (unsigned i = 0; i < w->runs; i++) {
		struct json_object *rows = js(js(w->run[i].account, "model"), "rows");
		struct expected x = { 0 };

		for (size_t k = 0; k < js_len(rows); k++)
			expect_row(&x, json_object_array_get_idx(rows, k), ctx);
		for (unsigned c = 0; c < HW_CAUSES; c++) {
			all->min[c] = !i || x.min[c] < all->min[c] ? x.min[c] : all->min[c];
			all->max[c] = x.max[c] > all->max[c] ? x.max[c] : all->max[c];
			all->open[c] |= x.open[c];
			all->seen[c] |= x.seen[c];
		}
	}
}

/* ---- what was measured ---- */

static uint64_t cause_count(const struct compare_run *r, const char *cause)
{
	return js_num(js(hardware_of(r), "causes"), cause);
}

static uint64_t field(const struct compare_run *r, const char *key)
{
	return js_num(hardware_of(r), key);
}

/* "npf, avic_incomplete_ipi": the reasons of the hardware that are for @cause */
static void add_reasons(struct json_object *o, const struct compare_run *r, const char *cause)
{
	struct json_object *list = js(hardware_of(r), "reasons"), *out = json_object_new_object();

	for (size_t i = 0; i < js_len(list); i++) {
		struct json_object *row = json_object_array_get_idx(list, i);
		uint64_t n = js_num(js(row, "causes"), cause);

		if (n)
			js_add_num(out, js_str(row, "reason"), n);
	}
	json_object_object_add(o, "reasons", out);
}

/* ---- side by side ---- */

static const char *const rules[] = {
	[HW_EXACT] = "exact: it is the guest's doing alone",
	[HW_TENTH] = "within 2 or a tenth: interrupts come when they come, and guests poll",
	[HW_RANGE] = "within what the model leaves open",
	[HW_HOST] = "not compared: it is the host's doing too",
};

static struct json_object *verdict(const struct expected *x, enum hw_cause c,
				   struct json_object *measured)
{
	uint64_t lo = js_num(measured, "min"), hi = js_num(measured, "max");
	uint64_t min = x->min[c], max = x->max[c];

	if (hw_cause_rule(c) == HW_TENTH) {
		min -= min / 10 > 2 ? min / 10 : min < 2 ? min : 2;
		max += max / 10 > 2 ? max / 10 : 2;
	}
	return json_object_new_boolean(hi >= min && (x->open[c] || lo <= max));
}

static struct json_object *cause_json(const struct compare_engine *k, const struct expected *x,
				      enum hw_cause c, int config)
{
	struct json_object *o = json_object_new_object(), *range = NULL;
	enum hw_rule rule = hw_cause_rule(c);
	struct json_object *measured = compare_stat(k, cause_count, hw_cause_name(c));
	bool judged = config >= 0 && rule != HW_HOST;

	if (config >= 0) {
		range = json_object_new_array();
		json_object_array_add(range, json_object_new_uint64(x->min[c]));
		json_object_array_add(range, x->open[c] ? NULL : json_object_new_uint64(x->max[c]));
	}
	js_add_str(o, "cause", hw_cause_name(c));
	json_object_object_add(o, "model", range);
	json_object_object_add(o, "measured", measured);
	json_object_object_add(o, "agree", judged ? verdict(x, c, measured) : NULL);
	js_add_str(o, "rule", config >= 0 ? rules[rule] : NULL);
	add_reasons(o, &k->run[k->shown], hw_cause_name(c));
	return o;
}

static uint64_t most(const struct compare_engine *k, const char *cause)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < k->runs; i++)
		n += cause_count(&k->run[i], cause);
	return n;
}

static int by_measured(const void *x, const void *y)
{
	struct json_object *a = js(*(struct json_object *const *)x, "measured");
	struct json_object *b = js(*(struct json_object *const *)y, "measured");

	if (js_num(a, "n") != js_num(b, "n"))
		return js_num(a, "n") < js_num(b, "n") ? 1 : -1;
	return 0;
}

static struct json_object *causes_json(const struct compare *c, int config, bool user_irqchip)
{
	const struct compare_engine *w = &c->engine[COMPARE_WORLD], *k = &c->engine[COMPARE_KVM];
	struct json_object *list = json_object_new_array();
	struct expected x = { 0 };

	if (config >= 0)
		expect_all(&x, w,
			   (struct hw_context){ .config = (enum model_config)config,
						.user_irqchip = user_irqchip });
	for (unsigned i = 0; i < HW_CAUSES; i++)
		if (x.seen[i] || most(k, hw_cause_name(i)))
			json_object_array_add(list, cause_json(k, &x, i, config));
	json_object_array_sort(list, by_measured);
	return list;
}

/* All runs of KVM have counted, or it is not told. */
static const char *why_not(const struct compare_engine *k)
{
	for (unsigned i = 0; i < k->runs; i++) {
		struct json_object *kvm = js(k->run[i].account, "kvm");

		if (!kvm)
			return "KVM did not run";
		if (!js(kvm, "hardware"))
			return js_str(kvm, "hardware_why");
	}
	return k->runs ? NULL : "KVM did not run";
}

struct json_object *compare_hardware(const struct compare *c)
{
	const struct compare_engine *k = &c->engine[COMPARE_KVM];
	struct json_object *kvm = js(compare_account(k), "kvm"), *o = json_object_new_object();
	const char *why = why_not(k), *name = js_text(kvm, "config");
	bool user_irqchip = !strcmp(js_str(kvm, "irqchip"), "user");
	int config = name ? model_config_find(name) : -1;

	js_add_str(o, "why", why);
	js_add_str(o, "config", name);
	js_add_str(o, "config_why", js_text(kvm, "config_why"));
	json_object_object_add(o, "exits", why ? NULL : compare_stat(k, field, "exits"));
	json_object_object_add(o, "lost", why ? NULL : compare_stat(k, field, "lost"));
	json_object_object_add(o, "causes", why ? NULL : causes_json(c, config, user_irqchip));
	json_object_object_add(
		o, "reasons",
		why ? NULL : json_object_get(js(hardware_of(&k->run[k->shown]), "reasons")));
	json_object_object_add(
		o, "symbols",
		why ? NULL : json_object_get(js(hardware_of(&k->run[k->shown]), "symbols")));
	return o;
}
