/* SPDX-License-Identifier: MIT */
/*
 * Far jumps, calls and returns.
 * Source: Intel SDM Vol. 2, JMP, CALL, RET; Vol. 3A, "Privilege Level Checking when Transferring
 * Program Control Between Code Segments" (5.8).
 */
#include "vmm/emu/seg.h"

struct far_ptr {
	uint16_t sel;
	uint32_t off; /* zero-extended if the operand size is 16 bits */
};

static int far_operand(struct vcpu *v, const struct insn *in, struct far_ptr *to)
{
	const struct operand *o = &in->opnd[0];
	uint8_t buf[6];
	int ret;

	if (o->kind == OPND_FAR) {
		*to = (struct far_ptr){ .sel = o->sel, .off = o->imm };
		if (in->opsize == 2)
			to->off &= 0xffff;
		return EMU_OK;
	}
	if (o->kind != OPND_MEM)
		return vcpu_ud(v);
	ret = seg_read(v, (enum seg)o->mem.seg, op_offset(v, in, o), buf, in->opsize + 2u);
	if (ret)
		return ret;
	to->off = (uint32_t)buf[0] | (uint32_t)buf[1] << 8;
	if (in->opsize == 4)
		to->off |= (uint32_t)buf[2] << 16 | (uint32_t)buf[3] << 24;
	to->sel = (uint16_t)(buf[in->opsize] | buf[in->opsize + 1] << 8);
	return EMU_OK;
}

/* Push the return address of a far call on the current stack. */
static int push_return(struct vcpu *v, unsigned width)
{
	uint32_t frame[2] = { v->regs.seg[SEG_CS].sel, v->regs.eip };

	return stack_push_frame(v, &v->regs.seg[SEG_SS], &v->regs.gpr[ESP], v->sh.cpl, width, frame,
				2, 0);
}

static int far_real(struct vcpu *v, const struct insn *in, const struct far_ptr *to)
{
	int ret;

	if (to->off > v->regs.seg[SEG_CS].limit)
		return vcpu_gp(v, 0);
	if (in->op == OP_CALL_FAR) {
		ret = push_return(v, in->opsize);
		if (ret)
			return ret;
	}
	seg_load_real(v, SEG_CS, to->sel);
	v->regs.eip = to->off;
	return EMU_OK;
}

/* To code segment *@cs at @eip without a change of privilege; a call's frame is @width wide. */
static int enter_code(struct vcpu *v, const struct insn *in, struct segment *cs, uint32_t eip,
		      unsigned width)
{
	int ret;

	if (eip > cs->limit)
		return vcpu_gp(v, 0);
	ret = seg_mark_accessed(v, cs);
	if (!ret && in->op == OP_CALL_FAR)
		ret = push_return(v, width);
	if (ret)
		return ret;
	return cs_load(v, cs, v->sh.cpl, eip);
}

static int far_to_code(struct vcpu *v, const struct insn *in, struct segment *cs, uint32_t eip)
{
	unsigned cpl = v->sh.cpl;
	uint32_t error = sel_error(cs->sel);

	if (seg_is_conforming(cs) ? cs->dpl > cpl : (sel_rpl(cs->sel) > cpl || cs->dpl != cpl))
		return vcpu_gp(v, error);
	if (!cs->present)
		return vcpu_fault(v, VEC_NP, true, error);
	return enter_code(v, in, cs, eip, in->opsize);
}

/*
 * A call to more privileged code: the new stack gets SS:ESP, the parameters and the return address
 * (SDM Vol. 3A, "Stack Switching" 5.8.5).
 */
static int call_inner(struct vcpu *v, const struct gate *g, struct segment *cs)
{
	const unsigned cpl = cs->dpl;
	uint32_t frame[4 + 31], esp;
	struct segment ss;
	unsigned n = 0;
	uint16_t sel;
	int ret = tss_stack(v, cpl, &sel, &esp);

	if (!ret)
		ret = ss_check(v, sel, cpl, VEC_TS, &ss);
	if (ret)
		return ret;
	if (g->off > cs->limit)
		return vcpu_gp(v, 0);
	frame[n++] = v->regs.seg[SEG_SS].sel;
	frame[n++] = v->regs.gpr[ESP];
	for (unsigned i = g->count; i-- > 0;) { /* the last one, at the highest address, first */
		ret = stack_peek(v, i * g->width, g->width, &frame[n++]);
		if (ret)
			return ret;
	}
	frame[n++] = v->regs.seg[SEG_CS].sel;
	frame[n++] = v->regs.eip;
	ret = seg_mark_accessed(v, cs);
	if (!ret)
		ret = seg_mark_accessed(v, &ss);
	if (!ret)
		ret = stack_push_frame(v, &ss, &esp, cpl, g->width, frame, n, sel_error(sel));
	if (!ret)
		ret = cs_load(v, cs, cpl, g->off);
	if (ret)
		return ret;
	v->regs.seg[SEG_SS] = ss;
	v->regs.gpr[ESP] = esp;
	return EMU_OK;
}

