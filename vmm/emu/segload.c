/* SPDX-License-Identifier: MIT */
/*
 * Moves to segment registers, PUSH and POP of them, and loads of far pointers.
 * Source: Intel SDM Vol. 2, MOV, PUSH, POP, "LDS/LES/LFS/LGS/LSS".
 */
#include "vmm/emu/seg.h"

/*
 * The selector read from the stack or memory is 16 bits however wide the operand is: a 32-bit POP
 * moves the pointer by four but reads two bytes (seen on the CPU at the end of a page).
 */
static int pop_seg(struct vcpu *v, const struct insn *in, enum seg seg)
{
	/* The size of the pointer is that of the old SS, also for POP SS. */
	uint32_t esp = stack_move(&v->regs.seg[SEG_SS], v->regs.gpr[ESP], in->opsize), val;
	int ret = stack_peek(v, 0, 2, &val);

	if (ret)
		return ret;
	ret = seg_load(v, seg, (uint16_t)val);
	if (ret)
		return ret;
	v->regs.gpr[ESP] = esp;
	return EMU_OK;
}

/*
 * With a 32-bit operand the manual leaves open whether the upper half of the stack slot is written
 * with zeros or left alone, "all recent Intel Core and Intel Atom processors perform a 16-bit
 * move" (PUSH, Description): so do we.
 */
static int push_seg(struct vcpu *v, const struct insn *in, enum seg seg)
{
	const struct segment *ss = &v->regs.seg[SEG_SS];
	uint32_t esp = stack_move(ss, v->regs.gpr[ESP], -(int32_t)in->opsize);
	uint16_t sel = v->regs.seg[seg].sel;
	int ret = seg_write(v, SEG_SS, ss->db ? esp : esp & 0xffff, &sel, sizeof(sel));

	if (ret)
		return ret;
	v->regs.gpr[ESP] = esp;
	return EMU_OK;
}

static int mov_to_seg(struct vcpu *v, const struct insn *in)
{
	struct operand src = in->opnd[1];
	uint32_t val;
	int ret;

	if (in->opnd[0].reg == SEG_CS || in->opnd[0].reg >= SEG_COUNT)
		return vcpu_ud(v);
	src.width = 2;
	ret = op_read(v, in, &src, &val);
	if (ret)
		return ret;
	return seg_load(v, (enum seg)in->opnd[0].reg, (uint16_t)val);
}

int emu_seg(struct vcpu *v, const struct insn *in)
{
	bool to_ss = in->opnd[0].kind == OPND_SEG && in->opnd[0].reg == SEG_SS;
	int ret;

	switch (in->op) {
	case OP_MOV_FROM_SEG: return emu_store_seg(v, in);
	case OP_PUSH_SEG: return push_seg(v, in, (enum seg)in->opnd[0].reg);
	case OP_MOV_TO_SEG: ret = mov_to_seg(v, in); break;
	case OP_POP_SEG: ret = pop_seg(v, in, (enum seg)in->opnd[0].reg); break;
	default: return EMU_UNHANDLED;
	}
	/*
	 * So that SS and ESP can be loaded without an interrupt between them: SDM Vol. 3A, "Masking
	 * Exceptions and Interrupts When Switching Stacks" (6.8.3).  LSS needs and gets none.
	 */
	if (!ret && to_ss)
		v->sh.movss_shadow = true;
	return ret;
}

int emu_far_load(struct vcpu *v, const struct insn *in)
{
	const struct operand *src = &in->opnd[1];
	uint8_t buf[6];
	uint32_t off;
	uint16_t sel;
	enum seg seg;
	int ret;

	switch (in->op) {
	case OP_LDS: seg = SEG_DS; break;
	case OP_LES: seg = SEG_ES; break;
	case OP_LFS: seg = SEG_FS; break;
	case OP_LGS: seg = SEG_GS; break;
	case OP_LSS: seg = SEG_SS; break;
	default: return EMU_UNHANDLED;
	}
	if (src->kind != OPND_MEM)
		return vcpu_ud(v);
	ret = seg_read(v, (enum seg)src->mem.seg, op_offset(v, in, src), buf, in->opsize + 2u);
	if (ret)
		return ret;
	off = (uint32_t)buf[0] | (uint32_t)buf[1] << 8;
	if (in->opsize == 4)
		off |= (uint32_t)buf[2] << 16 | (uint32_t)buf[3] << 24;
	sel = (uint16_t)(buf[in->opsize] | buf[in->opsize + 1] << 8);
	ret = seg_load(v, seg, sel);
	if (ret)
		return ret;
	gpr_write(v, in->opnd[0].reg, in->opsize, off);
	return EMU_OK;
}
