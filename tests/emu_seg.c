/* SPDX-License-Identifier: MIT */
/* Loads and stores of segment registers at every vCPL.  See emu_seg_native.c for ring 3. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "vmm/emu/seg.h"

#define DATA(dpl)    fx_desc(0, 0xfffff, FX_P | FX_S | FX_DPL(dpl) | FX_DATA_RW, FX_G | FX_DB)
#define DATA_RO(dpl) fx_desc(0, 0xfffff, FX_P | FX_S | FX_DPL(dpl), FX_G | FX_DB)
#define CODE(dpl, extra) \
	fx_desc(0, 0xfffff, FX_P | FX_S | FX_DPL(dpl) | FX_CODE_X | (extra), FX_G | FX_DB)

static unsigned access_byte(struct fx *f, uint16_t sel)
{
	return fx_get(f, sel) >> 40 & 0xff;
}

/* mov %ax,%ds with AX = @sel */
static int load_ds(struct fx *f, uint16_t sel)
{
	f->v.regs.eip = FX_CODE;
	f->v.regs.gpr[EAX] = sel;
	return fx_run(f, "8ed8");
}

static bool load_faults(struct fx *f, const char *hex, uint16_t sel, unsigned vector,
			uint32_t error)
{
	f->v.regs.eip = FX_CODE;
	f->v.regs.gpr[EAX] = sel;
	return fx_faults(f, hex, vector, error);
}

/* SDM Vol. 3A, "Segment Descriptors" (3.4.5): the scattered base and limit, G, D/B, AVL. */
Test(emu_seg, descriptor_unpacks)
{
	struct segment s;

	desc_unpack(fx_desc(0x12345678, 0xabcde, 0x93, FX_G | FX_AVL), 0x2b, &s);
	cr_expect_eq(s.sel, 0x2b);
	cr_expect_eq(s.base, 0x12345678);
	cr_expect_eq(s.limit, 0xabcdefff);
	cr_expect_eq(s.type, 3);
	cr_expect(s.s && s.present && s.g && s.avl && !s.db && !s.unusable && s.dpl == 0);
	desc_unpack(fx_desc(0xfedcba98, 0xfffff, 0x6c, FX_DB), 4, &s);
	cr_expect_eq(s.base, 0xfedcba98);
	cr_expect_eq(s.limit, 0xfffff);
	cr_expect(!s.s && !s.present && !s.g && !s.avl && s.db && s.dpl == 3 && s.type == 12);
}

/* SDM Vol. 3A, "Gate descriptors": a 16-bit gate has no upper offset. */
Test(emu_seg, gate_unpacks)
{
	struct gate g;

	gate_unpack(fx_gate(0x1234, 0xdeadbeef, FX_P | FX_DPL(2) | 0xc, 17), &g);
	cr_expect(g.sel == 0x1234 && g.off == 0xdeadbeef && g.width == 4 && g.count == 17);
	cr_expect(g.present && g.dpl == 2 && !g.s && g.type == DESC_CALL32);
	gate_unpack(fx_gate(8, 0xdeadbeef, 0x4, 31), &g);
	cr_expect(g.off == 0xbeef && g.width == 2 && g.count == 31 && !g.present);
}

/* SDM Vol. 3A, "Privilege Level Checking When Accessing Data Segments" (5.5): all of CPL, RPL, DPL.
 */
Test(emu_seg, data_needs_cpl_and_rpl_at_most_dpl)
{
	struct fx f;

	fx_init(&f);
	for (unsigned n = 0; n < 64; n++) {
		unsigned cpl = n & 3, rpl = n >> 2 & 3, dpl = n >> 4;
		uint16_t sel = (uint16_t)(FX_FREE | rpl);

		fx_set(&f, FX_FREE, n & 1 ? DATA(dpl) : CODE(dpl, FX_CODE_R));
		fx_cpl(&f, cpl);
		if (cpl <= dpl && rpl <= dpl) {
			cr_expect_eq(load_ds(&f, sel), EMU_OK, "cpl %u rpl %u dpl %u", cpl, rpl,
				     dpl);
			cr_expect_eq(f.v.regs.seg[SEG_DS].sel, sel);
		} else {
			cr_expect(load_faults(&f, "8ed8", sel, VEC_GP, FX_FREE));
		}
		/* "Accessing Data in Code Segments" (5.5.1): conforming is always readable. */
		fx_set(&f, FX_FREE, CODE(dpl, FX_CODE_R | FX_CODE_C));
		cr_expect_eq(load_ds(&f, sel), EMU_OK, "cpl %u rpl %u dpl %u", cpl, rpl, dpl);
	}
	fx_fini(&f);
}

