/* SPDX-License-Identifier: MIT */
/* Far jumps, calls and returns at every vCPL.  See emu_seg_native.c for ring 3. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "vmm/emu/seg.h"

#define TARGET 0x00140000u
#define CODE(dpl, extra)                                                                 \
	fx_desc(0, 0xfffff, FX_P | FX_S | FX_DPL(dpl) | FX_CODE_X | FX_CODE_R | (extra), \
		FX_G | FX_DB)
#define CALL32(sel, dpl, count) fx_gate(sel, TARGET, FX_P | FX_DPL(dpl) | DESC_CALL32, count)
#define CALL16(sel, dpl, count) fx_gate(sel, TARGET, FX_P | FX_DPL(dpl) | DESC_CALL16, count)

/* ljmp / lcall $sel,$TARGET as hex. */
static const char *far_hex(const char *opcode, uint16_t sel)
{
	static char hex[32];

	snprintf(hex, sizeof(hex), "%s00001400%02x%02x", opcode, sel & 0xff, sel >> 8);
	return hex;
}

static const char *ljmp(uint16_t sel)
{
	return far_hex("ea", sel);
}

static const char *lcall(uint16_t sel)
{
	return far_hex("9a", sel);
}

static void at(struct fx *f, unsigned cpl)
{
	fx_cpl(f, cpl);
	f->v.regs.eip = FX_CODE;
	f->v.regs.gpr[ESP] = FX_STACK;
}

/* SDM Vol. 2, JMP, CALL; Vol. 3A, 5.8.1: every CPL, RPL, DPL, conforming or not. */
Test(emu_transfer, direct_privilege_matrix)
{
	struct fx f;

	fx_init(&f);
	for (unsigned n = 0; n < 256; n++) {
		unsigned cpl = n & 3, rpl = n >> 2 & 3, dpl = n >> 4 & 3, conf = n >> 6 & 1;
		uint16_t sel = (uint16_t)(FX_FREE | rpl);
		bool call = n >> 7, ok = conf ? dpl <= cpl : dpl == cpl && rpl <= cpl;
		const char *hex = call ? lcall(sel) : ljmp(sel);

		at(&f, cpl);
		fx_set(&f, FX_FREE, CODE(dpl, conf ? FX_CODE_C : 0));
		if (!ok) {
			cr_expect(fx_faults(&f, hex, VEC_GP, FX_FREE));
			continue;
		}
		cr_expect_eq(fx_run(&f, hex), EMU_OK);
		cr_expect(f.v.regs.eip == TARGET && f.v.sh.cpl == cpl);
		cr_expect_eq(f.v.regs.seg[SEG_CS].sel, FX_FREE | cpl, "RPL becomes CPL");
		cr_expect_eq(fx_get(&f, FX_FREE) >> 40 & 1, 1, "accessed");
		cr_expect_eq(f.v.regs.gpr[ESP], FX_STACK - (call ? 8 : 0));
		if (call) {
			cr_expect_eq(fx_r32(&f, FX_STACK - 4), FX_CS0 + cpl * 17);
			cr_expect_eq(fx_r32(&f, FX_STACK - 8), FX_CODE + 7);
		}
	}
	fx_fini(&f);
}

/* SDM Vol. 2, JMP, CALL: the other faults of a direct transfer. */
Test(emu_transfer, direct_faults)
{
	struct fx f;

	fx_init(&f);
	for (int call = 0; call < 2; call++) {
		const char *op = call ? "9a" : "ea";

		cr_expect(fx_faults(&f, far_hex(op, 0), VEC_GP, 0));
		cr_expect(fx_faults(&f, far_hex(op, 3), VEC_GP, 0));
		cr_expect(fx_faults(&f, far_hex(op, 0x1003), VEC_GP, 0x1000));
		cr_expect(fx_faults(&f, far_hex(op, FX_DS0), VEC_GP, FX_DS0));
		cr_expect(fx_faults(&f, far_hex(op, FX_FREE), VEC_GP, FX_FREE)); /* type 0 */
		cr_expect(fx_faults(&f, far_hex(op, FX_LDTR), VEC_GP, FX_LDTR));
		cr_expect(fx_faults(&f, far_hex(op, FX_TR), VEC_GP, FX_TR)); /* busy */
		fx_set(&f, 0x60, CODE(0, 0) & ~(1ull << 47));
		cr_expect(fx_faults(&f, far_hex(op, 0x60), VEC_NP, 0x60));
		fx_set(&f, 0x60, fx_desc(0, 0x13f, FX_P | FX_S | 0xa, FX_G | FX_DB));
		cr_expect(fx_faults(&f, far_hex(op, 0x60), VEC_GP, 0)); /* EIP > limit */
	}
	f.v.regs.seg[SEG_SS].limit = FX_STACK - 5;
	cr_expect(fx_faults(&f, lcall(FX_CS0), VEC_SS, 0));
	fx_fini(&f);
}

