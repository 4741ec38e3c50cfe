/* SPDX-License-Identifier: MIT */
/*
 * The account as a table and as JSON.  The keys of the JSON object are an interface: they are
 * listed in docs/ringside.1 (STATISTICS) and only ever added to.  All times are integers in ns.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/account_priv.h"
#include "vmm/code.h"
#include "vmm/irq_stats.h"
#include "vmm/kvm/kvm.h"
#include "vmm/model.h"
#include "vmm/shadow.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define ACCOUNT_JSON_VERSION 1

static const char *const end_names[] = {
	[VM_RUNNING] = "running", [VM_EXITED] = "exited", [VM_STOPPED] = "stopped",
	[VM_TIMEOUT] = "timeout", [VM_KILLED] = "killed", [VM_HOST_FAIL] = "host failed",
};

/* All of @vm's vCPUs in one account; NULL if memory ran out. */
static struct account *sum_of(const struct vm *vm, bool live)
{
	struct account *sum = account_new();

	for (unsigned i = 0; sum && i < vm->vcpus; i++) {
		const struct account *a = vm->vcpu[i] ? vm->vcpu[i]->account : NULL;

		if (a && (live ? account_merge_counts(sum, a) : account_merge(sum, a)) < 0) {
			account_free(sum);
			return NULL;
		}
	}
	return sum;
}

static uint64_t times_total(const struct account_times *t)
{
	return t->guest_ns + t->handoff_ns + t->handling_ns + t->blocked_ns + t->ready_ns;
}

static double share(uint64_t part, uint64_t all)
{
	return all ? (double)part / (double)all : 0;
}

/* "1,234,567" */
static const char *grouped(uint64_t n, char buf[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), out = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			buf[out++] = ',';
		buf[out++] = digits[i];
	}
	buf[out] = '\0';
	return buf;
}

/* ---- text ---- */

/* Mean and 99th percentile, right-aligned; dashes where nothing was measured. */
static void print_cost(const struct hist *h, FILE *f)
{
	char mean[32] = "-", p99[32] = "-";

	if (h && h->count) {
		grouped(hist_mean(h), mean);
		grouped(hist_percentile(h, 0.99), p99);
	}
	fprintf(f, " %11s %11s", mean, p99);
}

static void print_causes(const struct account *a, bool assisted, FILE *f)
{
	uint16_t order[CAUSE_COUNT];
	size_t n = account_sorted(a, order);
	uint64_t total = account_total(a);
	char name[32], num[32];

	fprintf(f, "  %-18s %13s %7s   %21s   %21s\n", "", "", "", "hand-off, ns  ",
		"handling, ns  ");
	fprintf(f, "  %-18s %13s %7s %11s %11s %11s %11s\n", "cause", "count", "share", "mean",
		"p99", "mean", "p99");
	for (size_t i = 0; i < n; i++) {
		const struct tally *t = &a->tally[order[i]];

		fprintf(f, "  %-18s %13s %5.1f %%", cause_name(order[i], name, sizeof(name)),
			grouped(t->count, num), 100 * share(t->count, total));
		print_cost(t->hist ? &t->hist[COST_HANDOFF] : NULL, f);
		print_cost(t->hist ? &t->hist[COST_HANDLING] : NULL, f);
		fputc('\n', f);
	}
	fprintf(f, "  %-18s %13s %5.1f %%\n", "total", grouped(total, num), n ? 100.0 : 0.0);
	if (assisted)
		fputs("  One time is measured: in the kernel's KVM and in the guest, which is the "
		      "guest's below.\n",
		      f);
	else
		fputs("  Hand-off is what user space sees; the host kernel's signal delivery and "
		      "return are inside the\n  guest's time below (see `make bench`).\n",
		      f);
}

