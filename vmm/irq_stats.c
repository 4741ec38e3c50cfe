/* SPDX-License-Identifier: MIT */
#include "vmm/irq_stats.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>

#include "vmm/vcpu.h"
#include "vmm/vm.h"

static const char *const path_names[IRQ_PATHS] = {
	[IRQ_PATH_EXTERNAL] = "external", [IRQ_PATH_SYSTEM] = "system", [IRQ_PATH_IPI] = "ipi",
	[IRQ_PATH_ASSIGNED] = "assigned", [IRQ_PATH_UPCALL] = "upcall",
};

const char *irq_path_name(enum irq_path path)
{
	return path < IRQ_PATHS ? path_names[path] : "?";
}

struct irq_stats *irq_stats_new(void)
{
	return calloc(1, sizeof(struct irq_stats));
}

void irq_stats_free(struct irq_stats *s)
{
	for (unsigned i = 0; s && i < 256; i++)
		free(s->vector[i].latency);
	free(s);
}

/* ---- counting ---- */

void irq_stats_raised_many(struct irq_stats *s, uint8_t vector, enum irq_path path, uint64_t times,
			   uint64_t since_ns)
{
	struct irq_vector *v = &s->vector[vector];
	uint64_t coalesced = v->since_ns ? times : times - 1;

	if (!times)
		return;
	v->n.raised += times;
	v->n.coalesced += coalesced;
	s->path[path].raised += times;
	s->path[path].coalesced += coalesced;
	if (v->since_ns)
		return;
	v->since_ns = since_ns ? since_ns : 1;
	v->path = path;
}

void irq_stats_raised(struct irq_stats *s, uint8_t vector, enum irq_path path, uint64_t now_ns)
{
	irq_stats_raised_many(s, vector, path, 1, now_ns);
}

void irq_stats_coalesced(struct irq_stats *s, uint8_t vector, enum irq_path path, uint64_t times)
{
	s->vector[vector].n.raised += times;
	s->vector[vector].n.coalesced += times;
	s->path[path].raised += times;
	s->path[path].coalesced += times;
}

void irq_stats_acked(struct irq_stats *s, uint8_t vector)
{
	struct irq_vector *v = &s->vector[vector];

	if (!v->since_ns)
		return;
	v->n.delivered++;
	s->path[v->path].delivered++;
	v->taken_ns = v->since_ns;
	v->taken_path = v->path;
	v->since_ns = 0;
}

void irq_stats_dropped(struct irq_stats *s, uint8_t vector)
{
	struct irq_vector *v = &s->vector[vector];

	if (!v->since_ns)
		return;
	v->n.dropped++;
	s->path[v->path].dropped++;
	v->since_ns = 0;
}

void irq_stats_delivered(struct vcpu *vcpu, uint8_t vector, uint64_t now_ns)
{
	struct irq_stats *s = vcpu->irq_stats;
	struct irq_vector *v;
	uint64_t ns;

	if (!s || !s->vector[vector].taken_ns)
		return;
	v = &s->vector[vector];
	ns = now_ns > v->taken_ns ? now_ns - v->taken_ns : 0;
	v->taken_ns = 0;
	hist_add(&s->latency[v->taken_path], ns);
	/* Published when it is all zero, for irq_stats_json(). */
	if (!v->latency)
		__atomic_store_n(&v->latency, calloc(1, sizeof(*v->latency)), __ATOMIC_RELEASE);
	if (v->latency)
		hist_add(v->latency, ns);
}

/* ---- reporting ---- */

static bool any(const struct irq_counts *n)
{
	return n->raised || n->delivered;
}

static void print_row(FILE *f, const char *what, const char *path, const struct irq_counts *n,
		      const struct hist *h)
{
	static const struct hist none;

	if (!h)
		h = &none;
	fprintf(f,
		"%-12s %-9s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %8" PRIu64 " %9" PRIu64
		" %9" PRIu64 " %9" PRIu64 "\n",
		what, path, n->raised, n->coalesced, n->delivered, n->dropped,
		hist_percentile(h, 0.5), hist_percentile(h, 0.99), h->max);
}

/* One path over all vCPUs. */
static void sum_path(const struct vm *vm, enum irq_path path, struct irq_counts *n, struct hist *h)
{
	*n = (struct irq_counts){ 0 };
	*h = (struct hist){ 0 };
	for (unsigned i = 0; i < vm->vcpus; i++) {
		const struct irq_stats *s = vm->vcpu[i] ? vm->vcpu[i]->irq_stats : NULL;

		if (!s)
			continue;
		n->raised += s->path[path].raised;
		n->coalesced += s->path[path].coalesced;
		n->delivered += s->path[path].delivered;
		n->dropped += s->path[path].dropped;
		hist_merge(h, &s->latency[path]);
	}
}