/* SDM Vol. 2, CALL: a task's TSS or gate, once allowed, is what we cannot do. */
Test(emu_transfer, tasks_end_the_vm)
{
	struct fx f;

	fx_init(&f);
	fx_set(&f, FX_FREE, fx_desc(0, 103, FX_P | DESC_TSS32, 0));
	fx_set(&f, 0x60, fx_gate(FX_FREE, 0, FX_P | FX_DPL(2) | DESC_TASK_GATE, 0));
	at(&f, 3);
	cr_expect(fx_faults(&f, ljmp(FX_FREE), VEC_GP, FX_FREE));
	cr_expect(fx_faults(&f, lcall(0x60), VEC_GP, 0x60));
	at(&f, 0);
	fx_set(&f, FX_FREE, fx_desc(0, 103, DESC_TSS32, 0));
	cr_expect(fx_faults(&f, ljmp(FX_FREE), VEC_NP, FX_FREE));
	cr_expect_eq(fx_run(&f, lcall(0x60)), -ECANCELED);
	cr_expect(strstr(f.vm.death, "task switching is not supported yet") != NULL);
	fx_fini(&f);
}

/* SDM Vol. 3A, 5.8.4: who may use a call gate, and what it may lead to. */
Test(emu_transfer, call_gate_faults)
{
	struct fx f;

	fx_init(&f);
	for (unsigned n = 0; n < 64; n++) {
		unsigned cpl = n & 3, rpl = n >> 2 & 3, dpl = n >> 4;
		uint16_t sel = (uint16_t)(FX_FREE | rpl);

		at(&f, cpl);
		fx_set(&f, FX_FREE, CALL32((uint16_t)(FX_CS0 + cpl * 16), dpl, 0));
		if (cpl <= dpl && rpl <= dpl)
			cr_expect_eq(fx_run(&f, ljmp(sel)), EMU_OK);
		else
			cr_expect(fx_faults(&f, lcall(sel), VEC_GP, FX_FREE));
	}
	at(&f, 1);
	fx_set(&f, FX_FREE, fx_gate(FX_CS0, TARGET, FX_DPL(3) | DESC_CALL32, 0));
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_NP, FX_FREE));
	fx_set(&f, FX_FREE, CALL32(1, 3, 0));
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_GP, 0));
	fx_set(&f, FX_FREE, CALL32(0x1003, 3, 0));
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_GP, 0x1000));
	fx_set(&f, FX_FREE, CALL32(FX_DS0, 3, 0));
	cr_expect(fx_faults(&f, ljmp(FX_FREE), VEC_GP, FX_DS0));
	fx_set(&f, FX_FREE, CALL32(FX_CS2, 3, 0)); /* outwards: never */
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_GP, FX_CS2 & ~3u));
	cr_expect(fx_faults(&f, ljmp(FX_FREE), VEC_GP, FX_CS2 & ~3u));
	fx_set(&f, FX_FREE, CALL32(FX_CS0, 3, 0)); /* inwards: not by a jump */
	cr_expect(fx_faults(&f, ljmp(FX_FREE), VEC_GP, FX_CS0));
	fx_set(&f, 0x60, CODE(0, 0) & ~(1ull << 47));
	fx_set(&f, FX_FREE, CALL32(0x60, 3, 0));
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_NP, 0x60));
	cr_expect(fx_faults(&f, ljmp(FX_FREE), VEC_GP, 0x60)); /* privilege before presence */
	fx_set(&f, 0x60, fx_desc(0, 0x13f, FX_P | FX_S | 0xa, FX_G | FX_DB));
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_GP, 0));
	/* A conforming target can be jumped to from outside, and keeps the level. */
	fx_set(&f, 0x60, CODE(0, FX_CODE_C));
	cr_expect_eq(fx_run(&f, ljmp(FX_FREE)), EMU_OK);
	cr_expect(f.v.sh.cpl == 1 && f.v.regs.seg[SEG_CS].sel == 0x61);
	fx_fini(&f);
}

