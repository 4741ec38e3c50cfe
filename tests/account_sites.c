/* SPDX-License-Identifier: MIT */
/* Exits by symbol and by vCPU, against plain counting. */
#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/account_priv.h"
#include "vmm/symbols.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

struct sites_vm {
	struct vm vm;
	struct vcpu v[2];
};

static void sites_make(struct sites_vm *s)
{
	memset(s, 0, sizeof(*s));
	s->vm.symbols = symbols_new();
	cr_assert_eq(symbols_add(s->vm.symbols, 0x1000, 0x100, "first"), 0);
	cr_assert_eq(symbols_add(s->vm.symbols, 0x1100, 0x100, "sec\033ond"), 0);
	symbols_finish(s->vm.symbols);
	for (unsigned i = 0; i < 2; i++) {
		s->v[i].account = account_new();
		s->vm.vcpu[i] = &s->v[i];
	}
	s->vm.vcpus = 2;
}

static void sites_unmake(struct sites_vm *s)
{
	for (unsigned i = 0; i < 2; i++)
		account_free(s->v[i].account);
	symbols_free(s->vm.symbols);
}

static void sites_exit(struct sites_vm *s, unsigned cpu, uint32_t eip, unsigned cause)
{
	struct exit x = { .reason = EXIT_PRIVILEGED };

	account_exit(s->v[cpu].account, cause, &x, 100);
	account_site(s->v[cpu].account, eip, cause);
}

static int64_t path_num(struct json_object *o, const char *a, const char *b)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, a, &v))
		return -1;
	if (b && !json_object_object_get_ex(v, b, &v))
		return -1;
	return json_object_get_int64(v);
}

Test(account_sites, every_exit_belongs_to_its_symbol_and_vcpu)
{
	static struct sites_vm s;
	struct json_object *o, *list, *row, *vcpus;
	size_t len;
	char *text;
	FILE *m;

	sites_make(&s);
	for (unsigned i = 0; i < 1000; i++) { /* many places of one symbol */
		sites_exit(&s, i & 1, 0x1000 + i % 256, CAUSE_INSN(OP_CLI));
		if (i % 2)
			sites_exit(&s, 0, 0x1000 + i % 256, CAUSE_INSN(OP_STI));
	}
	for (unsigned i = 0; i < 30; i++)
		sites_exit(&s, 1, 0x11ff, CAUSE_MMIO);
	sites_exit(&s, 1, 0x1200, CAUSE_INSN(OP_HLT)); /* behind the last */
	o = account_json(&s.vm);
	list = json_object_object_get(o, "symbols");
	cr_assert_eq(json_object_array_length(list), 3);
	row = json_object_array_get_idx(list, 0);
	cr_expect_str_eq(json_object_get_string(json_object_object_get(row, "symbol")), "first");
	cr_expect_eq(path_num(row, "count", NULL), 1500);
	cr_expect_eq(path_num(row, "causes", "cli"), 1000);
	cr_expect_eq(path_num(row, "causes", "sti"), 500);
	row = json_object_array_get_idx(list, 1);
	cr_expect_str_eq(json_object_get_string(json_object_object_get(row, "symbol")), "sec?ond");
	cr_expect_eq(path_num(row, "causes", "mmio"), 30);
	row = json_object_array_get_idx(list, 2);
	cr_expect_null(json_object_object_get(row, "symbol"));
	cr_expect_eq(path_num(row, "causes", "hlt"), 1);
	cr_expect_eq(path_num(o, "sites_lost", NULL), 0);
	vcpus = json_object_object_get(o, "vcpus");
	cr_expect_eq(path_num(json_object_array_get_idx(vcpus, 0), "causes", "cli"), 500);
	cr_expect_eq(path_num(json_object_array_get_idx(vcpus, 0), "causes", "mmio"), -1);
	cr_expect_eq(path_num(json_object_array_get_idx(vcpus, 1), "causes", "mmio"), 30);
	json_object_put(o);
	m = open_memstream(&text, &len);
	account_print(&s.vm, m);
	fclose(m);
	cr_expect_not_null(strstr(text, "exits by symbol"), "%s", text);
	cr_expect_not_null(strstr(text, "cli 1000, sti 500"), "%s", text);
	cr_expect_not_null(strstr(text, "exits by vCPU"), "%s", text);
	cr_expect_null(strchr(text, '\033'), "%s", text);
	free(text);
	sites_unmake(&s);
}

/* A guest can execute anywhere: memory stays bounded, and no exit is counted twice or dropped. */
Test(account_sites, places_without_end_cost_bounded_memory)
{
	static struct sites_vm s;
	const unsigned n = 100000;
	struct json_object *o, *list;
	int64_t found = 0;

	sites_make(&s);
	for (unsigned i = 0; i < n; i++)
		sites_exit(&s, 0, 0x100000 + i * 7, CAUSE_INSN(OP_OUT));
	cr_expect_leq(s.v[0].account->sites.room, 0x8000u);
	cr_expect_gt(s.v[0].account->sites.lost, 0);
	o = account_json(&s.vm);
	list = json_object_object_get(o, "symbols");
	for (size_t i = 0; i < json_object_array_length(list); i++)
		found += path_num(json_object_array_get_idx(list, i), "count", NULL);
	cr_expect_eq(found + path_num(o, "sites_lost", NULL), n);
	json_object_put(o);
	sites_unmake(&s);
}
