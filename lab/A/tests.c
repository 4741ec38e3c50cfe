/* SPDX-License-Identifier: MIT */
/*
 * Part A: each function by itself, on instructions and vCPUs that are made here, so that one that
 * is missing costs only its own points; then guests.  Sections 1 and 2 are in attempt_tests.c.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/grade/item.h"
#include "tests/emu_fixture.h"
#include "tests/raw_guest.h"
#include "vmm/bus.h"

/* ---- 3. and on: handlers.  What emu_attempt() is to do is done here. ---- */

static const char *describe(const struct fx *f)
{
	static char text[120];
	const struct vcpu *v = &f->v;

	if (!vcpu_protected(v))
		return "in real mode";
	snprintf(text, sizeof(text), "%sCPL %u, IOPL %u, IF %u",
		 vcpu_v86(v) ? "virtual-8086 mode, " : "", v->sh.cpl, vcpu_iopl(v),
		 !!(v->regs.eflags & FL_IF));
	return text;
}

static int run(struct fx *f, emu_fn *fn, const struct insn *in)
{
	struct vcpu *v = &f->v;
	struct cpu_regs regs = v->regs;
	struct shadow sh = v->sh;
	int r;

	v->regs.eip += in->len;
	v->regs.eflags &= ~FL_RF;
	v->sh.sti_shadow = v->sh.movss_shadow = false;
	memset(&v->fault, 0, sizeof(v->fault));
	r = fn(v, in);
	if (r != EMU_OK) {
		v->regs = regs;
		v->sh = sh;
	}
	return r;
}

static const char *ending(const struct fx *f, int r)
{
	static char text[120];

	if (r == EMU_OK)
		return "EMU_OK";
	if (r == EMU_UNHANDLED)
		return "EMU_UNHANDLED";
	if (r != EMU_FAULT)
		snprintf(text, sizeof(text), "result %d", r);
	else if (f->v.fault.has_error)
		snprintf(text, sizeof(text), "EMU_FAULT with vector %u, error code %#x",
			 f->v.fault.vector, f->v.fault.error);
	else
		snprintf(text, sizeof(text), "EMU_FAULT with vector %u, no error code",
			 f->v.fault.vector);
	return text;
}

static void works(struct fx *f, emu_fn *fn, const struct insn *in, const char *what)
{
	char where[120];
	int r;

	snprintf(where, sizeof(where), "%s", describe(f));
	r = run(f, fn, in);
	if (r != EMU_OK)
		LOSE("%s (%s): expected EMU_OK, got %s", what, where, ending(f, r));
}

/* Expect the fault @vector, with error code 0 if it has one. */
static void faults(struct fx *f, emu_fn *fn, const struct insn *in, unsigned vector,
		   const char *what)
{
	bool has_error = vector != VEC_UD;
	char where[120];
	int r;

	snprintf(where, sizeof(where), "%s", describe(f));
	r = run(f, fn, in);
	if (r != EMU_FAULT || f->v.fault.vector != vector || f->v.fault.has_error != has_error ||
	    f->v.fault.error)
		LOSE("%s (%s): expected EMU_FAULT with %s, got %s", what, where,
		     vector == VEC_UD   ? "#UD (vector 6)"
		     : vector == VEC_SS ? "#SS(0) (vector 12, error code 0)"
					: "#GP(0) (vector 13, error code 0)",
		     ending(f, r));
}

static struct insn plain(enum insn_op op, unsigned opsize)
{
	return (struct insn){ .op = (uint16_t)op,
			      .len = opsize == 2 ? 2 : 1,
			      .opsize = (uint8_t)opsize,
			      .addrsize = 4,
			      .bits = 32 };
}

static void levels(struct fx *f, unsigned cpl, unsigned iopl, uint32_t eflags)
{
	fx_cpl(f, cpl);
	f->v.regs.eip = FX_CODE;
	f->v.regs.gpr[ESP] = FX_STACK;
	f->v.regs.eflags = FL_FIXED | iopl << FL_IOPL_SHIFT | eflags;
}

