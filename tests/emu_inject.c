/* SPDX-License-Identifier: MIT */
/* Delivery of events through the IDT and the IVT, and escalation. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/emu_fixture.h"
#include "vmm/emu/seg.h"

#define HANDLER  0x00123456u
#define INT32(s) fx_gate(s, HANDLER, FX_P | DESC_INT32, 0)

static uint32_t esp_of(const struct fx *f)
{
	return f->v.regs.gpr[ESP];
}

/* Deliver and require success with the frame @want, @n items of @width, top of stack last. */
static void expect_frame(struct fx *f, const struct event *ev, unsigned width, unsigned n,
			 const uint32_t *want, uint32_t top)
{
	cr_expect_eq(inject_once(&f->v, ev), EMU_OK, "fault %u %#x", f->v.fault.vector,
		     f->v.fault.error);
	cr_expect_eq(esp_of(f), top - n * width, "esp %#x", esp_of(f));
	for (unsigned i = 0; i < n; i++) {
		uint32_t gpa = top - (i + 1) * width;
		uint32_t got = width == 4 ? fx_r32(f, gpa) : fx_r16(f, gpa);

		cr_expect_eq(got, want[i], "item %u is %#x, not %#x", i, got, want[i]);
	}
}

/* @ev must fail with @vector and @error, and leave the vCPU alone. */
static bool fails(struct fx *f, const struct event *ev, unsigned vector, uint32_t error)
{
	struct cpu_regs regs = f->v.regs;
	struct shadow sh = f->v.sh;
	int ret = inject_once(&f->v, ev);

	if (ret != EMU_FAULT || f->v.fault.vector != vector || f->v.fault.error != error ||
	    !f->v.fault.has_error) {
		cr_log_error("result %d vector %u error %#x, not %u %#x", ret, f->v.fault.vector,
			     f->v.fault.error, vector, error);
		return false;
	}
	return !memcmp(&regs, &f->v.regs, sizeof(regs)) && !memcmp(&sh, &f->v.sh, sizeof(sh));
}

/* SDM Vol. 3A, 6.12.1 and 6.12.1.2: frame and flags, same privilege, 32-bit gates. */
Test(emu_inject, same_privilege_frame_and_flags)
{
	const uint32_t noise = FL_FIXED | FL_CF | FL_TF | FL_IF | FL_NT | FL_IOPL | FL_AC | FL_ID;
	const struct event irq = { .vector = 0x20, .external = true };
	const uint32_t want[3] = { noise, FX_CS0, FX_CODE };
	struct fx f;

	fx_init(&f);
	fx_set_idt(&f, 0x20, INT32(FX_CS0));
	f.v.regs.eflags = noise;
	f.v.halted = true;
	f.v.sh.sti_shadow = f.v.sh.movss_shadow = true;
	expect_frame(&f, &irq, 4, 3, want, FX_STACK);
	cr_expect_eq(f.v.regs.eflags, noise & ~(FL_TF | FL_IF | FL_NT));
	cr_expect(f.v.regs.eip == HANDLER && f.v.regs.seg[SEG_CS].sel == FX_CS0);
	cr_expect(!f.v.halted && !f.v.sh.sti_shadow && !f.v.sh.movss_shadow);
	fx_fini(&f);

	fx_init(&f); /* a trap gate leaves IF alone */
	fx_set_idt(&f, 0x20, fx_gate(FX_CS0, HANDLER, FX_P | DESC_TRAP32, 0));
	f.v.regs.eflags = noise;
	expect_frame(&f, &irq, 4, 3, want, FX_STACK);
	cr_expect_eq(f.v.regs.eflags, noise & ~(FL_TF | FL_NT));
	fx_fini(&f);
}

/* SDM Vol. 3A, 6.11: a 16-bit gate pushes words and has a 16-bit offset. */
Test(emu_inject, gate_of_16_bits)
{
	const struct event gp = { .vector = VEC_GP, .has_error = true, .error = 0x12345678 };
	uint32_t want[4] = { FL_FIXED, FX_CS0, 0x5678, 0x5678 };
	struct fx f;

	fx_init(&f);
	fx_set_idt(&f, VEC_GP, fx_gate(FX_CS0, 0xdead1234, FX_P | DESC_INT16, 0));
	f.v.regs.eip = 0x12345678;
	expect_frame(&f, &gp, 2, 4, want, FX_STACK);
	cr_expect_eq(f.v.regs.eip, 0x1234);
	fx_fini(&f);
}

