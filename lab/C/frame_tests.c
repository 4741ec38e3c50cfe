/* SPDX-License-Identifier: MIT */
/*
 * Part C: the frame, on a vCPU without an engine.
 * Expectations: SDM Vol. 3A, "Exception- or Interrupt-Handler Procedures" (6.12.1), "Error Code"
 * (6.13), table 6-1; Vol. 3B, "Instruction-Breakpoint Exception Condition" (17.3.1.1); Vol. 2,
 * IRET/IRETD.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "lab/grade/item.h"
#include "tests/emu_fixture.h"
#include "vmm/emu/frame.h"

#define HANDLER   0x00123456u
#define TARGET    0x00140000u
#define INT32(s)  fx_gate(s, HANDLER, FX_P | DESC_INT32, 0)
#define TRAP32(s) fx_gate(s, HANDLER, FX_P | DESC_TRAP32, 0)
/* Every flag that a guest can have without ill effects here. */
#define NOISE (FL_FIXED | FL_CF | FL_ZF | FL_TF | FL_IF | FL_DF | FL_NT | FL_IOPL | FL_AC | FL_ID)

static void ended_well(struct fx *f, int ret, const char *what)
{
	if (ret == EMU_FAULT)
		LOSE("%s: expected that it works, got a fault, vector %u, error code %#x", what,
		     f->v.fault.vector, f->v.fault.error);
	if (ret)
		LOSE("%s: expected that it works, got %d%s%s", what, ret, *f->vm.death ? ": " : "",
		     f->vm.death);
}

/* The items of the frame, in the order of the pushes, below @top.  RF is another item's business.
 */
static void frame_is(struct fx *f, uint32_t top, unsigned width, unsigned n, const uint32_t *want,
		     const char *const *name, const char *what)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t gpa = top - (i + 1) * width;
		uint32_t got = width == 4 ? fx_r32(f, gpa) : fx_r16(f, gpa);

		NOTE("at ESP + %2u: %#x", (n - 1 - i) * width, got);
		if (!strcmp(name[i], "EFLAGS"))
			got = (got & ~FL_RF) | (want[i] & FL_RF);
		if (got != want[i])
			LOSE("%s, %s at ESP + %u of the handler: expected %#x, got %#x", what,
			     name[i], (n - 1 - i) * width, want[i], got);
	}
	WANT(f->v.regs.gpr[ESP], top - n * width, "%s, ESP in the handler", what);
}

static const char *const same_level[] = { "EFLAGS", "CS", "EIP", "the error code" };

/* What differs between two states of registers, for a sentence. */
static const char *difference(const struct vcpu *v, const struct cpu_regs *regs,
			      const struct shadow *sh)
{
	if (v->regs.eip != regs->eip)
		return "EIP";
	if (v->regs.eflags != regs->eflags)
		return "EFLAGS";
	if (v->regs.gpr[ESP] != regs->gpr[ESP])
		return "ESP";
	if (memcmp(v->regs.seg, regs->seg, sizeof(regs->seg)))
		return "a segment register";
	if (memcmp(v->regs.gpr, regs->gpr, sizeof(regs->gpr)))
		return "a general register";
	if (memcmp(&v->sh, sh, sizeof(*sh)))
		return "the shadow state";
	return NULL;
}

static void faults(struct fx *f, int ret, unsigned vector, uint32_t error, const char *what)
{
	if (ret < 0)
		LOSE("%s: expected a fault, got %d%s%s", what, ret, *f->vm.death ? ": " : "",
		     f->vm.death);
	if (ret != EMU_FAULT)
		LOSE("%s: expected fault %u with error code %#x, got none", what, vector, error);
	if (f->v.fault.vector != vector || f->v.fault.error != error)
		LOSE("%s: expected fault %u with error code %#x, got %u with %#x", what, vector,
		     error, f->v.fault.vector, f->v.fault.error);
}

