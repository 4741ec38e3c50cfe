/* SPDX-License-Identifier: MIT */
/* IRET at every vCPL.  See emu_seg_native.c for ring 3. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "vmm/emu/seg.h"

#define TARGET 0x00140000u
#define ALL    0x003f7fd5u /* every defined flag */

static void frame(struct fx *f, uint32_t eip, uint32_t cs, uint32_t flags, uint32_t esp,
		  uint32_t ss)
{
	const uint32_t val[5] = { eip, cs, flags, esp, ss };

	for (uint32_t i = 0; i < 5; i++)
		fx_w32(f, FX_STACK + i * 4, val[i]);
	f->v.regs.gpr[ESP] = FX_STACK;
	f->v.regs.eip = FX_CODE;
}

/*
 * SDM Vol. 2, IRET, RETURN-TO-SAME-PRIVILEGE-LEVEL: which flags each level may change, from all
 * clear to all set and back.  Bits are spelt out here, not taken from the emulator.
 */
Test(emu_iret, flags_by_level)
{
	struct fx f;

	fx_init(&f);
	for (unsigned n = 0; n < 64; n++) {
		unsigned cpl = n & 3, iopl = n >> 2 & 3, wide = n >> 4 & 1, set = n >> 5;
		uint32_t before = set ? 0x002 | iopl << 12 : (ALL & ~0x27000u) | 2 | iopl << 12;
		uint32_t image = set ? ALL & ~0x20000u : 0, may = 0x4dd5; /* NT OF DF TF SF..CF */
		uint16_t cs = (uint16_t)(FX_CS0 + cpl * 17);

		if (wide)
			may |= 0x250000; /* ID AC RF */
		if (cpl <= iopl)
			may |= 0x200;
		if (cpl == 0)
			may |= wide ? 0x183000 : 0x3000;
		fx_cpl(&f, cpl);
		if (wide) {
			frame(&f, TARGET, cs, image, 0, 0);
		} else {
			f.v.regs.gpr[ESP] = FX_STACK;
			f.v.regs.eip = FX_CODE;
			fx_w16(&f, FX_STACK, 0x4000);
			fx_w16(&f, FX_STACK + 2, cs);
			fx_w16(&f, FX_STACK + 4, (uint16_t)image);
		}
		f.v.regs.eflags = before;
		cr_expect_eq(fx_run(&f, wide ? "cf" : "66cf"), EMU_OK);
		/* emulate() has cleared RF, as every instruction does */
		cr_expect_eq(f.v.regs.eflags, (before & ~may & ~0x10000u) | (image & may) | 2,
			     "cpl %u iopl %u wide %u: %#x to %#x", cpl, iopl, wide, before,
			     f.v.regs.eflags);
		cr_expect_eq(f.v.regs.eip, wide ? TARGET : 0x4000);
		cr_expect_eq(f.v.regs.gpr[ESP], FX_STACK + (wide ? 12 : 6));
	}
	fx_fini(&f);
}

/* SDM Vol. 2, IRET, RETURN-TO-OUTER-PRIVILEGE-LEVEL: the old level decides about IF and IOPL. */
Test(emu_iret, outer_levels)
{
	struct fx f;

	for (unsigned from = 0; from < 3; from++) {
		for (unsigned to = from + 1; to < 4; to++) {
			fx_init(&f);
			fx_cpl(&f, from);
			frame(&f, TARGET, FX_CS0 + to * 17, 0x3202, 0xbfff0000, FX_DS0 + to * 17);
			desc_unpack(fx_get(&f, FX_CS3), FX_CS3, &f.v.regs.seg[SEG_FS]);
			desc_unpack(fx_get(&f, FX_DS3), FX_DS3, &f.v.regs.seg[SEG_GS]);
			fx_set(&f, FX_FREE, fx_desc(0, 0xfffff, FX_P | FX_S | 0xe, FX_G | FX_DB));
			desc_unpack(fx_get(&f, FX_FREE), FX_FREE, &f.v.regs.seg[SEG_ES]);
			f.v.sh.nmi_blocked = true;
			cr_expect_eq(fx_run(&f, "cf"), EMU_OK);
			cr_expect(f.v.sh.cpl == to && f.v.regs.eip == TARGET);
			cr_expect_eq(f.v.regs.gpr[ESP], 0xbfff0000);
			cr_expect_eq(f.v.regs.seg[SEG_SS].sel, FX_DS0 + to * 17);
			cr_expect_eq(f.v.regs.eflags, from ? 0x2 : 0x3202);
			cr_expect(!f.v.sh.nmi_blocked);
			/* DS was of the old level; FS, GS are open to all, ES is conforming. */
			cr_expect(f.v.regs.seg[SEG_DS].unusable && !f.v.regs.seg[SEG_DS].sel);
			cr_expect_eq(f.v.regs.seg[SEG_FS].sel, FX_CS3);
			cr_expect_eq(f.v.regs.seg[SEG_GS].sel, FX_DS3);
			cr_expect_eq(f.v.regs.seg[SEG_ES].sel, FX_FREE);
			fx_fini(&f);
		}
	}
}

