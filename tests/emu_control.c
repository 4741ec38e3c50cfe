/* SPDX-License-Identifier: MIT */
/* Control and debug registers, machine status word, XCR0, and the instructions that are not there.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "decoder/sensitive.h"
#include "tests/emu_fixture.h"

static int to_cr(struct fx *f, unsigned cr, uint32_t val)
{
	const uint8_t code[] = { 0x0f, 0x22, (uint8_t)(0xc0 | cr << 3) }; /* mov %eax,%crN */

	f->v.regs.gpr[EAX] = val;
	return fx_run_bytes(f, code, 3);
}

static bool to_cr_gp(struct fx *f, const char *hex, uint32_t val)
{
	f->v.regs.gpr[EAX] = val;
	return fx_faults(f, hex, VEC_GP, 0);
}

Test(emu_control, every_privileged_form_needs_cpl_0)
{
	static const char *const code[] = { "0f20c0", "0f20d0", "0f20d8", "0f20e0",
					    "0f22c0", "0f22d8", "0f21c0", "0f23f8",
					    "0f01f0", "0f06",   "0f08",   "0f09",
					    "0f013b", "0f32",   "0f30",   "f4" };
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3);
	f.v.regs.eflags |= FL_IOPL;
	for (size_t i = 0; i < sizeof(code) / sizeof(code[0]); i++)
		cr_assert(fx_faults(&f, code[i], VEC_GP, 0), "%s", code[i]);
	fx_fini(&f);
}

/* #UD wins over the privilege check: measured at ring 3 on the CPU. */
Test(emu_control, control_registers_that_do_not_exist)
{
	struct fx f;

	fx_init(&f);
	for (unsigned cpl = 0; cpl < 4; cpl += 3) {
		fx_cpl(&f, cpl);
		for (unsigned cr = 0; cr < 8; cr++) {
			char hex[16];

			if (cr == 0 || (cr >= 2 && cr <= 4))
				continue;
			snprintf(hex, sizeof(hex), "0f20%02x", 0xc0 | cr << 3);
			/* Refused by the decoder or by the emulator: #UD either way. */
			if (fx_run(&f, hex) != 1000)
				cr_assert(fx_faults(&f, hex, VEC_UD, -1), "%s", hex);
		}
	}
	fx_fini(&f);
}

Test(emu_control, cr0_writes)
{
	struct fx f;

	fx_init(&f);
	cr_assert_eq(to_cr(&f, 0, CR0_PE | CR0_WP | CR0_NE | CR0_TS), EMU_OK);
	cr_assert_eq(f.v.sh.cr0, CR0_PE | CR0_WP | CR0_NE | CR0_TS | CR0_ET);
	/* Vol. 3A, 2.5: reserved bits of CR0[31:0] are ignored. */
	cr_assert_eq(to_cr(&f, 0, CR0_PE | 0x0002ff80), EMU_OK);
	cr_assert_eq(f.v.sh.cr0, CR0_PE | CR0_ET);
	cr_assert(to_cr_gp(&f, "0f22c0", CR0_PE | CR0_NW));
	cr_assert(to_cr_gp(&f, "0f22c0", CR0_PG));
	cr_assert_eq(fx_run(&f, "0f20c3"), EMU_OK); /* mov %cr0,%ebx */
	cr_assert_eq(f.v.regs.gpr[EBX], CR0_PE | CR0_ET);
	cr_assert_eq(fx_run(&f, "0f06"), EMU_OK);
	fx_fini(&f);
}

Test(emu_control, what_is_not_supported_yet_ends_the_vm_with_a_sentence)
{
	struct fx f;

	fx_init(&f);
	cr_assert_eq(to_cr(&f, 0, 0), -ECANCELED);
	cr_assert(strstr(f.vm.death, "clearing CR0.PE at eip 0x100000"));
	fx_fini(&f);
}

Test(emu_control, pe_can_be_set_from_real_mode)
{
	struct fx f;

	fx_init_real(&f);
	f.v.sh.cr0 = CR0_ET;
	cr_assert_eq(to_cr(&f, 0, CR0_PE), EMU_OK);
	cr_assert(vcpu_protected(&f.v));
	fx_fini(&f);
}

