/* SPDX-License-Identifier: MIT */
/* Descriptor-table registers, probes, the TSS, and fast system calls. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "vmm/emu/seg.h"

static void restart(struct fx *f)
{
	f->v.regs.eip = f->v.regs.seg[SEG_CS].db ? FX_CODE : 0x100;
}

/* SDM Vol. 2, LGDT/LIDT: 16-bit limit, 32-bit base, of which a 16-bit operand has 24 bits. */
Test(emu_dtable, lgdt_lidt)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EBX] = FX_DATA;
	fx_w16(&f, FX_DATA, 0x1234);
	fx_w32(&f, FX_DATA + 2, 0x89abcdef);
	cr_expect_eq(fx_run(&f, "0f0113"), EMU_OK);
	cr_expect(f.v.sh.gdtr.limit == 0x1234 && f.v.sh.gdtr.base == 0x89abcdef);
	cr_expect_eq(fx_run(&f, "0f011b"), EMU_OK);
	cr_expect(f.v.sh.idtr.limit == 0x1234 && f.v.sh.idtr.base == 0x89abcdef);
	cr_expect_eq(fx_run(&f, "660f0113"), EMU_OK);
	cr_expect_eq(f.v.sh.gdtr.base, 0xabcdef);
	cr_expect_eq(fx_run(&f, "660f011b"), EMU_OK);
	cr_expect_eq(f.v.sh.idtr.base, 0xabcdef);
	f.v.regs.seg[SEG_DS].limit = FX_DATA + 4;
	cr_expect(fx_faults(&f, "0f0113", VEC_GP, 0));
	fx_fini(&f);

	fx_init(&f);
	for (unsigned cpl = 1; cpl < 4; cpl++) {
		fx_cpl(&f, cpl);
		cr_expect(fx_faults(&f, "0f0113", VEC_GP, 0));
		cr_expect(fx_faults(&f, "0f011b", VEC_GP, 0));
	}
	fx_fini(&f);

	/* Allowed in real mode: how a kernel leaves it. */
	fx_init_real(&f);
	fx_w16(&f, 0x20000, 0x27);
	fx_w32(&f, 0x20002, 0xff001000);
	f.v.regs.gpr[EBX] = 0;
	cr_expect_eq(fx_run(&f, "0f0117"), EMU_OK);
	cr_expect(f.v.sh.gdtr.limit == 0x27 && f.v.sh.gdtr.base == 0x001000);
	cr_expect_eq(fx_run(&f, "660f0117"), EMU_OK);
	cr_expect_eq(f.v.sh.gdtr.base, 0xff001000);
	fx_fini(&f);
}

/* SDM Vol. 2, SGDT, SIDT; all six bytes in both widths, as the processors do. */
Test(emu_dtable, sgdt_sidt)
{
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3); /* not privileged without UMIP */
	f.v.regs.gpr[EBX] = FX_DATA;
	f.v.sh.gdtr = (struct desc_table){ .base = 0x89abcdef, .limit = 0x1234 };
	f.v.sh.idtr = (struct desc_table){ .base = 0x76543210, .limit = 0x7ff };
	fx_w32(&f, FX_DATA + 6, 0x55555555);
	cr_expect_eq(fx_run(&f, "0f0103"), EMU_OK);
	cr_expect(fx_r16(&f, FX_DATA) == 0x1234 && fx_r32(&f, FX_DATA + 2) == 0x89abcdef);
	cr_expect_eq(fx_run(&f, "660f010b"), EMU_OK);
	cr_expect(fx_r16(&f, FX_DATA) == 0x7ff && fx_r32(&f, FX_DATA + 2) == 0x76543210);
	cr_expect_eq(fx_r32(&f, FX_DATA + 6), 0x55555555);
	fx_fini(&f);
}

