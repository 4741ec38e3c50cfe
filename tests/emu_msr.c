/* SPDX-License-Identifier: MIT */
/* Model-specific registers and the time-stamp counter. */
#include <criterion/criterion.h>
#include <string.h>
#include <x86intrin.h>

#include "tests/emu_fixture.h"

static int wrmsr(struct fx *f, uint32_t index, uint64_t val)
{
	f->v.regs.gpr[ECX] = index;
	f->v.regs.gpr[EAX] = (uint32_t)val;
	f->v.regs.gpr[EDX] = (uint32_t)(val >> 32);
	return fx_run(f, "0f30");
}

static bool wrmsr_gp(struct fx *f, uint32_t index, uint64_t val)
{
	f->v.regs.gpr[ECX] = index;
	f->v.regs.gpr[EAX] = (uint32_t)val;
	f->v.regs.gpr[EDX] = (uint32_t)(val >> 32);
	return fx_faults(f, "0f30", VEC_GP, 0);
}

static uint64_t rdmsr(struct fx *f, uint32_t index)
{
	f->v.regs.gpr[ECX] = index;
	cr_assert_eq(fx_run(f, "0f32"), EMU_OK, "rdmsr %#x", index);
	return (uint64_t)f->v.regs.gpr[EDX] << 32 | f->v.regs.gpr[EAX];
}

static bool rdmsr_gp(struct fx *f, uint32_t index)
{
	f->v.regs.gpr[ECX] = index;
	return fx_faults(f, "0f32", VEC_GP, 0);
}

Test(emu_msr, unknown_is_gp)
{
	static const uint32_t index[] = { 0x2,   0x3a,  0x48,  0x186,  0x210,      0x24f,
					  0x480, 0x802, 0x1db, 0xdead, 0xc0000081, 0xffffffff };
	struct fx f;

	fx_init(&f);
	for (size_t i = 0; i < sizeof(index) / sizeof(index[0]); i++) {
		cr_assert(rdmsr_gp(&f, index[i]), "%#x", index[i]);
		cr_assert(wrmsr_gp(&f, index[i], 0), "%#x", index[i]);
	}
	fx_fini(&f);
}

/* They are KVM's then, and it has refused what arrives here. */
Test(emu_msr, those_of_a_local_apic_in_the_kernel_are_gp)
{
	static const uint32_t index[] = { 0x1b, 0x3b, 0x6e0, 0x800, 0x803, 0x80b, 0x83f, 0x8ff };
	struct fx f;

	fx_init(&f);
	f.vm.kernel_irqchip = true;
	for (size_t i = 0; i < sizeof(index) / sizeof(index[0]); i++) {
		cr_expect(rdmsr_gp(&f, index[i]), "%#x", index[i]);
		cr_expect(wrmsr_gp(&f, index[i], i ? 0 : 0xfee00800), "%#x", index[i]);
	}
	cr_expect_eq(f.v.sh.apic_base, 0xfee00900);
	cr_expect_eq(f.v.sh.tsc_adjust, 0);
	fx_fini(&f);
}