ITEM(cli_sti)
{
	const struct insn off = plain(OP_CLI, 4), on = plain(OP_STI, 4);
	const uint32_t others = 0x00244dd5; /* all that are not system flags, ID and AC */
	struct fx f;

	fx_init(&f);
	for (unsigned i = 0; i < 32; i++) {
		unsigned cpl = i & 3, iopl = i >> 2 & 3;
		uint32_t before = others | (i & 16 ? FL_IF : 0);
		uint32_t fixed = FL_FIXED | iopl << FL_IOPL_SHIFT | others;

		levels(&f, cpl, iopl, before);
		if (cpl > iopl) {
			faults(&f, emu_flags, &off, VEC_GP, "cli");
			faults(&f, emu_flags, &on, VEC_GP, "sti");
			continue;
		}
		works(&f, emu_flags, &off, "cli");
		WANT(f.v.regs.eflags, fixed, "cli (CPL %u, IOPL %u): EFLAGS", cpl, iopl);
		levels(&f, cpl, iopl, before);
		works(&f, emu_flags, &on, "sti");
		WANT(f.v.regs.eflags, fixed | FL_IF, "sti (CPL %u, IOPL %u): EFLAGS", cpl, iopl);
	}
}

ITEM(sti_shadow)
{
	const struct insn off = plain(OP_CLI, 4), on = plain(OP_STI, 4);
	struct fx f;

	fx_init(&f);
	works(&f, emu_flags, &on, "sti");
	WANT(!!(f.v.regs.eflags & FL_IF), true, "sti: IF");
	WANT(f.v.sh.sti_shadow, true, "sti with IF clear: sti_shadow");
	works(&f, emu_flags, &on, "the second sti");
	WANT(f.v.sh.sti_shadow, false, "a second sti, IF being set: sti_shadow");
	works(&f, emu_flags, &off, "cli");
	WANT(f.v.sh.sti_shadow, false, "cli: sti_shadow");
	works(&f, emu_flags, &on, "sti");
	WANT(f.v.sh.sti_shadow, true, "sti after cli: sti_shadow");
}

ITEM(hlt)
{
	const struct insn in = plain(OP_HLT, 4);
	struct fx f;

	fx_init(&f);
	for (unsigned cpl = 1; cpl < 4; cpl++) {
		levels(&f, cpl, 3, FL_IF);
		faults(&f, emu_hlt, &in, VEC_GP, "hlt, which IOPL does not allow");
		WANT(f.v.halted, false, "hlt that faulted: v->halted");
	}
	levels(&f, 0, 0, FL_IF);
	works(&f, emu_hlt, &in, "hlt");
	WANT(f.v.halted, true, "hlt: v->halted");
}

ITEM(pushf)
{
	const struct insn wide = plain(OP_PUSHF, 4), narrow = plain(OP_PUSHF, 2);
	struct fx f;

	fx_init(&f);
	for (unsigned cpl = 0; cpl < 4; cpl += 3) {
		for (unsigned i = 0; i < 4; i++) {
			uint32_t extra = (i & 1 ? FL_IF : 0) | (i & 2 ? 0x00240dd5 : FL_NT);

			levels(&f, cpl, i, extra | FL_RF);
			fx_w32(&f, FX_STACK - 4, 0x11111111);
			works(&f, emu_flags, &wide, "pushfl");
			WANT(fx_r32(&f, FX_STACK - 4), (FL_FIXED | extra | i << FL_IOPL_SHIFT),
			     "pushfl (%s, and RF set): the image on the stack", describe(&f));
			WANT(f.v.regs.gpr[ESP], FX_STACK - 4, "pushfl: ESP");
			levels(&f, cpl, i, extra);
			fx_w32(&f, FX_STACK - 4, 0x11111111);
			works(&f, emu_flags, &narrow, "pushfw");
			WANT(fx_r16(&f, FX_STACK - 2),
			     ((FL_FIXED | extra | i << FL_IOPL_SHIFT) & 0xffff),
			     "pushfw (%s): the image on the stack", describe(&f));
			WANT(fx_r16(&f, FX_STACK - 4), 0x1111, "pushfw: the word below the image");
			WANT(f.v.regs.gpr[ESP], FX_STACK - 2, "pushfw: ESP");
		}
	}
	levels(&f, 0, 0, 0);
	f.v.regs.seg[SEG_SS].limit = FX_STACK - 3;
	faults(&f, emu_flags, &wide, VEC_SS, "pushfl beyond the limit of SS");
}