Test(emu_control, cr2_cr3_hold_what_they_are_given)
{
	struct fx f;

	fx_init(&f);
	cr_assert_eq(to_cr(&f, 2, 0xdeadbeef), EMU_OK);
	cr_assert_eq(to_cr(&f, 3, 0x12345018), EMU_OK);
	cr_assert_eq(fx_run(&f, "0f20d1"), EMU_OK);
	cr_assert_eq(fx_run(&f, "0f20da"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[ECX], 0xdeadbeef);
	cr_assert_eq(f.v.regs.gpr[EDX], 0x12345018);
	fx_fini(&f);
}

/* Every bit of CR4: settable if CPUID offers its feature, else #GP. */
Test(emu_control, cr4_bits_follow_cpuid)
{
	struct fx f;
	uint32_t one[4];

	fx_init(&f);
	cpuid_policy(&f.v, 1, 0, one);
	for (unsigned bit = 0; bit < 32; bit++) {
		uint32_t val = 1u << bit;
		bool ok = false;

		if (val & (CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |
			   CR4_OSFXSR | CR4_OSXMMEXCPT))
			ok = true;
		if (val == CR4_OSXSAVE)
			ok = one[2] >> 26 & 1;
		if (!ok) {
			cr_assert(to_cr_gp(&f, "0f22e0", val), "bit %u", bit);
			continue;
		}
		cr_assert_eq(to_cr(&f, 4, val), EMU_OK);
		cr_assert_eq(f.v.sh.cr4, val);
	}
	fx_fini(&f);
}

Test(emu_control, lmsw_sets_but_does_not_clear_pe)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EAX] = 0xfffffffe;
	cr_assert_eq(fx_run(&f, "0f01f0"), EMU_OK);
	cr_assert_eq(f.v.sh.cr0 & 0xf, 0xf);
	f.v.regs.gpr[EAX] = 0;
	cr_assert_eq(fx_run(&f, "0f01f0"), EMU_OK);
	cr_assert_eq(f.v.sh.cr0 & 0xf, CR0_PE);
	cr_assert(f.v.sh.cr0 & CR0_ET);
	f.v.regs.gpr[EBX] = FX_DATA;
	fx_w16(&f, FX_DATA, CR0_TS);
	cr_assert_eq(fx_run(&f, "0f0133"), EMU_OK); /* lmsw (%ebx) */
	cr_assert(f.v.sh.cr0 & CR0_TS);
	cr_assert_eq(fx_run(&f, "0f06"), EMU_OK); /* clts */
	cr_assert_not(f.v.sh.cr0 & CR0_TS);
	fx_fini(&f);
}

/* Unprivileged; 32 or 16 bits to a register, always 16 to memory (Vol. 2B, SMSW). */
Test(emu_control, smsw_widths)
{
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3);
	f.v.sh.cr0 = CR0_PE | CR0_ET | CR0_WP | CR0_CD;
	cr_assert_eq(fx_run(&f, "0f01e0"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[EAX], f.v.sh.cr0);
	f.v.regs.gpr[ECX] = 0xaaaaaaaa;
	cr_assert_eq(fx_run(&f, "660f01e1"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[ECX], 0xaaaa0011);
	f.v.regs.gpr[EBX] = FX_DATA;
	fx_w32(&f, FX_DATA, 0xbbbbbbbb);
	cr_assert_eq(fx_run(&f, "0f0123"), EMU_OK);
	cr_assert_eq(fx_r32(&f, FX_DATA), 0xbbbb0011);
	fx_fini(&f);
}

Test(emu_control, debug_registers_have_fixed_bits)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EAX] = 0x12345678;
	cr_assert_eq(fx_run(&f, "0f23d8"), EMU_OK); /* dr3 */
	cr_assert_eq(f.v.sh.dr[3], 0x12345678);
	f.v.regs.gpr[EAX] = 0;
	cr_assert_eq(fx_run(&f, "0f23f0"), EMU_OK);
	cr_assert_eq(f.v.sh.dr[6], 0xffff0ff0);
	cr_assert_eq(fx_run(&f, "0f23f8"), EMU_OK);
	cr_assert_eq(f.v.sh.dr[7], 0x400);
	f.v.regs.gpr[EAX] = 0xffffffff;
	cr_assert_eq(fx_run(&f, "0f23e0"), EMU_OK); /* dr4 is dr6 */
	cr_assert_eq(f.v.sh.dr[6], 0xffffeff0 | 0xf);
	cr_assert_eq(fx_run(&f, "0f21e1"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[ECX], 0xffffefff);
	fx_fini(&f);
}

Test(emu_control, dr4_is_undefined_with_debug_extensions)
{
	struct fx f;

	fx_init(&f);
	f.v.sh.cr4 = CR4_DE;
	cr_assert(fx_faults(&f, "0f21e0", VEC_UD, -1));
	cr_assert(fx_faults(&f, "0f23e8", VEC_UD, -1));
	fx_cpl(&f, 3); /* measured: #GP wins here */
	cr_assert(fx_faults(&f, "0f21e0", VEC_GP, 0));
	fx_fini(&f);
}