/* SDM Vol. 2, MOV: what is no readable segment, absent, or outside. */
Test(emu_seg, data_load_faults)
{
	struct fx f;

	fx_init(&f);
	fx_set(&f, FX_FREE, CODE(0, 0));
	cr_expect(load_faults(&f, "8ed8", FX_FREE, VEC_GP, FX_FREE)); /* execute-only */
	fx_set(&f, FX_FREE, CODE(0, FX_CODE_C));
	cr_expect(load_faults(&f, "8ed8", FX_FREE, VEC_GP, FX_FREE));
	cr_expect(load_faults(&f, "8ed8", FX_TR, VEC_GP, FX_TR)); /* system */
	fx_set(&f, FX_FREE, DATA(0) & ~(1ull << 47));
	cr_expect(load_faults(&f, "8ec0", FX_FREE, VEC_NP, FX_FREE));
	cr_expect_eq(access_byte(&f, FX_FREE) & 1, 0, "accessed without presence");
	/* The last byte of the descriptor decides. */
	f.v.sh.gdtr.limit = FX_FREE + 6;
	fx_set(&f, FX_FREE, DATA(0));
	cr_expect(load_faults(&f, "8ee0", FX_FREE, VEC_GP, FX_FREE));
	f.v.sh.gdtr.limit = FX_FREE + 7;
	cr_expect_eq(load_ds(&f, FX_FREE), EMU_OK);
	cr_expect(load_faults(&f, "8ee8", FX_ENTRIES * 8 | 7, VEC_GP, FX_ENTRIES * 8 | 4));
	f.v.sh.ldtr = (struct segment){ .unusable = true };
	cr_expect(load_faults(&f, "8ee8", 0x0f, VEC_GP, 0x0c));
	fx_fini(&f);
}

/* SDM Vol. 2, MOV: "If the SS register is being loaded ...". */
Test(emu_seg, ss_needs_writable_data_of_the_same_level)
{
	struct fx f;

	fx_init(&f);
	for (unsigned n = 0; n < 64; n++) {
		unsigned cpl = n & 3, rpl = n >> 2 & 3, dpl = n >> 4;
		uint16_t sel = (uint16_t)(FX_FREE | rpl);

		fx_set(&f, FX_FREE, DATA(dpl));
		fx_cpl(&f, cpl);
		f.v.regs.eip = FX_CODE;
		f.v.regs.gpr[EAX] = sel;
		if (cpl == rpl && cpl == dpl)
			cr_expect_eq(fx_run(&f, "8ed0"), EMU_OK);
		else
			cr_expect(load_faults(&f, "8ed0", sel, VEC_GP, FX_FREE));
	}
	fx_cpl(&f, 0);
	for (uint16_t sel = 0; sel < 4; sel++)
		cr_expect(load_faults(&f, "8ed0", sel, VEC_GP, 0));
	fx_set(&f, FX_FREE, DATA_RO(0));
	cr_expect(load_faults(&f, "8ed0", FX_FREE, VEC_GP, FX_FREE));
	fx_set(&f, FX_FREE, CODE(0, FX_CODE_R));
	cr_expect(load_faults(&f, "8ed0", FX_FREE, VEC_GP, FX_FREE));
	fx_set(&f, FX_FREE, DATA(0) & ~(1ull << 47));
	cr_expect(load_faults(&f, "8ed0", FX_FREE, VEC_SS, FX_FREE));
	fx_fini(&f);
}

/* SDM Vol. 3A, 3.4.5.1: the accessed bit is set in memory and nothing else changes. */
Test(emu_seg, load_sets_accessed)
{
	struct fx f;
	uint64_t desc;

	fx_init(&f);
	desc = fx_desc(0x89abcdef, 0x54321, FX_P | FX_S | FX_DPL(2) | FX_DATA_RW, FX_G);
	fx_set(&f, FX_FREE, desc);
	cr_expect_eq(load_ds(&f, FX_FREE), EMU_OK);
	cr_expect_eq(fx_get(&f, FX_FREE), desc | 1ull << 40);
	cr_expect_eq(f.v.regs.seg[SEG_DS].type, 3);
	cr_expect_eq(f.v.regs.seg[SEG_DS].base, 0x89abcdef);
	cr_expect_eq(f.v.regs.seg[SEG_DS].limit, 0x54321fff);
	/* The register keeps what it loaded (3.4.3). */
	fx_set(&f, FX_FREE, 0);
	cr_expect_eq(f.v.regs.seg[SEG_DS].base, 0x89abcdef);
	fx_fini(&f);
}

/* SDM Vol. 3A, 3.4.2: null may be loaded into data registers, and may not be used. */
Test(emu_seg, null_loads_and_faults_on_use)
{
	struct fx f;

	fx_init(&f);
	for (uint16_t sel = 0; sel < 4; sel++) {
		cr_expect_eq(load_ds(&f, sel), EMU_OK);
		cr_expect_eq(f.v.regs.seg[SEG_DS].sel, sel);
		cr_expect(f.v.regs.seg[SEG_DS].unusable);
		cr_expect(fx_faults(&f, "8e0500002000", VEC_GP, 0)); /* mov 0x200000,%es */
	}
	fx_fini(&f);
}

