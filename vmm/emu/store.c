/* SPDX-License-Identifier: MIT */
/*
 * What stores state of the CPU and does not trap at ring 3: the guest gets what it loaded.
 * Source: Intel SDM Vol. 2, SGDT, SIDT, SLDT, STR, SMSW, MOV.
 */
#include "vmm/emu/handlers.h"

/*
 * All six bytes are written whatever the operand size.  The manual's operation section says that a
 * 16-bit SGDT stores a zero in the last one, but the processors store the whole base.
 */
int emu_store_table(struct vcpu *v, const struct insn *in)
{
	const struct desc_table *t = in->op == OP_SGDT ? &v->sh.gdtr : &v->sh.idtr;
	const struct operand *dst = &in->opnd[0];
	uint8_t buf[6] = { (uint8_t)t->limit,        (uint8_t)(t->limit >> 8),
			   (uint8_t)t->base,         (uint8_t)(t->base >> 8),
			   (uint8_t)(t->base >> 16), (uint8_t)(t->base >> 24) };

	if (dst->kind != OPND_MEM)
		return vcpu_ud(v);
	return seg_write(v, (enum seg)dst->mem.seg, op_offset(v, in, dst), buf, sizeof(buf));
}

/* A selector: two bytes of memory whatever the operand size, or a register with zeros above. */
static int store_sel(struct vcpu *v, const struct insn *in, uint16_t sel)
{
	struct operand dst = in->opnd[0];

	dst.width = dst.kind == OPND_MEM ? 2 : in->opsize;
	return op_write(v, in, &dst, sel);
}

int emu_store_selector(struct vcpu *v, const struct insn *in)
{
	if (!vcpu_protected(v))
		return vcpu_ud(v);
	return store_sel(v, in, in->op == OP_SLDT ? v->sh.ldtr.sel : v->sh.tr.sel);
}

/* Memory gets 16 bits, a register its width of CR0. */
int emu_store_msw(struct vcpu *v, const struct insn *in)
{
	return op_write(v, in, &in->opnd[0], v->sh.cr0);
}

int emu_store_seg(struct vcpu *v, const struct insn *in)
{
	if (in->opnd[1].reg >= SEG_COUNT)
		return vcpu_ud(v);
	return store_sel(v, in, v->regs.seg[in->opnd[1].reg].sel);
}