/* SDM Vol. 3A, 5.8.5, figure 5-12: stack switch, parameters in order, both widths. */
Test(emu_transfer, call_gate_to_inner_level_and_back)
{
	struct fx f;

	fx_init(&f);
	for (unsigned n = 0; n < 2 * 32; n++) {
		unsigned count = n >> 1, width = n & 1 ? 4 : 2;
		uint32_t sp = FX_RING0_STACK;
		char ret[16];

		at(&f, 3);
		fx_set(&f, FX_FREE, n & 1 ? CALL32(FX_CS0, 3, count) : CALL16(FX_CS0, 3, count));
		for (uint32_t i = 0; i < count; i++)
			(width == 4) ? fx_w32(&f, FX_STACK + i * 4, 0xabc00000 + i)
				     : fx_w16(&f, FX_STACK + i * 2, (uint16_t)(0xab00 + i));
		cr_expect_eq(fx_run(&f, lcall(FX_FREE | 3)), EMU_OK);
		cr_expect(f.v.sh.cpl == 0 && f.v.regs.seg[SEG_CS].sel == FX_CS0);
		cr_expect_eq(f.v.regs.seg[SEG_SS].sel, FX_DS0);
		cr_expect_eq(f.v.regs.eip, width == 4 ? TARGET : TARGET & 0xffff);
		cr_expect_eq(f.v.regs.gpr[ESP], sp - (4 + count) * width);
		if (width == 4) {
			cr_expect_eq(fx_r32(&f, sp - 4), FX_DS3);
			cr_expect_eq(fx_r32(&f, sp - 8), FX_STACK);
			for (uint32_t i = 0; i < count; i++)
				cr_expect_eq(fx_r32(&f, sp - 8 - (count - i) * 4), 0xabc00000 + i);
			cr_expect_eq(fx_r32(&f, sp - 12 - count * 4), FX_CS3);
			cr_expect_eq(fx_r32(&f, sp - 16 - count * 4), FX_CODE + 7);
		} else {
			cr_expect_eq(fx_r16(&f, sp - 2), FX_DS3);
			cr_expect_eq(fx_r16(&f, sp - 4), FX_STACK & 0xffff);
			for (uint32_t i = 0; i < count; i++)
				cr_expect_eq(fx_r16(&f, sp - 4 - (count - i) * 2), 0xab00 + i);
			cr_expect_eq(fx_r16(&f, sp - 6 - count * 2), FX_CS3);
			cr_expect_eq(fx_r16(&f, sp - 8 - count * 2), (FX_CODE + 7) & 0xffff);
		}
		/* lret $n: parameters go from both stacks, privileged segments from DS ... */
		snprintf(ret, sizeof(ret), "%sca%02x00", width == 2 ? "66" : "", count * width);
		f.v.regs.eip = FX_CODE + 0x100;
		desc_unpack(fx_get(&f, FX_DS0), FX_DS0, &f.v.regs.seg[SEG_ES]);
		cr_expect_eq(fx_run(&f, ret), EMU_OK);
		cr_expect(f.v.sh.cpl == 3 && f.v.regs.seg[SEG_SS].sel == FX_DS3);
		cr_expect_eq(f.v.regs.eip, width == 4 ? FX_CODE + 7 : (FX_CODE + 7) & 0xffff);
		cr_expect_eq(f.v.regs.gpr[ESP],
			     (width == 4 ? FX_STACK : FX_STACK & 0xffff) + count * width);
		cr_expect(f.v.regs.seg[SEG_ES].unusable && f.v.regs.seg[SEG_ES].sel == 0);
		cr_expect(!f.v.regs.seg[SEG_DS].unusable);
	}
	fx_fini(&f);
}