/* SDM Vol. 2, SLDT, STR: widths of the destination; #UD in real mode. */
Test(emu_dtable, sldt_str)
{
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3);
	f.v.regs.gpr[EAX] = f.v.regs.gpr[ECX] = 0x87654321;
	cr_expect_eq(fx_run(&f, "0f00c0"), EMU_OK);
	cr_expect_eq(f.v.regs.gpr[EAX], FX_LDTR);
	cr_expect_eq(fx_run(&f, "660f00c9"), EMU_OK); /* str %cx */
	cr_expect_eq(f.v.regs.gpr[ECX], 0x87650000 | FX_TR);
	f.v.regs.gpr[EBX] = FX_DATA;
	fx_w32(&f, FX_DATA, 0x55555555);
	cr_expect_eq(fx_run(&f, "0f000b"), EMU_OK);
	cr_expect_eq(fx_r32(&f, FX_DATA), 0x55550000 | FX_TR);
	fx_fini(&f);

	fx_init_real(&f);
	cr_expect(fx_faults(&f, "0f00c0", VEC_UD, -1));
	cr_expect(fx_faults(&f, "0f00c8", VEC_UD, -1));
	cr_expect(fx_faults(&f, "0f00d0", VEC_UD, -1)); /* lldt */
	cr_expect(fx_faults(&f, "0f00d8", VEC_UD, -1)); /* ltr */
	cr_expect(fx_faults(&f, "0f00e0", VEC_UD, -1)); /* verr */
	cr_expect(fx_faults(&f, "0f00e8", VEC_UD, -1)); /* verw */
	cr_expect(fx_faults(&f, "0f02c0", VEC_UD, -1)); /* lar */
	cr_expect(fx_faults(&f, "0f03c0", VEC_UD, -1)); /* lsl */
	cr_expect(fx_faults(&f, "63c0", VEC_UD, -1));   /* arpl */
	fx_fini(&f);
}

/* SDM Vol. 2, LLDT. */
Test(emu_dtable, lldt)
{
	struct fx f;

	fx_init(&f);
	fx_set(&f, FX_FREE, fx_desc(0x123000, 0x3f, FX_P | 2, 0));
	f.v.regs.gpr[EAX] = FX_FREE | 3; /* RPL is ignored */
	cr_expect_eq(fx_run(&f, "0f00d0"), EMU_OK);
	cr_expect(f.v.sh.ldtr.base == 0x123000 && f.v.sh.ldtr.limit == 0x3f);
	cr_expect_eq(f.v.sh.ldtr.sel, FX_FREE | 3);
	f.v.regs.gpr[EAX] = 2;
	cr_expect_eq(fx_run(&f, "0f00d0"), EMU_OK);
	cr_expect(f.v.sh.ldtr.unusable && f.v.sh.ldtr.sel == 2);

	f.v.sh.ldtr = (struct segment){ .base = FX_LDT, .limit = 0xff, .present = true };
	fx_set(&f, FX_FREE | 4, fx_get(&f, FX_FREE));
	f.v.regs.gpr[EAX] = FX_FREE | 4;
	cr_expect(fx_faults(&f, "0f00d0", VEC_GP, FX_FREE | 4)); /* in the LDT */
	f.v.regs.gpr[EAX] = FX_DS0;
	cr_expect(fx_faults(&f, "0f00d0", VEC_GP, FX_DS0));
	f.v.regs.gpr[EAX] = FX_TR;
	cr_expect(fx_faults(&f, "0f00d0", VEC_GP, FX_TR));
	f.v.regs.gpr[EAX] = 0x1000;
	cr_expect(fx_faults(&f, "0f00d0", VEC_GP, 0x1000));
	fx_set(&f, FX_FREE, fx_desc(0, 0x3f, 2, 0));
	f.v.regs.gpr[EAX] = FX_FREE;
	cr_expect(fx_faults(&f, "0f00d0", VEC_NP, FX_FREE));
	fx_cpl(&f, 1);
	cr_expect(fx_faults(&f, "0f00d0", VEC_GP, 0));
	fx_fini(&f);
}

