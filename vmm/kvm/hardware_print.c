/* SPDX-License-Identifier: MIT */
/* Exits of the hardware as tables and as JSON. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/kvm/hardware.h"

static uint64_t count_of(const struct kvm_hw *hw, unsigned kind)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < hw->vm->vcpus; i++)
		n += hw->vcpu[i].count[kind];
	return n;
}

/* Of the same reason as kind @i, and so of one row. */
static bool is_same(const struct kvm_hw *hw, unsigned i, unsigned k)
{
	return hw->kind[i].isa == hw->kind[k].isa && hw->kind[i].reason == hw->kind[k].reason;
}

/* The kind that a row begins with: the first of its reason. */
static bool is_first(const struct kvm_hw *hw, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (is_same(hw, i, k))
			return false;
	return true;
}

static uint64_t reason_count(const struct kvm_hw *hw, unsigned first, const struct hw_vcpu *v)
{
	uint64_t n = 0;

	for (unsigned k = first; k < hw->kinds; k++)
		if (is_same(hw, first, k))
			n += v ? v->count[k] : count_of(hw, k);
	return n;
}

static int by_count(const void *x, const void *y, void *arg)
{
	const struct kvm_hw *hw = arg;
	unsigned i = *(const unsigned *)x, k = *(const unsigned *)y;
	uint64_t a = reason_count(hw, i, NULL), b = reason_count(hw, k, NULL);

	if (a != b)
		return a < b ? 1 : -1;
	return i < k ? -1 : 1;
}

/* The first kind of each reason, most frequent first; returns how many. */
static unsigned sorted(struct kvm_hw *hw, unsigned row[HW_KINDS_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < hw->kinds; i++)
		if (is_first(hw, i))
			row[n++] = i;
	qsort_r(row, n, sizeof(*row), by_count, hw);
	return n;
}

/* "npf"; "npf (RAM)" where the reason has several causes */
static const char *kind_name(const void *arg, unsigned i, char *buf, size_t size)
{
	const struct kvm_hw *hw = arg;
	bool alone = true;

	for (unsigned k = 0; k < hw->kinds; k++)
		alone = alone && (k == i || !is_same(hw, i, k));
	if (alone)
		snprintf(buf, size, "%s", hw->kind[i].name);
	else
		snprintf(buf, size, "%s (%s)", hw->kind[i].name, hw_cause_name(hw->kind[i].cause));
	return buf;
}

static void all_sites(const struct kvm_hw *hw, struct sites *sum, struct sites_style *style)
{
	*sum = (struct sites){ 0 };
	for (unsigned i = 0; i < hw->vm->vcpus; i++)
		sites_merge(sum, &hw->vcpu[i].sites);
	*style = (struct sites_style){ .title = "hardware exits by symbol",
				       .what = "hardware exits",
				       .total = kvm_hw_total(hw),
				       .symbols = hw->vm->symbols,
				       .name = kind_name,
				       .arg = hw };
}

/* ---- text ---- */

static void print_reason(const struct kvm_hw *hw, unsigned first, FILE *f)
{
	uint64_t n = reason_count(hw, first, NULL), all = kvm_hw_total(hw);
	unsigned shown = 0;

	fprintf(f, "  %-28.28s %10" PRIu64 " %5.1f %% ", hw->kind[first].name, n,
		all ? 100.0 * (double)n / (double)all : 0.0);
	for (unsigned k = first; k < hw->kinds; k++)
		if (is_same(hw, first, k))
			fprintf(f, "%s%s %" PRIu64, shown++ ? ", " : " ",
				hw_cause_name(hw->kind[k].cause), count_of(hw, k));
	fputc('\n', f);
}

static void print_vcpus(const struct kvm_hw *hw, const unsigned *row, unsigned rows, FILE *f)
{
	if (hw->vm->vcpus < 2)
		return;
	fprintf(f, "  %-28s", "hardware exits by vCPU");
	for (unsigned i = 0; i < hw->vm->vcpus; i++)
		fprintf(f, " %10u", i);
	fputc('\n', f);
	for (unsigned r = 0; r < rows; r++) {
		fprintf(f, "  %-28.28s", hw->kind[row[r]].name);
		for (unsigned i = 0; i < hw->vm->vcpus; i++)
			fprintf(f, " %10" PRIu64, reason_count(hw, row[r], &hw->vcpu[i]));
		fputc('\n', f);
	}
}

