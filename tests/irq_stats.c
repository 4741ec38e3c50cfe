/* SPDX-License-Identifier: MIT */
/* The interrupt account: counting, and what is printed. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/irq_stats.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static struct vm is_vm;
static struct vcpu is_v[2];

static void is_setup(void)
{
	memset(&is_vm, 0, sizeof(is_vm));
	is_vm.vcpus = 2;
	for (unsigned i = 0; i < 2; i++) {
		is_vm.vcpu[i] = &is_v[i];
		is_v[i] = (struct vcpu){ .id = i, .irq_stats = irq_stats_new() };
		cr_assert_not_null(is_v[i].irq_stats);
	}
}

static void is_teardown(void)
{
	for (unsigned i = 0; i < 2; i++)
		irq_stats_free(is_v[i].irq_stats);
}

TestSuite(irq_stats, .init = is_setup, .fini = is_teardown);

Test(irq_stats, latency_is_from_the_first_raise_to_the_handler)
{
	struct irq_stats *s = is_v[0].irq_stats;

	irq_stats_raised(s, 0x40, IRQ_PATH_SYSTEM, 1000);
	irq_stats_raised(s, 0x40, IRQ_PATH_IPI, 1500);
	irq_stats_acked(s, 0x40);
	irq_stats_raised(s, 0x40, IRQ_PATH_IPI, 1700); /* before the handler's first instruction */
	irq_stats_delivered(&is_v[0], 0x40, 1900);
	cr_expect_eq(s->latency[IRQ_PATH_SYSTEM].max, 900);
	irq_stats_acked(s, 0x40);
	irq_stats_delivered(&is_v[0], 0x40, 2000);
	cr_expect_eq(s->latency[IRQ_PATH_IPI].max, 300);
	cr_expect_eq(s->path[IRQ_PATH_IPI].raised, 2);
	cr_expect_eq(s->path[IRQ_PATH_IPI].coalesced, 1);
	cr_expect_eq(s->path[IRQ_PATH_SYSTEM].delivered, 1);
	cr_expect_eq(s->vector[0x40].latency->count, 2);
}

Test(irq_stats, what_was_not_raised_is_neither_acked_nor_delivered)
{
	struct irq_stats *s = is_v[0].irq_stats;

	irq_stats_acked(s, 0x40);
	irq_stats_dropped(s, 0x40);
	irq_stats_delivered(&is_v[0], 0x40, 5);
	cr_expect_eq(s->vector[0x40].n.delivered + s->vector[0x40].n.dropped, 0);
	is_v[0].irq_stats = NULL;
	irq_stats_delivered(&is_v[0], 0x40, 5); /* a vCPU without an account */
	is_v[0].irq_stats = s;
}

Test(irq_stats, json_has_all_paths_and_the_vectors_that_came)
{
	struct json_object *o, *paths, *vectors, *row, *val;

	irq_stats_raised(is_v[1].irq_stats, 0x51, IRQ_PATH_ASSIGNED, 10);
	irq_stats_acked(is_v[1].irq_stats, 0x51);
	irq_stats_delivered(&is_v[1], 0x51, 30);
	o = irq_stats_json(&is_vm);
	cr_assert(json_object_object_get_ex(o, "paths", &paths));
	cr_assert(json_object_object_get_ex(o, "vectors", &vectors));
	cr_expect_eq(json_object_array_length(paths), IRQ_PATHS);
	cr_assert_eq(json_object_array_length(vectors), 1);
	row = json_object_array_get_idx(vectors, 0);
	cr_assert(json_object_object_get_ex(row, "vcpu", &val));
	cr_expect_eq(json_object_get_int(val), 1);
	cr_assert(json_object_object_get_ex(row, "path", &val));
	cr_expect_str_eq(json_object_get_string(val), "assigned");
	cr_assert(json_object_object_get_ex(row, "latency", &val));
	row = val;
	cr_assert(json_object_object_get_ex(row, "max_ns", &val));
	cr_expect_eq(json_object_get_int(val), 20);
	cr_assert(json_object_object_get_ex(row, "buckets_ns", &val));
	cr_expect_str_eq(json_object_to_json_string_ext(val, JSON_C_TO_STRING_PLAIN),
			 "[[20,20,1]]");
	json_object_put(o);
}

/* Each value is in the bucket that the JSON shows for it, and none is lost. */
Test(irq_stats, histogram_shows_every_value_once)
{
	static const uint64_t vals[] = { 0, 15, 16, 33, 33, 1000, 123456789, 1ull << 45 };
	static struct hist h;
	uint64_t from, to, count, next = 0, sum = 0;

	for (size_t i = 0; i < sizeof(vals) / sizeof(vals[0]); i++)
		hist_add(&h, vals[i]);
	for (size_t i = 0; hist_next(&h, &i, &from, &to, &count);) {
		uint64_t in = 0;

		cr_expect(from >= next && from <= to, "from %" PRIu64, from);
		next = to + 1;
		for (size_t k = 0; k < sizeof(vals) / sizeof(vals[0]); k++)
			in += vals[k] >= from && vals[k] <= to;
		cr_expect_eq(count, in);
		cr_expect(to == UINT64_MAX || to - from <= from / HIST_SUB);
		sum += count;
	}
	cr_expect_eq(sum, sizeof(vals) / sizeof(vals[0]));
}

Test(irq_stats, the_table_is_empty_without_interrupts)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	irq_stats_print(&is_vm, f);
	fflush(f);
	cr_expect_eq(len, 0);
	irq_stats_raised(is_v[0].irq_stats, 0x20, IRQ_PATH_EXTERNAL, 10);
	irq_stats_print(&is_vm, f);
	fclose(f);
	cr_expect_not_null(strstr(text, "external"));
	cr_expect_not_null(strstr(text, "vcpu0 0x20"));
	free(text);
}