ITEM(frame_items)
{
	const struct event irq = { .vector = 0x20, .external = true };
	const struct event gp = { .vector = VEC_GP, .has_error = true, .error = 0x12345678 };
	uint32_t want[4] = { FL_FIXED | FL_IF, FX_CS0, FX_CODE };
	struct cpu_regs regs;
	struct shadow sh;
	const char *diff;
	struct fx f;

	fx_init(&f);
	fx_set_idt(&f, 0x20, INT32(FX_CS0));
	f.v.regs.eflags = FL_FIXED | FL_IF;
	ended_well(&f, inject_once(&f.v, &irq), "an interrupt, 32-bit gate");
	frame_is(&f, FX_STACK, 4, 3, want, same_level, "an interrupt");
	WANT(f.v.regs.eip, HANDLER, "an interrupt, EIP");
	WANT(f.v.regs.seg[SEG_CS].sel, FX_CS0, "an interrupt, CS");
	fx_fini(&f);

	fx_init(&f);
	NOTE("#GP with error code 0x12345678:");
	fx_set_idt(&f, VEC_GP, INT32(FX_CS0));
	ended_well(&f, inject_once(&f.v, &gp), "#GP, 32-bit gate");
	frame_is(&f, FX_STACK, 4, 4, (uint32_t[]){ FL_FIXED | FL_RF, FX_CS0, FX_CODE, 0x12345678 },
		 same_level, "#GP");
	fx_fini(&f);

	fx_init(&f);
	NOTE("#GP through a 16-bit gate:");
	fx_set_idt(&f, VEC_GP, fx_gate(FX_CS0, 0x1234, FX_P | DESC_INT16, 0));
	f.v.regs.eip = 0x12345678;
	ended_well(&f, inject_once(&f.v, &gp), "#GP, 16-bit gate");
	frame_is(&f, FX_STACK, 2, 4, (uint32_t[]){ FL_FIXED, FX_CS0, 0x5678, 0x5678 }, same_level,
		 "#GP through a 16-bit gate");
	WANT(f.v.regs.eip, 0x1234, "#GP through a 16-bit gate, EIP");
	fx_fini(&f);

	fx_init(&f); /* INT n: the address after it */
	NOTE("int $0x31:");
	fx_set_idt(&f, 0x31, TRAP32(FX_CS0));
	f.v.regs.eflags = FL_FIXED;
	ended_well(&f, fx_run(&f, "cd31"), "int $0x31");
	frame_is(&f, FX_STACK, 4, 3, (uint32_t[]){ FL_FIXED, FX_CS0, FX_CODE + 2 }, same_level,
		 "int $0x31");
	fx_fini(&f);

	fx_init(&f); /* all or nothing */
	NOTE("an interrupt, with ESP beyond the limit of SS:");
	fx_set_idt(&f, 0x20, INT32(FX_CS0));
	f.v.regs.seg[SEG_SS].limit = FX_STACK - 0x100;
	f.v.regs.eflags = NOISE;
	regs = f.v.regs;
	sh = f.v.sh;
	faults(&f, inject_once(&f.v, &irq), VEC_SS, 1, "a frame beyond the stack's limit");
	diff = difference(&f.v, &regs, &sh);
	if (diff)
		LOSE("a frame beyond the stack's limit: expected an unchanged vCPU, but %s changed",
		     diff);
	fx_fini(&f);
}

/* Deliver @ev with @flags; what is pushed and what the handler has. */
static void flags_are(const struct event *ev, bool trap_gate, uint32_t flags, uint32_t pushed,
		      uint32_t after, const char *what)
{
	struct fx f;

	fx_init(&f);
	fx_set_idt(&f, ev->vector, trap_gate ? TRAP32(FX_CS0) : INT32(FX_CS0));
	f.v.regs.eflags = flags;
	ended_well(&f, inject_once(&f.v, ev), what);
	WANT(fx_r32(&f, FX_STACK - 4), pushed, "%s: EFLAGS in the frame, with %#x before", what,
	     flags);
	WANT(f.v.regs.eflags, after, "%s: EFLAGS in the handler, with %#x before", what, flags);
	fx_fini(&f);
}