void irq_stats_print(const struct vm *vm, FILE *f)
{
	struct irq_counts n;
	struct hist h;
	bool headed = false;

	for (unsigned p = 0; p < IRQ_PATHS; p++) {
		sum_path(vm, p, &n, &h);
		if (!any(&n))
			continue;
		if (!headed)
			fprintf(f, "%-12s %-9s %10s %10s %10s %8s %9s %9s %9s\n", "interrupts",
				"path", "raised", "coalesced", "delivered", "dropped", "p50 ns",
				"p99 ns", "max ns");
		headed = true;
		print_row(f, "all", irq_path_name(p), &n, &h);
	}
	for (unsigned i = 0; i < vm->vcpus; i++) {
		const struct irq_stats *s = vm->vcpu[i] ? vm->vcpu[i]->irq_stats : NULL;

		for (unsigned j = 0; s && j < 256; j++) {
			const struct irq_vector *v = &s->vector[j];
			char what[24];

			if (!any(&v->n))
				continue;
			snprintf(what, sizeof(what), "vcpu%u 0x%02x", i, j);
			print_row(f, what, irq_path_name(v->path), &v->n, v->latency);
		}
	}
}

/* json-c takes NULL for null, and its add functions free what they cannot add. */
static void add_u64(struct json_object *o, const char *key, uint64_t val)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)val));
}

/* [[from, to, count], ...] of the buckets that are not empty; the last one's @to is null. */
static struct json_object *buckets_json(const struct hist *h)
{
	struct json_object *a = json_object_new_array(), *b;
	uint64_t from, to, count;

	for (size_t i = 0; hist_next(h, &i, &from, &to, &count);) {
		b = json_object_new_array();
		json_object_array_add(b, json_object_new_int64((int64_t)from));
		json_object_array_add(b,
				      to == UINT64_MAX ? NULL : json_object_new_int64((int64_t)to));
		json_object_array_add(b, json_object_new_int64((int64_t)count));
		json_object_array_add(a, b);
	}
	return a;
}

static struct json_object *row_json(const struct irq_counts *n, const struct hist *h,
				    enum irq_path path)
{
	struct json_object *o = json_object_new_object(), *l = json_object_new_object();

	json_object_object_add(o, "path", json_object_new_string(irq_path_name(path)));
	add_u64(o, "raised", n->raised);
	add_u64(o, "coalesced", n->coalesced);
	add_u64(o, "delivered", n->delivered);
	add_u64(o, "dropped", n->dropped);
	add_u64(l, "count", h->count);
	add_u64(l, "mean_ns", hist_mean(h));
	add_u64(l, "p50_ns", hist_percentile(h, 0.5));
	add_u64(l, "p90_ns", hist_percentile(h, 0.9));
	add_u64(l, "p99_ns", hist_percentile(h, 0.99));
	add_u64(l, "max_ns", h->max);
	json_object_object_add(l, "buckets_ns", buckets_json(h));
	json_object_object_add(o, "latency", l);
	return o;
}

struct json_object *irq_stats_json(const struct vm *vm)
{
	struct json_object *o = json_object_new_object();
	struct json_object *paths = json_object_new_array(), *vectors = json_object_new_array();
	struct irq_counts n;
	struct hist h;

	for (unsigned p = 0; p < IRQ_PATHS; p++) {
		sum_path(vm, p, &n, &h);
		json_object_array_add(paths, row_json(&n, &h, p));
	}
	for (unsigned i = 0; i < vm->vcpus; i++) {
		const struct irq_stats *s = vm->vcpu[i] ? vm->vcpu[i]->irq_stats : NULL;

		for (unsigned j = 0; s && j < 256; j++) {
			const struct irq_vector *v = &s->vector[j];
			const struct hist *live;
			struct json_object *row;

			if (!any(&v->n))
				continue;
			live = __atomic_load_n(&v->latency, __ATOMIC_ACQUIRE);
			h = (struct hist){ 0 };
			if (live)
				hist_merge(&h, live);
			row = row_json(&v->n, &h, v->path);
			add_u64(row, "vcpu", i);
			add_u64(row, "vector", j);
			add_u64(row, "pending", v->since_ns != 0);
			json_object_array_add(vectors, row);
		}
	}
	json_object_object_add(o, "paths", paths);
	json_object_object_add(o, "vectors", vectors);
	return o;
}