/* SDM Vol. 2, LTR: available TSS only; marked busy in memory and in TR. */
Test(emu_dtable, ltr)
{
	struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EAX] = FX_FREE;
	for (unsigned type = 0; type < 16; type++) {
		fx_set(&f, FX_FREE, fx_desc(0x123000, 0x67, FX_P | type, 0));
		restart(&f);
		if (type != 1 && type != 9) {
			cr_expect(fx_faults(&f, "0f00d8", VEC_GP, FX_FREE), "type %u", type);
			continue;
		}
		cr_expect_eq(fx_run(&f, "0f00d8"), EMU_OK);
		cr_expect_eq(fx_get(&f, FX_FREE), fx_desc(0x123000, 0x67, FX_P | type | 2, 0));
		cr_expect(f.v.sh.tr.sel == FX_FREE && f.v.sh.tr.base == 0x123000);
		cr_expect_eq(f.v.sh.tr.type, type | 2);
		cr_expect(fx_faults(&f, "0f00d8", VEC_GP, FX_FREE), "busy now");
	}
	fx_set(&f, FX_FREE, fx_desc(0x123000, 0x67, 9, 0));
	cr_expect(fx_faults(&f, "0f00d8", VEC_NP, FX_FREE));
	f.v.regs.gpr[EAX] = 3;
	cr_expect(fx_faults(&f, "0f00d8", VEC_GP, 0));
	f.v.regs.gpr[EAX] = 0x0c;
	cr_expect(fx_faults(&f, "0f00d8", VEC_GP, 0x0c));
	f.v.regs.gpr[EAX] = 0x2000;
	cr_expect(fx_faults(&f, "0f00d8", VEC_GP, 0x2000));
	fx_cpl(&f, 3);
	cr_expect(fx_faults(&f, "0f00d8", VEC_GP, 0));
	fx_fini(&f);
}

/* SDM Vol. 2, LAR and LSL, tables "Segment and Gate Types": which system types answer. */
Test(emu_dtable, lar_lsl_system_types)
{
	static const bool lar_ok[16] = {
		[1] = 1, [2] = 1, [3] = 1, [4] = 1, [5] = 1, [9] = 1, [11] = 1, [12] = 1
	};
	static const bool lsl_ok[16] = { [1] = 1, [2] = 1, [3] = 1, [9] = 1, [11] = 1 };
	struct fx f;

	fx_init(&f);
	f.v.regs.gpr[EAX] = FX_FREE;
	for (unsigned n = 0; n < 32; n++) {
		unsigned type = n & 15, access = type | FX_DPL(1) | (n & 16 ? FX_P : 0);

		fx_set(&f, FX_FREE, fx_desc(0xffffffff, 0x45678, access, FX_G | FX_AVL));
		f.v.regs.gpr[ECX] = 0x77777777;
		f.v.regs.eflags = FL_FIXED | FL_CF;
		restart(&f);
		cr_expect_eq(fx_run(&f, "0f02c8"), EMU_OK);
		cr_expect_eq(f.v.regs.eflags, FL_FIXED | FL_CF | (lar_ok[type] ? FL_ZF : 0));
		cr_expect_eq(f.v.regs.gpr[ECX],
			     lar_ok[type] ? 0x00940000 | access << 8 : 0x77777777);
		f.v.regs.gpr[ECX] = 0x77777777;
		cr_expect_eq(fx_run(&f, "0f03c8"), EMU_OK);
		cr_expect_eq(f.v.regs.eflags & FL_ZF, lsl_ok[type] ? FL_ZF : 0);
		cr_expect_eq(f.v.regs.gpr[ECX], lsl_ok[type] ? 0x45678fff : 0x77777777);
		cr_expect_eq(fx_run(&f, "0f00e0"), EMU_OK); /* verr: code and data only */
		cr_expect_eq(f.v.regs.eflags & FL_ZF, 0);
		f.v.regs.eflags |= FL_ZF;
		cr_expect_eq(fx_run(&f, "0f00e8"), EMU_OK);
		cr_expect_eq(f.v.regs.eflags & FL_ZF, 0);
	}
	fx_fini(&f);
}

/* SDM Vol. 2, LAR: "CPL > DPL or RPL > DPL" hides all but conforming code. */
Test(emu_dtable, lar_privilege)
{
	struct fx f;

	fx_init(&f);
	for (unsigned n = 0; n < 128; n++) {
		unsigned cpl = n & 3, rpl = n >> 2 & 3, dpl = n >> 4 & 3, conf = n >> 6;
		bool ok = conf || (cpl <= dpl && rpl <= dpl);

		fx_set(&f, FX_FREE, fx_desc(0, 0, FX_P | FX_S | FX_DPL(dpl) | (conf ? 0xe : 2), 0));
		fx_cpl(&f, cpl);
		f.v.regs.gpr[EAX] = FX_FREE | rpl;
		restart(&f);
		cr_expect_eq(fx_run(&f, "0f02c8"), EMU_OK);
		cr_expect_eq(!!(f.v.regs.eflags & FL_ZF), ok, "%u %u %u %u", cpl, rpl, dpl, conf);
		cr_expect_eq(fx_run(&f, "0f00e0"), EMU_OK);
		cr_expect_eq(!!(f.v.regs.eflags & FL_ZF), ok);
		cr_expect_eq(fx_run(&f, "0f00e8"), EMU_OK);
		cr_expect_eq(!!(f.v.regs.eflags & FL_ZF), ok && !conf);
	}
	fx_fini(&f);
}