/* SDM Vol. 2, IRET, Protected Mode Exceptions. */
Test(emu_iret, faults)
{
	struct fx f;

	fx_init(&f);
	f.v.sh.nmi_blocked = true;
	frame(&f, TARGET, 3, 2, 0x5000, FX_DS3);
	cr_expect(fx_faults(&f, "cf", VEC_GP, 0));
	frame(&f, TARGET, 0x1003, 2, 0x5000, FX_DS3);
	cr_expect(fx_faults(&f, "cf", VEC_GP, 0x1000));
	frame(&f, TARGET, FX_DS3, 2, 0x5000, FX_DS3);
	cr_expect(fx_faults(&f, "cf", VEC_GP, FX_DS3 & ~3u));
	frame(&f, TARGET, FX_CS2 | 3, 2, 0x5000, FX_DS3);
	cr_expect(fx_faults(&f, "cf", VEC_GP, FX_CS2 & ~3u));
	fx_set(&f, FX_FREE, fx_desc(0, 0xfffff, FX_S | FX_DPL(3) | 0xa, FX_G | FX_DB));
	frame(&f, TARGET, FX_FREE | 3, 2, 0x5000, FX_DS3);
	cr_expect(fx_faults(&f, "cf", VEC_NP, FX_FREE));
	frame(&f, TARGET, FX_CS3, 2, 0x5000, 3);
	cr_expect(fx_faults(&f, "cf", VEC_GP, 0));
	frame(&f, TARGET, FX_CS3, 2, 0x5000, FX_DS0);
	cr_expect(fx_faults(&f, "cf", VEC_GP, FX_DS0));
	frame(&f, TARGET, FX_CS3, 2, 0x5000, FX_CS3);
	cr_expect(fx_faults(&f, "cf", VEC_GP, FX_CS3 & ~3u));
	frame(&f, TARGET, FX_CS3, 2, 0x5000, 0x1003);
	cr_expect(fx_faults(&f, "cf", VEC_GP, 0x1000));
	fx_set(&f, FX_FREE, fx_desc(0, 0xfffff, FX_S | FX_DPL(3) | FX_DATA_RW, FX_G | FX_DB));
	frame(&f, TARGET, FX_CS3, 2, 0x5000, FX_FREE | 3);
	cr_expect(fx_faults(&f, "cf", VEC_SS, FX_FREE));
	fx_set(&f, FX_FREE, fx_desc(0, 0x13f, FX_P | FX_S | FX_DPL(3) | 0xa, FX_G | FX_DB));
	frame(&f, TARGET, FX_FREE | 3, 2, 0x5000, FX_DS3);
	cr_expect(fx_faults(&f, "cf", VEC_GP, 0)); /* EIP > limit */
	frame(&f, TARGET, FX_CS3, 2, 0x5000, FX_DS3);
	f.v.regs.seg[SEG_SS].limit = FX_STACK + 16;
	cr_expect(fx_faults(&f, "cf", VEC_SS, 0)); /* SS is beyond the stack */
	f.v.regs.seg[SEG_SS].limit = FX_STACK + 10;
	cr_expect(fx_faults(&f, "cf", VEC_SS, 0));
	fx_cpl(&f, 1);
	frame(&f, TARGET, FX_CS0, 2, 0, 0); /* inwards */
	cr_expect(fx_faults(&f, "cf", VEC_GP, FX_CS0));
	fx_fini(&f);
}