/*
 * SDM Vol. 2B, table "Effect of POPF/POPFD on the EFLAGS Register": what is taken from the image.
 * Rows: CPL 0; CPL 1 to 3, not above IOPL; above IOPL.
 */
static const uint32_t taken_by_popf[3] = { 0x00247fd5, 0x00244fd5, 0x00244dd5 };

ITEM(popf)
{
	static const uint32_t images[] = { 0,          0xffffffff, FL_IF,
					   FL_IOPL,    0x00001202, 0x00244dd5,
					   0x001a0000, 0xa5a5a5a5, 0x5a5a5a5a };
	static const uint32_t olds[] = { 0, FL_IF, FL_RF | FL_ID | FL_NT, 0x003c4fd5,
					 FL_VIP | FL_AC };
	struct fx f;

	fx_init(&f);
	for (unsigned i = 0; i < 9 * 5 * 32; i++) {
		unsigned cpl = i & 3, iopl = i >> 2 & 3, bytes = i & 16 ? 2 : 4;
		uint32_t image = images[i / 32 % 9], old = olds[i / 32 / 9], want;
		uint32_t taken = taken_by_popf[cpl == 0 ? 0 : cpl <= iopl ? 1 : 2];
		struct insn in = plain(OP_POPF, bytes);
		char where[200];

		levels(&f, cpl, iopl, old);
		old = f.v.regs.eflags;
		if (bytes == 2)
			taken &= 0xffff;
		want = ((old & ~taken) | (image & taken)) & ~FL_RF;
		fx_w32(&f, FX_STACK, image);
		snprintf(where, sizeof(where), "popf%c (%s) of %#x over %#x",
			 bytes == 2 ? 'w' : 'l', describe(&f), image, old);
		works(&f, emu_flags, &in, bytes == 2 ? "popfw" : "popfl");
		if (f.v.regs.eflags != want)
			LOSE("%s: expected EFLAGS %#x, got %#x (they differ in %#x)", where, want,
			     f.v.regs.eflags, want ^ f.v.regs.eflags);
		WANT(f.v.regs.gpr[ESP], FX_STACK + bytes, "popf%c: ESP", bytes == 2 ? 'w' : 'l');
	}
	levels(&f, 0, 0, 0);
	f.v.regs.seg[SEG_SS].limit = FX_STACK + 2;
	{
		const struct insn wide = plain(OP_POPF, 4);

		faults(&f, emu_flags, &wide, VEC_SS, "popfl beyond the limit of SS");
	}
}

/* ---- ports ---- */

#define PORT 0x80

static struct {
	uint32_t value; /* what it reads as */
	unsigned reads, writes, width;
	uint32_t last;
	uint64_t at;
} dev;

static uint32_t dev_read(void *d, uint64_t off, unsigned width)
{
	(void)d;
	dev.reads++;
	dev.at = PORT + off;
	dev.width = width;
	return dev.value;
}

static void dev_write(void *d, uint64_t off, unsigned width, uint32_t val)
{
	(void)d;
	dev.writes++;
	dev.at = PORT + off;
	dev.width = width;
	dev.last = val;
}