static void print_counts(struct kvm_hw *hw, FILE *f)
{
	unsigned row[HW_KINDS_MAX], rows = sorted(hw, row);
	struct sites_style style;
	struct sites sum;

	fprintf(f, "  %-28s %10s %7s  %s\n", "hardware exits by reason", "count", "share", "for");
	for (unsigned r = 0; r < rows; r++)
		print_reason(hw, row[r], f);
	fprintf(f, "  %-28s %10" PRIu64 "\n", "total", kvm_hw_total(hw));
	if (hw->lost || hw->unread)
		fprintf(f,
			"  %" PRIu64
			" more were lost, because nobody read them in time, and %" PRIu64
			" could not be read\n",
			hw->lost, hw->unread);
	print_vcpus(hw, row, rows, f);
	all_sites(hw, &sum, &style);
	sites_print(&sum, &style, f);
	sites_free(&sum);
}

void kvm_hw_print(struct kvm_hw *hw, FILE *f)
{
	const char *why;

	pthread_mutex_lock(&hw->lock);
	why = kvm_hw_why(hw);
	if (why)
		fprintf(f, "  hardware exits are not counted by reason: %s\n", why);
	else
		print_counts(hw, f);
	pthread_mutex_unlock(&hw->lock);
}

/* ---- JSON ---- */

static void add_num(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_uint64(n));
}

static void add_more(struct json_object *o, const char *key, uint64_t n)
{
	add_num(o, key, n + json_object_get_uint64(json_object_object_get(o, key)));
}

static struct json_object *reason_json(const struct kvm_hw *hw, unsigned first)
{
	struct json_object *o = json_object_new_object(), *causes = json_object_new_object();

	for (unsigned k = first; k < hw->kinds; k++)
		if (is_same(hw, first, k))
			add_more(causes, hw_cause_name(hw->kind[k].cause), count_of(hw, k));
	json_object_object_add(o, "reason", json_object_new_string(hw->kind[first].name));
	add_num(o, "code", hw->kind[first].reason);
	add_num(o, "count", reason_count(hw, first, NULL));
	json_object_object_add(o, "causes", causes);
	return o;
}

static struct json_object *vcpu_json(const struct kvm_hw *hw, unsigned id)
{
	struct json_object *o = json_object_new_object(), *causes = json_object_new_object();
	char name[64];

	add_num(o, "id", id);
	add_num(o, "exits", hw->vcpu[id].total);
	for (unsigned k = 0; k < hw->kinds; k++)
		if (hw->vcpu[id].count[k])
			add_more(causes, kind_name(hw, k, name, sizeof(name)),
				 hw->vcpu[id].count[k]);
	json_object_object_add(o, "causes", causes);
	return o;
}

static struct json_object *counts_json(struct kvm_hw *hw)
{
	struct json_object *o = json_object_new_object(), *reasons = json_object_new_array();
	struct json_object *causes = json_object_new_object(), *vcpus = json_object_new_array();
	unsigned row[HW_KINDS_MAX], rows = sorted(hw, row);
	struct sites_style style;
	struct sites sum;

	for (unsigned r = 0; r < rows; r++)
		json_object_array_add(reasons, reason_json(hw, row[r]));
	for (unsigned k = 0; k < hw->kinds; k++)
		add_more(causes, hw_cause_name(hw->kind[k].cause), count_of(hw, k));
	for (unsigned i = 0; i < hw->vm->vcpus; i++)
		json_object_array_add(vcpus, vcpu_json(hw, i));
	all_sites(hw, &sum, &style);
	add_num(o, "exits", kvm_hw_total(hw));
	add_num(o, "lost", hw->lost);
	add_num(o, "unread", hw->unread);
	json_object_object_add(o, "reasons", reasons);
	json_object_object_add(o, "causes", causes);
	json_object_object_add(o, "vcpus", vcpus);
	json_object_object_add(o, "symbols", sites_json(&sum, &style));
	add_num(o, "sites_lost", sum.lost);
	sites_free(&sum);
	return o;
}

struct json_object *kvm_hw_json(struct kvm_hw *hw)
{
	struct json_object *o;

	pthread_mutex_lock(&hw->lock);
	o = kvm_hw_why(hw) ? NULL : counts_json(hw);
	pthread_mutex_unlock(&hw->lock);
	return o;
}