/* SDM Vol. 3A, 6.13: only exceptions push error codes, not interrupts with their vectors. */
Test(emu_inject, error_codes)
{
	const uint32_t want[4] = { FL_FIXED | FL_RF, FX_CS0, FX_CODE, 0x1234 };
	struct event ev = { .vector = VEC_GP, .has_error = true, .error = 0x1234 };
	const uint32_t plain[3] = { FL_FIXED, FX_CS0, FX_CODE };
	struct fx f;

	fx_init(&f);
	fx_set_idt(&f, VEC_GP, INT32(FX_CS0));
	expect_frame(&f, &ev, 4, 4, want, FX_STACK);
	fx_fini(&f);
	for (int soft = 0; soft < 2; soft++) {
		fx_init(&f);
		fx_set_idt(&f, VEC_GP, INT32(FX_CS0));
		ev.soft = soft;
		ev.external = !soft;
		expect_frame(&f, &ev, 4, 3, plain, FX_STACK);
		fx_fini(&f);
	}
}

/* SDM Vol. 3A, 6.12.1, figure 6-4: SS and ESP first, on the stack the TSS names. */
Test(emu_inject, inner_privilege_switches_stacks)
{
	const struct event pf = { .vector = VEC_PF, .has_error = true, .error = 6, .cr2 = 0x1234 };
	struct fx f;

	for (unsigned to = 0; to < 3; to++) {
		for (unsigned from = to + 1; from < 4; from++) {
			uint32_t want[6] = { FX_DS0 + from * 17, 0xabc000, FL_FIXED | FL_IF | FL_RF,
					     FX_CS0 + from * 17, FX_CODE,  6 };

			fx_init(&f);
			fx_cpl(&f, from);
			fx_set_idt(&f, VEC_PF, INT32((uint16_t)(FX_CS0 + to * 16)));
			f.v.regs.gpr[ESP] = 0xabc000;
			f.v.regs.eflags |= FL_IF;
			expect_frame(&f, &pf, 4, 6, want, FX_RING0_STACK + to * 0x10000);
			cr_expect_eq(f.v.sh.cpl, to);
			cr_expect_eq(f.v.regs.seg[SEG_CS].sel, FX_CS0 + to * 17);
			cr_expect_eq(f.v.regs.seg[SEG_SS].sel, FX_DS0 + to * 17);
			cr_expect_eq(f.v.regs.seg[SEG_SS].dpl, to);
			/* Data segments keep what they were: the handler saves them. */
			cr_expect_eq(f.v.regs.seg[SEG_DS].sel, FX_DS0 + from * 17);
			fx_fini(&f);
		}
	}
}

/* SDM Vol. 3A, 6.12.1.1: a conforming handler runs at the interrupted level, on its stack. */
Test(emu_inject, conforming_handler_keeps_the_level)
{
	const struct event irq = { .vector = 0x30, .external = true };
	const uint32_t want[3] = { FL_FIXED, FX_CS3, FX_CODE };
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3);
	fx_set(&f, FX_FREE, fx_desc(0, 0xfffff, FX_P | FX_S | 0xc, FX_G | FX_DB));
	fx_set_idt(&f, 0x30, INT32(FX_FREE));
	expect_frame(&f, &irq, 4, 3, want, FX_STACK);
	cr_expect_eq(f.v.sh.cpl, 3);
	cr_expect_eq(f.v.regs.seg[SEG_CS].sel, FX_FREE | 3);
	cr_expect_eq(fx_get(&f, FX_FREE) >> 40 & 1, 1, "accessed");
	fx_fini(&f);
}

/* SDM Vol. 3A, 7.6, 3.4.5: stack from a 16-bit TSS, SP of a 16-bit stack segment. */
Test(emu_inject, inner_stack_of_16_bits)
{
	const struct event irq = { .vector = 0x30, .external = true };
	const uint32_t want[5] = { FX_DS3, FX_STACK & 0xffff, FL_FIXED, FX_CS3, 0 };
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3);
	f.v.regs.eip = 0x70000;
	fx_set(&f, FX_FREE, fx_desc(FX_DATA, 0xffff, FX_P | FX_S | FX_DATA_RW, 0));
	f.v.sh.tr.type = DESC_TSS16_BUSY;
	fx_w16(&f, FX_TSS + 2, 0x9000);
	fx_w16(&f, FX_TSS + 4, FX_FREE);
	fx_set_idt(&f, 0x30, fx_gate(FX_CS0, 0x4444, FX_P | DESC_INT16, 0));
	cr_expect_eq(inject_once(&f.v, &irq), EMU_OK);
	cr_expect_eq(esp_of(&f), 0x9000 - 10);
	for (int i = 0; i < 5; i++)
		cr_expect_eq(fx_r16(&f, FX_DATA + 0x9000 - 2 - (uint32_t)i * 2), want[i]);
	fx_fini(&f);
}

