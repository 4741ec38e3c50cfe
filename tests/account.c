/* SPDX-License-Identifier: MIT */
/* The trap account: arithmetic against plain counting, percentiles against sorting. */
#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/account.h"
#include "vmm/hist.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/* ---- histogram ---- */

static uint64_t rng_state = 0x9e3779b97f4a7c15u;

/* xorshift64: the same numbers in every run. */
static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The definition: the smallest value such that a share @q of all are not above it. */
static uint64_t sorted_percentile(const uint64_t *v, size_t n, double q)
{
	size_t i = 0;

	while ((double)(i + 1) < q * (double)n)
		i++;
	return v[i];
}

static void check_percentiles(uint64_t *v, size_t n)
{
	static const double qs[] = { 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0 };
	struct hist h = { 0 };
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		hist_add(&h, v[i]);
		sum += v[i];
	}
	qsort(v, n, sizeof(*v), by_value);
	cr_assert_eq(h.count, n);
	cr_assert_eq(h.max, v[n - 1]);
	cr_assert_eq(hist_mean(&h), sum / n);
	for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
		uint64_t want = sorted_percentile(v, n, qs[i]);
		uint64_t got = hist_percentile(&h, qs[i]);

		cr_assert(got >= want && got <= want + want / 16,
			  "%zu values, share %g: %llu, sorting says %llu", n, qs[i],
			  (unsigned long long)got, (unsigned long long)want);
	}
}

Test(account, percentiles_are_within_a_sixteenth_of_sorting)
{
	static uint64_t v[5000];

	for (unsigned bits = 1; bits <= 40; bits += 3) {
		for (size_t i = 0; i < 5000; i++)
			v[i] = rng() >> (64 - bits);
		check_percentiles(v, 5000);
	}
	/* Costs of traps: a few microseconds, and a long thin tail. */
	for (size_t i = 0; i < 5000; i++)
		v[i] = 2000 + (rng() % 500) + (rng() % 200 ? 0 : rng() % 1000000);
	check_percentiles(v, 5000);
}

Test(account, percentile_of_few_values)
{
	for (uint64_t n = 0; n < 70; n++) {
		uint64_t one[] = { n }, two[] = { n, 1000 * n };

		check_percentiles(one, 1);
		check_percentiles(two, 2);
	}
}

Test(account, percentile_of_nothing_is_zero)
{
	struct hist h = { 0 };

	cr_assert_eq(hist_percentile(&h, 0.99), 0);
	cr_assert_eq(hist_mean(&h), 0);
}

Test(account, powers_of_two_do_not_fall_between_buckets)
{
	for (unsigned exp = 0; exp <= HIST_MAX_EXP; exp++) {
		for (int d = -1; d <= 1; d++) {
			uint64_t val = (1ull << exp) + (uint64_t)(int64_t)d;
			uint64_t one[] = { val };

			check_percentiles(one, 1);
			/* As the smaller of two its own bucket shows, not the maximum. */
			uint64_t two[] = { val, UINT64_MAX / 2 };
			struct hist h = { 0 };

			hist_add(&h, two[0]);
			hist_add(&h, two[1]);
			cr_assert_geq(hist_percentile(&h, 0.5), val);
			cr_assert_leq(hist_percentile(&h, 0.5), val + val / 16);
			cr_assert_eq(hist_percentile(&h, 1.0), two[1]);
		}
	}
}

Test(account, merged_histograms_are_that_of_all_values)
{
	struct hist all = { 0 }, a = { 0 }, b = { 0 };

	for (int i = 0; i < 1000; i++) {
		uint64_t val = rng() % 100000;

		hist_add(&all, val);
		hist_add(i % 3 ? &a : &b, val);
	}
	hist_merge(&a, &b);
	cr_assert_eq(memcmp(&a, &all, sizeof(all)), 0);
}

/* ---- names ---- */

Test(account, every_cause_has_its_own_name)
{
	static char names[CAUSE_COUNT][64];

	for (unsigned i = 0; i < CAUSE_COUNT; i++) {
		char buf[32];
		const char *name = cause_name(i, buf, sizeof(buf));

		cr_assert_not_null(name);
		cr_assert(*name && strcmp(name, "?") != 0, "cause %u has no name", i);
		snprintf(names[i], sizeof(names[i]), "%s", name);
		for (unsigned j = 0; j < i; j++)
			cr_assert_str_neq(names[i], names[j], "causes %u and %u: %s", i, j, name);
	}
}

