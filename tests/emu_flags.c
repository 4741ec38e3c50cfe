/* SPDX-License-Identifier: MIT */
/* CLI, STI, PUSHF, POPF, HLT at every privilege; the shadows and RF, which emulate() handles. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "tests/native.h"

static void levels(struct fx *f, unsigned cpl, unsigned iopl)
{
	fx_cpl(f, cpl);
	f->v.regs.eip = FX_CODE;
	f->v.regs.gpr[ESP] = FX_STACK;
	f->v.regs.eflags = FL_FIXED | iopl << FL_IOPL_SHIFT;
}

/* SDM Vol. 2A, CLI; Vol. 2B, STI: CPL <= IOPL, else #GP(0). */
Test(emu_flags, cli_and_sti_need_iopl)
{
	struct fx f;

	fx_init(&f);
	for (unsigned cpl = 0; cpl < 4; cpl++)
		for (unsigned iopl = 0; iopl < 4; iopl++) {
			levels(&f, cpl, iopl);
			if (cpl > iopl) {
				cr_assert(fx_faults(&f, "fa", VEC_GP, 0));
				cr_assert(fx_faults(&f, "fb", VEC_GP, 0));
				continue;
			}
			cr_assert_eq(fx_run(&f, "fb"), EMU_OK);
			cr_assert(f.v.regs.eflags & FL_IF);
			cr_assert_eq(f.v.regs.eip, FX_CODE + 1);
			cr_assert_eq(fx_run(&f, "fa"), EMU_OK);
			cr_assert_not(f.v.regs.eflags & FL_IF);
		}
	fx_fini(&f);
}

/* SDM Vol. 2B, STI: held off for one instruction, and only if IF was clear before. */
Test(emu_flags, sti_shadow_lasts_for_one_instruction)
{
	struct fx f;

	fx_init(&f);
	cr_assert_eq(fx_run(&f, "fb"), EMU_OK);
	cr_assert(f.v.sh.sti_shadow);
	cr_assert_eq(fx_run(&f, "fb"), EMU_OK); /* sti with IF set: no new shadow */
	cr_assert_not(f.v.sh.sti_shadow);
	cr_assert_eq(fx_run(&f, "fa"), EMU_OK);
	cr_assert_eq(fx_run(&f, "fb"), EMU_OK);
	cr_assert_eq(fx_run(&f, "f4"), EMU_OK); /* the classic sti; hlt */
	cr_assert_not(f.v.sh.sti_shadow);
	cr_assert(f.v.halted);
	f.v.sh.movss_shadow = true;
	cr_assert_eq(fx_run(&f, "90"), EMU_OK);
	cr_assert_not(f.v.sh.movss_shadow);
	fx_fini(&f);
}

Test(emu_flags, virtual_8086_mode_needs_iopl_3)
{
	static const char *const ops[] = { "fa", "fb", "9c", "9d" };
	struct fx f;

	fx_init(&f);
	for (size_t i = 0; i < 4; i++) {
		levels(&f, 3, 0);
		f.v.regs.eflags |= FL_VM;
		cr_assert(fx_faults(&f, ops[i], VEC_GP, 0));
		f.v.regs.eflags |= FL_IOPL;
		cr_assert_eq(fx_run(&f, ops[i]), EMU_OK);
	}
	fx_fini(&f);
}

/* SDM Vol. 2B, PUSHF: VM and RF are clear in the image; nothing else is masked. */
Test(emu_flags, pushf_image)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.eflags = 0x00fcffff | FL_RF;
	cr_assert_eq(fx_run(&f, "9c"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[ESP], FX_STACK - 4);
	cr_assert_eq(fx_r32(&f, FX_STACK - 4), 0x00fcffff);
	f.v.regs.gpr[ESP] = FX_STACK;
	fx_w32(&f, FX_STACK - 4, 0x11111111);
	cr_assert_eq(fx_run(&f, "669c"), EMU_OK);
	cr_assert_eq(f.v.regs.gpr[ESP], FX_STACK - 2);
	cr_assert_eq(fx_r32(&f, FX_STACK - 4), 0xffff1111);
	fx_fini(&f);
}

/*
 * What POPF leaves of @image in @old: SDM Vol. 2B, table "Effect of POPF/POPFD on the EFLAGS
 * Register", written down a second time, by columns.
 */
static uint32_t popf_expected(uint32_t old, uint32_t image, unsigned cpl, bool wide)
{
	static const uint32_t always = 0x4dd5; /* NT OF DF TF SF ZF AF PF CF */
	uint32_t set = always;

	if (wide)
		set |= FL_ID | FL_AC;
	if (cpl == 0)
		set |= FL_IOPL;
	if (cpl <= (old >> 12 & 3))
		set |= FL_IF;
	return ((old & ~set) | (image & set)) & ~FL_RF;
}