static void fx_init_ports(struct fx *f)
{
	static const struct bus_range r = {
		.name = "device", .base = PORT, .len = 256, .read = dev_read, .write = dev_write
	};

	fx_init(f);
	memset(&dev, 0, sizeof(dev));
	cr_assert_eq(bus_add(&f->vm.pio, &r), 0);
}

/* IN or OUT of @width bytes at the immediate @port, or at DX if it is 0. */
static struct insn port_insn(enum insn_op op, unsigned width, uint8_t port)
{
	struct operand acc = { .kind = OPND_GPR, .reg = EAX, .width = (uint8_t)width };
	struct operand dx = { .kind = OPND_GPR, .reg = EDX, .width = 2 };
	struct operand imm = { .kind = OPND_IMM, .imm = port, .width = 1 };
	struct insn in = plain(op, width == 2 ? 2 : 4);

	in.width = (uint8_t)width;
	in.nopnd = 2;
	in.opnd[op == OP_OUT] = acc;
	in.opnd[op != OP_OUT] = port ? imm : dx;
	return in;
}

ITEM(in_out)
{
	static const uint32_t ones[] = { 0, 0xff, 0xffff, 0, 0xffffffff };
	struct fx f;

	fx_init_ports(&f);
	for (unsigned i = 0; i < 12; i++) {
		bool out = i & 1, imm = i & 2;
		unsigned width = 1u << i / 4;
		uint8_t port = imm ? PORT + 0x7f : 0;
		struct insn in = port_insn(out ? OP_OUT : OP_IN, width, port);
		char what[80];

		snprintf(what, sizeof(what), "%s, %u byte%s, port %s", out ? "out" : "in", width,
			 width > 1 ? "s" : "", imm ? "0xff (immediate)" : "0x80 (EDX 0xffff0080)");
		levels(&f, 0, 0, 0);
		dev.reads = dev.writes = 0;
		dev.value = 0xa1b2c3d4 & ones[width];
		f.v.regs.gpr[EAX] = 0x11223344;
		f.v.regs.gpr[EDX] = 0xffff0000 | PORT;
		works(&f, emu_in_out, &in, what);
		WANT(dev.reads, !out, "%s: times that the device was read", what);
		WANT(dev.writes, out, "%s: times that the device was written", what);
		WANT(dev.at, imm ? port : PORT, "%s: the port that the device saw", what);
		WANT(dev.width, width, "%s: the width that the device saw", what);
		if (out)
			WANT(dev.last, 0x11223344 & ones[width], "%s: what was written", what);
		WANT(f.v.regs.gpr[EAX],
		     out ? 0x11223344 : ((0x11223344 & ~ones[width]) | (0xa1b2c3d4 & ones[width])),
		     "%s: EAX, which was 0x11223344 before", what);
		WANT(f.v.regs.gpr[EDX], 0xffff0000 | PORT, "%s: EDX", what);
	}
}