static void print_injected(const struct account *a, FILE *f)
{
	char num[32];
	bool any = false;

	for (unsigned vec = 0; vec < 256; vec++) {
		const char *name = vector_name((uint8_t)vec);

		if (!a->inner[vec] && !a->external[vec])
			continue;
		if (!any)
			fputs("events injected\n", f);
		any = true;
		if (a->inner[vec])
			fprintf(f, "  %-3u 0x%02x  %-10s %13s\n", vec, vec, name ? name : "int n",
				grouped(a->inner[vec], num));
		if (a->external[vec])
			fprintf(f, "  %-3u 0x%02x  %-10s %13s\n", vec, vec, "IRQ",
				grouped(a->external[vec], num));
	}
}

static void print_times_row(const char *who, const struct account_times *t, FILE *f)
{
	const uint64_t ns[] = { t->guest_ns, t->handoff_ns, t->handling_ns, t->blocked_ns,
				t->ready_ns };
	uint64_t total = times_total(t);

	fprintf(f, "  %-7s", who);
	for (size_t i = 0; i < sizeof(ns) / sizeof(ns[0]); i++)
		fprintf(f, " %10.3f %5.1f %%", (double)ns[i] / 1e6, 100 * share(ns[i], total));
	fputc('\n', f);
}

static void print_times(const struct vm *vm, const struct account *sum, FILE *f)
{
	fprintf(f, "%-9s %18s %18s %18s %18s %18s\n", "time, ms", "guest", "hand-off", "handling",
		"blocked", "ready");
	for (unsigned i = 0; i < vm->vcpus; i++) {
		char who[16];

		if (!vm->vcpu[i] || !vm->vcpu[i]->account)
			continue;
		snprintf(who, sizeof(who), "vCPU %u", i);
		print_times_row(who, &vm->vcpu[i]->account->times, f);
	}
	print_times_row("total", &sum->times, f);
}

static void print_devices(const struct vm *vm, FILE *f)
{
	const struct bus *const buses[] = { &vm->pio, &vm->mmio };
	char reads[32], writes[32];
	bool any = false;

	for (size_t b = 0; b < 2; b++) {
		for (size_t i = 0; i < buses[b]->count; i++) {
			const struct bus_range *r = &buses[b]->range[i];

			if (!r->reads && !r->writes)
				continue;
			if (!any)
				fprintf(f, "%-12s %-5s %21s %13s %13s\n", "devices", "bus", "range",
					"reads", "writes");
			any = true;
			fprintf(f, "  %-10s %-5s %#10llx-%#-10llx %13s %13s\n", r->name,
				buses[b]->name, (unsigned long long)r->base,
				(unsigned long long)(r->base + r->len - 1),
				grouped(r->reads, reads), grouped(r->writes, writes));
		}
	}
}

static void print_unclaimed(const struct bus *bus, FILE *f)
{
	uint64_t reads = bus->unclaimed_reads, writes = bus->unclaimed_writes;
	char r[32], w[32];

	if (!reads && !writes)
		return;
	fprintf(f, "%s nobody claimed: %s reads, %s writes\n", bus->name, grouped(reads, r),
		grouped(writes, w));
	for (size_t i = 0; i < bus->unclaimed_count; i++) {
		const struct bus_unclaimed *u = &bus->unclaimed[i];

		fprintf(f, "  %#10llx %13s reads %13s writes\n", (unsigned long long)u->addr,
			grouped(u->reads, r), grouped(u->writes, w));
		reads -= u->reads;
		writes -= u->writes;
	}
	if (reads || writes)
		fprintf(f, "  %10s %13s reads %13s writes\n", "elsewhere", grouped(reads, r),
			grouped(writes, w));
}

static void print_code(const struct code *c, FILE *f)
{
	struct code_stats st;
	char n[4][32];

	if (!c)
		return;
	code_get_stats(c, &st);
	fprintf(f, "shadow code pages: %s pages, %s patched instructions\n",
		grouped(st.pages, n[0]), grouped(st.patches, n[1]));
	fprintf(f, "  %s scans, %s rescans, %s drops, %s flushes; ", grouped(st.scans, n[0]),
		grouped(st.rescans, n[1]), grouped(st.drops, n[2]), grouped(st.flushes, n[3]));
	fprintf(f, "%s writes emulated, %s single steps; scan time %.3f ms\n",
		grouped(st.writes, n[0]), grouped(st.steps, n[1]), (double)st.scan_ns / 1e6);
	fprintf(f, "  bytes: %s verified, %s assumed, %s unverified\n", grouped(st.verified, n[0]),
		grouped(st.assumed, n[1]), grouped(st.unverified, n[2]));
}