/* SDM Vol. 2, CALL, MORE-PRIVILEGE: #TS and #SS name the inner stack; no EXT. */
Test(emu_transfer, call_gate_stack_faults)
{
	struct fx f;

	fx_init(&f);
	at(&f, 3);
	fx_set(&f, FX_FREE, CALL32(FX_CS0, 3, 31));
	f.v.sh.tr.limit = 8;
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_TS, FX_TR));
	f.v.sh.tr.limit = 103;
	fx_w16(&f, FX_TSS + 8, 0);
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_TS, 0));
	fx_w16(&f, FX_TSS + 8, FX_DS3);
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_TS, FX_DS3 & ~3u));
	fx_w16(&f, FX_TSS + 8, 0x60);
	fx_set(&f, 0x60, fx_desc(0, 0xfffff, FX_S | FX_DATA_RW, FX_G | FX_DB));
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_SS, 0x60));
	fx_set(&f, 0x60, fx_desc(0x300000, 35 * 4 - 2, FX_P | FX_S | FX_DATA_RW, FX_DB));
	fx_w32(&f, FX_TSS + 4, 35 * 4);
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_SS, 0x60));
	fx_set(&f, 0x60, fx_desc(0x300000, 35 * 4 - 1, FX_P | FX_S | FX_DATA_RW, FX_DB));
	f.v.regs.seg[SEG_SS].limit = FX_STACK + 31 * 4 - 2; /* the last parameter */
	cr_expect(fx_faults(&f, lcall(FX_FREE), VEC_SS, 0));
	f.v.regs.seg[SEG_SS].limit++;
	cr_expect_eq(fx_run(&f, lcall(FX_FREE)), EMU_OK);
	cr_expect_eq(f.v.regs.gpr[ESP], 0);
	cr_expect_eq(fx_get(&f, 0x60) >> 40 & 1, 1, "the new SS is accessed");
	fx_fini(&f);
}

/* SDM Vol. 2, RET: checks of CS and SS for a return outwards, from ring 0 to ring 2. */
Test(emu_transfer, far_ret_outer_faults)
{
	struct fx f;
	const uint32_t sp = FX_STACK;

	fx_init(&f);
	fx_w32(&f, sp, TARGET);
	fx_w32(&f, sp + 4, 2);
	fx_w32(&f, sp + 8, 0xdeadbeef);
	fx_w32(&f, sp + 12, FX_DS2);
	cr_expect(fx_faults(&f, "cb", VEC_GP, 0));
	fx_w32(&f, sp + 4, 0x1002);
	cr_expect(fx_faults(&f, "cb", VEC_GP, 0x1000));
	fx_w32(&f, sp + 4, FX_DS2);
	cr_expect(fx_faults(&f, "cb", VEC_GP, FX_DS2 & ~3u));
	fx_w32(&f, sp + 4, FX_CS1 | 3); /* nonconforming: DPL != RPL */
	cr_expect(fx_faults(&f, "cb", VEC_GP, FX_CS1 & ~3u));
	fx_set(&f, FX_FREE, CODE(3, FX_CODE_C)); /* conforming: DPL > RPL */
	fx_w32(&f, sp + 4, FX_FREE | 2);
	cr_expect(fx_faults(&f, "cb", VEC_GP, FX_FREE));
	fx_set(&f, FX_FREE, CODE(2, 0) & ~(1ull << 47));
	cr_expect(fx_faults(&f, "cb", VEC_NP, FX_FREE));
	fx_w32(&f, sp + 4, FX_CS2);
	fx_w32(&f, sp + 12, 0);
	cr_expect(fx_faults(&f, "cb", VEC_GP, 0));
	fx_w32(&f, sp + 12, FX_DS1);
	cr_expect(fx_faults(&f, "cb", VEC_GP, FX_DS1 & ~3u));
	fx_w32(&f, sp + 12, FX_FREE | 2);
	fx_set(&f, FX_FREE, fx_desc(0, 0xfffff, FX_S | FX_DPL(2) | FX_DATA_RW, FX_G));
	cr_expect(fx_faults(&f, "cb", VEC_SS, FX_FREE));
	f.v.regs.seg[SEG_SS].limit = sp + 12;
	cr_expect(fx_faults(&f, "cb", VEC_SS, 0)); /* "top 16 bytes of stack" */
	f.v.regs.seg[SEG_SS].limit = ~0u;
	/* A 16-bit outer stack: SP is loaded, the upper half stays ours. */
	fx_set(&f, FX_FREE, fx_desc(0, 0xffff, FX_P | FX_S | FX_DPL(2) | FX_DATA_RW, 0));
	cr_expect_eq(fx_run(&f, "cb"), EMU_OK);
	cr_expect_eq(f.v.regs.gpr[ESP], (FX_STACK & 0xffff0000) | 0xbeef);
	cr_expect(f.v.sh.cpl == 2 && f.v.regs.seg[SEG_CS].sel == FX_CS2);
	cr_expect_eq(f.v.regs.seg[SEG_SS].type, 3);
	cr_expect_eq(fx_get(&f, FX_FREE) >> 40 & 1, 1, "the outer SS is accessed");
	/* So is CS. */
	fx_set(&f, FX_FREE, CODE(2, 0));
	fx_w32(&f, 0x9000, TARGET);
	fx_w32(&f, 0x9004, FX_FREE | 2);
	fx_cpl(&f, 2);
	f.v.regs.gpr[ESP] = 0x9000;
	cr_expect_eq(fx_run(&f, "cb"), EMU_OK);
	cr_expect_eq(fx_get(&f, FX_FREE) >> 40 & 1, 1);
	/* Inwards is no return. */
	fx_w32(&f, 0x9000, TARGET);
	fx_w32(&f, 0x9004, FX_CS1);
	fx_cpl(&f, 2);
	f.v.regs.gpr[ESP] = 0x9000;
	cr_expect(fx_faults(&f, "cb", VEC_GP, FX_CS1 & ~3u));
	fx_fini(&f);
}