static int far_to_gate(struct vcpu *v, const struct insn *in, const struct gate *g)
{
	struct segment cs;
	int ret = cs_check_gate(v, g->sel, in->op == OP_CALL_FAR, &cs);

	if (ret)
		return ret;
	if (!seg_is_conforming(&cs) && cs.dpl < v->sh.cpl)
		return call_inner(v, g, &cs);
	return enter_code(v, in, &cs, g->off, g->width);
}

/* A far pointer whose selector names a system descriptor: gate or TSS. */
static int far_to_system(struct vcpu *v, const struct insn *in, uint16_t sel, uint64_t desc)
{
	struct gate g;

	gate_unpack(desc, &g);
	switch (g.type) {
	case DESC_CALL16:
	case DESC_CALL32:
	case DESC_TASK_GATE:
	case DESC_TSS16:
	case DESC_TSS32: break;
	default: return vcpu_gp(v, sel_error(sel));
	}
	if (g.dpl < v->sh.cpl || g.dpl < sel_rpl(sel))
		return vcpu_gp(v, sel_error(sel));
	if (!g.present)
		return vcpu_fault(v, VEC_NP, true, sel_error(sel));
	if (g.type == DESC_CALL16 || g.type == DESC_CALL32)
		return far_to_gate(v, in, &g);
	return vm_kill(v->vm, "far %s to task selector %#x: task switching is not supported yet",
		       in->op == OP_CALL_FAR ? "call" : "jump", sel);
}

static int far_to(struct vcpu *v, const struct insn *in)
{
	struct segment cs;
	struct far_ptr to = { 0 };
	uint64_t desc;
	int ret = far_operand(v, in, &to);

	if (ret)
		return ret;
	if (!vcpu_protected(v))
		return far_real(v, in, &to);
	if (sel_is_null(to.sel))
		return vcpu_gp(v, 0);
	ret = desc_read(v, to.sel, &desc);
	if (ret)
		return ret;
	desc_unpack(desc, to.sel, &cs);
	if (!cs.s)
		return far_to_system(v, in, to.sel, desc);
	if (!seg_is_code(&cs))
		return vcpu_gp(v, sel_error(to.sel));
	return far_to_code(v, in, &cs, to.off);
}

/* @release: bytes of parameters to drop from the stack, from both stacks on a privilege change. */
static int far_ret(struct vcpu *v, const struct insn *in, uint16_t release)
{
	const unsigned width = in->opsize, cpl = v->sh.cpl;
	struct segment cs, ss = v->regs.seg[SEG_SS];
	uint32_t eip, sel, ss_sel, esp;
	unsigned rpl;
	int ret = stack_peek(v, 0, width, &eip);

	/* Selectors are read as two bytes (seen on the CPU with CS in the last ones of a page). */
	if (!ret)
		ret = stack_peek(v, width, 2, &sel);
	if (ret)
		return ret;
	esp = stack_move(&ss, v->regs.gpr[ESP], (int32_t)(2 * width + release));
	if (!vcpu_protected(v)) {
		if (eip > v->regs.seg[SEG_CS].limit)
			return vcpu_gp(v, 0);
		seg_load_real(v, SEG_CS, (uint16_t)sel);
		v->regs.eip = eip;
		v->regs.gpr[ESP] = esp;
		return EMU_OK;
	}
	ret = cs_check_return(v, (uint16_t)sel, &cs);
	if (ret)
		return ret;
	rpl = sel_rpl((uint16_t)sel);
	if (rpl > cpl) {
		struct segment outer;

		ret = stack_peek(v, 2 * width + release, width, &esp);
		if (!ret)
			ret = stack_peek(v, 3 * width + release, 2, &ss_sel);
		if (!ret)
			ret = ss_check(v, (uint16_t)ss_sel, rpl, VEC_GP, &outer);
		if (ret)
			return ret;
		ss = outer;
		if (!ss.db) /* SP only, as for IRET */
			esp = (v->regs.gpr[ESP] & 0xffff0000) | (esp & 0xffff);
		esp = stack_move(&ss, esp, release);
	}
	if (eip > cs.limit)
		return vcpu_gp(v, 0);
	ret = seg_mark_accessed(v, &cs);
	if (!ret && rpl > cpl)
		ret = seg_mark_accessed(v, &ss);
	if (!ret)
		ret = cs_load(v, &cs, rpl, eip);
	if (ret)
		return ret;
	v->regs.seg[SEG_SS] = ss;
	v->regs.gpr[ESP] = esp;
	if (rpl > cpl)
		seg_drop_privileged(v, rpl);
	return EMU_OK;
}

int emu_far(struct vcpu *v, const struct insn *in)
{
	switch (in->op) {
	case OP_JMP_FAR:
	case OP_CALL_FAR: return far_to(v, in);
	case OP_RET_FAR: return far_ret(v, in, in->nopnd ? (uint16_t)in->opnd[0].imm : 0);
	default: return EMU_UNHANDLED;
	}
}
