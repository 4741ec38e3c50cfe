/* SPDX-License-Identifier: MIT */
/* --cpuid: names of features, what goes with each, and that the guest does not see it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "tests/child.h"
#include "tests/emu_fixture.h"
#include "vmm/cpuid_mask.h"

static int mask_parse(struct cpuid_mask *m, const char *text)
{
	char err[2048];
	bool show = false;

	memset(m, 0, sizeof(*m));
	return cpuid_mask_parse(text, m, &show, err, sizeof(err));
}

static bool mask_has(const struct cpuid_mask *m, enum cpuid_word word, unsigned bit)
{
	return m->off[word] >> bit & 1;
}

static unsigned mask_count(const struct cpuid_mask *m)
{
	unsigned n = 0;

	for (int w = 0; w < CPUID_WORDS; w++)
		n += (unsigned)__builtin_popcount(m->off[w]);
	return n;
}

Test(cpuid_mask, names_in_any_spelling)
{
	static const char *const spellings[] = { "-sse4.2", "-SSE4_2", "-sse4-2", "-sse42" };
	struct cpuid_mask m;

	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		cr_assert_eq(mask_parse(&m, spellings[i]), 0, "%s", spellings[i]);
		cr_assert(mask_has(&m, CPUID_1_ECX, 20), "%s", spellings[i]);
		cr_assert_not(mask_has(&m, CPUID_1_ECX, 19), "%s", spellings[i]);
	}
	cr_assert_eq(mask_parse(&m, "-movbe,-tsc_deadline"), 0);
	cr_assert(mask_has(&m, CPUID_1_ECX, 22) && mask_has(&m, CPUID_1_ECX, 24));
	cr_assert_eq(mask_count(&m), 2);
}

/* SDM Vol. 1, "Detection of AVX2" (14.7.1): AVX2 needs AVX, that needs XSAVE; (15.2) AVX-512. */
Test(cpuid_mask, a_feature_takes_with_it_what_is_built_on_it)
{
	struct cpuid_mask m;

	cr_assert_eq(mask_parse(&m, "-avx"), 0);
	cr_assert(mask_has(&m, CPUID_1_ECX, 28) && mask_has(&m, CPUID_1_ECX, 12));
	cr_assert(mask_has(&m, CPUID_7_EBX, 5) && mask_has(&m, CPUID_7_EBX, 16));
	cr_assert(mask_has(&m, CPUID_7_ECX, 1), "avx512vbmi, three steps away");
	cr_assert_not(mask_has(&m, CPUID_1_ECX, 20), "sse4.2 needs no avx");
	cr_assert_not(mask_has(&m, CPUID_1_ECX, 26), "nor does xsave");
	cr_assert_eq(mask_parse(&m, "-fpu"), 0);
	cr_assert(mask_has(&m, CPUID_1_EDX, 26) && mask_has(&m, CPUID_D_1_EAX, 1));
}

Test(cpuid_mask, what_is_refused)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "write -NAME" },
		{ "sse2", "write -NAME" },
		{ "-", "write -NAME" },
		{ "-avx,", "write -NAME" },
		{ "-avx,,-sse", "write -NAME" },
		{ "-avx3", "no feature avx3; there are fpu, de, " },
		{ "-.", "no feature ." },
		{ "-sse4", "no feature sse4;" },
		{ "+avx", "write -NAME" },
		{ "-avx,show,-x", "no feature x;" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cpuid_mask m = { 0 };
		char err[2048] = "";
		bool show = false;

		cr_assert_eq(cpuid_mask_parse(rows[i].text, &m, &show, err, sizeof(err)), -EINVAL,
			     "%s", rows[i].text);
		cr_assert_not_null(strstr(err, rows[i].why), "%s: %s", rows[i].text, err);
	}
}

Test(cpuid_mask, the_list_of_names_is_whole_and_bounded)
{
	struct cpuid_mask m = { 0 };
	char err[2048], small[64];
	bool show = false;

	cr_assert_eq(cpuid_mask_parse("-x", &m, &show, err, sizeof(err)), -EINVAL);
	cr_assert_str_eq(err + strlen(err) - 8, ", invtsc");
	cr_assert_eq(cpuid_mask_parse("-x", &m, &show, small, sizeof(small)), -EINVAL);
	cr_assert_eq(strlen(small), sizeof(small) - 1);
	cr_assert_not(show);
	cr_assert_eq(cpuid_mask_parse("show", &m, &show, err, sizeof(err)), 0);
	cr_assert(show);
	cr_assert_eq(mask_count(&m), 0);
}

/* One place: each bit that the policy can offer has a name, and each name takes its bit away. */
Test(cpuid_mask, every_feature_offered_has_a_name_that_works)
{
	struct fx f;

	fx_init(&f);
	for (unsigned w = 0; w < CPUID_WORDS; w++) {
		uint32_t leaf, sub, out[4], offered;
		unsigned reg;

		cpuid_word_at(w, &leaf, &sub, &reg);
		f.vm.cpuid_mask = (struct cpuid_mask){ 0 };
		cpuid_policy(&f.v, leaf, sub, out);
		offered = out[reg];
		if (leaf == 0x80000001 && reg == 3)
			offered &= ~0x0183f3ffu; /* copies of leaf 1 */
		for (unsigned bit = 0; bit < 32; bit++) {
			const char *name = cpuid_feature_name(w, bit);
			char text[64];

			if (!(offered >> bit & 1))
				continue;
			cr_assert_not_null(name, "leaf %#x bit %u", leaf, bit);
			snprintf(text, sizeof(text), "-%s", name);
			cr_assert_eq(mask_parse(&f.vm.cpuid_mask, text), 0, "%s", text);
			cpuid_policy(&f.v, leaf, sub, out);
			cr_assert_not(out[reg] >> bit & 1, "%s", name);
			cr_assert_not(cpuid_has(&f.v, leaf, reg, bit) && !sub, "%s", name);
		}
	}
	fx_fini(&f);
}