ITEM(io_permission)
{
	struct fx f;

	fx_init_ports(&f);
	f.v.regs.gpr[EDX] = PORT;
	for (unsigned i = 0; i < 32; i++) { /* no bitmap: IOPL alone */
		unsigned cpl = i & 3, iopl = i >> 2 & 3;
		struct insn in = port_insn(i & 16 ? OP_OUT : OP_IN, 1, 0);

		levels(&f, cpl, iopl, 0);
		dev.reads = dev.writes = 0;
		if (cpl <= iopl) {
			works(&f, emu_in_out, &in, i & 16 ? "out" : "in");
			continue;
		}
		faults(&f, emu_in_out, &in, VEC_GP, i & 16 ? "out" : "in");
		WANT(dev.reads + dev.writes, 0, "%s that faulted: accesses that the device saw",
		     i & 16 ? "out" : "in");
	}
	/* A bitmap that allows 0x80 and 0x81 and nothing else. */
	f.v.sh.tr.limit = 0x2000;
	fx_w16(&f, FX_TSS + 102, 104);
	for (unsigned i = 0; i < 64; i++)
		fx_w8(&f, FX_TSS + 104 + i, i == PORT / 8 ? 0xfc : 0xff);
	levels(&f, 3, 0, 0);
	for (unsigned width = 1; width <= 4; width *= 2) {
		struct insn in = port_insn(OP_OUT, width, 0);

		NOTE("with a bitmap in the TSS that allows ports 0x80 and 0x81: out, %u byte%s at "
		     "0x80",
		     width, width > 1 ? "s" : "");
		if (width <= 2)
			works(&f, emu_in_out, &in, "out to a port that the bitmap allows");
		else
			faults(&f, emu_in_out, &in, VEC_GP, "out to a port that it does not");
	}
	levels(&f, 3, 3, 0);
	{
		struct insn in = port_insn(OP_OUT, 4, 0);

		works(&f, emu_in_out, &in,
		      "out to a port that IOPL allows and the bitmap does not");
	}
}

/* ---- control registers ---- */

static struct insn from_cr(unsigned cr, unsigned reg)
{
	struct insn in = plain(OP_MOV_FROM_CR, 4);

	in.len = 3;
	in.width = 4;
	in.nopnd = 2;
	in.opnd[0] = (struct operand){ .kind = OPND_GPR, .reg = (uint8_t)reg, .width = 4 };
	in.opnd[1] = (struct operand){ .kind = OPND_CR, .reg = (uint8_t)cr, .width = 4 };
	return in;
}

ITEM(cr_reads)
{
	static const uint32_t value[5] = { 0x60000031, 0, 0xdeadb000, 0x00456018, 0x000000b0 };
	struct fx f;

	fx_init(&f);
	for (unsigned cr = 0; cr < 5; cr++) {
		for (unsigned reg = 0; reg < GPR_COUNT; reg++) {
			struct insn in = from_cr(cr, reg);
			char what[40];

			snprintf(what, sizeof(what), "mov %%cr%u to register %u", cr, reg);
			levels(&f, 0, 0, 0);
			f.v.sh.cr0 = value[0];
			f.v.sh.cr2 = value[2];
			f.v.sh.cr3 = value[3];
			f.v.sh.cr4 = value[4];
			for (unsigned i = 0; i < GPR_COUNT; i++)
				f.v.regs.gpr[i] = 0x12340000 + i;
			if (cr == 1) {
				faults(&f, emu_cr_read, &in, VEC_UD, what);
				continue;
			}
			works(&f, emu_cr_read, &in, what);
			for (unsigned i = 0; i < GPR_COUNT; i++)
				WANT(f.v.regs.gpr[i], i == reg ? value[cr] : 0x12340000 + i,
				     "%s: register %u", what, i);
			for (unsigned cpl = 1; cpl < 4; cpl++) {
				levels(&f, cpl, 3, 0);
				faults(&f, emu_cr_read, &in, VEC_GP, what);
			}
		}
	}
}

/* ---- modes ---- */

static void real_mode(void)
{
	const struct insn off = plain(OP_CLI, 2), on = plain(OP_STI, 2), pop = plain(OP_POPF, 2);
	struct insn out = port_insn(OP_OUT, 1, 0);
	struct fx f;

	fx_init_real(&f);
	works(&f, emu_flags, &on, "sti");
	WANT(!!(f.v.regs.eflags & FL_IF), true, "real mode: IF after sti");
	works(&f, emu_flags, &off, "cli");
	WANT(!!(f.v.regs.eflags & FL_IF), false, "real mode: IF after cli");
	fx_w16(&f, 0x38000, 0x3302);
	works(&f, emu_flags, &pop, "popfw");
	WANT(f.v.regs.eflags, 0x3302, "real mode: EFLAGS after popfw of 0x3302");
	works(&f, emu_in_out, &out, "out");
	works(&f, emu_hlt, &off, "hlt");
	WANT(f.v.halted, true, "real mode: v->halted after hlt");
	fx_fini(&f);
}