/* SDM Vol. 2, "INT n", and Vol. 3A, 6.13: what can be wrong with the gate; IDT and EXT bits. */
Test(emu_inject, gate_faults)
{
	static const uint8_t bad_types[] = { 0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 0x1e, 0x1f };
	const struct event irq = { .vector = 0x21, .external = true };
	const struct event exc = { .vector = 0x06 };
	struct event soft = { .vector = 0x21, .soft = true };
	struct fx f;

	fx_init(&f);
	for (size_t i = 0; i < sizeof(bad_types); i++) {
		fx_set_idt(&f, 0x21, fx_gate(FX_CS0, HANDLER, FX_P | FX_DPL(3) | bad_types[i], 0));
		cr_expect(fails(&f, &irq, VEC_GP, 0x21 * 8 + 3));
		cr_expect(fails(&f, &soft, VEC_GP, 0x21 * 8 + 2));
	}
	fx_set_idt(&f, 0x21, fx_gate(FX_CS0, HANDLER, DESC_INT32, 0));
	cr_expect(fails(&f, &irq, VEC_NP, 0x21 * 8 + 3));
	cr_expect(fails(&f, &soft, VEC_NP, 0x21 * 8 + 2));
	f.v.sh.idtr.limit = 6 * 8 + 6;
	cr_expect(fails(&f, &exc, VEC_GP, 6 * 8 + 3));
	cr_expect(fails(&f, &soft, VEC_GP, 0x21 * 8 + 2));
	f.v.sh.idtr.limit = 0x7ff;

	/* "Software interrupt ... DPL of the gate < CPL", before presence. */
	fx_set_idt(&f, 0x21, fx_gate(FX_CS0, HANDLER, FX_DPL(2) | DESC_INT32, 0));
	fx_cpl(&f, 3);
	cr_expect(fails(&f, &soft, VEC_GP, 0x21 * 8 + 2));
	cr_expect(fails(&f, &irq, VEC_NP, 0x21 * 8 + 3));
	fx_set_idt(&f, 0x21, fx_gate(FX_CS0, HANDLER, FX_P | FX_DPL(2) | DESC_INT32, 0));
	cr_expect(fails(&f, &soft, VEC_GP, 0x21 * 8 + 2));
	fx_cpl(&f, 2);
	cr_expect_eq(inject_once(&f.v, &soft), EMU_OK);
	fx_fini(&f);
}

/* SDM Vol. 2, "INT n": what can be wrong with the handler's code segment. */
Test(emu_inject, code_segment_faults)
{
	const struct event irq = { .vector = 0x21, .external = true };
	const struct event soft = { .vector = 0x21, .soft = true };
	struct fx f;

	fx_init(&f);
	fx_set_idt(&f, 0x21, INT32(3)); /* null, whatever its RPL */
	cr_expect(fails(&f, &irq, VEC_GP, 1));
	cr_expect(fails(&f, &soft, VEC_GP, 0));
	fx_set_idt(&f, 0x21, INT32(FX_ENTRIES * 8));
	cr_expect(fails(&f, &irq, VEC_GP, FX_ENTRIES * 8 | 1));
	fx_set_idt(&f, 0x21, INT32(FX_DS0));
	cr_expect(fails(&f, &irq, VEC_GP, FX_DS0 | 1));
	fx_set_idt(&f, 0x21, INT32(FX_TR));
	cr_expect(fails(&f, &soft, VEC_GP, FX_TR));
	fx_set_idt(&f, 0x21, INT32(FX_CS1)); /* less privileged than we are */
	cr_expect(fails(&f, &irq, VEC_GP, (FX_CS1 & ~3u) | 1));
	fx_set(&f, FX_FREE, fx_desc(0, 0xfffff, FX_S | 0xa, FX_G | FX_DB));
	fx_set_idt(&f, 0x21, INT32(FX_FREE));
	cr_expect(fails(&f, &irq, VEC_NP, FX_FREE | 1));
	fx_set(&f, FX_FREE, fx_desc(0, 0x122, FX_P | FX_S | 0xa, FX_DB | FX_G));
	cr_expect(fails(&f, &irq, VEC_GP, 1)); /* EIP beyond the limit */
	cr_expect(fails(&f, &soft, VEC_GP, 0));
	fx_set(&f, FX_FREE, fx_desc(0, 0x123, FX_P | FX_S | 0xa, FX_DB | FX_G));
	cr_expect_eq(inject_once(&f.v, &irq), EMU_OK);
	fx_fini(&f);
}

