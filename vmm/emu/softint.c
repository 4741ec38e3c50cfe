/* SPDX-License-Identifier: MIT */
/*
 * INT n, INT3, INTO, INT1 and BOUND.
 * Source: Intel SDM Vol. 2, "INT n/INTO/INT3/INT1", BOUND.
 */
#include "vmm/emu/seg.h"

/* Signed index against a pair of signed bounds, both inclusive. */
static int bound(struct vcpu *v, const struct insn *in)
{
	const struct operand *src = &in->opnd[1];
	int32_t index, low, high;
	uint8_t buf[8];
	int ret;

	if (src->kind != OPND_MEM)
		return vcpu_ud(v);
	ret = seg_read(v, (enum seg)src->mem.seg, op_offset(v, in, src), buf, in->opsize * 2u);
	if (ret)
		return ret;
	index = (int32_t)gpr_read(v, in->opnd[0].reg, in->opsize);
	if (in->opsize == 2) {
		index = (int16_t)index;
		low = (int16_t)(buf[0] | buf[1] << 8);
		high = (int16_t)(buf[2] | buf[3] << 8);
	} else {
		low = (int32_t)(buf[0] | (uint32_t)buf[1] << 8 | (uint32_t)buf[2] << 16 |
				(uint32_t)buf[3] << 24);
		high = (int32_t)(buf[4] | (uint32_t)buf[5] << 8 | (uint32_t)buf[6] << 16 |
				 (uint32_t)buf[7] << 24);
	}
	if (index < low || index > high)
		return vcpu_fault(v, VEC_BR, false, 0); /* a fault: EIP stays on BOUND */
	return EMU_OK;
}

/*
 * The frame has the address of the next instruction, but a fault on the way to the handler has
 * that of this one: so inject_once(), whose fault emulate() hands to the caller after it has put
 * EIP back.  There is no escalation to consider, since an INT is benign.
 */
int emu_soft_int(struct vcpu *v, const struct insn *in)
{
	struct event ev = { .vector = in->vector, .soft = true };

	switch (in->op) {
	case OP_INT: break;
	case OP_INT3: ev.vector = VEC_BP; break;
	case OP_INTO:
		if (!(v->regs.eflags & FL_OF))
			return EMU_OK;
		ev.vector = VEC_OF;
		break;
	case OP_INT1:
		/* A debug trap, not a software interrupt: no DPL check, EXT is set.  DR6 stays. */
		ev = (struct event){ .vector = VEC_DB };
		v->sh.dr[7] &= ~0x2000u; /* GD, as for every #DB (SDM Vol. 3B, 17.2.4) */
		break;
	case OP_BOUND: return bound(v, in);
	default: return EMU_UNHANDLED;
	}
	return inject_once(v, &ev);
}