/* SDM Vol. 3A, 7.2.1, 7.6: stacks of a 32-bit and a 16-bit TSS, up to their limits. */
Test(emu_dtable, tss_stacks)
{
	struct fx f;
	uint32_t esp;
	uint16_t ss;

	fx_init(&f);
	for (unsigned cpl = 0; cpl < 3; cpl++) {
		f.v.sh.tr.limit = 4 + cpl * 8 + 5;
		cr_expect_eq(tss_stack(&f.v, cpl, &ss, &esp), EMU_OK);
		cr_expect_eq(ss, FX_DS0 + cpl * 0x10 + cpl);
		cr_expect_eq(esp, FX_RING0_STACK + cpl * 0x10000);
		f.v.sh.tr.limit--;
		cr_expect_eq(tss_stack(&f.v, cpl, &ss, &esp), EMU_FAULT);
		cr_expect(f.v.fault.vector == VEC_TS && f.v.fault.error == FX_TR);
	}
	f.v.sh.tr.type = DESC_TSS16_BUSY;
	for (unsigned cpl = 0; cpl < 3; cpl++) {
		fx_w16(&f, FX_TSS + 2 + cpl * 4, (uint16_t)(0x9000 + cpl));
		fx_w16(&f, FX_TSS + 4 + cpl * 4, (uint16_t)(0x50 + cpl));
		f.v.sh.tr.limit = 2 + cpl * 4 + 3;
		cr_expect_eq(tss_stack(&f.v, cpl, &ss, &esp), EMU_OK);
		cr_expect(ss == 0x50 + cpl && esp == 0x9000 + cpl);
		f.v.sh.tr.limit--;
		cr_expect_eq(tss_stack(&f.v, cpl, &ss, &esp), EMU_FAULT);
	}
	f.v.sh.tr.limit = 0xffff;
	f.v.sh.tr.type = DESC_LDT;
	cr_expect_eq(tss_stack(&f.v, 0, &ss, &esp), EMU_FAULT);
	cr_expect(f.v.fault.vector == VEC_TS && f.v.fault.error == FX_TR);
	fx_fini(&f);
}

static bool io_denied(struct fx *f, uint16_t port, unsigned width)
{
	return io_allowed(&f->v, port, width) == EMU_FAULT && f->v.fault.vector == VEC_GP &&
	       f->v.fault.has_error && f->v.fault.error == 0;
}