ITEM(frame_flags_and_gates)
{
	const struct event irq = { .vector = 0x20, .external = true };
	const struct event intn = { .vector = 0x20, .soft = true };
	const struct event gp = { .vector = VEC_GP, .has_error = true };
	const struct event bp = { .vector = VEC_BP, .soft = true }, nmi = { .vector = VEC_NMI };
	const struct event step = { .vector = VEC_DB, .dr6 = 0x4000 };
	const uint32_t gone = FL_TF | FL_NT;

	flags_are(&irq, false, NOISE, NOISE, NOISE & ~(gone | FL_IF),
		  "an interrupt through an interrupt gate");
	flags_are(&irq, true, NOISE, NOISE, NOISE & ~gone, "an interrupt through a trap gate");
	flags_are(&irq, true, FL_FIXED, FL_FIXED, FL_FIXED, "a trap gate, IF clear");
	flags_are(&irq, false, NOISE | FL_RF, NOISE | FL_RF, NOISE & ~(gone | FL_IF),
		  "an interrupt with RF set");
	flags_are(&intn, true, NOISE | FL_RF, NOISE, NOISE & ~gone, "INT n with RF set");
	flags_are(&bp, true, NOISE | FL_RF, NOISE, NOISE & ~gone, "INT3 with RF set");
	flags_are(&nmi, true, NOISE, NOISE, NOISE & ~gone, "an NMI");
	flags_are(&step, true, NOISE, NOISE, NOISE & ~gone, "a single-step trap");
	flags_are(&gp, true, NOISE, NOISE | FL_RF, NOISE & ~gone, "#GP, a fault");
	flags_are(&gp, false, NOISE, NOISE | FL_RF, NOISE & ~(gone | FL_IF), "#GP, a fault");
}

ITEM(frame_inner)
{
	static const char *const name[] = { "SS", "ESP", "EFLAGS", "CS", "EIP", "the error code" };
	const struct event pf = { .vector = VEC_PF, .has_error = true, .error = 6, .cr2 = 0x1234 };
	struct fx f;

	for (unsigned error = 0; error < 2; error++) {
		fx_init(&f);
		fx_cpl(&f, 3);
		fx_set_idt(&f, 0x20, INT32(FX_CS0));
		fx_set_idt(&f, VEC_PF, INT32(FX_CS0));
		f.v.regs.eflags = FL_FIXED | FL_IF;
		NOTE("from level 3 to level 0, %s:", error ? "#PF" : "an interrupt");
		ended_well(&f,
			   inject_once(&f.v,
				       error ? &pf
					     : &(struct event){ .vector = 0x20, .external = true }),
			   "from level 3 to level 0");
		frame_is(&f, FX_RING0_STACK, 4, 5 + error,
			 (uint32_t[]){ FX_DS3, FX_STACK, FL_FIXED | FL_IF | (error ? FL_RF : 0),
				       FX_CS3, FX_CODE, 6 },
			 name, "from level 3 to level 0");
		WANT(f.v.sh.cpl, 0, "vCPL in the handler");
		WANT(f.v.regs.seg[SEG_CS].sel, FX_CS0, "CS in the handler");
		WANT(f.v.regs.seg[SEG_SS].sel, FX_DS0, "SS in the handler");
		WANT(f.v.regs.seg[SEG_SS].dpl, 0, "DPL of SS in the handler");
		fx_fini(&f);
	}
}

/* ---- IRET ---- */

/* A frame at the top of the stack, its first item last pushed, and EIP on an IRET. */
static void frame(struct fx *f, unsigned width, uint32_t eip, uint32_t cs, uint32_t flags,
		  uint32_t esp, uint32_t ss)
{
	const uint32_t val[5] = { eip, cs, flags, esp, ss };

	for (uint32_t i = 0; i < 5; i++) {
		if (width == 4)
			fx_w32(f, FX_STACK + i * 4, val[i]);
		else
			fx_w16(f, FX_STACK + i * 2, (uint16_t)val[i]);
	}
	f->v.regs.gpr[ESP] = FX_STACK;
	f->v.regs.eip = FX_CODE;
}

static int iret(struct fx *f, unsigned width)
{
	return fx_run(f, width == 4 ? "cf" : "66cf");
}