Test(account, names_as_documented)
{
	char buf[32];

	cr_assert_str_eq(cause_name(CAUSE_INSN(OP_CLI), buf, sizeof(buf)), "cli");
	cr_assert_str_eq(cause_name(CAUSE_MMIO, buf, sizeof(buf)), "mmio");
	cr_assert_str_eq(cause_name(CAUSE_INT(0x80), buf, sizeof(buf)), "int 0x80");
	cr_assert_str_eq(cause_name(CAUSE_EXC(VEC_DE), buf, sizeof(buf)), "#DE");
	cr_assert_str_eq(cause_name(CAUSE_EXC(15), buf, sizeof(buf)), "exception 15");
	cr_assert_str_eq(cause_name(CAUSE_EXIT(EXIT_KICK), buf, sizeof(buf)), "kick");
	cr_assert_str_eq(cause_name(CAUSE_COUNT, buf, sizeof(buf)), "unknown");
	cr_assert_str_eq(vector_name(VEC_PF), "#PF");
	cr_assert_null(vector_name(32));
	cr_assert_null(vector_name(15));
}

/* ---- counting ---- */

struct acc_fx {
	struct vm vm;
	struct vcpu v[2];
};

static void acc_init(struct acc_fx *f)
{
	memset(f, 0, sizeof(*f));
	bus_init(&f->vm.pio, "pio");
	bus_init(&f->vm.mmio, "mmio");
	f->vm.vcpus = 2;
	for (unsigned i = 0; i < 2; i++) {
		f->v[i].vm = &f->vm;
		f->v[i].id = i;
		f->v[i].account = account_new();
		cr_assert_not_null(f->v[i].account);
		f->vm.vcpu[i] = &f->v[i];
	}
}

static void acc_fini(struct acc_fx *f)
{
	account_free(f->v[0].account);
	account_free(f->v[1].account);
}

static void acc_exits(struct account *a, unsigned cause, unsigned n, uint32_t handoff_ns,
		      uint64_t handling_ns)
{
	struct exit x = { .guest_ns = 1000, .handoff_ns = handoff_ns };

	while (n--)
		account_exit(a, cause, &x, handling_ns);
}

/* What the other tests look at: 600 cli, 300 out, 99 #DE, 1 kick without a hand-off time. */
static void acc_fill(struct acc_fx *f)
{
	static const struct bus_range uart = { .name = "uart0", .base = 0x3f8, .len = 8 };

	acc_exits(f->v[0].account, CAUSE_INSN(OP_CLI), 594, 2000, 500);
	acc_exits(f->v[0].account, CAUSE_INSN(OP_CLI), 6, 50000, 500);
	acc_exits(f->v[1].account, CAUSE_INSN(OP_OUT), 300, 3000, 700);
	acc_exits(f->v[0].account, CAUSE_EXC(VEC_DE), 99, 2500, 100);
	acc_exits(f->v[1].account, CAUSE_EXIT(EXIT_KICK), 1, 0, 10);
	account_inject(f->v[0].account, VEC_DE, false);
	account_inject(f->v[0].account, 0x20, true);
	account_inject(f->v[1].account, 0x20, true);
	account_inject(f->v[1].account, 0x20, false);
	account_blocked(f->v[0].account, 2000000);
	account_blocked(f->v[1].account, 3000000);
	cr_assert_eq(bus_add(&f->vm.pio, &uart), 0);
	bus_write(&f->vm.pio, 0x3f8, 1, 'x');
	bus_read(&f->vm.pio, 0x1234, 2);
	bus_read(&f->vm.pio, 0x1234, 2);
	bus_write(&f->vm.mmio, 0xf0000000u, 4, 0);
}

Test(account, counts_by_cause_and_in_all)
{
	struct acc_fx f;
	struct account *a;

	acc_init(&f);
	acc_fill(&f);
	a = f.v[0].account;
	cr_assert_eq(account_count(a, CAUSE_INSN(OP_CLI)), 600);
	cr_assert_eq(account_count(a, CAUSE_EXC(VEC_DE)), 99);
	cr_assert_eq(account_count(a, CAUSE_INSN(OP_OUT)), 0);
	cr_assert_eq(account_total(a), 699);
	cr_assert_eq(account_total(f.v[1].account), 301);
	acc_fini(&f);
}

Test(account, a_cause_out_of_range_is_not_counted)
{
	struct account *a = account_new();

	acc_exits(a, CAUSE_COUNT, 1, 1, 1);
	cr_assert_eq(account_total(a), 0);
	cr_assert_eq(account_count(a, CAUSE_COUNT), 0);
	account_free(a);
}

