/* SPDX-License-Identifier: MIT */
/* Part A: an instruction's way to its handler, which is decoding and then all or nothing. */
#include <capstone/capstone.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "decoder/trapped.h"
#include "lab/grade/item.h"
#include "tests/emu_fixture.h"

/* ---- 1. decoding ---- */

/* What decode_trapped() makes of the 32-bit code @hex. */
static bool decode(const char *hex, struct insn *in)
{
	static csh handle;
	static cs_insn *cs;
	uint8_t bytes[INSN_MAX];
	const uint8_t *code = bytes;
	size_t size = fx_hex(hex, bytes, sizeof(bytes));
	uint64_t at = 0;

	if (!cs) {
		cr_assert_eq(cs_open(CS_ARCH_X86, CS_MODE_32, &handle), CS_ERR_OK);
		cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
		cs = cs_malloc(handle);
	}
	cr_assert(cs_disasm_iter(handle, &code, &size, &at, cs), "%s is no instruction", hex);
	memset(in, 0, sizeof(*in));
	in->len = (uint8_t)cs->size;
	return decode_trapped(cs, in);
}

static void decodes(const char *hex, const char *text, enum insn_op op)
{
	struct insn in;

	if (!decode(hex, &in))
		LOSE("%s (%s): expected that decode_trapped() returns true", text, hex);
	if (in.op != op)
		LOSE("%s (%s): expected op \"%s\", got \"%s\"", text, hex, insn_op_name(op),
		     insn_op_name(in.op));
}

static void declines(const char *hex, const char *text)
{
	struct insn in, before = { 0 };

	if (decode(hex, &in))
		LOSE("%s (%s): expected that decode_trapped() returns false, got true with op "
		     "\"%s\"",
		     text, hex, insn_op_name(in.op));
	before.len = in.len;
	if (memcmp(&in, &before, sizeof(in)))
		LOSE("%s (%s): decode_trapped() returned false, but changed *in", text, hex);
}

ITEM(decode_flags)
{
	decodes("fa", "cli", OP_CLI);
	decodes("fb", "sti", OP_STI);
	decodes("f4", "hlt", OP_HLT);
	decodes("9c", "pushfl", OP_PUSHF);
	decodes("669c", "pushfw", OP_PUSHF);
	decodes("9d", "popfl", OP_POPF);
	decodes("669d", "popfw", OP_POPF);
	declines("f8", "clc");
	declines("50", "push %eax");
	declines("cf", "iret");
	declines("cd80", "int $0x80");
}

/* Operand @i is the general register @reg of @width bytes. */
static void is_gpr(const struct insn *in, unsigned i, unsigned reg, unsigned width, const char *hex)
{
	const struct operand *o = &in->opnd[i];

	if (o->kind != OPND_GPR)
		LOSE("%s: opnd[%u]: expected a general register (OPND_GPR), got kind %u", hex, i,
		     o->kind);
	WANT(o->reg, reg, "%s: number of the register in opnd[%u]", hex, i);
	WANT(o->width, width, "%s: width of opnd[%u] in bytes", hex, i);
}