static void print_shadow(const struct vm *vm, FILE *f)
{
	struct shadow_stats st;
	char n[4][32];

	shadow_get_stats(vm, &st);
	if (!st.switches) /* no paging: one world, all of RAM mapped at once */
		return;
	fprintf(f, "shadow MMU: %u spaces, %s switches; %s created, %s evicted\n", st.spaces,
		grouped(st.switches, n[0]), grouped(st.created, n[1]), grouped(st.evicted, n[2]));
	fprintf(f, "  %s fills, %s pages; %s validated, %s pages stale, ", grouped(st.fills, n[0]),
		grouped(st.pages, n[1]), grouped(st.validated, n[2]), grouped(st.stale, n[3]));
	fprintf(f, "%s flushed\n", grouped(st.flushed, n[0]));
}

void account_print(const struct vm *vm, FILE *f)
{
	struct account *sum = sum_of(vm, false);
	struct insn_cache_stats dec;
	char num[32];

	if (!sum) {
		fputs("trap account: out of memory\n", f);
		return;
	}
	fprintf(f, "trap account: %s exits of %u vCPU%s in %.3f s\n",
		grouped(account_total(sum), num), vm->vcpus, vm->vcpus == 1 ? "" : "s",
		(double)times_total(&sum->times) / 1e9);
	print_causes(sum, vm->kvm != NULL, f);
	account_vcpus_print(vm, sum, f);
	account_sites_print(vm, sum, f);
	print_times(vm, sum, f);
	if (sum->lookahead)
		fprintf(f, "  %s of them without a trap of their own (--lookahead)\n",
			grouped(sum->lookahead, num));
	if (sum->handoff_switches)
		fprintf(f, "hand-off changed between one CPU and two: %s times\n",
			grouped(sum->handoff_switches, num));
	print_injected(sum, f);
	irq_stats_print(vm, f);
	print_devices(vm, f);
	print_unclaimed(&vm->pio, f);
	print_unclaimed(&vm->mmio, f);
	print_code(vm->code, f);
	print_shadow(vm, f);
	kvm_print(vm, f);
	insn_cache_stats(&dec);
	fprintf(f, "decoder: %s lookups, %.1f %% found in its cache\n", grouped(dec.lookups, num),
		100 * share(dec.hits, dec.lookups));
	account_free(sum);
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

static struct json_object *cost_json(const struct hist *h)
{
	struct json_object *o;

	if (!h || !h->count)
		return NULL;
	o = json_object_new_object();
	add_num(o, "mean", hist_mean(h));
	add_num(o, "p50", hist_percentile(h, 0.5));
	add_num(o, "p99", hist_percentile(h, 0.99));
	add_num(o, "max", h->max);
	add_num(o, "sum", h->sum);
	return o;
}

static struct json_object *causes_json(const struct account *a)
{
	struct json_object *list = json_object_new_array();
	uint16_t order[CAUSE_COUNT];
	size_t n = account_sorted(a, order);
	uint64_t total = account_total(a);
	char name[32];

	for (size_t i = 0; i < n; i++) {
		const struct tally *t = &a->tally[order[i]];
		struct json_object *o = json_object_new_object();

		add_str(o, "cause", cause_name(order[i], name, sizeof(name)));
		add_num(o, "count", t->count);
		json_object_object_add(o, "share", json_object_new_double(share(t->count, total)));
		json_object_object_add(o, "handoff_ns",
				       cost_json(t->hist ? &t->hist[COST_HANDOFF] : NULL));
		json_object_object_add(o, "handling_ns",
				       cost_json(t->hist ? &t->hist[COST_HANDLING] : NULL));
		json_object_array_add(list, o);
	}
	return list;
}

static void add_injected(struct json_object *list, unsigned vector, const char *name, bool external,
			 uint64_t count)
{
	struct json_object *o;

	if (!count)
		return;
	o = json_object_new_object();
	add_num(o, "vector", vector);
	add_str(o, "name", name);
	json_object_object_add(o, "external", json_object_new_boolean(external));
	add_num(o, "count", count);
	json_object_array_add(list, o);
}

static struct json_object *injected_json(const struct account *a)
{
	struct json_object *list = json_object_new_array();

	for (unsigned vec = 0; vec < 256; vec++) {
		const char *name = vector_name((uint8_t)vec);

		add_injected(list, vec, name ? name : "int n", false, a->inner[vec]);
		add_injected(list, vec, "IRQ", true, a->external[vec]);
	}
	return list;
}

static struct json_object *times_json(const struct account_times *t)
{
	struct json_object *o = json_object_new_object();

	add_num(o, "guest", t->guest_ns);
	add_num(o, "handoff", t->handoff_ns);
	add_num(o, "handling", t->handling_ns);
	add_num(o, "blocked", t->blocked_ns);
	add_num(o, "ready", t->ready_ns);
	return o;
}

/* Through a copy, since the vCPU may be counting. */
static struct json_object *vcpu_json(const struct vcpu *v)
{
	struct json_object *o = json_object_new_object();
	struct account *a = account_new();

	add_num(o, "id", v->id);
	if (a && account_merge_counts(a, v->account) == 0) {
		add_num(o, "exits", account_total(a));
		json_object_object_add(o, "time_ns", times_json(&a->times));
		json_object_object_add(o, "causes", account_counts_json(a));
	}
	account_free(a);
	return o;
}

static struct json_object *vcpus_json(const struct vm *vm)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < vm->vcpus; i++)
		if (vm->vcpu[i] && vm->vcpu[i]->account)
			json_object_array_add(list, vcpu_json(vm->vcpu[i]));
	return list;
}