Test(cpuid_mask, copies_of_leaf_1_go_too)
{
	struct fx f;
	uint32_t out[4];

	fx_init(&f);
	cr_assert_eq(mask_parse(&f.vm.cpuid_mask, "-mmx"), 0);
	cpuid_policy(&f.v, 0x80000001, 0, out);
	cr_assert_not(out[3] >> 23 & 1);
	memset(out, 0xff, sizeof(out));
	cpuid_mask_apply(&f.vm.cpuid_mask, 0x80000001, 0, out);
	cr_assert_eq(out[3] >> 23 & 1, 0);
	cr_assert_eq(out[3] >> 20 & 1, 1);
	fx_fini(&f);
}

/* XSETBV may not enable what CPUID does not offer (SDM Vol. 2D, XSETBV: #GP). */
Test(cpuid_mask, xcr0_follows)
{
	struct fx f;
	uint32_t out[4];

	fx_init(&f);
	if (!(cpuid_xcr0_mask() & 4))
		cr_skip_test("no AVX on this host");
	f.v.sh.cr4 |= CR4_OSXSAVE;
	f.v.regs.gpr[ECX] = f.v.regs.gpr[EDX] = 0;
	f.v.regs.gpr[EAX] = 7;
	cr_assert_eq(fx_run(&f, "0f01d1"), EMU_OK);
	cr_assert_eq(mask_parse(&f.vm.cpuid_mask, "-avx"), 0);
	f.v.sh.xcr0 = 1;
	cr_assert(fx_faults(&f, "0f01d1", VEC_GP, 0));
	cpuid_policy(&f.v, 0xd, 0, out);
	cr_assert_eq(out[0], 3);
	cr_assert_eq(out[2], 576);
	cr_assert_eq(mask_parse(&f.vm.cpuid_mask, "-xsave"), 0);
	cpuid_policy(&f.v, 0xd, 0, out);
	cr_assert(!(out[0] | out[1] | out[2] | out[3]));
	cpuid_policy(&f.v, 1, 0, out);
	cr_assert_not(out[2] >> 27 & 1, "OSXSAVE needs XSAVE");
	fx_fini(&f);
}

/* ---- the command ---- */

static bool json_has(struct json_object *list, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)), name))
			return true;
	return false;
}

Test(cpuid_mask, command_prints_leaves_and_names)
{
	static struct child all, less;
	struct json_object *a, *l, *list;

	all = (struct child){ .argv = { child_ringside(), "cpuid", "--json" } };
	less = (struct child){ .argv = { child_ringside(), "cpuid", "--cpuid", "-sse2,-movbe",
					 "--json" } };
	child_run(&all);
	child_run(&less);
	cr_assert_eq(all.status, 0, "%s", all.err);
	cr_assert_eq(less.status, 0, "%s", less.err);
	a = json_tokener_parse(all.out);
	l = json_tokener_parse(less.out);
	cr_assert(a && l);
	cr_assert(json_has(json_object_object_get(a, "features"), "sse2"));
	cr_assert_not(json_has(json_object_object_get(l, "features"), "sse2"));
	cr_assert(json_has(json_object_object_get(l, "masked"), "sse2"));
	cr_assert_eq(json_object_array_length(json_object_object_get(a, "masked")), 0);
	list = json_object_object_get(a, "leaves");
	cr_assert_geq(json_object_array_length(list), 6);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (json_object_get_int64(json_object_object_get(o, "leaf")) == 0x40000000)
			cr_assert_eq(json_object_get_int64(json_object_object_get(o, "ebx")),
				     0x676e6952, "\"Ring\"");
	}
	json_object_put(a);
	json_object_put(l);
}

Test(cpuid_mask, run_shows_and_refuses)
{
	static struct child c;

	c = (struct child){ .argv = { child_ringside(), "run", "--cpuid=show,-avx" } };
	child_run(&c);
	cr_assert_eq(c.status, 0, "%s", c.err);
	cr_assert_not_null(strstr(c.out, "0x40000000       0  0x40000001 0x676e6952"), "%s", c.out);
	c = (struct child){ .argv = { child_ringside(), "run", "--cpuid", "-nosuch",
				      child_guest("minios") } };
	child_run(&c);
	cr_assert_eq(c.status, 2);
	cr_assert_not_null(strstr(c.err, "ringside: --cpuid: no feature nosuch; there are fpu, "),
			   "%s", c.err);
	c = (struct child){ .argv = { child_ringside(), "cpuid", "--cpuid", "-nosuch" } };
	child_run(&c);
	cr_assert_eq(c.status, 2);
	c = (struct child){ .argv = { child_ringside(), "cpuid", "minios" } };
	child_run(&c);
	cr_assert_eq(c.status, 2);
}