static void v86_mode(void)
{
	static const enum insn_op ops[] = { OP_CLI, OP_STI, OP_PUSHF, OP_POPF };
	const struct insn halt = plain(OP_HLT, 2);
	struct insn out = port_insn(OP_OUT, 1, 0);
	struct fx f;

	fx_init_ports(&f);
	f.v.regs.gpr[EDX] = PORT;
	for (unsigned iopl = 0; iopl < 4; iopl++) {
		for (unsigned i = 0; i < 4; i++) {
			struct insn in = plain(ops[i], 4);

			levels(&f, 3, iopl, FL_VM);
			fx_w32(&f, FX_STACK, 0x00000202);
			if (iopl < 3) {
				faults(&f, emu_flags, &in, VEC_GP, insn_op_name(ops[i]));
				continue;
			}
			works(&f, emu_flags, &in, insn_op_name(ops[i]));
			WANT(f.v.regs.eflags & (FL_VM | FL_IOPL), FL_VM | FL_IOPL,
			     "virtual-8086 mode, %s: VM and IOPL", insn_op_name(ops[i]));
			if (ops[i] == OP_PUSHF)
				WANT(fx_r32(&f, FX_STACK - 4), FL_FIXED | FL_IOPL,
				     "virtual-8086 mode, pushfl: the image, which does not show "
				     "VM");
			if (ops[i] == OP_POPF || ops[i] == OP_STI)
				WANT(!!(f.v.regs.eflags & FL_IF), true,
				     "virtual-8086 mode, IOPL 3: IF after %s",
				     insn_op_name(ops[i]));
		}
		levels(&f, 3, iopl, FL_VM);
		faults(&f, emu_hlt, &halt, VEC_GP, "hlt");
		faults(&f, emu_in_out, &out, VEC_GP, "out without a bitmap, whatever IOPL is");
	}
}

ITEM(other_modes)
{
	real_mode();
	v86_mode();
}

/* ---- guests ---- */

/* Without these nothing boots, and it would take the whole time limit to see that. */
static void quick_check(void)
{
	static const struct {
		const char *hex, *text;
	} row[] = { { "fa", "cli" },  { "fb", "sti" }, { "9c", "pushf" },
		    { "9d", "popf" }, { "ee", "out" }, { "0f20c0", "mov %cr0,%eax" } };
	struct fx f;

	fx_init(&f);
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		int r;

		levels(&f, 0, 0, 0);
		r = fx_run(&f, row[i].hex);
		if (r != EMU_OK)
			LOSE("not booted, for \"%s\" is not emulated yet: expected EMU_OK, got %s",
			     row[i].text, r == 1000 ? "no decoded instruction" : ending(&f, r));
		if (f.v.regs.eip == FX_CODE)
			LOSE("not booted, for EIP stays on \"%s\" when it has been emulated: "
			     "expected that it goes on",
			     row[i].text);
	}
	fx_fini(&f);
}

/* What it saw is on its stack: at 0x1ffffc and below. */
GUEST(a_look, "cli\n pushfl\n"                       /* 1 */
	      "sti\n pushfl\n"                       /* 2 */
	      "cli\n push $0x202\n popfl\n pushfl\n" /* 3 */
	      "push $0x2\n popfl\n pushfl\n"         /* 4 */
	      "push $0x3002\n popfl\n pushfl\n"      /* 5: IOPL */
	      "mov $0x345018,%eax\n mov %eax,%cr3\n xor %eax,%eax\n mov %cr3,%eax\n push %eax\n"
	      "mov %cr0,%esi\n push %esi\n" /* 6, 7 */
	      "mov $200,%ecx\n 1: cli\n sti\n pushfl\n popfl\n in $0x90,%al\n loop 1b\n" DONE);