ITEM(decode_in_out)
{
	static const struct {
		const char *hex, *text;
		bool out, imm;
		unsigned width, port;
	} row[] = {
		{ "ec", "in %dx,%al", false, false, 1, 0 },
		{ "66ed", "in %dx,%ax", false, false, 2, 0 },
		{ "ed", "in %dx,%eax", false, false, 4, 0 },
		{ "e460", "in $0x60,%al", false, true, 1, 0x60 },
		{ "66e580", "in $0x80,%ax", false, true, 2, 0x80 },
		{ "e5ff", "in $0xff,%eax", false, true, 4, 0xff },
		{ "ee", "out %al,%dx", true, false, 1, 0 },
		{ "66ef", "out %ax,%dx", true, false, 2, 0 },
		{ "ef", "out %eax,%dx", true, false, 4, 0 },
		{ "e6f4", "out %al,$0xf4", true, true, 1, 0xf4 },
		{ "66e77f", "out %ax,$0x7f", true, true, 2, 0x7f },
		{ "e780", "out %eax,$0x80", true, true, 4, 0x80 },
	};
	struct insn in;

	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		unsigned acc = row[i].out, port = !row[i].out;

		decodes(row[i].hex, row[i].text, row[i].out ? OP_OUT : OP_IN);
		decode(row[i].hex, &in);
		WANT(in.nopnd, 2, "%s: nopnd", row[i].text);
		is_gpr(&in, acc, EAX, row[i].width, row[i].text);
		if (!row[i].imm) {
			is_gpr(&in, port, EDX, 2, row[i].text);
			continue;
		}
		if (in.opnd[port].kind != OPND_IMM)
			LOSE("%s: opnd[%u]: expected an immediate (OPND_IMM), got kind %u",
			     row[i].text, port, in.opnd[port].kind);
		WANT(in.opnd[port].imm, row[i].port, "%s: the port", row[i].text);
	}
	declines("6c", "insb");
	declines("6f", "outsl");
}

ITEM(decode_cr)
{
	static const unsigned crs[] = { 0, 2, 3, 4 };
	struct insn in;
	char hex[16], text[40];

	for (unsigned i = 0; i < 4; i++) {
		for (unsigned reg = 0; reg < GPR_COUNT; reg++) {
			snprintf(hex, sizeof(hex), "0f20%02x", 0xc0 | crs[i] << 3 | reg);
			snprintf(text, sizeof(text), "mov %%cr%u to register %u", crs[i], reg);
			decodes(hex, text, OP_MOV_FROM_CR);
			decode(hex, &in);
			WANT(in.nopnd, 2, "%s: nopnd", text);
			is_gpr(&in, 0, reg, 4, text);
			if (in.opnd[1].kind != OPND_CR)
				LOSE("%s: opnd[1]: expected a control register (OPND_CR), got kind "
				     "%u",
				     text, in.opnd[1].kind);
			WANT(in.opnd[1].reg, crs[i], "%s: number of the register in opnd[1]", text);
		}
	}
	declines("0f22c0", "mov %eax,%cr0");
	declines("0f22db", "mov %ebx,%cr3");
	declines("0f21f8", "mov %dr7,%eax");
	declines("89c3", "mov %eax,%ebx");
	declines("8cd8", "mov %ds,%eax");
	declines("b800000000", "mov $0,%eax");
	declines("8b03", "mov (%ebx),%eax");
	declines("8903", "mov %eax,(%ebx)");
}

/* ---- 2. all or nothing ---- */

/* Handlers of the test's own: they note what they see. */
static struct {
	unsigned calls;
	uint32_t eip, eflags;
	bool sti_shadow, movss_shadow;
	int ret;
} seen;

static int look(struct vcpu *v, const struct insn *in)
{
	(void)in;
	seen.calls++;
	seen.eip = v->regs.eip;
	seen.eflags = v->regs.eflags;
	seen.sti_shadow = v->sh.sti_shadow;
	seen.movss_shadow = v->sh.movss_shadow;
	return EMU_OK;
}

static int jump(struct vcpu *v, const struct insn *in)
{
	look(v, in);
	v->regs.eip = 0x1234;
	v->regs.eflags |= FL_RF;
	v->sh.sti_shadow = true;
	return EMU_OK;
}

/* One that has changed everything by the time it finds the fault. */
static int spoil(struct vcpu *v, const struct insn *in)
{
	look(v, in);
	memset(&v->regs, 0x5a, sizeof(v->regs));
	memset(&v->sh, 0xa5, sizeof(v->sh));
	vcpu_fault(v, VEC_SS, true, 0x18);
	return seen.ret;
}

static struct insn of_length(unsigned len)
{
	return (struct insn){ .op = OP_OTHER, .len = (uint8_t)len, .opsize = 4, .bits = 32 };
}

