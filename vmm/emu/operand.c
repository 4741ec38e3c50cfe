/* SPDX-License-Identifier: MIT */
/* Operands of a decoded instruction: registers, immediates, memory through its segment. */
#include <string.h>

#include "vmm/emu/handlers.h"

uint32_t gpr_read(const struct vcpu *v, unsigned reg, unsigned width)
{
	uint32_t val;

	if (width == 1 && reg >= 4) /* AH CH DH BH */
		return v->regs.gpr[reg & 3] >> 8 & 0xff;
	val = v->regs.gpr[reg & 7];
	return val & width_mask(width);
}

void gpr_write(struct vcpu *v, unsigned reg, unsigned width, uint32_t val)
{
	uint32_t *r = &v->regs.gpr[reg & 7];

	if (width == 1 && reg >= 4) {
		r = &v->regs.gpr[reg & 3];
		*r = (*r & ~0xff00u) | (val & 0xff) << 8;
		return;
	}
	*r = (*r & ~width_mask(width)) | (val & width_mask(width));
}

uint32_t op_offset(const struct vcpu *v, const struct insn *in, const struct operand *o)
{
	uint32_t off = (uint32_t)o->mem.disp;

	if (o->mem.base < GPR_COUNT)
		off += v->regs.gpr[o->mem.base];
	if (o->mem.index < GPR_COUNT)
		off += v->regs.gpr[o->mem.index] * o->mem.scale;
	return in->addrsize == 2 ? off & 0xffff : off;
}

int op_read(struct vcpu *v, const struct insn *in, const struct operand *o, uint32_t *val)
{
	uint32_t buf = 0;
	int r;

	switch (o->kind) {
	case OPND_GPR: *val = gpr_read(v, o->reg, o->width); return EMU_OK;
	case OPND_IMM: *val = o->imm; return EMU_OK;
	case OPND_MEM:
		if (o->width < 1 || o->width > 4)
			return EMU_UNHANDLED;
		r = seg_read(v, o->mem.seg, op_offset(v, in, o), &buf, o->width);
		if (r)
			return r;
		*val = buf;
		return EMU_OK;
	default: return EMU_UNHANDLED;
	}
}

int op_write(struct vcpu *v, const struct insn *in, const struct operand *o, uint32_t val)
{
	switch (o->kind) {
	case OPND_GPR: gpr_write(v, o->reg, o->width, val); return EMU_OK;
	case OPND_MEM:
		if (o->width < 1 || o->width > 4)
			return EMU_UNHANDLED;
		return seg_write(v, o->mem.seg, op_offset(v, in, o), &val, o->width);
	default: return EMU_UNHANDLED;
	}
}

int op_probe_write(struct vcpu *v, const struct insn *in, const struct operand *o)
{
	gva_t gva;
	int r;

	if (o->kind != OPND_MEM)
		return EMU_OK;
	r = seg_linear(v, o->mem.seg, op_offset(v, in, o), o->width, true, &gva);
	return r ? r : mem_probe_write(v, gva, o->width, mem_user(v));
}
