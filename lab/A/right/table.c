/* SPDX-License-Identifier: MIT */
/* Part A: another solution: tables, and rules written as the manual's decision tables. */
#include <capstone/capstone.h>

#include "decoder/trapped.h"
#include "vmm/emu/handlers.h"

/* ---- decode ---- */

static const struct {
	uint16_t id, op;
	uint8_t operands;
} names[] = {
	{ X86_INS_CLI, OP_CLI, 0 },      { X86_INS_STI, OP_STI, 0 },
	{ X86_INS_HLT, OP_HLT, 0 },      { X86_INS_PUSHF, OP_PUSHF, 0 },
	{ X86_INS_PUSHFD, OP_PUSHF, 0 }, { X86_INS_POPF, OP_POPF, 0 },
	{ X86_INS_POPFD, OP_POPF, 0 },   { X86_INS_IN, OP_IN, 2 },
	{ X86_INS_OUT, OP_OUT, 2 },      { X86_INS_MOV, OP_MOV_FROM_CR, 2 },
};

static const struct {
	uint16_t reg;
	uint8_t kind, number, width;
} registers[] = {
	{ X86_REG_AL, OPND_GPR, EAX, 1 },  { X86_REG_AX, OPND_GPR, EAX, 2 },
	{ X86_REG_DX, OPND_GPR, EDX, 2 },  { X86_REG_EAX, OPND_GPR, EAX, 4 },
	{ X86_REG_ECX, OPND_GPR, ECX, 4 }, { X86_REG_EDX, OPND_GPR, EDX, 4 },
	{ X86_REG_EBX, OPND_GPR, EBX, 4 }, { X86_REG_ESP, OPND_GPR, ESP, 4 },
	{ X86_REG_EBP, OPND_GPR, EBP, 4 }, { X86_REG_ESI, OPND_GPR, ESI, 4 },
	{ X86_REG_EDI, OPND_GPR, EDI, 4 }, { X86_REG_CR0, OPND_CR, 0, 4 },
	{ X86_REG_CR1, OPND_CR, 1, 4 },    { X86_REG_CR2, OPND_CR, 2, 4 },
	{ X86_REG_CR3, OPND_CR, 3, 4 },    { X86_REG_CR4, OPND_CR, 4, 4 },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct operand translate(const cs_x86_op *c)
{
	struct operand o = { .kind = OPND_OTHER };

	if (c->type == X86_OP_IMM) {
		o.kind = OPND_IMM;
		o.width = 1;
		o.imm = (uint8_t)c->imm;
	}
	for (size_t i = 0; c->type == X86_OP_REG && i < COUNT(registers); i++) {
		if (registers[i].reg == c->reg) {
			o.kind = registers[i].kind;
			o.reg = registers[i].number;
			o.width = registers[i].width;
		}
	}
	return o;
}

bool decode_trapped(const struct cs_insn *cs, struct insn *in)
{
	const cs_x86 *x = &cs->detail->x86;
	struct insn work = *in;

	for (size_t i = 0; i < COUNT(names); i++) {
		if (names[i].id != cs->id)
			continue;
		work.op = names[i].op;
		work.nopnd = names[i].operands;
		for (unsigned k = 0; k < work.nopnd; k++)
			work.opnd[k] = translate(&x->operands[k]);
		if (work.op == OP_MOV_FROM_CR && work.opnd[1].kind != OPND_CR)
			return false;
		*in = work;
		return true;
	}
	return false;
}

/* ---- one attempt ---- */

int emu_attempt(struct vcpu *v, const struct insn *in, emu_fn *fn)
{
	struct {
		struct cpu_regs regs;
		struct shadow sh;
	} before = { v->regs, v->sh };
	uint32_t next = v->regs.eip + in->len;
	int r;

	v->regs.eip = v->regs.seg[SEG_CS].db ? next : (uint16_t)next;
	v->regs.eflags &= ~FL_RF;
	v->sh.sti_shadow = v->sh.movss_shadow = false;
	r = fn(v, in);
	if (r == EMU_OK)
		return EMU_OK;
	v->sh = before.sh;
	v->regs = before.regs;
	return r;
}

/* ---- flags ---- */

enum mode { REAL, PROTECTED, V86 };

static enum mode mode_of(const struct vcpu *v)
{
	if (!(v->sh.cr0 & CR0_PE))
		return REAL;
	return v->regs.eflags & FL_VM ? V86 : PROTECTED;
}

static bool owns_if(const struct vcpu *v)
{
	switch (mode_of(v)) {
	case REAL: return true;
	case V86: return vcpu_iopl(v) == 3;
	default: return v->sh.cpl <= vcpu_iopl(v);
	}
}

static int set_if(struct vcpu *v, bool on)
{
	bool was = v->regs.eflags & FL_IF;

	if (!owns_if(v))
		return vcpu_gp(v, 0);
	if (on) {
		v->regs.eflags |= FL_IF;
		v->sh.sti_shadow = !was;
	} else {
		v->regs.eflags &= ~FL_IF;
	}
	return EMU_OK;
}

static int push_flags(struct vcpu *v, unsigned width)
{
	uint32_t image = v->regs.eflags;

	image &= ~(uint32_t)(FL_VM | FL_RF);
	return stack_push(v, width, width == 2 ? image & 0xffff : image);
}

static int pop_flags(struct vcpu *v, unsigned width)
{
	uint32_t keep = FL_FIXED | FL_VM | FL_VIF | FL_VIP, image;
	int r = stack_pop(v, width, &image);

	if (r)
		return r;
	if (!owns_if(v))
		keep |= FL_IF;
	if (mode_of(v) == V86 || (mode_of(v) == PROTECTED && v->sh.cpl > 0))
		keep |= FL_IOPL;
	if (width == 2)
		keep |= 0xffff0000;
	v->regs.eflags = (image & ~keep & 0x003f7fd5) | (v->regs.eflags & keep);
	v->regs.eflags &= ~FL_RF;
	return EMU_OK;
}

int emu_flags(struct vcpu *v, const struct insn *in)
{
	if (in->op == OP_CLI || in->op == OP_STI)
		return set_if(v, in->op == OP_STI);
	if (mode_of(v) == V86 && !owns_if(v))
		return vcpu_gp(v, 0);
	return in->op == OP_PUSHF ? push_flags(v, in->opsize) : pop_flags(v, in->opsize);
}

int emu_hlt(struct vcpu *v, const struct insn *in)
{
	int r = need_cpl0(v);

	(void)in;
	v->halted = v->halted || r == EMU_OK;
	return r;
}

/* ---- ports ---- */

int io_allowed(struct vcpu *v, uint16_t port, unsigned width)
{
	enum mode m = mode_of(v);

	if (m == REAL || (m == PROTECTED && v->sh.cpl <= vcpu_iopl(v)))
		return EMU_OK;
	return tss_io_allowed(v, port, width);
}

static int in(struct vcpu *v, uint16_t port, unsigned width)
{
	uint32_t val = emu_port_read(v, port, width);

	switch (width) {
	case 1: v->regs.gpr[EAX] = (v->regs.gpr[EAX] & 0xffffff00) | (val & 0xff); break;
	case 2: v->regs.gpr[EAX] = (v->regs.gpr[EAX] & 0xffff0000) | (val & 0xffff); break;
	default: v->regs.gpr[EAX] = val; break;
	}
	return EMU_OK;
}

static int out(struct vcpu *v, uint16_t port, unsigned width)
{
	uint32_t val = v->regs.gpr[EAX];

	emu_port_write(v, port, width, width == 1 ? val & 0xff : width == 2 ? val & 0xffff : val);
	return EMU_OK;
}

int emu_in_out(struct vcpu *v, const struct insn *insn)
{
	const struct operand *o = &insn->opnd[insn->op == OP_IN];
	uint16_t port = (uint16_t)(o->kind == OPND_GPR ? v->regs.gpr[EDX] : o->imm);
	int r = io_allowed(v, port, insn->width);

	if (r != EMU_OK)
		return r;
	return insn->op == OP_IN ? in(v, port, insn->width) : out(v, port, insn->width);
}

/* ---- control registers ---- */

int emu_cr_read(struct vcpu *v, const struct insn *insn)
{
	const uint32_t *const crs[8] = {
		[0] = &v->sh.cr0, [2] = &v->sh.cr2, [3] = &v->sh.cr3, [4] = &v->sh.cr4
	};
	const uint32_t *cr = insn->opnd[1].reg < 8 ? crs[insn->opnd[1].reg] : NULL;

	if (!cr)
		return vcpu_ud(v);
	if (mode_of(v) != REAL && v->sh.cpl > 0)
		return vcpu_gp(v, 0);
	gpr_write(v, insn->opnd[0].reg, insn->opnd[0].width, *cr);
	return EMU_OK;
}
