/* SPDX-License-Identifier: MIT */
/* Part A: a solution, as simple as will do.  right/product.c is the product's own. */
#include <capstone/capstone.h>

#include "decoder/trapped.h"
#include "vmm/emu/handlers.h"

static struct operand reg_operand(unsigned kind, unsigned reg, unsigned width)
{
	return (struct operand){ .kind = (uint8_t)kind,
				 .reg = (uint8_t)reg,
				 .width = (uint8_t)width };
}

/* The operand that Capstone says, or OPND_OTHER. */
static struct operand operand(const cs_x86_op *c)
{
	if (c->type == X86_OP_IMM)
		return (struct operand){ .kind = OPND_IMM, .width = 1, .imm = c->imm & 0xff };
	switch (c->reg) {
	case X86_REG_AL: return reg_operand(OPND_GPR, EAX, 1);
	case X86_REG_AX: return reg_operand(OPND_GPR, EAX, 2);
	case X86_REG_DX: return reg_operand(OPND_GPR, EDX, 2);
	case X86_REG_EAX: return reg_operand(OPND_GPR, EAX, 4);
	case X86_REG_ECX: return reg_operand(OPND_GPR, ECX, 4);
	case X86_REG_EDX: return reg_operand(OPND_GPR, EDX, 4);
	case X86_REG_EBX: return reg_operand(OPND_GPR, EBX, 4);
	case X86_REG_ESP: return reg_operand(OPND_GPR, ESP, 4);
	case X86_REG_EBP: return reg_operand(OPND_GPR, EBP, 4);
	case X86_REG_ESI: return reg_operand(OPND_GPR, ESI, 4);
	case X86_REG_EDI: return reg_operand(OPND_GPR, EDI, 4);
	case X86_REG_CR0: return reg_operand(OPND_CR, 0, 4);
	case X86_REG_CR2: return reg_operand(OPND_CR, 2, 4);
	case X86_REG_CR3: return reg_operand(OPND_CR, 3, 4);
	case X86_REG_CR4: return reg_operand(OPND_CR, 4, 4);
	default: return (struct operand){ .kind = OPND_OTHER };
	}
}

bool decode_trapped(const struct cs_insn *cs, struct insn *in)
{
	const cs_x86 *x = &cs->detail->x86;

	switch (cs->id) {
	case X86_INS_CLI: in->op = OP_CLI; return true;
	case X86_INS_STI: in->op = OP_STI; return true;
	case X86_INS_HLT: in->op = OP_HLT; return true;
	case X86_INS_PUSHF:
	case X86_INS_PUSHFD: in->op = OP_PUSHF; return true;
	case X86_INS_POPF:
	case X86_INS_POPFD: in->op = OP_POPF; return true;
	case X86_INS_IN: in->op = OP_IN; break;
	case X86_INS_OUT: in->op = OP_OUT; break;
	case X86_INS_MOV:
		if (x->op_count != 2 || x->operands[0].type != X86_OP_REG ||
		    x->operands[1].type != X86_OP_REG || operand(&x->operands[1]).kind != OPND_CR)
			return false;
		in->op = OP_MOV_FROM_CR;
		break;
	default: return false;
	}
	in->nopnd = 2;
	in->opnd[0] = operand(&x->operands[0]);
	in->opnd[1] = operand(&x->operands[1]);
	return true;
}

int emu_attempt(struct vcpu *v, const struct insn *in, emu_fn *fn)
{
	struct cpu_regs regs = v->regs;
	struct shadow sh = v->sh;
	int r;

	v->regs.eip += in->len;
	if (!v->regs.seg[SEG_CS].db)
		v->regs.eip &= 0xffff;
	v->regs.eflags &= ~FL_RF;
	v->sh.sti_shadow = false;
	v->sh.movss_shadow = false;
	r = fn(v, in);
	if (r != EMU_OK) {
		v->regs = regs;
		v->sh = sh;
	}
	return r;
}

static unsigned cpl(const struct vcpu *v)
{
	if (!vcpu_protected(v))
		return 0;
	return vcpu_v86(v) ? 3 : v->sh.cpl;
}

static int cli(struct vcpu *v)
{
	if (cpl(v) > vcpu_iopl(v))
		return vcpu_gp(v, 0);
	v->regs.eflags &= ~FL_IF;
	return EMU_OK;
}

static int sti(struct vcpu *v)
{
	if (cpl(v) > vcpu_iopl(v))
		return vcpu_gp(v, 0);
	v->sh.sti_shadow = !(v->regs.eflags & FL_IF);
	v->regs.eflags |= FL_IF;
	return EMU_OK;
}

static int pushf(struct vcpu *v, const struct insn *in)
{
	if (vcpu_v86(v) && vcpu_iopl(v) < 3)
		return vcpu_gp(v, 0);
	return stack_push(v, in->opsize, v->regs.eflags & ~(FL_VM | FL_RF));
}

static int popf(struct vcpu *v, const struct insn *in)
{
	uint32_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT, image = 0;
	int r;

	if (vcpu_v86(v) && vcpu_iopl(v) < 3)
		return vcpu_gp(v, 0);
	r = stack_pop(v, in->opsize, &image);
	if (r)
		return r;
	if (in->opsize == 4)
		mask |= FL_AC | FL_ID;
	if (cpl(v) <= vcpu_iopl(v))
		mask |= FL_IF;
	if (cpl(v) == 0)
		mask |= FL_IOPL;
	v->regs.eflags = (v->regs.eflags & ~mask) | (image & mask);
	return EMU_OK;
}

int emu_flags(struct vcpu *v, const struct insn *in)
{
	switch (in->op) {
	case OP_CLI: return cli(v);
	case OP_STI: return sti(v);
	case OP_PUSHF: return pushf(v, in);
	case OP_POPF: return popf(v, in);
	default: return vcpu_ud(v);
	}
}

int emu_hlt(struct vcpu *v, const struct insn *in)
{
	(void)in;
	if (cpl(v) > 0)
		return vcpu_gp(v, 0);
	v->halted = true;
	return EMU_OK;
}

int io_allowed(struct vcpu *v, uint16_t port, unsigned width)
{
	if (!vcpu_v86(v) && cpl(v) <= vcpu_iopl(v))
		return EMU_OK;
	return tss_io_allowed(v, port, width);
}

int emu_in_out(struct vcpu *v, const struct insn *in)
{
	const struct operand *o = &in->opnd[in->op == OP_IN ? 1 : 0];
	uint16_t port = o->kind == OPND_IMM ? o->imm : v->regs.gpr[EDX] & 0xffff;
	int r = io_allowed(v, port, in->width);

	if (r)
		return r;
	if (in->op == OP_IN)
		gpr_write(v, EAX, in->width, emu_port_read(v, port, in->width));
	else
		emu_port_write(v, port, in->width, gpr_read(v, EAX, in->width));
	return EMU_OK;
}

int emu_cr_read(struct vcpu *v, const struct insn *in)
{
	uint32_t val;

	switch (in->opnd[1].reg) {
	case 0: val = v->sh.cr0; break;
	case 2: val = v->sh.cr2; break;
	case 3: val = v->sh.cr3; break;
	case 4: val = v->sh.cr4; break;
	default: return vcpu_ud(v);
	}
	if (cpl(v) > 0)
		return vcpu_gp(v, 0);
	v->regs.gpr[in->opnd[0].reg] = val;
	return EMU_OK;
}