Test(account, no_account_is_no_trouble)
{
	struct exit x = { 0 };

	account_exit(NULL, 0, &x, 0);
	account_inject(NULL, 0, false);
	account_blocked(NULL, 0);
	account_free(NULL);
	cr_assert_eq(account_total(NULL), 0);
}

/* ---- JSON ---- */

static struct json_object *key(struct json_object *o, const char *name)
{
	struct json_object *val = NULL;

	cr_assert(json_object_object_get_ex(o, name, &val), "no key %s", name);
	return val;
}

static int64_t num(struct json_object *o, const char *name)
{
	return json_object_get_int64(key(o, name));
}

/* Through text and back, so that it is JSON and not only objects of the library. */
static struct json_object *acc_json(const struct vm *vm)
{
	struct json_object *o = account_json(vm), *back;

	cr_assert_not_null(o);
	back = json_tokener_parse(json_object_to_json_string(o));
	cr_assert_not_null(back);
	json_object_put(o);
	return back;
}

Test(account, json_has_every_cause_most_frequent_first)
{
	static const char *const names[] = { "cli", "out", "#DE", "kick" };
	static const int64_t counts[] = { 600, 300, 99, 1 };
	struct json_object *o, *causes, *c;
	struct acc_fx f;
	double shares = 0;

	acc_init(&f);
	acc_fill(&f);
	o = acc_json(&f.vm);
	cr_assert_eq(num(o, "version"), 1);
	cr_assert_eq(num(o, "exits"), 1000);
	causes = key(o, "causes");
	cr_assert_eq(json_object_array_length(causes), 4);
	for (size_t i = 0; i < 4; i++) {
		c = json_object_array_get_idx(causes, i);
		cr_assert_str_eq(json_object_get_string(key(c, "cause")), names[i]);
		cr_assert_eq(num(c, "count"), counts[i]);
		shares += json_object_get_double(key(c, "share"));
	}
	cr_assert_float_eq(shares, 1.0, 1e-9);

	c = json_object_array_get_idx(causes, 0);
	cr_assert_eq(num(key(c, "handoff_ns"), "mean"), (594 * 2000 + 6 * 50000) / 600);
	cr_assert_geq(num(key(c, "handoff_ns"), "p99"), 2000);
	cr_assert_leq(num(key(c, "handoff_ns"), "p99"), 2125);
	cr_assert_eq(num(key(c, "handoff_ns"), "max"), 50000);
	cr_assert_eq(num(key(c, "handling_ns"), "sum"), 600 * 500);
	/* A hand-off time of 0 is an unknown one. */
	c = json_object_array_get_idx(causes, 3);
	cr_assert_null(key(c, "handoff_ns"));
	cr_assert_eq(num(key(c, "handling_ns"), "mean"), 10);
	json_object_put(o);
	acc_fini(&f);
}

Test(account, json_has_times_of_all_and_of_each)
{
	struct json_object *o, *t, *v;
	struct acc_fx f;

	acc_init(&f);
	acc_fill(&f);
	o = acc_json(&f.vm);
	t = key(o, "time_ns");
	cr_assert_eq(num(t, "guest"), 1000 * 1000);
	cr_assert_eq(num(t, "handoff"), 594 * 2000 + 6 * 50000 + 300 * 3000 + 99 * 2500);
	cr_assert_eq(num(t, "handling"), 600 * 500 + 300 * 700 + 99 * 100 + 10);
	cr_assert_eq(num(t, "blocked"), 5000000);
	v = key(o, "vcpus");
	cr_assert_eq(json_object_array_length(v), 2);
	v = json_object_array_get_idx(v, 1);
	cr_assert_eq(num(v, "id"), 1);
	cr_assert_eq(num(v, "exits"), 301);
	cr_assert_eq(num(key(v, "time_ns"), "guest"), 301 * 1000);
	json_object_put(o);
	acc_fini(&f);
}