/* SDM Vol. 2, "INT n", INTER-PRIVILEGE-LEVEL-INTERRUPT: #TS for the TSS and its SS, #SS. */
Test(emu_inject, inner_stack_faults)
{
	const struct event irq = { .vector = 0x21, .external = true };
	const struct event soft = { .vector = 0x21, .soft = true };
	struct fx f;

	fx_init(&f);
	fx_cpl(&f, 3);
	fx_set_idt(&f, 0x21, fx_gate(FX_CS0, HANDLER, FX_P | FX_DPL(3) | DESC_INT32, 0));
	f.v.sh.tr.limit = 8;
	cr_expect(fails(&f, &irq, VEC_TS, FX_TR | 1));
	cr_expect(fails(&f, &soft, VEC_TS, FX_TR));
	f.v.sh.tr.limit = 103;
	fx_w16(&f, FX_TSS + 8, 0);
	cr_expect(fails(&f, &irq, VEC_TS, 1));
	cr_expect(fails(&f, &soft, VEC_TS, 0));
	fx_w16(&f, FX_TSS + 8, FX_ENTRIES * 8);
	cr_expect(fails(&f, &irq, VEC_TS, FX_ENTRIES * 8 | 1));
	fx_w16(&f, FX_TSS + 8, FX_DS0 | 1); /* RPL */
	cr_expect(fails(&f, &irq, VEC_TS, FX_DS0 | 1));
	fx_w16(&f, FX_TSS + 8, FX_DS1 & ~3u); /* DPL */
	cr_expect(fails(&f, &soft, VEC_TS, FX_DS1 & ~3u));
	fx_w16(&f, FX_TSS + 8, FX_CS0);
	cr_expect(fails(&f, &soft, VEC_TS, FX_CS0));
	fx_w16(&f, FX_TSS + 8, FX_FREE);
	fx_set(&f, FX_FREE, fx_desc(0, 0xfffff, FX_P | FX_S, FX_G | FX_DB)); /* read-only */
	cr_expect(fails(&f, &soft, VEC_TS, FX_FREE));
	fx_set(&f, FX_FREE, fx_desc(0, 0xfffff, FX_S | FX_DATA_RW, FX_G | FX_DB));
	cr_expect(fails(&f, &irq, VEC_SS, FX_FREE | 1));
	fx_set(&f, FX_FREE, fx_desc(0, 0xf, FX_P | FX_S | FX_DATA_RW, FX_DB));
	cr_expect(fails(&f, &irq, VEC_SS, FX_FREE | 1)); /* no room at ESP0 */
	fx_w32(&f, FX_TSS + 4, 16);
	cr_expect(fails(&f, &soft, VEC_SS, FX_FREE)); /* 16 bytes for 20 */
	fx_set(&f, FX_FREE, fx_desc(0x300000, 0x13, FX_P | FX_S | FX_DATA_RW, FX_DB));
	fx_w32(&f, FX_TSS + 4, 20);
	cr_expect_eq(inject_once(&f.v, &irq), EMU_OK);
	cr_expect_eq(esp_of(&f), 0);
	cr_expect_eq(fx_get(&f, FX_FREE) >> 40 & 1, 1, "the new SS is accessed");
	fx_fini(&f);

	/* On the stack in use the error code is EXT alone. */
	fx_init(&f);
	fx_set_idt(&f, 0x21, INT32(FX_CS0));
	f.v.regs.seg[SEG_SS].limit = FX_STACK - 2;
	cr_expect(fails(&f, &irq, VEC_SS, 1));
	cr_expect(fails(&f, &soft, VEC_SS, 0));
	fx_fini(&f);
}

