/* SPDX-License-Identifier: MIT */
/* From the accounts of the runs to the report. */
#include <stdlib.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"
#include "vmm/model.h"

#define REPORT_VERSION 1
#define LINE_SHOWN     60 /* bytes of a line that differs */

/* ---- the engines ---- */

/*
 * Of the run that is shown.  The times of kvm_pvm are those of an interpreter, and a reader would
 * take them for hardware's: they are left out.
 */
static void add_times(struct json_object *o, struct json_object *account)
{
	bool software = compare_is_software(account);

	json_object_object_add(o, "time_ns",
			       software ? NULL : json_object_get(js(account, "time_ns")));
	js_add_str(
		o, "time_why",
		software ? "kvm_pvm is KVM in software: its times are not hardware's, and are left "
			   "out"
			 : NULL);
}

static uint64_t exits_of(const struct compare_run *r, const char *key)
{
	(void)key;
	return compare_run_exits(r);
}

/* "exited with status 33", "ended with status 3: SENTENCE" */
static void add_end(struct json_object *o, const struct compare_run *r)
{
	char text[640];

	if (compare_run_ended(r) && r->status != STATUS_TIMEOUT)
		snprintf(text, sizeof(text), "exited with status %d", r->status);
	else
		snprintf(text, sizeof(text), "ended with status %d%s%s", r->status,
			 *r->why ? ": " : "", r->why);
	js_add_num(o, "status", (uint64_t)r->status);
	js_add_bool(o, "failed", !compare_run_ended(r));
	js_add_str(o, "end", text);
}

static struct json_object *engine_json(const struct compare_engine *e)
{
	struct json_object *o = json_object_new_object(), *account = compare_account(e);
	const struct compare_run *r = &e->run[e->shown];
	const char *why = r->why + (strncmp(r->why, "host: ", 6) ? 0 : 6);
	bool ran = account && compare_run_started(r);
	struct json_object *kvm = js(account, "kvm");

	js_add_bool(o, "ran", ran);
	js_add_str(o, "why", ran ? NULL : *why ? why : "it ended before the guest began");
	js_add_str(o, "module", js_text(kvm, "module"));
	add_end(o, r);
	json_object_object_add(o, "exits", compare_stat(e, exits_of, NULL));
	add_times(o, account);
	json_object_object_add(o, "instructions",
			       r->instructions ? json_object_new_uint64(r->instructions) : NULL);
	json_object_object_add(o, "counters", json_object_get(js(kvm, "stats")));
	return o;
}

/* ---- how often a guest traps ---- */

static struct json_object *per(uint64_t n, double unit)
{
	return unit > 0 ? json_object_new_double((double)n / unit) : NULL;
}

/*
 * Both engines execute the same instructions, but only a KVM on hardware can count the guest's
 * apart from all others; without it, per second that the guest ran.
 */
static struct json_object *rate_json(const struct compare *c)
{
	const struct compare_engine *w = &c->engine[COMPARE_WORLD], *k = &c->engine[COMPARE_KVM];
	const struct compare_run *wr = &w->run[w->shown], *kr = &k->run[k->shown];
	struct json_object *o = json_object_new_object(), *account = compare_account(k);
	bool counted = kr->instructions > 0;
	double world = (double)kr->instructions / 1e6, kvm = world;

	if (!counted) {
		world = (double)js_num(js(wr->account, "time_ns"), "guest") / 1e9;
		kvm = account && !compare_is_software(account)
			      ? (double)js_num(js(account, "time_ns"), "guest") / 1e9
			      : 0;
	}
	js_add_str(o, "unit", counted ? "million guest instructions" : "second of guest time");
	js_add_str(o, "why",
		   counted          ? "counted by the CPU in KVM's run of the same guest"
		   : *kr->uncounted ? kr->uncounted
				    : "KVM did not run, and only there the CPU counts the "
				      "guest's instructions");
	json_object_object_add(o, "world", per(compare_run_exits(wr), world));
	json_object_object_add(o, "kvm", account ? per(compare_run_exits(kr), kvm) : NULL);
	return o;
}

/* ---- what the guest printed ---- */

static size_t line_at(const struct compare_run *r, size_t at)
{
	while (at && r->console[at - 1] != '\n')
		at--;
	return at;
}

static void line_text(const struct compare_run *r, size_t at, char out[LINE_SHOWN + 1])
{
	size_t n = 0;

	for (; at + n < r->kept && n < LINE_SHOWN && r->console[at + n] != '\n'; n++)
		out[n] = r->console[at + n] < ' ' || r->console[at + n] > '~' ? '?'
									      : r->console[at + n];
	out[n] = '\0';
}

static struct json_object *console_json(const struct compare *c)
{
	const struct compare_engine *w = &c->engine[COMPARE_WORLD], *k = &c->engine[COMPARE_KVM];
	const struct compare_run *a = &w->run[w->shown], *b = &k->run[k->shown];
	size_t common = a->kept < b->kept ? a->kept : b->kept, at = 0, start;
	struct json_object *o = json_object_new_object();
	char line[LINE_SHOWN + 1];
	uint64_t lines = 1;
	bool same;

	js_add_num(o, "world_bytes", a->console_len);
	if (!compare_account(k))
		return o;
	js_add_num(o, "kvm_bytes", b->console_len);
	same = a->console_len == b->console_len && a->console_hash == b->console_hash;
	js_add_bool(o, "same", same);
	if (same)
		return o;
	while (at < common && a->console[at] == b->console[at])
		lines += a->console[at++] == '\n';
	start = line_at(a, at);
	js_add_num(o, "line", lines);
	line_text(a, start, line);
	js_add_str(o, "world", line);
	line_text(b, start, line);
	js_add_str(o, "kvm", line);
	return o;
}

/* ---- all of it ---- */

static struct json_object *configs_json(void)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < MODEL_CONFIGS; i++) {
		struct json_object *o = json_object_new_object();

		js_add_str(o, "name", model_config_name(i));
		js_add_str(o, "title", model_config_title(i));
		json_object_array_add(list, o);
	}
	return list;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

struct json_object *compare_report(const struct compare *c)
{
	struct json_object *model = js(compare_account(&c->engine[COMPARE_WORLD]), "model");
	struct json_object *o = json_object_new_object(), *engines = json_object_new_object();

	for (unsigned i = 0; i < COMPARE_ENGINES; i++)
		json_object_object_add(engines, c->engine[i].name, engine_json(&c->engine[i]));
	js_add_num(o, "version", REPORT_VERSION);
	js_add_str(o, "ringside", RINGSIDE_VERSION);
	js_add_str(o, "image", base_name(c->opt->run.image));
	json_object_object_add(o, "options", json_object_get(c->opt->words));
	js_add_num(o, "repeat", c->opt->repeat);
	json_object_object_add(o, "machine", compare_machine());
	json_object_object_add(o, "engines", engines);
	json_object_object_add(o, "configs", configs_json());
	json_object_object_add(o, "rows", compare_rows(c));
	json_object_object_add(o, "total", json_object_get(js(model, "total")));
	json_object_object_add(o, "agreement", compare_agreement(c));
	json_object_object_add(o, "hardware", compare_hardware(c));
	json_object_object_add(o, "rate", rate_json(c));
	json_object_object_add(o, "console", console_json(c));
	json_object_object_add(o, "unseen", json_object_get(js(model, "unseen")));
	return o;
}