static struct cg g;

/* It does not end: where is it?  The process is lost, so nothing is spoilt by asking here. */
static void on_alarm(int sig)
{
	uint32_t eip = g.v.regs.eip;
	char text[64] = "no instruction";
	struct insn in;

	(void)sig;
	if (eip < CG_RAM - INSN_MAX && !insn_decode(g.vm.ram + eip, INSN_MAX, 32, &in))
		insn_format(&in, eip, text, sizeof(text));
	LOSE("a small guest at the real CPU (a_look in lab/A/tests.c): expected that it ends, but "
	     "after 2 s it is at %#x, \"%s\"",
	     eip, text);
}

ITEM(guest_sees_its_own)
{
	static const struct {
		uint32_t mask, want;
		const char *what;
	} row[] = {
		{ 0xffffffff, 0x2, "pushfl after cli" },
		{ 0xffffffff, 0x202, "pushfl after sti" },
		{ 0xffffffff, 0x202, "pushfl after popfl of 0x202, IF being clear before" },
		{ 0xffffffff, 0x2, "pushfl after popfl of 0x2, IF being set before" },
		{ 0xffffffff, 0x3002, "pushfl after popfl of 0x3002" },
		{ 0xffffffff, 0x345018, "mov %cr3,%eax after 0x345018 was loaded" },
		{ CR0_PE | CR0_PG, CR0_PE, "PE and PG of what mov %cr0,%esi reads" },
	};
	static const struct {
		unsigned op, count;
	} counts[] = { { OP_CLI, 202 }, { OP_STI, 201 },       { OP_PUSHF, 205 }, { OP_POPF, 203 },
		       { OP_IN, 200 },  { OP_MOV_FROM_CR, 2 }, { OP_OUT, 1 } };

	quick_check();
	signal(SIGALRM, on_alarm);
	alarm(2);
	RUN(&g, a_look);
	alarm(0);
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint32_t val;

		memcpy(&val, g.vm.ram + 0x200000 - 4 * (i + 1), 4);
		WANT(val & row[i].mask, row[i].want, "a guest at the real CPU: %s", row[i].what);
	}
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		WANT(account_count(g.v.account, CAUSE_INSN(counts[i].op)), counts[i].count,
		     "traps by %s of that guest in the account", insn_op_name(counts[i].op));
	cg_free(&g);
}

static unsigned count_of(const char *json, const char *cause)
{
	char key[40];
	unsigned count = 0;
	const char *at;

	snprintf(key, sizeof(key), "\"cause\":\"%s\"", cause);
	at = strstr(json, key);
	at = at ? strstr(at, "\"count\":") : NULL;
	if (!at || sscanf(at, "\"count\":%u", &count) != 1)
		LOSE("minios storm: expected traps by %s in --stats=json, got none", cause);
	return count;
}

/* minios: @n times cli and sti; how often they are in the account. */
static void storm(const char *arg, unsigned *cli, unsigned *sti)
{
	const char *out = lab_boot("minios", ARGS("--stats=json", "--append", arg), 2, 33,
				   "storm over", "cli");

	*cli = count_of(out, "cli");
	*sti = count_of(out, "sti");
}

/* The guest's start is the same in both; the rest is told by the guest's source. */
ITEM(boot_storm)
{
	unsigned cli[2], sti[2];

	quick_check();
	storm("storm=7", &cli[0], &sti[0]);
	storm("storm=1007", &cli[1], &sti[1]);
	WANT(cli[1] - cli[0], 1000, "traps by cli of minios storm=1007 beyond those of storm=7");
	WANT(sti[1] - sti[0], 1000, "traps by sti of minios storm=1007 beyond those of storm=7");
}

ITEM(boot_demo)
{
	quick_check();
	lab_boot("minios", ARGS("--append", "demo"), 5, 33, ", 0 failed", NULL);
}