/* SDM Vol. 3B, 17.3.1.1: RF in the pushed image. */
Test(emu_inject, rf_in_the_pushed_image)
{
	static const struct {
		struct event ev;
		bool rf0, rf1; /* pushed when EFLAGS.RF is 0, 1 */
	} row[] = {
		{ { .vector = VEC_UD }, true, true },
		{ { .vector = VEC_PF, .has_error = true }, true, true },
		{ { .vector = VEC_BR }, true, true },
		{ { .vector = VEC_NP, .has_error = true }, true, true },
		{ { .vector = VEC_SS, .has_error = true }, true, true },
		{ { .vector = VEC_TS, .has_error = true }, true, true },
		{ { .vector = VEC_DB, .dr6 = 0x4000 }, false, true }, /* single step: a trap */
		{ { .vector = VEC_DB, .dr6 = 0x0001 }, false, true }, /* breakpoint */
		{ { .vector = VEC_DB, .dr6 = 0x2000 }, true, true },  /* general detect */
		{ { .vector = VEC_BP, .soft = true }, false, false },
		{ { .vector = VEC_GP, .soft = true }, false, false },
		{ { .vector = VEC_GP, .external = true }, false, true },
		{ { .vector = VEC_NMI }, false, true },
		{ { .vector = 0x80, .external = true }, false, true },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		for (unsigned rf = 0; rf < 2; rf++) {
			struct fx f;

			fx_init(&f);
			fx_set_idt(&f, row[i].ev.vector, INT32(FX_CS0));
			f.v.regs.eflags |= rf ? FL_RF : 0;
			cr_expect_eq(inject(&f.v, &row[i].ev), EMU_OK);
			cr_expect_eq(!!(fx_r32(&f, FX_STACK - 4) & FL_RF),
				     rf ? row[i].rf1 : row[i].rf0, "row %zu rf %u", i, rf);
			cr_expect(!(f.v.regs.eflags & FL_RF));
			fx_fini(&f);
		}
	}
}

/* SDM Vol. 3A, 6.15 (#PF, NMI), Vol. 3B, 17.2.4 (DR6, GD). */
Test(emu_inject, side_effects)
{
	struct event ev = { .vector = VEC_PF, .has_error = true, .cr2 = 0xdeadb000 };
	struct fx f;

	fx_init(&f);
	for (unsigned vec = 0; vec < 32; vec++)
		fx_set_idt(&f, vec, INT32(FX_CS0));
	cr_expect_eq(inject(&f.v, &ev), EMU_OK);
	cr_expect_eq(f.v.sh.cr2, 0xdeadb000);
	ev = (struct event){ .vector = VEC_PF, .soft = true, .cr2 = 1 };
	cr_expect_eq(inject(&f.v, &ev), EMU_OK);
	cr_expect_eq(f.v.sh.cr2, 0xdeadb000);

	f.v.sh.dr[7] = 0x2401;
	f.v.sh.dr[6] = 0xffff0ff1;
	ev = (struct event){ .vector = VEC_DB, .dr6 = 0x4000 };
	cr_expect_eq(inject(&f.v, &ev), EMU_OK);
	cr_expect(f.v.sh.dr[6] == 0xffff4ff1 && f.v.sh.dr[7] == 0x401);

	ev = (struct event){ .vector = VEC_NMI, .soft = true };
	cr_expect_eq(inject(&f.v, &ev), EMU_OK);
	cr_expect(!f.v.sh.nmi_blocked);
	ev.soft = false;
	cr_expect_eq(inject(&f.v, &ev), EMU_OK);
	cr_expect(f.v.sh.nmi_blocked);
	cr_expect_eq(fx_run(&f, "cf"), EMU_OK);
	cr_expect(!f.v.sh.nmi_blocked);
	fx_fini(&f);
}

/* SDM Vol. 3A, 6.14.3: task gates would switch tasks. */
Test(emu_inject, task_gate_ends_the_vm)
{
	const struct event irq = { .vector = 8 };
	struct fx f;

	fx_init(&f);
	fx_set_idt(&f, 8, fx_gate(FX_TR, 0, FX_P | DESC_TASK_GATE, 0));
	cr_expect_eq(inject(&f.v, &irq), -ECANCELED);
	cr_expect(strstr(f.vm.death, "task switching is not supported yet") != NULL);
	fx_fini(&f);
}