/* SDM Vol. 2, MOV: "Attempting to load the CS register ... #UD"; so do encodings 6 and 7. */
Test(emu_seg, mov_to_cs_is_undefined)
{
	struct fx f;
	struct insn in = { .op = OP_MOV_TO_SEG, .opsize = 4 };

	fx_init(&f);
	in.opnd[0] = (struct operand){ .kind = OPND_SEG, .reg = SEG_CS };
	in.opnd[1] = (struct operand){ .kind = OPND_GPR, .reg = EAX, .width = 2 };
	cr_expect_eq(emu_seg(&f.v, &in), EMU_FAULT);
	cr_expect(f.v.fault.vector == VEC_UD && !f.v.fault.has_error);
	in.opnd[0].reg = 6;
	cr_expect_eq(emu_seg(&f.v, &in), EMU_FAULT);
	fx_fini(&f);
}

/* SDM Vol. 3A, 6.8.3: MOV SS and POP SS hold interrupts off for one instruction; LSS does not. */
Test(emu_seg, mov_and_pop_ss_set_the_shadow)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EAX] = FX_DS0;
	f.v.regs.gpr[EBX] = FX_DATA;
	cr_expect_eq(fx_run(&f, "8ed0"), EMU_OK);
	cr_expect(f.v.sh.movss_shadow);
	cr_expect_eq(fx_run(&f, "8ed8"), EMU_OK);
	cr_expect(!f.v.sh.movss_shadow);
	fx_w32(&f, FX_STACK, FX_DS0);
	cr_expect_eq(fx_run(&f, "17"), EMU_OK);
	cr_expect(f.v.sh.movss_shadow);
	cr_expect_eq(f.v.regs.gpr[ESP], FX_STACK + 4);
	fx_w32(&f, FX_DATA, 0x11223344);
	fx_w16(&f, FX_DATA + 4, FX_DS0);
	cr_expect_eq(fx_run(&f, "0fb223"), EMU_OK); /* lss (%ebx),%esp */
	cr_expect(!f.v.sh.movss_shadow);
	cr_expect_eq(f.v.regs.gpr[ESP], 0x11223344);
	fx_fini(&f);
}

/* SDM Vol. 3A, 3.4.5: SP with a 16-bit stack segment, upper half of ESP kept, wrap at 64 KiB. */
Test(emu_seg, stack_of_16_bits)
{
	struct segment *ss;
	struct fx f;

	fx_init(&f);
	ss = &f.v.regs.seg[SEG_SS];
	ss->db = false;
	ss->base = FX_DATA;
	ss->limit = 0xffff;
	f.v.regs.gpr[ESP] = 0xabcd0000;
	cr_expect_eq(fx_run(&f, "1e"), EMU_OK); /* push %ds */
	cr_expect_eq(f.v.regs.gpr[ESP], 0xabcdfffc);
	cr_expect_eq(fx_r16(&f, FX_DATA + 0xfffc), FX_DS0);
	cr_expect_eq(fx_run(&f, "07"), EMU_OK); /* pop %es */
	cr_expect_eq(f.v.regs.gpr[ESP], 0xabcd0000);
	/* A frame that wraps: two items of four bytes from SP = 4. */
	f.v.regs.gpr[ESP] = 0xabcd0004;
	{
		const uint32_t val[2] = { 0x11111111, 0x22222222 };
		uint32_t esp = f.v.regs.gpr[ESP];

		cr_expect_eq(stack_push_frame(&f.v, ss, &esp, 0, 4, val, 2, 0), EMU_OK);
		cr_expect_eq(esp, 0xabcdfffc);
		cr_expect_eq(fx_r32(&f, FX_DATA), 0x11111111);
		cr_expect_eq(fx_r32(&f, FX_DATA + 0xfffc), 0x22222222);
		/* An item across the end does not fit, and then none is written. */
		esp = 0xabcd0006;
		fx_w32(&f, FX_DATA + 2, 0);
		cr_expect_eq(stack_push_frame(&f.v, ss, &esp, 0, 4, val, 2, 0x50), EMU_FAULT);
		cr_expect(f.v.fault.vector == VEC_SS && f.v.fault.error == 0x50);
		cr_expect_eq(fx_r32(&f, FX_DATA + 2), 0);
		cr_expect_eq(esp, 0xabcd0006);
	}
	fx_fini(&f);
}