/* SDM Vol. 1, "I/O Permission Bit Map" (18.5.2). */
Test(emu_dtable, io_permission_bitmap)
{
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3);
	f.v.regs.eflags |= FL_IOPL;
	cr_expect_eq(io_allowed(&f.v, 0x3f8, 4), EMU_OK);
	f.v.regs.eflags &= ~FL_IOPL;
	f.v.regs.eflags |= 2u << FL_IOPL_SHIFT;
	cr_expect(io_denied(&f, 0x3f8, 1)); /* base 104 with limit 103: no bitmap */
	fx_cpl(&f, 2);
	cr_expect_eq(io_allowed(&f.v, 0x3f8, 1), EMU_OK);
	fx_cpl(&f, 3);

	/* A bitmap for ports 0-31, allowing 8-17, and the byte of ones after it. */
	f.v.sh.tr.limit = 104 + 4;
	fx_w32(&f, FX_TSS + 104, ~0x0003ff00u);
	fx_w8(&f, FX_TSS + 108, 0xff);
	for (uint16_t port = 0; port < 40; port++)
		for (unsigned width = 1; width <= 4; width *= 2) {
			bool ok = port >= 8 && port + width <= 18u;

			cr_expect_eq(io_allowed(&f.v, port, width) == EMU_OK, ok, "%u %u", port,
				     width);
		}
	fx_w32(&f, FX_TSS + 104, 0);
	cr_expect_eq(io_allowed(&f.v, 31, 1), EMU_OK);
	cr_expect(io_denied(&f, 31, 2));
	f.v.sh.tr.limit--; /* now the second byte of the read is missing */
	cr_expect(io_denied(&f, 24, 1));
	cr_expect_eq(io_allowed(&f.v, 23, 1), EMU_OK);
	/* The last port's second byte is beyond 8 KiB. */
	fx_w16(&f, FX_TSS + 102, 0xffff);
	f.v.sh.tr.limit = 0x11fff;
	cr_expect_eq(io_allowed(&f.v, 0xfff8, 1), EMU_OK);
	f.v.sh.tr.limit = 0xffff + 0x1fff;
	cr_expect(io_denied(&f, 0xfff8, 1));
	f.v.sh.tr.limit = 102;
	cr_expect(io_denied(&f, 0, 1));
	f.v.sh.tr.limit = 0xffff;
	fx_w16(&f, FX_TSS + 102, 104);
	cr_expect_eq(io_allowed(&f.v, 8, 1), EMU_OK);
	f.v.sh.tr.type = DESC_TSS16_BUSY;
	cr_expect(io_denied(&f, 8, 1));
	f.v.sh.cpl = 0;
	cr_expect_eq(io_allowed(&f.v, 0xffff, 4), EMU_OK);
	fx_fini(&f);
}

/* SDM Vol. 2, SYSENTER, SYSEXIT. */
Test(emu_dtable, sysenter_sysexit)
{
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3);
	cr_expect(fx_faults(&f, "0f34", VEC_GP, 0)); /* MSR is null */
	f.v.sh.sysenter_cs = 3;
	cr_expect(fx_faults(&f, "0f34", VEC_GP, 0));
	f.v.sh.sysenter_cs = FX_CS0;
	f.v.sh.sysenter_eip = 0xc0100000;
	f.v.sh.sysenter_esp = 0xc0200000;
	f.v.regs.eflags |= FL_IF | FL_CF;
	cr_expect(fx_faults(&f, "0f35", VEC_GP, 0)); /* sysexit at CPL 3 */
	cr_expect_eq(fx_run(&f, "0f34"), EMU_OK);
	cr_expect(f.v.regs.eip == 0xc0100000 && f.v.regs.gpr[ESP] == 0xc0200000);
	cr_expect(f.v.sh.cpl == 0 && f.v.regs.eflags == (FL_FIXED | FL_CF));
	cr_expect(f.v.regs.seg[SEG_CS].sel == FX_CS0 && f.v.regs.seg[SEG_SS].sel == FX_DS0);
	cr_expect(f.v.regs.seg[SEG_CS].limit == 0xffffffff && f.v.regs.seg[SEG_CS].dpl == 0);
	f.v.regs.gpr[ECX] = 0x1000;
	f.v.regs.gpr[EDX] = 0x2000;
	cr_expect_eq(fx_run(&f, "0f35"), EMU_OK);
	cr_expect(f.v.regs.eip == 0x2000 && f.v.regs.gpr[ESP] == 0x1000 && f.v.sh.cpl == 3);
	cr_expect_eq(f.v.regs.seg[SEG_CS].sel, (FX_CS0 + 16) | 3);
	cr_expect_eq(f.v.regs.seg[SEG_SS].sel, (FX_CS0 + 24) | 3);
	cr_expect(f.v.regs.seg[SEG_SS].dpl == 3 && seg_is_writable(&f.v.regs.seg[SEG_SS]));
	fx_cpl(&f, 0);
	cr_expect(fx_faults(&f, "0f05", VEC_UD, -1));
	cr_expect(fx_faults(&f, "0f07", VEC_UD, -1));
	f.v.sh.sysenter_cs = 0;
	cr_expect(fx_faults(&f, "0f35", VEC_GP, 0));
	fx_fini(&f);

	fx_init_real(&f);
	f.v.sh.sysenter_cs = FX_CS0;
	cr_expect(fx_faults(&f, "0f34", VEC_GP, 0));
	cr_expect(fx_faults(&f, "0f35", VEC_GP, 0));
	fx_fini(&f);
}
