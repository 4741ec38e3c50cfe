/* SPDX-License-Identifier: MIT */
/* Faults during delivery (double and triple fault), real mode, and hostile tables. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "vmm/emu/seg.h"

#define HANDLER(vec) (0x00120000u + (vec)*16)

static void good_gate(struct fx *f, unsigned vec)
{
	fx_set_idt(f, vec, fx_gate(FX_CS0, HANDLER(vec), FX_P | DESC_INT32, 0));
}

/* The vector whose handler runs after delivering @ev: 0xff for shutdown. */
static unsigned outcome(struct fx *f, const struct event *ev)
{
	f->v.shutdown = false;
	cr_assert_eq(inject(&f->v, ev), EMU_OK);
	return f->v.shutdown ? 0xff : (f->v.regs.eip - HANDLER(0)) / 16;
}

/*
 * SDM Vol. 3A, "Interrupt 8" (6.15), table 6-5: the gate of each first event is absent, so that #NP
 * (contributory) is second.  Benign: #NP is delivered; contributory or page fault: #DF.
 */
Test(emu_inject, second_contributory)
{
	static const uint32_t doubles = 1u << VEC_DE | 1u << VEC_TS | 1u << VEC_SS | 1u << VEC_GP |
					1u << VEC_PF;

	for (unsigned kind = 0; kind < 3; kind++) {
		for (unsigned vec = 0; vec < 20; vec++) {
			struct event ev = { .vector = (uint8_t)vec,
					    .soft = kind == 1,
					    .external = kind == 2 };
			unsigned want = VEC_NP;
			struct fx f;

			if (vec == VEC_DF || vec == VEC_NP)
				continue;
			fx_init(&f);
			good_gate(&f, VEC_NP);
			good_gate(&f, VEC_DF);
			fx_set_idt(&f, vec, fx_gate(FX_CS0, 0, FX_DPL(3) | DESC_INT32, 0));
			if (kind == 0 && doubles >> vec & 1)
				want = VEC_DF;
			cr_expect_eq(outcome(&f, &ev), want, "kind %u vector %u", kind, vec);
			/* The error code: the IDT entry for #NP, zero for #DF. */
			cr_expect_eq(fx_r32(&f, FX_STACK - 16),
				     want == VEC_DF ? 0 : vec << 3 | 2 | (kind == 1 ? 0 : 1));
			fx_fini(&f);
		}
	}
}

/* The rest of the table: a serial chain, and the third fault. */
Test(emu_inject, chains)
{
	struct event ev = { .vector = VEC_UD };
	struct fx f;

	/* #UD -> #NP -> (its gate is bad too) #DF */
	fx_init(&f);
	good_gate(&f, VEC_DF);
	fx_set_idt(&f, VEC_UD, fx_gate(FX_CS0, 0, DESC_INT32, 0));
	fx_set_idt(&f, VEC_NP, fx_gate(FX_CS0, 0, DESC_INT32, 0));
	cr_expect_eq(outcome(&f, &ev), VEC_DF);
	cr_expect(!f.v.fault.soft);
	fx_fini(&f);

	/* An external interrupt with the number of an exception is benign. */
	fx_init(&f);
	good_gate(&f, VEC_NP);
	fx_set_idt(&f, VEC_DF, fx_gate(FX_CS0, 0, DESC_INT32, 0));
	ev = (struct event){ .vector = VEC_DF, .external = true };
	cr_expect_eq(outcome(&f, &ev), VEC_NP);
	fx_fini(&f);

	/* No gates at all: shutdown, the registers as they were. */
	for (unsigned vec = 0; vec < 256; vec++) {
		struct cpu_regs regs;

		fx_init(&f);
		ev = (struct event){ .vector = (uint8_t)vec, .external = vec >= 32 };
		regs = f.v.regs;
		cr_expect_eq(outcome(&f, &ev), 0xff);
		cr_expect(!memcmp(&regs, &f.v.regs, sizeof(regs)));
		fx_fini(&f);
	}
}

/*
 * A page fault whose handler, stack and tables are unreachable: paging is on with an empty page
 * directory.  CR2 keeps the address of the last one.
 */
Test(emu_inject, page_fault_everywhere_is_shutdown)
{
	struct event ev = { .vector = VEC_PF, .has_error = true, .cr2 = 0x12345678 };
	struct fx f;

	fx_init(&f);
	good_gate(&f, VEC_PF);
	good_gate(&f, VEC_DF);
	f.v.sh.cr3 = 0x3f0000;
	f.v.sh.cr0 |= CR0_PG;
	cr_expect_eq(inject_once(&f.v, &ev), EMU_FAULT);
	cr_expect_eq(f.v.fault.vector, VEC_PF);
	cr_expect_eq(f.v.fault.error & 1, 0, "#PF has no EXT");
	cr_expect_eq(outcome(&f, &ev), 0xff);
	cr_expect_eq(f.v.sh.cr2, FX_IDT + VEC_PF * 8);
	fx_fini(&f);
}