/* Vol. 3B, 17.2.4: general detect, before the access. */
Test(emu_control, dr7_gd_guards_every_access)
{
	struct fx f;

	fx_init(&f);
	f.v.sh.dr[7] |= 0x2000;
	cr_assert(fx_faults(&f, "0f21c0", VEC_DB, -1));
	cr_assert_eq(f.v.fault.dr6, 0x2000);
	cr_assert(fx_faults(&f, "0f23f8", VEC_DB, -1));
	fx_fini(&f);
}

Test(emu_control, instructions_that_do_nothing)
{
	static const char *const code[] = { "0f08", "0f09", "0f013b", "f390" };
	struct fx f;

	fx_init(&f);
	for (size_t i = 0; i < 4; i++) {
		struct cpu_regs was = f.v.regs;

		cr_assert_eq(fx_run(&f, code[i]), EMU_OK);
		was.eip = f.v.regs.eip;
		cr_assert_eq(memcmp(&was, &f.v.regs, sizeof(was)), 0);
	}
	fx_fini(&f);
}

Test(emu_control, instructions_that_are_not_there)
{
	static const char *const code[] = { "0f01c8", "0f01c9", "0f01c1",     "0f01d9",
					    "0faa",   "0f01f8", "660f388203", "0f01c2" };
	struct fx f;

	fx_init(&f);
	for (size_t i = 0; i < sizeof(code) / sizeof(code[0]); i++)
		cr_assert(fx_faults(&f, code[i], VEC_UD, -1), "%s", code[i]);
	fx_fini(&f);
}

static bool xsetbv_gp(struct fx *f, uint32_t index, uint64_t val)
{
	f->v.regs.gpr[ECX] = index;
	f->v.regs.gpr[EAX] = (uint32_t)val;
	f->v.regs.gpr[EDX] = (uint32_t)(val >> 32);
	return fx_faults(f, "0f01d1", VEC_GP, 0);
}

Test(emu_control, xcr0_is_validated)
{
	struct fx f;
	uint64_t mask = cpuid_xcr0_mask();

	fx_init(&f);
	cr_assert(fx_faults(&f, "0f01d0", VEC_UD, -1)); /* without OSXSAVE */
	cr_assert(fx_faults(&f, "0f01d1", VEC_UD, -1));
	if (!mask)
		cr_skip("this host has no XSAVE");
	f.v.sh.cr4 |= CR4_OSXSAVE;
	cr_assert(xsetbv_gp(&f, 1, 3));
	cr_assert(xsetbv_gp(&f, 0, 2));     /* x87 cannot go */
	cr_assert(xsetbv_gp(&f, 0, 5));     /* AVX without SSE */
	cr_assert(xsetbv_gp(&f, 0, 0x27));  /* a third of AVX-512 */
	cr_assert(xsetbv_gp(&f, 0, 0x207)); /* PKRU is not offered */
	cr_assert(xsetbv_gp(&f, 0, 1ull << 63 | 1));
	f.v.regs.gpr[ECX] = 0;
	f.v.regs.gpr[EAX] = (uint32_t)mask;
	f.v.regs.gpr[EDX] = 0;
	cr_assert_eq(fx_run(&f, "0f01d1"), EMU_OK);
	f.v.regs.gpr[EAX] = 0;
	f.v.regs.gpr[EDX] = 7;
	cr_assert_eq(fx_run(&f, "0f01d0"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[EAX], (uint32_t)mask);
	cr_assert_eq(f.v.regs.gpr[EDX], 0);
	fx_cpl(&f, 3);
	cr_assert_eq(fx_run(&f, "0f01d0"), EMU_OK); /* reading is not privileged */
	cr_assert(xsetbv_gp(&f, 0, 3));
	fx_fini(&f);
}

Test(emu_control, every_row_of_the_table_has_an_outcome)
{
	size_t count;
	const struct sensitive *rows = sensitive_table(&count);

	for (size_t i = 0; i < count; i++) {
		struct fx f;
		int r;

		fx_init(&f);
		for (unsigned cpl = 0; cpl < 4; cpl += 3) {
			fx_cpl(&f, cpl);
			f.v.regs.eip = FX_CODE;
			f.v.regs.gpr[EAX] = CR0_PE; /* mov to CR0 would kill otherwise */
			r = fx_run(&f, rows[i].example);
			cr_assert(r == EMU_OK || r == EMU_FAULT, "%s at CPL %u: %d", rows[i].form,
				  cpl, r);
		}
		fx_fini(&f);
	}
}
