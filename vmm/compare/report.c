/* SPDX-License-Identifier: MIT */
/* From the accounts of the runs to the report. */
#include <stdlib.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"
#include "vmm/model.h"

#define REPORT_VERSION 1
#define LINE_SHOWN     60 /* bytes of a line that differs */

/* ---- the engines ---- */

static bool is_software(struct json_object *account)
{
	const char *module = js_text(js(account, "kvm"), "module");

	return module && !strcmp(module, "kvm_pvm");
}

/*
 * Of the run that is shown.  The times of kvm_pvm are those of an interpreter, and a reader would
 * take them for hardware's: they are left out.
 */
static void add_times(struct json_object *o, struct json_object *account)
{
	bool software = is_software(account);

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
	bool ran = account && compare_run_started(r);
	struct json_object *kvm = js(account, "kvm");

	js_add_bool(o, "ran", ran);
	js_add_str(o, "why", ran ? NULL : *r->why ? r->why : "it ended before the guest began");
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
		kvm = account && !is_software(account)
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

/* ---- what both must agree on ---- */

static uint64_t causes_of(const struct compare_run *r, const char *list)
{
	char names[64], *save = NULL;
	uint64_t n = 0;

	snprintf(names, sizeof(names), "%s", list);
	for (char *s = strtok_r(names, ",", &save); s; s = strtok_r(NULL, ",", &save))
		n += compare_cause(r, s);
	return n;
}

/* How often the model saw the events of @list in the run of the world engine. */
static uint64_t events_of(const struct compare_run *r, const char *list)
{
	struct json_object *rows = js(js(r->account, "model"), "rows");
	char names[64], *save = NULL;
	uint64_t n = 0;

	snprintf(names, sizeof(names), "%s", list);
	for (char *s = strtok_r(names, ";", &save); s; s = strtok_r(NULL, ";", &save))
		for (size_t i = 0; i < js_len(rows); i++) {
			struct json_object *row = json_object_array_get_idx(rows, i);

			if (!strcmp(js_str(row, "event"), s))
				n += js_num(row, "count");
		}
	return n;
}

static uint64_t bus_accesses(const struct compare_run *r, const char *bus)
{
	struct json_object *b = js(r->account, bus), *list = js(b, "ranges");
	uint64_t n = js_num(b, "unclaimed_reads") + js_num(b, "unclaimed_writes");

	for (size_t i = 0; i < js_len(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		n += js_num(o, "reads") + js_num(o, "writes");
	}
	return n;
}

static uint64_t interrupts_of(const struct compare_run *r)
{
	struct json_object *list = js(r->account, "injected");
	uint64_t n = 0;

	for (size_t i = 0; i < js_len(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (js_true(o, "external"))
			n += js_num(o, "count");
	}
	return n;
}

/*
 * Exits to user space are what both engines must have for the same reasons: KVM as this program
 * uses it leaves devices, interrupt controllers and hlt to the process.  The model says how many
 * there must be; between them is what the interface leaves open.
 */
enum agree_kind {
	AGREE_IO,
	AGREE_MMIO,
	AGREE_ACCESSES,
	AGREE_HLT,
	AGREE_WINDOW,
	AGREE_INTERRUPTS,
	AGREE_KINDS
};

#define TENTH "within 2 or a tenth: interrupts come when they come"

static const struct {
	const char *name, *rule;
} agree_rules[AGREE_KINDS] = {
	[AGREE_IO] = { "port I/O", "exact, unless the guest polls; a string instruction is one to "
				   "as many as it has elements" },
	[AGREE_MMIO] = { "MMIO",
			 "exact, unless the guest polls; an instruction that accesses twice "
			 "is one or two" },
	[AGREE_ACCESSES] = { "accesses of devices", "exact, unless the guest polls" },
	[AGREE_HLT] = { "hlt", TENTH },
	[AGREE_WINDOW] = { "interrupt windows", TENTH },
	[AGREE_INTERRUPTS] = { "interrupts taken", TENTH },
};

struct agree {
	uint64_t min, max, measured;
	const char *why_not; /* it cannot be compared here */
};

static struct agree about(uint64_t n, uint64_t measured)
{
	uint64_t slack = n / 10 > 2 ? n / 10 : 2;

	return (struct agree){ .min = n > slack ? n - slack : 0, n + slack, measured, NULL };
}

static uint64_t accesses(const struct compare_run *r)
{
	return bus_accesses(r, "pio") + js_num(r->account, "mmio_accesses");
}

static struct agree agree_on(enum agree_kind kind, const struct compare_run *w,
			     const struct compare_run *k)
{
	struct agree a = { 0 };

	switch (kind) {
	case AGREE_IO:
		a.min = events_of(w, "port I/O");
		a.max = bus_accesses(w, "pio");
		a.measured = causes_of(k, "in,out,ins,outs");
		break;
	case AGREE_MMIO:
		a.min = compare_cause(w, "mmio");
		a.max = js_num(w->account, "mmio_accesses");
		a.measured = compare_cause(k, "mmio");
		/* What this KVM could not execute, our emulator did, with the access in it. */
		if (compare_cause(k, "emulation failure") &&
		    js_num(k->account, "mmio_accesses") > a.measured)
			a.measured = js_num(k->account, "mmio_accesses");
		break;
	case AGREE_ACCESSES:
		a.min = a.max = accesses(w);
		a.measured = accesses(k);
		break;
	case AGREE_HLT: return about(events_of(w, "hlt"), compare_cause(k, "hlt"));
	case AGREE_WINDOW:
		a = about(events_of(w, "interrupt window;interrupt window, PIC"),
			  compare_cause(k, "interrupt window"));
		if (is_software(k->account))
			a.why_not = "kvm_pvm reports none: this program steps instead";
		break;
	default: return about(interrupts_of(w), interrupts_of(k));
	}
	if (a.max < a.min)
		a.max = a.min;
	return a;
}

/* What may be expected by all runs of one engine and was measured in all of the other. */
struct agreement {
	struct agree shown;
	uint64_t lo, hi; /* measured */
};

static struct agreement agree_over(const struct compare *c, enum agree_kind kind)
{
	const struct compare_engine *w = &c->engine[COMPARE_WORLD], *k = &c->engine[COMPARE_KVM];
	const struct compare_run *wr = &w->run[w->shown], *kr = &k->run[k->shown];
	struct agreement all = { .shown = agree_on(kind, wr, kr) };

	all.lo = all.hi = all.shown.measured;
	for (unsigned i = 0; i < w->runs; i++) {
		struct agree a = agree_on(kind, &w->run[i], kr);

		all.shown.min = a.min < all.shown.min ? a.min : all.shown.min;
		all.shown.max = a.max > all.shown.max ? a.max : all.shown.max;
	}
	for (unsigned i = 0; i < k->runs; i++) {
		uint64_t n = agree_on(kind, wr, &k->run[i]).measured;

		all.lo = n < all.lo ? n : all.lo;
		all.hi = n > all.hi ? n : all.hi;
	}
	return all;
}

static struct json_object *agree_json(const struct compare *c)
{
	struct json_object *list = json_object_new_array();

	if (!compare_account(&c->engine[COMPARE_WORLD]) ||
	    !compare_account(&c->engine[COMPARE_KVM]))
		return list;
	for (unsigned i = 0; i < AGREE_KINDS; i++) {
		struct agreement a = agree_over(c, i);
		const char *why_not = a.shown.why_not;
		bool agree = a.hi >= a.shown.min && a.lo <= a.shown.max;
		struct json_object *o = json_object_new_object();

		js_add_str(o, "what", agree_rules[i].name);
		js_add_num(o, "min", a.shown.min);
		js_add_num(o, "max", a.shown.max);
		js_add_num(o, "measured", a.shown.measured);
		js_add_num(o, "measured_min", a.lo);
		js_add_num(o, "measured_max", a.hi);
		json_object_object_add(o, "agree", why_not ? NULL : json_object_new_boolean(agree));
		js_add_str(o, "rule", why_not ? why_not : agree_rules[i].rule);
		json_object_array_add(list, o);
	}
	return list;
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
	json_object_object_add(o, "agreement", agree_json(c));
	json_object_object_add(o, "rate", rate_json(c));
	json_object_object_add(o, "console", console_json(c));
	json_object_object_add(o, "unseen", json_object_get(js(model, "unseen")));
	return o;
}