/* SDM Vol. 3A, "Limit Checking" (5.3): the valid part of an expand-down segment is above. */
Test(emu_seg, stack_limits)
{
	struct segment *ss;
	struct fx f;

	fx_init(&f);
	ss = &f.v.regs.seg[SEG_SS];
	ss->limit = 0x307fff;
	f.v.regs.gpr[ESP] = 0x308004;
	cr_expect(fx_faults(&f, "1e", VEC_SS, 0));
	f.v.regs.gpr[ESP] = 0x308000;
	cr_expect_eq(fx_run(&f, "1e"), EMU_OK);
	ss->type = 7;
	f.v.regs.gpr[ESP] = 0x308004;
	cr_expect_eq(fx_run(&f, "1e"), EMU_OK);
	cr_expect(fx_faults(&f, "1e", VEC_SS, 0));
	cr_expect(seg_contains(ss, 0x308000, 4) && !seg_contains(ss, 0x307fff, 4));
	cr_expect(seg_contains(ss, 0xfffffffc, 4) && !seg_contains(ss, 0xfffffffd, 4));
	ss->db = false;
	ss->limit = 0xff;
	cr_expect(seg_contains(ss, 0xfffc, 4) && !seg_contains(ss, 0xfffd, 4));
	cr_expect(seg_contains(ss, 0x100, 1) && !seg_contains(ss, 0xff, 1));
	ss->unusable = true;
	cr_expect(!seg_contains(ss, 0x100, 1));
	fx_fini(&f);
}

/* SDM Vol. 2, "LDS/LES/LFS/LGS/LSS": the register is written only if the segment loads. */
Test(emu_seg, far_loads_at_cpl0)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EBX] = FX_DATA;
	f.v.regs.gpr[ECX] = 0x55555555;
	fx_w32(&f, FX_DATA, 0xcafebabe);
	fx_w16(&f, FX_DATA + 4, FX_FREE); /* empty */
	cr_expect(fx_faults(&f, "c40b", VEC_GP, FX_FREE));
	fx_w16(&f, FX_DATA + 4, FX_DS3);
	cr_expect_eq(fx_run(&f, "c40b"), EMU_OK);
	cr_expect_eq(f.v.regs.gpr[ECX], 0xcafebabe);
	cr_expect_eq(f.v.regs.seg[SEG_ES].sel, FX_DS3);
	fx_w16(&f, FX_DATA + 2, FX_DS2);
	cr_expect_eq(fx_run(&f, "660fb40b"), EMU_OK); /* lfs (%ebx),%cx */
	cr_expect_eq(f.v.regs.gpr[ECX], 0xcafebabe);
	cr_expect_eq(f.v.regs.seg[SEG_FS].sel, FX_DS2);
	fx_fini(&f);
}

/* SDM Vol. 3A, "Real-Address Mode" (21.1): base = selector * 16; the limit is not touched. */
Test(emu_seg, real_mode_load_keeps_the_limit)
{
	struct segment *ds;
	struct fx f;

	fx_init_real(&f);
	ds = &f.v.regs.seg[SEG_DS];
	ds->limit = 0xffffffff; /* "unreal mode" */
	ds->type = 1;
	f.v.regs.gpr[EAX] = 0xb803;
	cr_expect_eq(fx_run(&f, "8ed8"), EMU_OK);
	cr_expect(ds->sel == 0xb803 && ds->base == 0xb8030 && ds->limit == 0xffffffff);
	cr_expect_eq(ds->type, 3, "writable again");
	f.v.regs.gpr[EAX] = 0;
	f.v.regs.seg[SEG_SS].unusable = true;
	f.v.regs.seg[SEG_SS].present = false;
	cr_expect_eq(fx_run(&f, "8ed0"), EMU_OK); /* null is a paragraph like any other */
	cr_expect(f.v.regs.seg[SEG_SS].present);
	cr_expect(!f.v.regs.seg[SEG_SS].unusable && f.v.regs.seg[SEG_SS].base == 0);
	cr_expect(f.v.sh.movss_shadow);
	cr_expect_eq(fx_run(&f, "1e"), EMU_OK); /* push %ds: two bytes */
	cr_expect_eq(f.v.regs.gpr[ESP], 0x7ffe);
	cr_expect_eq(fx_r16(&f, 0x7ffe), 0xb803);
	cr_expect_eq(fx_run(&f, "07"), EMU_OK);
	cr_expect_eq(f.v.regs.seg[SEG_ES].base, 0xb8030);
	f.v.regs.gpr[EBX] = 0x10;
	fx_w32(&f, 0xb8040, 0x12345678);
	cr_expect_eq(fx_run(&f, "c40f"), EMU_OK); /* les (%bx),%cx */
	cr_expect_eq(f.v.regs.gpr[ECX], 0x5678);
	cr_expect_eq(f.v.regs.seg[SEG_ES].sel, 0x1234);
	fx_fini(&f);
}