/* A 16-bit outer stack gets SP only: the quirk behind Linux's espfix. */
Test(emu_iret, outer_stack_of_16_bits)
{
	struct fx f;

	fx_init(&f);
	fx_set(&f, FX_FREE, fx_desc(0, 0xffff, FX_P | FX_S | FX_DPL(3) | FX_DATA_RW, 0));
	fx_set(&f, 0x60, fx_desc(0, 0xfffff, FX_P | FX_S | FX_DPL(3) | 0xa, FX_G | FX_DB));
	frame(&f, TARGET, 0x63, 2, 0xdeadbeef, FX_FREE | 3);
	cr_expect_eq(fx_run(&f, "cf"), EMU_OK);
	cr_expect_eq(fx_get(&f, FX_FREE) >> 40 & 1, 1, "SS is accessed");
	cr_expect_eq(fx_get(&f, 0x60) >> 40 & 1, 1, "CS is accessed");
	cr_expect_eq(f.v.regs.gpr[ESP], (FX_STACK & 0xffff0000) | 0xbeef);
	fx_fini(&f);
}

/* SDM Vol. 2, IRET, TASK-RETURN, RETURN-TO-VIRTUAL-8086-MODE. */
Test(emu_iret, tasks_and_v86_end_the_vm)
{
	struct fx f;

	fx_init(&f);
	frame(&f, TARGET, FX_CS0, 2, 0, 0);
	f.v.regs.eflags |= FL_NT;
	cr_expect_eq(fx_run(&f, "cf"), -ECANCELED);
	cr_expect(strstr(f.vm.death, "task switching is not supported yet") != NULL);
	fx_fini(&f);

	fx_init(&f);
	frame(&f, TARGET, FX_CS3, FL_VM | 2, 0x5000, FX_DS3);
	cr_expect_eq(fx_run(&f, "cf"), -ECANCELED);
	cr_expect(strstr(f.vm.death, "virtual-8086 mode is not supported yet") != NULL);
	fx_fini(&f);

	fx_init(&f); /* VM is ignored outside CPL 0 */
	fx_cpl(&f, 1);
	frame(&f, TARGET, FX_CS3, FL_VM | 2, 0x5000, FX_DS3);
	cr_expect_eq(fx_run(&f, "cf"), EMU_OK);
	cr_expect_eq(f.v.regs.eflags, 2);
	fx_fini(&f);
}

/* SDM Vol. 2, IRET in real mode: all flags of the word; VM, VIF, VIP are kept in the 32-bit form.
 */
Test(emu_iret, real_mode)
{
	struct fx f;

	fx_init_real(&f);
	fx_w16(&f, 0x38000, 0x4321);
	fx_w16(&f, 0x38002, 0x2003);
	fx_w16(&f, 0x38004, 0xffff);
	f.v.regs.eflags = FL_FIXED | FL_AC | FL_NT; /* NT means nothing here */
	cr_expect_eq(fx_run(&f, "cf"), EMU_OK);
	cr_expect(f.v.regs.eip == 0x4321 && f.v.regs.seg[SEG_CS].base == 0x20030);
	cr_expect_eq(f.v.regs.seg[SEG_CS].sel, 0x2003, "a paragraph has no RPL");
	cr_expect_eq(f.v.regs.eflags, 0x47fd7);
	cr_expect_eq(f.v.regs.gpr[ESP], 0x8006);
	f.v.regs.gpr[ESP] = 0x8100;
	fx_w32(&f, 0x38100, 0x10000);
	fx_w32(&f, 0x38104, 0x2000);
	fx_w32(&f, 0x38108, 0xffffffff);
	cr_expect(fx_faults(&f, "66cf", VEC_GP, 0));
	fx_w32(&f, 0x38100, 0xffff);
	f.v.regs.eflags = FL_FIXED;
	cr_expect_eq(fx_run(&f, "66cf"), EMU_OK);
	cr_expect_eq(f.v.regs.eflags, 0x257fd7);
	cr_expect_eq(f.v.regs.eip, 0xffff);
	fx_fini(&f);
}