ITEM(iret_same)
{
	struct fx f;

	for (unsigned width = 4; width >= 2; width -= 2) {
		char what[40];

		snprintf(what, sizeof(what), "a %u-bit iret", width * 8);
		fx_init(&f);
		frame(&f, width, 0x4000, FX_CS0, FL_FIXED | FL_IF, 0xdead, 0xbeef);
		f.v.sh.nmi_blocked = true;
		ended_well(&f, iret(&f, width), what);
		WANT(f.v.regs.eip, 0x4000, "%s: EIP", what);
		WANT(f.v.regs.seg[SEG_CS].sel, FX_CS0, "%s: CS", what);
		WANT(f.v.regs.gpr[ESP], FX_STACK + 3 * width, "%s: ESP", what);
		WANT(f.v.regs.seg[SEG_SS].sel, FX_DS0, "%s: SS", what);
		WANT(f.v.regs.eflags, FL_FIXED | FL_IF, "%s: EFLAGS", what);
		WANT(f.v.sh.nmi_blocked, false, "%s: are NMIs still blocked?", what);
		fx_fini(&f);
	}

	fx_init(&f); /* the new code segment ends below EIP */
	fx_set(&f, FX_FREE, fx_desc(0, 0xfff, FX_P | FX_S | FX_CODE_X | FX_CODE_R, FX_DB));
	frame(&f, 4, 0x1000, FX_FREE, FL_FIXED, 0, 0);
	faults(&f, iret(&f, 4), VEC_GP, 0, "iret to an EIP beyond the limit of CS");
	WANT(f.v.regs.eip, FX_CODE, "iret that faults: EIP");
	WANT(f.v.regs.gpr[ESP], FX_STACK, "iret that faults: ESP");
	frame(&f, 4, 0xfff, FX_FREE, FL_FIXED, 0, 0);
	ended_well(&f, iret(&f, 4), "iret to the last byte of CS");
	WANT(fx_get(&f, FX_FREE) >> 40 & 1, 1, "the accessed bit of the new CS's descriptor");
	fx_fini(&f);

	fx_init(&f);
	frame(&f, 4, TARGET, 0, FL_FIXED, 0, 0);
	faults(&f, iret(&f, 4), VEC_GP, 0, "iret to a null CS");
	frame(&f, 4, TARGET, FX_DS0, FL_FIXED, 0, 0);
	faults(&f, iret(&f, 4), VEC_GP, FX_DS0, "iret to a data segment in CS");
	fx_cpl(&f, 3);
	frame(&f, 4, TARGET, FX_CS0, FL_FIXED, 0, 0);
	faults(&f, iret(&f, 4), VEC_GP, FX_CS0, "iret from level 3 to level 0");
	fx_fini(&f);

	fx_init(&f);
	f.v.regs.seg[SEG_SS].limit = FX_STACK + 9; /* EFLAGS is not all inside */
	frame(&f, 4, TARGET, FX_CS0, FL_FIXED, 0, 0);
	faults(&f, iret(&f, 4), VEC_SS, 0, "iret with a frame beyond the stack's limit");
	fx_fini(&f);
}

/* Which flags each level may change, spelt out from the manual's pseudo-code. */
ITEM(iret_flags)
{
	const uint32_t all = 0x003d7fd5; /* every defined flag but VM */
	struct fx f;

	fx_init(&f);
	for (unsigned n = 0; n < 64; n++) {
		unsigned cpl = n & 3, iopl = n >> 2 & 3, width = n >> 4 & 1 ? 4 : 2, set = n >> 5;
		/* NT cannot be set before, nor RF: every instruction clears it. */
		uint32_t before = 2 | iopl << 12 | (set ? 0 : all & ~0x17000u);
		uint32_t image = set ? all : 0, may = 0x4dd5, want; /* NT OF DF TF SF..CF */

		if (width == 4)
			may |= 0x250000; /* ID AC RF */
		if (cpl <= iopl)
			may |= 0x200;
		if (cpl == 0)
			may |= width == 4 ? 0x183000 : 0x3000; /* VIP VIF, IOPL */
		want = (before & ~may) | (image & may) | 2;
		fx_cpl(&f, cpl);
		frame(&f, width, 0x4000, FX_CS0 + cpl * 17, image, 0, 0);
		f.v.regs.eflags = before;
		ended_well(&f, iret(&f, width), "iret");
		if (f.v.regs.eflags != want)
			LOSE("EFLAGS after a %u-bit iret at level %u with IOPL %u, %#x before and "
			     "%#x in the frame: expected %#x, got %#x (wrong: %#x)",
			     width * 8, cpl, iopl, before, image, want, f.v.regs.eflags,
			     want ^ f.v.regs.eflags);
	}
	fx_fini(&f);
}