Test(emu_flags, popf_at_every_cpl_iopl_and_width)
{
	static const uint32_t images[] = { 0, 0xffffffff, 0x200, 0x3000, 0x3202, 0x00244dd5 };
	struct fx f;

	fx_init(&f);
	for (unsigned cpl = 0; cpl < 4; cpl++)
		for (unsigned iopl = 0; iopl < 4; iopl++)
			for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++)
				for (unsigned bits = 0; bits < 8; bits++) {
					uint32_t old = FL_FIXED | iopl << 12;
					bool wide = bits & 4;

					old |= (bits & 1 ? FL_IF | FL_RF | FL_ID : 0) |
					       (bits & 2 ? FL_VIF | FL_VIP | FL_NT | FL_AC : 0);
					levels(&f, cpl, iopl);
					f.v.regs.eflags = old;
					fx_w32(&f, FX_STACK, images[i]);
					cr_assert_eq(fx_run(&f, wide ? "9d" : "669d"), EMU_OK);
					cr_assert_eq(f.v.regs.eflags,
						     popf_expected(old, images[i], cpl, wide),
						     "cpl %u iopl %u old %#x image %#x: %#x", cpl,
						     iopl, old, images[i], f.v.regs.eflags);
					cr_assert_eq(f.v.regs.gpr[ESP], FX_STACK + (wide ? 4 : 2));
				}
	fx_fini(&f);
}

Test(emu_flags, popf_in_real_mode_changes_iopl_and_if)
{
	struct fx f;

	fx_init_real(&f);
	f.v.regs.eflags = FL_FIXED | FL_AC;
	fx_w32(&f, 0x38000, 0x3302);
	cr_assert_eq(fx_run(&f, "9d"), EMU_OK);
	cr_assert_eq(f.v.regs.eflags, 0x3302 | FL_AC);
	fx_fini(&f);
}

Test(emu_flags, popf_that_faults_changes_nothing)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.seg[SEG_SS].limit = FX_STACK + 2;
	f.v.regs.eflags |= FL_RF;
	f.v.sh.sti_shadow = true;
	cr_assert(fx_faults(&f, "9d", VEC_SS, 0));
	fx_fini(&f);
}

/* CPL 3 with IOPL 0 is what the host gives us: the CPU itself says what popf does there. */
Test(emu_flags, popf_and_pushf_as_the_cpu_does_at_ring_3)
{
	/* No TF: the native run would single-step. */
	static const uint32_t images[] = { 0, 0xfffffeff, 0x244cd5, 0x3200, 0x8000, 0xffc0802a };
	const uint32_t seen = FL_ARITH | FL_DF | FL_NT | FL_AC | FL_ID | FL_IOPL | FL_IF;
	struct native_state st = native_state();
	struct native_trap trap;
	struct fx f;

	if (native_run((const uint8_t[]){ 0x90 }, 1, &st, NULL) < 0)
		cr_skip("no native code here");
	fx_init(&f);
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++)
		for (unsigned op66 = 0; op66 < 2; op66++) {
			static const uint8_t code[] = { 0x66, 0x9d, 0x66, 0x9c };
			uint8_t both[4], n = 0;

			for (unsigned j = 0; j < 4; j++)
				if (op66 || code[j] != 0x66)
					both[n++] = code[j];
			/* NT and AC would stay set in the handler's way out: clear in the image. */
			uint32_t image = images[i] & ~(FL_NT | FL_AC);

			st = native_state();
			*(uint32_t *)native_ptr(NATIVE_ESP) = image;
			cr_assert_eq(native_run(both, n, &st, &trap), NATIVE_DONE);

			levels(&f, 3, 0);
			f.v.regs.eflags |= FL_IF;
			fx_w32(&f, FX_STACK, image);
			cr_assert_eq(fx_run(&f, op66 ? "669d" : "9d"), EMU_OK);
			cr_assert_eq(f.v.regs.eflags & seen, st.eflags & seen,
				     "popf of %#x: %#x on the CPU, %#x emulated", image, st.eflags,
				     f.v.regs.eflags);
			cr_assert_eq(fx_run(&f, op66 ? "669c" : "9c"), EMU_OK);
			cr_assert_eq(
				fx_r32(&f, FX_STACK), *(const uint32_t *)native_ptr(NATIVE_ESP),
				"pushf after popf of %#x: %#x on the CPU, %#x emulated", image,
				*(const uint32_t *)native_ptr(NATIVE_ESP), fx_r32(&f, FX_STACK));
			cr_assert_eq(f.v.regs.gpr[ESP], st.gpr[ESP]);
		}
	fx_fini(&f);
}

Test(emu_flags, hlt_needs_cpl_0)
{
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3);
	f.v.regs.eflags |= FL_IOPL; /* IOPL does not help */
	cr_assert(fx_faults(&f, "f4", VEC_GP, 0));
	cr_assert_not(f.v.halted);
	fx_fini(&f);
}

Test(emu_flags, smap_is_absent)
{
	struct fx f;

	fx_init(&f);
	cr_assert(fx_faults(&f, "0f01ca", VEC_UD, -1));
	cr_assert(fx_faults(&f, "0f01cb", VEC_UD, -1));
	fx_fini(&f);
}

Test(emu_flags, rf_is_cleared_by_a_completed_instruction)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.eflags |= FL_RF;
	cr_assert_eq(fx_run(&f, "fa"), EMU_OK);
	cr_assert_not(f.v.regs.eflags & FL_RF);
	fx_fini(&f);
}

/* 16-bit code: IP wraps. */
Test(emu_flags, ip_wraps_in_16_bit_code)
{
	struct fx f;

	fx_init_real(&f);
	f.v.regs.eip = 0xffff;
	cr_assert_eq(fx_run(&f, "fa"), EMU_OK);
	cr_assert_eq(f.v.regs.eip, 0);
	fx_fini(&f);
}