static struct json_object *bus_json(const struct bus *bus)
{
	struct json_object *o = json_object_new_object(), *ranges = json_object_new_array();
	struct json_object *unclaimed = json_object_new_array();

	for (size_t i = 0; i < bus->count; i++) {
		const struct bus_range *r = &bus->range[i];
		struct json_object *item = json_object_new_object();

		add_str(item, "name", r->name);
		add_num(item, "base", r->base);
		add_num(item, "len", r->len);
		add_num(item, "reads", r->reads);
		add_num(item, "writes", r->writes);
		json_object_array_add(ranges, item);
	}
	for (size_t i = 0; i < bus->unclaimed_count; i++) {
		const struct bus_unclaimed *u = &bus->unclaimed[i];
		struct json_object *item = json_object_new_object();

		add_num(item, "addr", u->addr);
		add_num(item, "reads", u->reads);
		add_num(item, "writes", u->writes);
		json_object_array_add(unclaimed, item);
	}
	json_object_object_add(o, "ranges", ranges);
	json_object_object_add(o, "unclaimed", unclaimed);
	add_num(o, "unclaimed_reads", bus->unclaimed_reads);
	add_num(o, "unclaimed_writes", bus->unclaimed_writes);
	return o;
}

/* null for an engine that needs none */
static struct json_object *code_json(const struct code *c)
{
	struct json_object *o;
	struct code_stats st;

	if (!c)
		return NULL;
	code_get_stats(c, &st);
	o = json_object_new_object();
	add_num(o, "pages", st.pages);
	add_num(o, "patches", st.patches);
	add_num(o, "scans", st.scans);
	add_num(o, "rescans", st.rescans);
	add_num(o, "drops", st.drops);
	add_num(o, "flushes", st.flushes);
	add_num(o, "writes", st.writes);
	add_num(o, "steps", st.steps);
	add_num(o, "scan_ns", st.scan_ns);
	add_num(o, "verified_bytes", st.verified);
	add_num(o, "assumed_bytes", st.assumed);
	add_num(o, "unverified_bytes", st.unverified);
	return o;
}