ITEM(iret_outer)
{
	struct fx f;

	for (unsigned from = 0; from < 3; from++) {
		for (unsigned to = from + 1; to < 4; to++) {
			fx_init(&f);
			fx_cpl(&f, from);
			NOTE("iret from level %u to level %u", from, to);
			frame(&f, 4, TARGET, FX_CS0 + to * 17, 0x3202, 0xbfff0000,
			      FX_DS0 + to * 17);
			f.v.regs.eflags = FL_FIXED;
			ended_well(&f, iret(&f, 4), "iret to an outer level");
			WANT(f.v.regs.eip, TARGET, "EIP");
			WANT(f.v.sh.cpl, to, "vCPL");
			WANT(f.v.regs.seg[SEG_CS].sel, FX_CS0 + to * 17, "CS");
			WANT(f.v.regs.seg[SEG_SS].sel, FX_DS0 + to * 17, "SS");
			WANT(f.v.regs.gpr[ESP], 0xbfff0000, "ESP");
			WANT(f.v.regs.eflags, from == 0 ? 0x3202 : 2,
			     "EFLAGS (the old level and the old IOPL, 0, decide)");
			if (!f.v.regs.seg[SEG_DS].unusable)
				LOSE("DS is of level %u still: expected that it is null at the "
				     "outer level %u",
				     from, to);
			fx_fini(&f);
		}
	}

	fx_init(&f);
	NOTE("iret from level 0 to level 3, to a stack segment of 16 bits");
	fx_set(&f, FX_FREE, fx_desc(0, 0xffff, FX_P | FX_S | FX_DPL(3) | FX_DATA_RW, 0));
	frame(&f, 4, TARGET, FX_CS3, FL_FIXED, 0xbfff1234, FX_FREE | 3);
	ended_well(&f, iret(&f, 4), "iret to a 16-bit stack");
	WANT(f.v.regs.gpr[ESP], (FX_STACK & 0xffff0000) | 0x1234,
	     "ESP: SP is loaded, the upper half stays");
	WANT(fx_get(&f, FX_FREE) >> 40 & 1, 1, "the accessed bit of the new SS's descriptor");
	fx_fini(&f);

	fx_init(&f);
	frame(&f, 4, TARGET, FX_CS3, FL_FIXED, 0xbfff0000, FX_DS0);
	faults(&f, iret(&f, 4), VEC_GP, FX_DS0, "iret to level 3 with an SS of level 0");
	frame(&f, 4, TARGET, FX_CS3, FL_FIXED, 0xbfff0000, 0);
	faults(&f, iret(&f, 4), VEC_GP, 0, "iret to level 3 with a null SS");
	f.v.regs.seg[SEG_SS].limit = FX_STACK + 17; /* SS, the last item, is two bytes */
	frame(&f, 4, TARGET, FX_CS3, FL_FIXED, 0xbfff0000, FX_DS3);
	ended_well(&f, iret(&f, 4), "iret with SS in the last two bytes of the old stack");
	fx_fini(&f);

	fx_init(&f);
	f.v.regs.seg[SEG_SS].limit = FX_STACK + 15;
	frame(&f, 4, TARGET, FX_CS3, FL_FIXED, 0xbfff0000, FX_DS3);
	faults(&f, iret(&f, 4), VEC_SS, 0, "iret with SS beyond the old stack's limit");
	fx_fini(&f);
}
