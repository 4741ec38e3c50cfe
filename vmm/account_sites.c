/* SPDX-License-Identifier: MIT */
/* Exits by vCPU, and by where in the guest they happen. */
#include <json-c/json.h>

#include "vmm/account_priv.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

void account_site(struct account *a, uint32_t eip, unsigned cause)
{
	if (a && cause < CAUSE_COUNT)
		sites_add(&a->sites, eip, (uint16_t)cause, 1);
}

static const char *name_of(const void *arg, unsigned cause, char *buf, size_t size)
{
	(void)arg;
	return cause_name(cause, buf, size);
}

static struct sites_style style_of(const struct vm *vm, const struct account *a)
{
	return (struct sites_style){ .title = "exits by symbol",
				     .what = "exits",
				     .total = account_total(a),
				     .symbols = vm->symbols,
				     .name = name_of };
}

void account_sites_print(const struct vm *vm, const struct account *a, FILE *f)
{
	struct sites_style style = style_of(vm, a);

	sites_print(&a->sites, &style, f);
}

struct json_object *account_sites_json(const struct vm *vm, const struct account *a)
{
	struct sites_style style = style_of(vm, a);

	return sites_json(&a->sites, &style);
}

/* ---- by vCPU ---- */

void account_vcpus_print(const struct vm *vm, const struct account *sum, FILE *f)
{
	uint16_t order[CAUSE_COUNT];
	size_t n = account_sorted(sum, order);
	char name[32];

	if (vm->vcpus < 2)
		return;
	fprintf(f, "  %-18s", "exits by vCPU");
	for (unsigned i = 0; i < vm->vcpus; i++)
		fprintf(f, " %10u", i);
	fputc('\n', f);
	for (size_t c = 0; c < n; c++) {
		fprintf(f, "  %-18s", cause_name(order[c], name, sizeof(name)));
		for (unsigned i = 0; i < vm->vcpus; i++) {
			const struct account *a = vm->vcpu[i] ? vm->vcpu[i]->account : NULL;

			fprintf(f, " %10llu", (unsigned long long)account_count(a, order[c]));
		}
		fputc('\n', f);
	}
}

struct json_object *account_counts_json(const struct account *a)
{
	struct json_object *o = json_object_new_object();
	uint16_t order[CAUSE_COUNT];
	size_t n = account_sorted(a, order);
	char name[32];

	for (size_t i = 0; i < n; i++)
		json_object_object_add(o, cause_name(order[i], name, sizeof(name)),
				       json_object_new_uint64(a->tally[order[i]].count));
	return o;
}