Test(account, json_has_injections_and_buses)
{
	struct json_object *o, *list, *item;
	struct acc_fx f;

	acc_init(&f);
	acc_fill(&f);
	f.vm.end = VM_KILLED;
	snprintf(f.vm.death, sizeof(f.vm.death), "it said \"no\"");
	o = acc_json(&f.vm);
	cr_assert_str_eq(json_object_get_string(key(key(o, "end"), "how")), "killed");
	cr_assert_str_eq(json_object_get_string(key(key(o, "end"), "why")), "it said \"no\"");

	list = key(o, "injected");
	cr_assert_eq(json_object_array_length(list), 3);
	item = json_object_array_get_idx(list, 0);
	cr_assert_str_eq(json_object_get_string(key(item, "name")), "#DE");
	cr_assert_not(json_object_get_boolean(key(item, "external")));
	item = json_object_array_get_idx(list, 1);
	cr_assert_str_eq(json_object_get_string(key(item, "name")), "int n");
	cr_assert_eq(num(item, "count"), 1);
	item = json_object_array_get_idx(list, 2);
	cr_assert_eq(num(item, "vector"), 0x20);
	cr_assert_eq(num(item, "count"), 2);
	cr_assert(json_object_get_boolean(key(item, "external")));

	item = json_object_array_get_idx(key(key(o, "pio"), "ranges"), 0);
	cr_assert_str_eq(json_object_get_string(key(item, "name")), "uart0");
	cr_assert_eq(num(item, "writes"), 1);
	cr_assert_eq(num(item, "reads"), 0);
	item = json_object_array_get_idx(key(key(o, "pio"), "unclaimed"), 0);
	cr_assert_eq(num(item, "addr"), 0x1234);
	cr_assert_eq(num(item, "reads"), 2);
	cr_assert_eq(num(key(o, "mmio"), "unclaimed_writes"), 1);
	cr_assert_leq(num(key(o, "decoder"), "hits"), num(key(o, "decoder"), "lookups"));
	json_object_put(o);
	acc_fini(&f);
}

/* ---- text ---- */

static char *acc_text(const struct vm *vm)
{
	char *text = NULL;
	size_t len;
	FILE *m = open_memstream(&text, &len);

	account_print(vm, m);
	fclose(m);
	return text;
}

/* The line of @text that holds @word, or NULL; with @cell the line must hold that too. */
static bool has_line(const char *text, const char *word, const char *cell)
{
	for (const char *p = text; (p = strstr(p, word)); p++) {
		size_t len = strcspn(p, "\n");

		if (memmem(p, len, cell, strlen(cell)))
			return true;
	}
	return false;
}

Test(account, table_has_rows_in_order_and_a_total)
{
	struct acc_fx f;
	char *text;

	acc_init(&f);
	acc_fill(&f);
	acc_exits(f.v[0].account, CAUSE_MMIO, 1234567, 1, 1);
	text = acc_text(&f.vm);
	cr_assert(has_line(text, "  mmio ", "1,234,567"), "%s", text);
	cr_assert(has_line(text, "  cli ", " 600 "), "%s", text);
	cr_assert(has_line(text, "  cli ", " 2,480 "), "the mean hand-off: %s", text);
	cr_assert(has_line(text, "  total ", "1,235,567"), "%s", text);
	cr_assert(has_line(text, "  #DE ", " 99 "), "%s", text);
	cr_assert_lt(strstr(text, "  mmio "), strstr(text, "  cli "));
	cr_assert_lt(strstr(text, "  cli "), strstr(text, "  out "));
	cr_assert_lt(strstr(text, "  out "), strstr(text, "  kick "));
	cr_assert(has_line(text, "  kick ", " - "), "an unknown hand-off is a dash: %s", text);
	cr_assert(has_line(text, "IRQ", " 2"), "%s", text);
	cr_assert(has_line(text, "uart0", "0x3f8-0x3ff"), "%s", text);
	cr_assert(has_line(text, "0x1234", " 2 reads"), "%s", text);
	cr_assert_not_null(strstr(text, "make bench"));
	free(text);
	acc_fini(&f);
}

Test(account, table_of_a_guest_that_did_nothing)
{
	struct acc_fx f;
	char *text;

	acc_init(&f);
	text = acc_text(&f.vm);
	cr_assert(has_line(text, "  total ", " 0 "), "%s", text);
	cr_assert_null(strstr(text, "nan"));
	cr_assert_null(strstr(text, "nobody claimed"));
	free(text);
	acc_fini(&f);
}

Test(account, unclaimed_addresses_beyond_the_list_are_summed)
{
	struct acc_fx f;
	char *text;

	acc_init(&f);
	for (unsigned i = 0; i < BUS_UNCLAIMED_MAX + 7; i++)
		bus_read(&f.vm.pio, 0x2000 + i, 1);
	text = acc_text(&f.vm);
	cr_assert(has_line(text, "elsewhere", " 7 reads"), "%s", text);
	free(text);
	acc_fini(&f);
}
