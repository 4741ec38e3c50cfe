/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host/top.h"

/* A host that takes longer hangs. */
#define ANSWER_SECONDS 10

struct json_object *top_sample(struct ctl_conn *c)
{
	struct json_object *request = json_object_new_object(), *reply;

	json_object_object_add(request, "cmd", json_object_new_string("top"));
	reply = conn_ask(c, request, ANSWER_SECONDS);
	if (reply && !json_object_get_boolean(json_get(reply, "ok"))) {
		snprintf(c->err, sizeof(c->err), "%s", json_str(reply, "error"));
		json_object_put(reply);
		return NULL;
	}
	return reply;
}

/* ---- what changed ---- */

static size_t length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

static double grown(struct json_object *before, struct json_object *after, const char *key)
{
	uint64_t a = json_u64(before, key), b = json_u64(after, key);

	return b > a ? (double)(b - a) : 0;
}

static void compare_vcpu(struct json_object *before, struct json_object *after, double ns,
			 struct top_vcpu *out)
{
	double waited = grown(before, after, "ready_ns") - grown(before, after, "held_ns");
	double wakes = grown(before, after, "wakes");
	bool held = json_object_get_boolean(json_get(after, "held"));

	snprintf(out->state, sizeof(out->state), "%s", held ? "held" : json_str(after, "state"));
	out->pcpu = (unsigned)json_u64(after, "pcpu");
	out->r.valid = before && ns > 0;
	if (!out->r.valid)
		return;
	out->r.cpu = 100 * grown(before, after, "running_ns") / ns;
	out->r.steal = waited > 0 ? 100 * waited / ns : 0;
	out->r.traps = 1e9 * grown(before, after, "exits") / ns;
	out->r.wake_us = wakes > 0 ? grown(before, after, "wake_ns") / wakes / 1000 : -1;
}

static void add_cause(struct top_vm *vm, const char *name, double per_second)
{
	unsigned at = TOP_CAUSES;

	while (at > 0 && (!*vm->cause[at - 1].name || per_second > vm->cause[at - 1].per_second))
		at--;
	if (at == TOP_CAUSES || per_second <= 0)
		return;
	memmove(&vm->cause[at + 1], &vm->cause[at], (TOP_CAUSES - 1 - at) * sizeof(vm->cause[0]));
	snprintf(vm->cause[at].name, sizeof(vm->cause[at].name), "%s", name);
	vm->cause[at].per_second = per_second;
}

static void compare_causes(struct json_object *before, struct json_object *after, double ns,
			   struct top_vm *out)
{
	struct json_object_iterator at, end;

	if (!json_object_is_type(after, json_type_object) || ns <= 0)
		return;
	at = json_object_iter_begin(after);
	end = json_object_iter_end(after);
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
		const char *name = json_object_iter_peek_name(&at);

		add_cause(out, name, 1e9 * grown(before, after, name) / ns);
	}
}

static void sum_vcpus(struct top_vm *vm)
{
	unsigned woken = 0;
	double wake = 0;

	vm->r.wake_us = -1;
	for (unsigned i = 0; i < vm->vcpus; i++) {
		const struct top_rates *r = &vm->vcpu[i].r;

		if (!r->valid)
			continue;
		vm->r.valid = true;
		vm->r.cpu += r->cpu;
		vm->r.steal += r->steal / vm->vcpus;
		vm->r.traps += r->traps;
		if (r->wake_us >= 0) {
			wake += r->wake_us;
			woken++;
		}
	}
	if (woken)
		vm->r.wake_us = wake / woken;
}

/* The same run of the same VM, as it was then; NULL: there was none. */
static struct json_object *find_before(struct json_object *sample, struct json_object *vm)
{
	struct json_object *vms = json_get(sample, "vms");

	for (size_t i = 0; i < length(vms); i++) {
		struct json_object *b = json_object_array_get_idx(vms, i);

		if (!strcmp(json_str(b, "name"), json_str(vm, "name")) &&
		    json_u64(b, "starts") == json_u64(vm, "starts") &&
		    length(json_get(b, "vcpus")) == length(json_get(vm, "vcpus")))
			return b;
	}
	return NULL;
}

static void compare_vm(struct json_object *before, struct json_object *after, double ns,
		       struct top_vm *out)
{
	struct json_object *now = json_get(after, "vcpus"), *then = json_get(before, "vcpus");

