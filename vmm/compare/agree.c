/* SPDX-License-Identifier: MIT */
/*
 * The model against the measurement.  Exits to user space are what both engines must have for the
 * same reasons: KVM as this program uses it leaves devices, interrupt controllers and hlt to the
 * process.  The run of the engine world says how many there must be; what lies between least and
 * most is what KVM's interface leaves open.
 */
#include <inttypes.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"

bool compare_is_software(struct json_object *account)
{
	return !strcmp(js_str(js(account, "kvm"), "module"), "kvm_pvm");
}

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
};

static struct agree about(uint64_t n, uint64_t measured)
{
	uint64_t slack = n / 10 > 2 ? n / 10 : 2;

	return (struct agree){ .min = n > slack ? n - slack : 0, n + slack, measured };
}

static uint64_t accesses(const struct compare_run *r)
{
	return bus_accesses(r, "pio") + js_num(r->account, "mmio_accesses");
}

/* KVM's own counter has those too that end without a return to this program (kvm_pvm's all do). */
static uint64_t windows(const struct compare_run *k)
{
	struct json_object *n = js(js(js(k->account, "kvm"), "stats"), "irq_window_exits");

	return n ? json_object_get_uint64(n) : compare_cause(k, "interrupt window");
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
		return about(events_of(w, "interrupt window;interrupt window, PIC"), windows(k));
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

struct json_object *compare_agreement(const struct compare *c)
{
	struct json_object *list = json_object_new_array();

	/* Interrupt controllers in the kernel leave little for the process. */
	if (!compare_account(&c->engine[COMPARE_WORLD]) ||
	    !compare_account(&c->engine[COMPARE_KVM]) || c->opt->run.kernel_irqchip)
		return list;
	for (unsigned i = 0; i < AGREE_KINDS; i++) {
		struct agreement a = agree_over(c, i);
		bool agree = a.hi >= a.shown.min && a.lo <= a.shown.max;
		struct json_object *o = json_object_new_object();

		js_add_str(o, "what", agree_rules[i].name);
		js_add_num(o, "min", a.shown.min);
		js_add_num(o, "max", a.shown.max);
		js_add_num(o, "measured", a.shown.measured);
		js_add_num(o, "measured_min", a.lo);
		js_add_num(o, "measured_max", a.hi);
		json_object_object_add(o, "agree", json_object_new_boolean(agree));
		js_add_str(o, "rule", agree_rules[i].rule);
		json_object_array_add(list, o);
	}
	return list;
}