Test(emu_msr, registers_keep_valid_values)
{
	static const struct {
		uint32_t index;
		uint64_t val;
	} rows[] = { { 0x174, 0x10 },
		     { 0x175, 0xc0001000 },
		     { 0x176, 0xc0100000 },
		     { 0x200, 0xc0000001 },
		     { 0x201, 0xff000800 },
		     { 0x20f, 0x800 },
		     { 0x250, 0x0606060606060606 },
		     { 0x258, 0x0605040100060606 },
		     { 0x259, 1 },
		     { 0x268, 4 },
		     { 0x26f, 0x0505050505050505 },
		     { 0x277, 0x0007010600070406 },
		     { 0x2ff, 0xc06 },
		     { 0x1b, 0xfee00900 },
		     { 0x202, 0xfc0000006 },
		     { 0xc0000103, 0xffffffff } };
	struct fx f;

	fx_init(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(wrmsr(&f, rows[i].index, rows[i].val), EMU_OK, "%#x", rows[i].index);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert_eq(rdmsr(&f, rows[i].index), rows[i].val, "%#x", rows[i].index);
	fx_fini(&f);
}

/* Reserved bits, invalid memory types, read-only registers, features that are not offered. */
Test(emu_msr, invalid_writes_are_gp)
{
	static const struct {
		uint32_t index;
		uint64_t val;
	} rows[] = { { 0x1b, 0xfee00500 },              /* EXTD without EN */
		     { 0x1b, 0xfee00901 },              /* reserved */
		     { 0x1b, 1ull << 36 | 0xfee00900 }, /* beyond the physical address */
		     { 0x200, 2 },                      /* type 2 */
		     { 0x200, 0x100 },                  /* reserved */
		     { 0x200, 1ull << 36 },             /* beyond the physical address */
		     { 0x201, 0x400 },                  /* reserved */
		     { 0x250, 7 },                      /* UC- is for PAT only */
		     { 0x26f, 0xffull << 56 },
		     { 0x277, 2 }, /* type 2 */
		     { 0x277, 8ull << 56 },
		     { 0x2ff, 0x1000 },
		     { 0x2ff, 3 },
		     { 0xfe, 0 }, /* MTRRcap is read-only */
		     { 0x17, 0 },
		     { 0x179, 0 },
		     { 0x17a, 1 },
		     { 0x1d9, 2 },          /* no branch stepping */
		     { 0xc0000080, 1 },     /* no SYSCALL */
		     { 0xc0000080, 0x100 }, /* no long mode */
		     { 0xc0000103, 1ull << 32 },
		     { 0x1a0, 1ull << 34 } };
	struct fx f;

	fx_init(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_assert(wrmsr_gp(&f, rows[i].index, rows[i].val), "%#x := %#llx", rows[i].index,
			  (unsigned long long)rows[i].val);
	fx_fini(&f);
}

/* Vol. 4, IA32_EFER: NXE exists where CPUID offers NX; changing it changes what entries mean. */
Test(emu_msr, efer_nxe_follows_cpuid)
{
	struct fx f;
	uint32_t gen;

	fx_init(&f);
	if (!cpuid_has(&f.v, 0x80000001, 3, 20)) {
		cr_assert(wrmsr_gp(&f, 0xc0000080, 0x800));
		fx_fini(&f);
		return;
	}
	gen = f.v.tlb_gen;
	cr_assert_eq(wrmsr(&f, 0xc0000080, 0x800), EMU_OK);
	cr_assert_eq(rdmsr(&f, 0xc0000080), 0x800);
	cr_assert_neq(f.v.tlb_gen, gen);
	gen = f.v.tlb_gen;
	cr_assert_eq(wrmsr(&f, 0xc0000080, 0x800), EMU_OK);
	cr_assert_eq(f.v.tlb_gen, gen, "nothing changed");
	cr_assert_eq(wrmsr(&f, 0xc0000080, 0), EMU_OK);
	cr_assert_neq(f.v.tlb_gen, gen);
	fx_fini(&f);
}

Test(emu_msr, values_after_reset)
{
	struct fx f;

	fx_init(&f);
	cr_assert_eq(rdmsr(&f, 0x1b), 0xfee00900);
	cr_assert_eq(rdmsr(&f, 0x277), 0x0007040600070406);
	cr_assert_eq(rdmsr(&f, 0xfe), 0x508);
	cr_assert_eq(rdmsr(&f, 0x179), 0);
	cr_assert_eq(rdmsr(&f, 0xc0000080), 0);
	cr_assert_eq(rdmsr(&f, 0x3b), 0);
	cr_assert_eq(rdmsr(&f, 0x1a0), 0x1801);
	cr_assert(rdmsr_gp(&f, 0x79)); /* write-only */
	fx_fini(&f);
}

/* Vol. 3B, 17.17.3: a write of either moves the other by the same amount. */
Test(emu_msr, tsc_and_tsc_adjust_move_together)
{
	struct fx f;
	uint64_t t, host;

	fx_init(&f);
	cr_assert_eq(wrmsr(&f, 0x10, 0x123400000000), EMU_OK);
	t = rdmsr(&f, 0x10);
	cr_assert(t >= 0x123400000000 && t < 0x123400000000 + (1ull << 36));
	host = __rdtsc();
	t = rdmsr(&f, 0x3b) + host;
	cr_assert(t - 0x123400000000 < 1ull << 36);
	cr_assert_eq(wrmsr(&f, 0x3b, 0), EMU_OK);
	t = rdmsr(&f, 0x10);
	cr_assert(t - host < 1ull << 36);
	cr_assert_eq(f.v.sh.tsc_offset, 0);
	fx_fini(&f);
}

Test(emu_msr, rdtsc_and_tsd)
{
	struct fx f;
	uint64_t before, after;

	fx_init(&f);
	fx_cpl(&f, 3);
	before = __rdtsc();
	cr_assert_eq(fx_run(&f, "0f31"), EMU_OK);
	after = (uint64_t)f.v.regs.gpr[EDX] << 32 | f.v.regs.gpr[EAX];
	cr_assert(after > before && after < __rdtsc());
	f.v.sh.cr4 |= CR4_TSD;
	cr_assert(fx_faults(&f, "0f31", VEC_GP, 0));
	fx_cpl(&f, 0);
	cr_assert_eq(fx_run(&f, "0f31"), EMU_OK);
	fx_fini(&f);
}

Test(emu_msr, rdtscp_gives_tsc_aux)
{
	struct fx f;

	fx_init(&f);
	if (!cpuid_has(&f.v, 0x80000001, 3, 27)) {
		cr_assert(fx_faults(&f, "0f01f9", VEC_UD, -1));
		fx_fini(&f);
		return;
	}
	cr_assert_eq(wrmsr(&f, 0xc0000103, 0x1234), EMU_OK);
	cr_assert_eq(fx_run(&f, "0f01f9"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[ECX], 0x1234);
	fx_fini(&f);
}

Test(emu_msr, no_counters_and_no_rdpid)
{
	struct fx f;

	fx_init(&f);
	f.v.sh.cr4 |= CR4_PCE;
	cr_assert(fx_faults(&f, "0f33", VEC_GP, 0));
	cr_assert(fx_faults(&f, "f30fc7f8", VEC_UD, -1));
	fx_fini(&f);
}

/* SDM Vol. 3A, "x2APIC State Transitions" (10.12.5), figure 10-27. */
Test(emu_msr, apic_base_changes_only_along_the_arrows)
{
	static const uint64_t state[] = { 0xfee00100, 0xfee00900, 0xfee00d00 };
	static const bool legal[3][3] = { /* off, xAPIC, x2APIC */
					  { true, true, false },
					  { true, true, true },
					  { true, false, true }
	};
	struct fx f;

	fx_init(&f);
	for (unsigned from = 0; from < 3; from++) {
		for (unsigned to = 0; to < 3; to++) {
			f.v.sh.apic_base = state[from];
			cr_expect_eq(wrmsr(&f, 0x1b, state[to]),
				     legal[from][to] ? EMU_OK : EMU_FAULT, "%u to %u", from, to);
			cr_expect_eq(f.v.sh.apic_base, state[legal[from][to] ? to : from]);
		}
	}
	fx_fini(&f);
}