	snprintf(out->name, sizeof(out->name), "%s", json_str(after, "name"));
	snprintf(out->state, sizeof(out->state), "%s", json_str(after, "state"));
	out->vcpus = (unsigned)length(now);
	if (out->vcpus > VM_VCPUS_MAX)
		out->vcpus = VM_VCPUS_MAX;
	for (unsigned i = 0; i < out->vcpus; i++)
		compare_vcpu(before ? json_object_array_get_idx(then, i) : NULL,
			     json_object_array_get_idx(now, i), ns, &out->vcpu[i]);
	if (before)
		compare_causes(json_get(before, "causes"), json_get(after, "causes"), ns, out);
	sum_vcpus(out);
}

int top_compare(struct json_object *before, struct json_object *after, struct top_view *out)
{
	struct json_object *vms = json_get(after, "vms");
	double ns = before ? grown(before, after, "now_ns") : 0;

	*out = (struct top_view){ .vms = (unsigned)length(vms),
				  .pcpus = (unsigned)json_u64(after, "pcpus"),
				  .seconds = ns / 1e9 };
	out->vm = calloc(out->vms + 1, sizeof(*out->vm));
	if (!out->vm) {
		out->vms = 0;
		return -ENOMEM;
	}
	for (unsigned i = 0; i < out->vms; i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i);

		out->vm[i].index = i;
		compare_vm(find_before(before, vm), vm, ns, &out->vm[i]);
	}
	return 0;
}

void top_view_free(struct top_view *v)
{
	free(v->vm);
	v->vm = NULL;
	v->vms = 0;
}

/* ---- order ---- */

const char *top_sort_name(enum top_sort by)
{
	static const char *const names[TOP_SORTS] = { "configuration", "CPU", "steal", "traps" };

	return names[by];
}

static double sort_key(const struct top_vm *vm, enum top_sort by)
{
	switch (by) {
	case TOP_BY_CPU: return vm->r.cpu;
	case TOP_BY_STEAL: return vm->r.steal;
	case TOP_BY_TRAPS: return vm->r.traps;
	default: return 0;
	}
}

static int by_key(const void *x, const void *y, void *arg)
{
	const struct top_vm *a = x, *b = y;
	enum top_sort by = *(const enum top_sort *)arg;
	double ka = sort_key(a, by), kb = sort_key(b, by);

	if (ka > kb || ka < kb)
		return ka < kb ? 1 : -1;
	return a->index < b->index ? -1 : 1;
}

void top_view_sort(struct top_view *v, enum top_sort by)
{
	qsort_r(v->vm, v->vms, sizeof(*v->vm), by_key, &by);
}

/* ---- lines ---- */

void top_heading(char line[TOP_LINE])
{
	snprintf(line, TOP_LINE, "%-18s %-8s %4s %6s %6s %9s %8s  %s", "VM", "STATE", "PCPU",
		 "CPU%", "STEAL%", "TRAPS/S", "WAKE,us", "MAIN CAUSES/S");
}

/* "12.3", or a dash where nothing is known. */
static const char *decimal(bool known, double n, char buf[16])
{
	if (known)
		snprintf(buf, 16, "%.*f", n < 1000 ? 1 : 0, n);
	else
		snprintf(buf, 16, "-");
	return buf;
}

static size_t put_rates(char line[TOP_LINE], const char *name, const char *state, const char *pcpu,
			const struct top_rates *r)
{
	char cpu[16], steal[16], traps[16], wake[16];

	return (size_t)snprintf(line, TOP_LINE, "%-18.18s %-8.8s %4s %6s %6s %9s %8s", name, state,
				pcpu, decimal(r->valid, r->cpu, cpu),
				decimal(r->valid, r->steal, steal),
				decimal(r->valid, r->traps, traps),
				decimal(r->valid && r->wake_us >= 0, r->wake_us, wake));
}

void top_vm_line(const struct top_vm *vm, char line[TOP_LINE])
{
	size_t used = put_rates(line, vm->name, vm->state, "", &vm->r);

	for (unsigned i = 0; i < TOP_CAUSES && *vm->cause[i].name && used < TOP_LINE; i++)
		used += (size_t)snprintf(line + used, TOP_LINE - used, "%s%s %.0f", i ? ", " : "  ",
					 vm->cause[i].name, vm->cause[i].per_second);
}

void top_vcpu_line(const struct top_vm *vm, unsigned vcpu, char line[TOP_LINE])
{
	const struct top_vcpu *v = &vm->vcpu[vcpu];
	char name[16], pcpu[16];

	snprintf(name, sizeof(name), "  vcpu%u", vcpu);
	snprintf(pcpu, sizeof(pcpu), "%u", v->pcpu);
	put_rates(line, name, v->state, pcpu, &v->r);
}