/* SDM Vol. 2, JMP, CALL, RET in real mode. */
Test(emu_transfer, real_mode)
{
	struct fx f;

	fx_init_real(&f);
	cr_expect_eq(fx_run(&f, "ea34120030"), EMU_OK);
	cr_expect(f.v.regs.eip == 0x1234 && f.v.regs.seg[SEG_CS].base == 0x30000);
	cr_expect_eq(fx_run(&f, "9a78560020"), EMU_OK);
	cr_expect(f.v.regs.eip == 0x5678 && f.v.regs.seg[SEG_CS].sel == 0x2000);
	cr_expect(fx_r16(&f, 0x37ffe) == 0x3000 && fx_r16(&f, 0x37ffc) == 0x1239);
	cr_expect_eq(fx_run(&f, "ca0200"), EMU_OK);
	cr_expect(f.v.regs.eip == 0x1239 && f.v.regs.seg[SEG_CS].sel == 0x3000);
	cr_expect_eq(f.v.regs.gpr[ESP], 0x8002);
	cr_expect(fx_faults(&f, "66ea000001000020", VEC_GP, 0)); /* 32-bit offset beyond */
	f.v.regs.gpr[ESP] = 1;
	cr_expect(fx_faults(&f, "9a78560020", VEC_SS, 0)); /* a word across the limit */
	f.v.regs.gpr[ESP] = 0x8002;
	fx_w16(&f, 0x20010, 0x1111);
	fx_w16(&f, 0x20012, 0x1803);
	cr_expect_eq(fx_run(&f, "ff2e1000"), EMU_OK); /* ljmp *0x10 */
	cr_expect(f.v.regs.eip == 0x1111 && f.v.regs.seg[SEG_CS].sel == 0x1803);
	cr_expect_eq(f.v.regs.seg[SEG_CS].base, 0x18030);
	fx_fini(&f);

	/* The way into protected mode: PE set, then a far jump with a 32-bit offset. */
	fx_init_real(&f);
	fx_set(&f, 8, CODE(0, 0));
	f.v.sh.gdtr = (struct desc_table){ .base = FX_GDT, .limit = 15 };
	f.v.sh.cr0 |= CR0_PE;
	cr_expect_eq(fx_run(&f, "66ea000014000800"), EMU_OK);
	cr_expect(f.v.regs.eip == TARGET && f.v.regs.seg[SEG_CS].db);
	fx_fini(&f);
}