/* SDM Vol. 3A, "Interrupt and Exception Handling" in real mode (21.1.4). */
Test(emu_inject, real_mode)
{
	struct event ev = { .vector = 0x21, .external = true };
	struct fx f;

	fx_init_real(&f);
	fx_w16(&f, 0x21 * 4, 0x1234);
	fx_w16(&f, 0x21 * 4 + 2, 0x2000);
	f.v.regs.eflags = FL_FIXED | FL_IF | FL_TF | FL_AC | FL_CF | FL_IOPL;
	f.v.regs.gpr[ESP] = 0xffff8000;
	f.v.halted = true;
	cr_expect_eq(inject(&f.v, &ev), EMU_OK);
	cr_expect(f.v.regs.eip == 0x1234 && f.v.regs.seg[SEG_CS].sel == 0x2000);
	cr_expect_eq(f.v.regs.seg[SEG_CS].base, 0x20000);
	cr_expect_eq(f.v.regs.eflags, FL_FIXED | FL_CF | FL_IOPL);
	cr_expect_eq(f.v.regs.gpr[ESP], 0xffff7ffa);
	cr_expect_eq(fx_r16(&f, 0x30000 + 0x7ffe), 0x3303);
	cr_expect_eq(fx_r16(&f, 0x30000 + 0x7ffc), 0x1000);
	cr_expect_eq(fx_r16(&f, 0x30000 + 0x7ffa), 0x100);
	cr_expect(!f.v.halted);
	/* iret goes back */
	cr_expect_eq(fx_run(&f, "cf"), EMU_OK);
	cr_expect(f.v.regs.eip == 0x100 && f.v.regs.seg[SEG_CS].base == 0x10000);
	cr_expect_eq(f.v.regs.eflags, (FL_FIXED | FL_IF | FL_TF | FL_CF | FL_IOPL));
	cr_expect_eq(f.v.regs.gpr[ESP], 0xffff8000);
	fx_fini(&f);

	/* Exceptions push no error code; the table is where IDTR says. */
	fx_init_real(&f);
	f.v.sh.idtr = (struct desc_table){ .base = FX_DATA, .limit = 0x3ff };
	fx_w32(&f, FX_DATA + VEC_GP * 4, 0x20005678);
	ev = (struct event){ .vector = VEC_GP, .has_error = true, .error = 0x55 };
	cr_expect_eq(inject(&f.v, &ev), EMU_OK);
	cr_expect(f.v.regs.eip == 0x5678 && f.v.regs.gpr[ESP] == 0x7ffa);
	/* Beyond its limit: #GP, and if that is beyond as well, the end. */
	ev = (struct event){ .vector = 0x80, .external = true };
	f.v.sh.idtr.limit = VEC_GP * 4 + 3;
	cr_expect_eq(inject(&f.v, &ev), EMU_OK);
	cr_expect(f.v.regs.eip == 0x5678 && !f.v.shutdown);
	f.v.sh.idtr.limit = 3;
	cr_expect_eq(inject(&f.v, &ev), EMU_OK);
	cr_expect(f.v.shutdown);
	/* IP beyond the limit of CS. */
	f.v.sh.idtr.limit = 0x3ff;
	f.v.regs.seg[SEG_CS].limit = 0x5677;
	ev = (struct event){ .vector = VEC_GP, .soft = true };
	cr_expect_eq(inject_once(&f.v, &ev), EMU_FAULT);
	cr_expect(f.v.fault.vector == VEC_GP && f.v.fault.error == 0);
	f.v.regs.seg[SEG_CS].limit++;
	cr_expect_eq(inject_once(&f.v, &ev), EMU_OK);
	fx_fini(&f);
}