ITEM(attempt_commits)
{
	struct insn in;
	struct fx f;

	fx_init(&f);
	for (unsigned len = 1; len <= INSN_MAX; len += 3) {
		in = of_length(len);
		f.v.regs.eip = FX_CODE;
		seen.calls = 0;
		WANT(emu_attempt(&f.v, &in, look), EMU_OK,
		     "emu_attempt() with a handler that returns EMU_OK");
		WANT(seen.calls, 1, "times that emu_attempt() called the handler");
		WANT(seen.eip, FX_CODE + len,
		     "EIP that the handler of an instruction of length %u at %#x sees", len,
		     FX_CODE);
		WANT(f.v.regs.eip, FX_CODE + len, "EIP afterwards");
	}
	in = of_length(2);
	f.v.regs.eip = FX_CODE;
	f.v.regs.eflags = FL_FIXED | FL_RF | FL_IF | FL_ZF;
	f.v.sh.sti_shadow = f.v.sh.movss_shadow = true;
	emu_attempt(&f.v, &in, look);
	WANT(seen.eflags, FL_FIXED | FL_IF | FL_ZF,
	     "EFLAGS that the handler sees, where RF, IF and ZF were set");
	WANT(seen.sti_shadow, false, "sti_shadow of the instruction before, in the handler");
	WANT(seen.movss_shadow, false, "movss_shadow of the instruction before, in the handler");

	emu_attempt(&f.v, &in, jump);
	WANT(f.v.regs.eip, 0x1234, "EIP after a handler that set it to 0x1234");
	WANT(f.v.sh.sti_shadow, true, "sti_shadow after a handler that set it");
	WANT(!!(f.v.regs.eflags & FL_RF), true, "RF after a handler that set it");

	/* 16-bit code: IP wraps. */
	f.v.regs.seg[SEG_CS].db = false;
	f.v.regs.eip = 0xfffe;
	emu_attempt(&f.v, &in, look);
	WANT(seen.eip, 0, "16-bit CS: EIP that the handler of 2 bytes at 0xfffe sees");
	WANT(f.v.regs.eip, 0, "16-bit CS: EIP afterwards");
}

ITEM(attempt_undoes)
{
	static const int results[] = { EMU_FAULT, EMU_UNHANDLED, -5 };
	struct insn in = of_length(3);
	struct cpu_regs regs;
	struct shadow sh;
	struct fx f;

	fx_init(&f);
	f.v.regs.eflags |= FL_RF;
	f.v.sh.sti_shadow = true;
	f.v.sh.cr3 = 0x7000;
	regs = f.v.regs;
	sh = f.v.sh;
	for (unsigned i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		seen.ret = results[i];
		seen.eip = 0;
		cr_assert_eq(emu_attempt(&f.v, &in, spoil), results[i],
			     "emu_attempt() with a handler that returns %d: expected just that",
			     results[i]);
		WANT(seen.eip, FX_CODE + 3, "EIP that the handler sees");
		WANT(f.v.regs.eip, regs.eip, "EIP after a handler that returned %d", results[i]);
		WANT(f.v.regs.eflags, regs.eflags, "EFLAGS after a handler that returned %d",
		     results[i]);
		if (memcmp(&f.v.regs, &regs, sizeof(regs)))
			LOSE("v->regs after a handler that returned %d: expected what was there "
			     "before emu_attempt(), got something else",
			     results[i]);
		WANT(f.v.sh.sti_shadow, true, "sti_shadow after a handler that returned %d",
		     results[i]);
		if (memcmp(&f.v.sh, &sh, sizeof(sh)))
			LOSE("v->sh after a handler that returned %d: expected what was there "
			     "before emu_attempt(), got something else",
			     results[i]);
		WANT(f.v.fault.vector, VEC_SS, "the vector in v->fault");
		WANT(f.v.fault.error, 0x18, "the error code in v->fault");
	}
}