/* null before the guest ran */
static struct json_object *shadow_json(const struct vm *vm)
{
	struct json_object *o;
	struct shadow_stats st;

	if (!vm->shadow)
		return NULL;
	shadow_get_stats(vm, &st);
	o = json_object_new_object();
	add_num(o, "spaces", st.spaces);
	add_num(o, "switches", st.switches);
	add_num(o, "created", st.created);
	add_num(o, "evicted", st.evicted);
	add_num(o, "fills", st.fills);
	add_num(o, "pages", st.pages);
	add_num(o, "validated", st.validated);
	add_num(o, "stale", st.stale);
	add_num(o, "flushed", st.flushed);
	return o;
}

static struct json_object *end_json(const struct vm *vm, bool live)
{
	struct json_object *o = json_object_new_object();
	int end = live ? VM_RUNNING : vm->end;

	add_str(o, "how", end_names[end]);
	json_object_object_add(o, "status", json_object_new_int(live ? 0 : vm->status));
	add_str(o, "why", !live && *vm->death ? vm->death : NULL);
	return o;
}

/* What the device lock protects. */
static void add_devices(struct json_object *o, const struct vm *vm)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&vm->lock;

	pthread_mutex_lock(lock);
	json_object_object_add(o, "interrupts", irq_stats_json(vm));
	json_object_object_add(o, "pio", bus_json(&vm->pio));
	json_object_object_add(o, "mmio", bus_json(&vm->mmio));
	pthread_mutex_unlock(lock);
}

/* What mmu_lock protects. */
static void add_memory(struct json_object *o, const struct vm *vm)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&vm->mmu_lock;

	pthread_mutex_lock(lock);
	json_object_object_add(o, "code", code_json(vm->code));
	json_object_object_add(o, "shadow", shadow_json(vm));
	pthread_mutex_unlock(lock);
}

static struct json_object *make_json(const struct vm *vm, bool live)
{
	struct account *sum = sum_of(vm, live);
	struct json_object *o, *dec;
	struct insn_cache_stats stats;

	if (!sum)
		return NULL;
	o = json_object_new_object();
	add_num(o, "version", ACCOUNT_JSON_VERSION);
	add_str(o, "engine", vm->engine_ops ? vm->engine_ops->name : NULL);
	json_object_object_add(o, "end", end_json(vm, live));
	add_num(o, "exits", account_total(sum));
	json_object_object_add(o, "causes", causes_json(sum));
	json_object_object_add(o, "symbols", live ? NULL : account_sites_json(vm, sum));
	add_num(o, "sites_lost", sum->sites.lost);
	json_object_object_add(o, "kvm", live ? NULL : kvm_json(vm));
	json_object_object_add(o, "time_ns", times_json(&sum->times));
	json_object_object_add(o, "vcpus", vcpus_json(vm));
	json_object_object_add(o, "injected", injected_json(sum));
	add_devices(o, vm);
	add_memory(o, vm);
	/* Of a run with hardware's help there is nothing to model. */
	json_object_object_add(o, "model",
			       !live && vm->engine_ops == &world_engine ? model_json(vm) : NULL);
	add_num(o, "handoff_switches", sum->handoff_switches);
	add_num(o, "lookahead", sum->lookahead);
	add_num(o, "mmio_accesses", sum->mmio);
	insn_cache_stats(&stats);
	dec = json_object_new_object();
	add_num(dec, "lookups", stats.lookups);
	add_num(dec, "hits", stats.hits);
	json_object_object_add(o, "decoder", dec);
	account_free(sum);
	return o;
}

struct json_object *account_json(const struct vm *vm)
{
	return make_json(vm, false);
}

struct json_object *account_live_json(const struct vm *vm)
{
	return make_json(vm, true);
}
