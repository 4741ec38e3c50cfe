/* SPDX-License-Identifier: MIT */
/* What CPUID tells the guest. */
#include <criterion/criterion.h>
#include <cpuid.h>
#include <string.h>

#include "tests/emu_fixture.h"

enum { A, B, C, D };

Test(cpuid, hypervisor_leaf_says_ringside)
{
	struct fx f;
	uint32_t out[4];

	fx_init(&f);
	cpuid_policy(&f.v, 0x40000000, 0, out);
	cr_assert_eq(memcmp(&out[B], "Ringside\0\0\0\0", 12), 0);
	cr_assert_eq(out[A], 0x40000000);
	cpuid_policy(&f.v, 1, 0, out);
	cr_assert(out[C] >> 31 & 1);
	cpuid_policy(&f.v, 0x40000001, 0, out);
	cr_assert(!(out[A] | out[B] | out[C] | out[D]));
	fx_fini(&f);
}

Test(cpuid, nothing_that_cannot_be_virtualized)
{
	static const struct {
		uint32_t leaf;
		unsigned reg, bit;
		const char *name;
	} rows[] = { { 1, C, 3, "MONITOR" },      { 1, C, 5, "VMX" },
		     { 1, C, 6, "SMX" },          { 1, C, 17, "PCID" },
		     { 1, D, 1, "VME" },          { 1, D, 11, "SEP" },
		     { 7, B, 0, "FSGSBASE" },     { 7, B, 2, "SGX" },
		     { 7, B, 4, "HLE" },          { 7, B, 7, "SMEP" },
		     { 7, B, 10, "INVPCID" },     { 7, B, 11, "RTM" },
		     { 7, B, 20, "SMAP" },        { 7, C, 2, "UMIP" },
		     { 7, C, 3, "PKU" },          { 7, C, 5, "WAITPKG" },
		     { 7, C, 7, "CET_SS" },       { 7, C, 22, "RDPID" },
		     { 7, D, 22, "AMX-BF16" },    { 7, D, 24, "AMX-TILE" },
		     { 0x80000001, C, 2, "SVM" }, { 0x80000001, D, 11, "SYSCALL" },
		     { 0x80000001, D, 29, "LM" } };
	struct fx f;

	fx_init(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_not(cpuid_has(&f.v, rows[i].leaf, rows[i].reg, rows[i].bit), "%s",
			      rows[i].name);
	fx_fini(&f);
}

/* A feature bit the host lacks is offered only where the VMM provides the feature. */
Test(cpuid, features_are_the_hosts_or_emulated)
{
	static const struct {
		uint32_t leaf;
		uint32_t emulated[4]; /* by register */
	} rows[] = { { 1, { ~0u, ~0u, 1u << 24 | 1u << 31, 0x000372cc } },
		     { 7, { ~0u, 2, 0, 0 } },
		     { 0x80000001, { ~0u, ~0u, 0, 0 } } };
	struct fx f;
	uint32_t out[4], host[4];

	fx_init(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		__cpuid_count(rows[i].leaf, 0, host[A], host[B], host[C], host[D]);
		cpuid_policy(&f.v, rows[i].leaf, 0, out);
		for (int r = B; r <= D; r++)
			cr_assert_eq(out[r] & ~host[r] & ~rows[i].emulated[r], 0,
				     "leaf %#x register %d", rows[i].leaf, r);
	}
	fx_fini(&f);
}

Test(cpuid, the_vmm_provides)
{
	struct fx f;

	fx_init(&f);
	cr_assert(cpuid_has(&f.v, 1, D, 0));  /* FPU */
	cr_assert(cpuid_has(&f.v, 1, D, 3));  /* PSE */
	cr_assert(cpuid_has(&f.v, 1, D, 6));  /* PAE */
	cr_assert(cpuid_has(&f.v, 1, D, 9));  /* APIC */
	cr_assert(cpuid_has(&f.v, 1, D, 12)); /* MTRR */
	cr_assert(cpuid_has(&f.v, 1, D, 13)); /* PGE */
	cr_assert(cpuid_has(&f.v, 1, D, 17)); /* PSE-36 */
	cr_assert(cpuid_has(&f.v, 1, C, 24)); /* TSC deadline */
	cr_assert(cpuid_has(&f.v, 7, B, 1));  /* TSC_ADJUST */
	cr_assert(cpuid_has(&f.v, 6, A, 2));  /* ARAT */
	fx_fini(&f);
}

/* PAE without long mode; NX is the host's, because worlds enforce it. */
Test(cpuid, address_sizes_and_nx)
{
	struct fx f;
	uint32_t out[4], host[4];

	fx_init(&f);
	cpuid_policy(&f.v, 0x80000008, 0, out);
	cr_assert_eq(out[A], 0x2024, "32 linear, 36 physical bits: %#x", out[A]);
	__cpuid(0x80000001, host[A], host[B], host[C], host[D]);
	cr_assert_eq(cpuid_has(&f.v, 0x80000001, D, 20), host[D] >> 20 & 1);
	fx_fini(&f);
}

Test(cpuid, depends_on_the_vcpu)
{
	struct fx f;
	uint32_t out[4];

	fx_init(&f);
	f.v.id = 3;
	f.vm.vcpus = 4;
	f.v.sh.apic_base = 0xfee00000;
	cpuid_policy(&f.v, 1, 0, out);
	cr_assert_eq(out[B] >> 24, 3);
	cr_assert_eq(out[B] >> 16 & 0xff, 4);
	cr_assert(out[D] >> 28 & 1);    /* HTT: the count is valid */
	cr_assert_not(out[D] >> 9 & 1); /* APIC disabled */
	cr_assert_not(out[C] >> 27 & 1);
	f.v.sh.apic_base |= 0x800;
	f.v.sh.cr4 |= CR4_OSXSAVE;
	cpuid_policy(&f.v, 1, 0, out);
	cr_assert(out[D] >> 9 & 1);
	cr_assert_eq(out[C] >> 27 & 1, out[C] >> 26 & 1);
	cpuid_policy(&f.v, 0xb, 1, out);
	cr_assert_eq(out[A], 2);
	cr_assert_eq(out[B], 4);
	cr_assert_eq(out[C], 0x201);
	cr_assert_eq(out[D], 3);
	cpuid_policy(&f.v, 0xb, 2, out);
	cr_assert(out[B] == 0 && out[C] == 2);
	fx_fini(&f);
}

Test(cpuid, xsave_area_follows_xcr0)
{
	struct fx f;
	uint32_t out[4];

	fx_init(&f);
	cpuid_policy(&f.v, 0xd, 0, out);
	if (!cpuid_xcr0_mask()) {
		cr_assert(!(out[A] | out[B] | out[C] | out[D]));
		fx_fini(&f);
		return;
	}
	cr_assert_eq(out[A], (uint32_t)cpuid_xcr0_mask());
	cr_assert_eq(out[B], 576); /* x87 and SSE: legacy area and header */
	cr_assert(out[C] >= out[B]);
	if (cpuid_xcr0_mask() & 4) {
		f.v.sh.xcr0 = 7;
		cpuid_policy(&f.v, 0xd, 0, out);
		cr_assert_eq(out[B], 832);
	}
	cpuid_policy(&f.v, 0xd, 18, out); /* AMX tiles: not there */
	cr_assert(!(out[A] | out[B] | out[C] | out[D]));
	fx_fini(&f);
}

Test(cpuid, beyond_the_maximum)
{
	struct fx f;
	uint32_t max[4], out[4], last[4];

	fx_init(&f);
	cpuid_policy(&f.v, 0, 0, max);
	cr_assert(max[A] >= 0xb && max[A] <= 0x16);
	cpuid_policy(&f.v, max[A], 0, last);
	cpuid_policy(&f.v, 0x1000, 0, out);
	if (max[C] == 0x6c65746e) /* GenuineIntel: the highest basic leaf again */
		cr_assert_eq(memcmp(out, last, 16), 0);
	else
		cr_assert(!(out[A] | out[B] | out[C] | out[D]));
	f.v.sh.misc_enable |= 1u << 22;
	cpuid_policy(&f.v, 0, 0, out);
	cr_assert_eq(out[A], 2);
	fx_fini(&f);
}

Test(cpuid, instruction_fills_four_registers_at_any_cpl)
{
	struct fx f;
	uint32_t out[4];

	fx_init(&f);
	fx_cpl(&f, 3);
	f.v.regs.gpr[EAX] = 0x80000000;
	cpuid_policy(&f.v, 0x80000000, 0, out);
	cr_assert_eq(fx_run(&f, "0fa2"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[EAX], out[A]);
	cr_assert_eq(f.v.regs.gpr[EBX], out[B]);
	cr_assert_eq(f.v.regs.gpr[ECX], out[C]);
	cr_assert_eq(f.v.regs.gpr[EDX], out[D]);
	fx_fini(&f);
}