/* SDM Vol. 2, "INT n/INTO/INT3/INT1", through emulate(): the address pushed, DPL, OF. */
Test(emu_inject, software_interrupts)
{
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3);
	for (unsigned vec = 0; vec < 256; vec++)
		good_gate(&f, vec);
	cr_expect(fx_faults(&f, "cd80", VEC_GP, 0x80 << 3 | 2));
	cr_expect(fx_faults(&f, "cc", VEC_GP, 3 << 3 | 2));
	fx_set_idt(&f, 0x80, fx_gate(FX_CS0, HANDLER(0x80), FX_P | FX_DPL(3) | DESC_TRAP32, 0));
	fx_set_idt(&f, 3, fx_gate(FX_CS0, HANDLER(3), FX_P | FX_DPL(3) | DESC_TRAP32, 0));
	fx_set_idt(&f, 4, fx_gate(FX_CS0, HANDLER(4), FX_P | FX_DPL(3) | DESC_TRAP32, 0));
	f.v.regs.eflags |= FL_IF | FL_RF;
	cr_expect_eq(fx_run(&f, "cd80"), EMU_OK);
	cr_expect(f.v.sh.cpl == 0 && f.v.regs.eip == HANDLER(0x80));
	cr_expect_eq(f.v.regs.gpr[ESP], FX_RING0_STACK - 20);
	cr_expect_eq(fx_r32(&f, FX_RING0_STACK - 20), FX_CODE + 2);
	cr_expect_eq(fx_r32(&f, FX_RING0_STACK - 12), FL_FIXED | FL_IF);
	cr_expect_eq(fx_run(&f, "cf"), EMU_OK); /* and back: iret to ring 3 */
	cr_expect(f.v.sh.cpl == 3 && f.v.regs.eip == FX_CODE + 2 && f.v.regs.gpr[ESP] == FX_STACK);
	cr_expect_eq(fx_run(&f, "cc"), EMU_OK);
	cr_expect_eq(fx_r32(&f, FX_RING0_STACK - 20), FX_CODE + 3);

	/* INTO does nothing without OF. */
	fx_cpl(&f, 3);
	f.v.regs.eip = FX_CODE;
	f.v.regs.eflags = FL_FIXED;
	cr_expect_eq(fx_run(&f, "ce"), EMU_OK);
	cr_expect(f.v.regs.eip == FX_CODE + 1 && f.v.sh.cpl == 3);
	f.v.regs.eflags |= FL_OF;
	cr_expect_eq(fx_run(&f, "ce"), EMU_OK);
	cr_expect_eq(f.v.regs.eip, HANDLER(4));

	/* INT1 is a debug exception: the gate's DPL does not matter, faults have EXT. */
	fx_cpl(&f, 3);
	f.v.regs.eip = FX_CODE;
	cr_expect_eq(fx_run(&f, "f1"), EMU_OK);
	cr_expect_eq(f.v.regs.eip, HANDLER(1));
	cr_expect_eq(fx_r32(&f, FX_RING0_STACK - 20), FX_CODE + 1);
	fx_set_idt(&f, 1, 0);
	fx_cpl(&f, 3);
	f.v.regs.eip = FX_CODE;
	cr_expect(fx_faults(&f, "f1", VEC_GP, 1 << 3 | 3));
	fx_fini(&f);

	fx_init_real(&f);
	fx_w32(&f, 0x13 * 4, 0x20001111);
	cr_expect_eq(fx_run(&f, "cd13"), EMU_OK);
	cr_expect(f.v.regs.eip == 0x1111 && fx_r16(&f, 0x30000 + 0x7ffa) == 0x102);
	fx_fini(&f);
}

/*
 * Whatever the tables say, the VMM stands, a nested fault changes nothing, and delivery ends. Fixed
 * seed; meant for the sanitizers.
 */
Test(emu_inject, hostile_tables)
{
	struct fx f;

	srandom(1);
	fx_init(&f);
	for (unsigned n = 0; n < 20000; n++) {
		struct event ev = { .vector = (uint8_t)(random() % 40),
				    .has_error = random() & 1,
				    .soft = random() % 4 == 0,
				    .external = random() % 4 == 0 };
		struct cpu_regs regs;

		fx_cpl(&f, random() & 3);
		for (unsigned i = 11; i < FX_ENTRIES; i++)
			if (random() % 8 == 0)
				fx_set(&f, (uint16_t)(i * 8),
				       (uint64_t)random() << 33 ^ (uint64_t)random());
		for (unsigned i = 0; i < 40; i++) {
			unsigned type = random() & 1 ? 0x8e : random() & 0xef;

			if ((type & 0x1f) != DESC_TASK_GATE)
				fx_set_idt(&f, i,
					   fx_gate((uint16_t)(random() & 0x1ff), (uint32_t)random(),
						   type, 0));
		}
		fx_w32(&f, FX_TSS + 4, (uint32_t)random());
		fx_w16(&f, FX_TSS + 8, (uint16_t)(random() & 1 ? FX_DS0 : random()));
		f.v.regs.gpr[ESP] = random() & 1 ? FX_STACK : (uint32_t)random() << 1;
		f.v.regs.eip = (uint32_t)random();
		regs = f.v.regs;
		if (inject_once(&f.v, &ev) == EMU_FAULT)
			cr_assert(!memcmp(&regs, &f.v.regs, sizeof(regs)));
		f.v.shutdown = false;
		cr_assert_eq(inject(&f.v, &ev), EMU_OK);
	}
	fx_fini(&f);
}
