/* SPDX-License-Identifier: MIT */
/* `ringside cpuid` and `run --cpuid=show`: the leaves that a guest will see. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/activations.h"
#include "vmm/cli.h"
#include "vmm/cpuid_mask.h"
#include "vmm/emu/emulate.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define SUBLEAVES_MAX 8u

struct listing {
	const struct vcpu *v;
	FILE *f;                  /* text, or ... */
	struct json_object *json; /* ... the list of leaves */
};

static void list_leaf(struct listing *l, uint32_t leaf, uint32_t sub)
{
	static const char *const names[] = { "eax", "ebx", "ecx", "edx" };
	struct json_object *o;
	uint32_t out[4];

	cpuid_policy(l->v, leaf, sub, out);
	/* Only what says something; the number of a subleaf and the APIC id (0xb) do not. */
	if (!(out[0] | out[1]) && (sub || !(out[2] | out[3])))
		return;
	if (l->f) {
		fprintf(l->f, "0x%08x %7u  0x%08x 0x%08x 0x%08x 0x%08x\n", leaf, sub, out[0],
			out[1], out[2], out[3]);
		return;
	}
	o = json_object_new_object();
	json_object_object_add(o, "leaf", json_object_new_int64(leaf));
	json_object_object_add(o, "subleaf", json_object_new_int64(sub));
	for (int r = 0; r < 4; r++)
		json_object_object_add(o, names[r], json_object_new_int64(out[r]));
	json_object_array_add(l->json, o);
}

static void list_range(struct listing *l, uint32_t first)
{
	uint32_t max[4];

	cpuid_policy(l->v, first, 0, max);
	for (uint32_t leaf = first; leaf <= max[0]; leaf++) {
		bool subs = leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;

		for (uint32_t sub = 0; sub < (subs ? SUBLEAVES_MAX : 1); sub++)
			list_leaf(l, leaf, sub);
	}
}

/* The names of the bits that are set in @bits. */
static void list_names(const uint32_t bits[CPUID_WORDS], const char *title, FILE *f,
		       struct json_object *list)
{
	unsigned column = 100; /* so that the first name begins a line */

	for (unsigned w = 0; w < CPUID_WORDS; w++) {
		for (unsigned bit = 0; bit < 32; bit++) {
			const char *name = cpuid_feature_name(w, bit);

			if (!name || !(bits[w] >> bit & 1))
				continue;
			if (list) {
				json_object_array_add(list, json_object_new_string(name));
				continue;
			}
			if (column == 100)
				fprintf(f, "%s:", title);
			if (column + strlen(name) > 78) {
				fputs("\n  ", f);
				column = 2;
			}
			column += (unsigned)fprintf(f, "%s ", name);
		}
	}
	if (!list && column != 100)
		fputc('\n', f);
}

static void feature_words(const struct vcpu *v, uint32_t words[CPUID_WORDS])
{
	for (unsigned w = 0; w < CPUID_WORDS; w++) {
		uint32_t leaf, sub, out[4];
		unsigned reg;

		cpuid_word_at(w, &leaf, &sub, &reg);
		cpuid_policy(v, leaf, sub, out);
		words[w] = out[reg];
	}
}

int cpuid_print(const struct cpuid_mask *m, bool json, FILE *f)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	struct vcpu *v = calloc(1, sizeof(*v));
	struct listing l = { .v = v, .f = json ? NULL : f };
	struct json_object *top = NULL, *names = NULL, *masked = NULL;
	uint32_t bits[CPUID_WORDS], taken[CPUID_WORDS];
	int err = 0;

	if (!vm || !v) {
		err = -ENOMEM;
		goto out;
	}
	vm->activations = activations_new(vm);
	if (!vm->activations) {
		err = -ENOMEM;
		goto out;
	}
	vm->cpuid_mask = *m;
	vm->vcpu[0] = v;
	vm->vcpus = 1;
	v->vm = vm;
	vcpu_reset(v);
	if (json) {
		top = json_object_new_object();
		l.json = json_object_new_array();
		names = json_object_new_array();
		masked = json_object_new_array();
		json_object_object_add(top, "leaves", l.json);
		json_object_object_add(top, "features", names);
		json_object_object_add(top, "masked", masked);
	} else {
		fprintf(f, "%-10s %7s  %-10s %-10s %-10s %-10s\n", "leaf", "subleaf", "eax", "ebx",
			"ecx", "edx");
	}
	list_range(&l, 0);
	list_range(&l, 0x40000000);
	list_range(&l, 0x80000000);
	feature_words(v, bits);
	/* Only what the guest would have had. */
	memset(&vm->cpuid_mask, 0, sizeof(vm->cpuid_mask));
	feature_words(v, taken);
	for (unsigned w = 0; w < CPUID_WORDS; w++)
		taken[w] &= m->off[w];
	list_names(bits, "features", f, names);
	list_names(taken, "taken away by --cpuid", f, masked);
	if (json &&
	    fprintf(f, "%s\n", json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY)) < 0)
		err = -EIO;
	if (fflush(f) || ferror(f))
		err = -EIO;
	json_object_put(top);
out:
	if (vm)
		activations_free(vm->activations);
	free(v);
	free(vm);
	return err;
}

int cpuid_main(int argc, char **argv)
{
	struct cpuid_mask m = { 0 };
	bool json = false, show = false;
	char err[2048];
	int res;

	for (int i = 1; i < argc; i++) {
		const char *mask = NULL;

		if (!strcmp(argv[i], "--json")) {
			json = true;
			continue;
		}
		/* --cpuid=show, as with run, says nothing that is not printed anyway. */
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			cli_help(stdout);
			return STATUS_OK;
		}
		if (!strncmp(argv[i], "--cpuid=", 8))
			mask = argv[i] + 8;
		else if (!strcmp(argv[i], "--cpuid") && i + 1 < argc)
			mask = argv[++i];
		if (!mask) {
			fprintf(stderr, "ringside: cpuid takes --json and --cpuid MASK, not %s\n",
				argv[i]);
			return STATUS_INPUT;
		}
		if (cpuid_mask_parse(mask, &m, &show, err, sizeof(err)) < 0) {
			fprintf(stderr, "ringside: %s\n", err);
			return STATUS_INPUT;
		}
	}
	res = cpuid_print(&m, json, stdout);
	if (res < 0) {
		fprintf(stderr, "ringside: host: cannot print CPUID: %s\n", strerror(-res));
		return STATUS_HOST;
	}
	return STATUS_OK;
}
