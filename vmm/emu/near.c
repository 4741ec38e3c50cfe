/* SPDX-License-Identifier: MIT */
/*
 * The stack and near transfers, for emulate_ordinary().
 * Source: SDM Vol. 2, PUSH, POP, ENTER, LEAVE, CALL, RET, Jcc, LOOP.
 */
#include "vmm/emu/alu.h"
#include "vmm/emu/seg.h"

/* PUSH ESP pushes the old value; a memory operand based on ESP uses the old one, too. */
static int push(struct vcpu *v, const struct insn *in)
{
	uint32_t val;
	int r = op_read(v, in, &in->opnd[0], &val);

	return r ? r : stack_push(v, in->opsize, val);
}

/* A destination in memory that is based on ESP uses the new value. */
static int pop(struct vcpu *v, const struct insn *in)
{
	uint32_t val;
	int r = stack_pop(v, in->opsize, &val);

	return r ? r : op_write(v, in, &in->opnd[0], val);
}

static int pusha(struct vcpu *v, const struct insn *in)
{
	const uint32_t *g = v->regs.gpr;
	const uint32_t val[8] = { g[EAX], g[ECX], g[EDX], g[EBX], g[ESP], g[EBP], g[ESI], g[EDI] };

	return stack_push_frame(v, &v->regs.seg[SEG_SS], &v->regs.gpr[ESP], v->sh.cpl, in->opsize,
				val, 8, 0);
}

/* The image of ESP is skipped. */
static int popa(struct vcpu *v, const struct insn *in)
{
	uint32_t val;
	int r;

	for (int reg = EDI; reg >= EAX; reg--) {
		r = stack_pop(v, in->opsize, &val);
		if (r)
			return r;
		if (reg != ESP)
			gpr_write(v, (unsigned)reg, in->opsize, val);
	}
	return EMU_OK;
}

/*
 * ENTER size, level.  Frame pointers of the outer levels are copied from below the old EBP; at the
 * end the new top of the stack must be writable, although nothing is written there.
 */
static int enter(struct vcpu *v, const struct insn *in)
{
	const struct segment *ss = &v->regs.seg[SEG_SS];
	unsigned sp_width = ss->db ? 4 : 2;
	unsigned level = in->opnd[1].imm & 31;
	uint32_t frame, val, bp;
	gva_t gva;
	int r = stack_push(v, in->opsize, v->regs.gpr[EBP]);

	frame = v->regs.gpr[ESP];
	bp = gpr_read(v, EBP, sp_width);
	for (unsigned i = 1; !r && i < level; i++) {
		bp = (bp - in->opsize) & width_mask(sp_width);
		val = 0;
		r = seg_read(v, SEG_SS, bp, &val, in->opsize);
		if (!r)
			r = stack_push(v, in->opsize, val);
	}
	if (!r && level)
		r = stack_push(v, in->opsize, frame);
	if (r)
		return r;
	v->regs.gpr[ESP] = stack_move(ss, v->regs.gpr[ESP], -(int32_t)(in->opnd[0].imm & 0xffff));
	gpr_write(v, EBP, in->opsize, frame);
	r = seg_linear(v, SEG_SS, gpr_read(v, ESP, sp_width), in->opsize, true, &gva);
	return r ? r : mem_probe_write(v, gva, in->opsize, mem_user(v));
}

static int leave(struct vcpu *v, const struct insn *in)
{
	unsigned sp_width = v->regs.seg[SEG_SS].db ? 4 : 2;
	uint32_t val;
	int r;

	gpr_write(v, ESP, sp_width, v->regs.gpr[EBP]);
	r = stack_pop(v, in->opsize, &val);
	if (!r)
		gpr_write(v, EBP, in->opsize, val);
	return r;
}

int emu_push_pop(struct vcpu *v, const struct insn *in)
{
	switch (in->op) {
	case OP_PUSH: return push(v, in);
	case OP_POP: return pop(v, in);
	case OP_PUSHA: return pusha(v, in);
	case OP_POPA: return popa(v, in);
	case OP_ENTER: return enter(v, in);
	default: return leave(v, in);
	}
}

/* Go to @eip, truncated to the operand size; #GP(0) beyond the limit of CS. */
static int jump(struct vcpu *v, const struct insn *in, uint32_t eip)
{
	if (in->opsize == 2)
		eip &= 0xffff;
	if (eip > v->regs.seg[SEG_CS].limit)
		return vcpu_gp(v, 0);
	v->regs.eip = eip;
	return EMU_OK;
}

/* The target of a near jump or call: relative, or in a register or memory. */
static int target(struct vcpu *v, const struct insn *in, uint32_t *eip)
{
	if (in->opnd[0].kind == OPND_REL) {
		*eip = v->regs.eip + in->opnd[0].imm;
		return EMU_OK;
	}
	return op_read(v, in, &in->opnd[0], eip);
}

/* The target is checked before the return address is pushed. */
static int call(struct vcpu *v, const struct insn *in)
{
	uint32_t next = v->regs.eip, eip;
	int r = target(v, in, &eip);

	if (!r)
		r = jump(v, in, eip);
	return r ? r : stack_push(v, in->opsize, next);
}

static int ret(struct vcpu *v, const struct insn *in)
{
	uint32_t eip;
	int r = stack_pop(v, in->opsize, &eip);

	if (!r)
		r = jump(v, in, eip);
	if (!r && in->nopnd)
		v->regs.gpr[ESP] = stack_move(&v->regs.seg[SEG_SS], v->regs.gpr[ESP],
					      (int32_t)(in->opnd[0].imm & 0xffff));
	return r;
}

/* LOOP and JCXZ count in CX or ECX by the address size, not the operand size. */
static bool taken(struct vcpu *v, const struct insn *in)
{
	uint32_t count = gpr_read(v, ECX, in->addrsize);
	bool zf = v->regs.eflags & FL_ZF;

	if (in->op == OP_JCC)
		return alu_condition(in->cond, v->regs.eflags);
	if (in->op == OP_JCXZ)
		return !count;
	gpr_write(v, ECX, in->addrsize, --count);
	count &= width_mask(in->addrsize);
	return count && (in->op == OP_LOOP || (in->op == OP_LOOPE) == zf);
}

int emu_near(struct vcpu *v, const struct insn *in)
{
	uint32_t eip;
	int r;

	switch (in->op) {
	case OP_CALL: return call(v, in);
	case OP_RET: return ret(v, in);
	case OP_JMP: r = target(v, in, &eip); return r ? r : jump(v, in, eip);
	default: return taken(v, in) ? jump(v, in, v->regs.eip + in->opnd[0].imm) : EMU_OK;
	}
}
