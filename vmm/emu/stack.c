/* SPDX-License-Identifier: MIT */
/*
 * The guest's stack.  The B flag of SS says whether SP or ESP is the pointer (SDM Vol. 3A,
 * "Segment Descriptors" 3.4.5); with SP the upper half of ESP is left alone and offsets wrap.
 */
#include "vmm/emu/seg.h"

#define FRAME_MAX 40 /* items: a call gate's 31 parameters, SS, ESP, CS, EIP, and room */

static uint32_t stack_mask(const struct segment *ss)
{
	return ss->db ? 0xffffffffu : 0xffffu;
}

uint32_t stack_move(const struct segment *ss, uint32_t esp, int32_t delta)
{
	uint32_t mask = stack_mask(ss);

	return (esp & ~mask) | ((esp + (uint32_t)delta) & mask);
}

int stack_peek(struct vcpu *v, uint32_t disp, unsigned width, uint32_t *val)
{
	uint32_t off = (v->regs.gpr[ESP] + disp) & stack_mask(&v->regs.seg[SEG_SS]);
	uint8_t buf[4] = { 0 };
	int ret = seg_read(v, SEG_SS, off, buf, width);

	if (ret)
		return ret;
	*val = (uint32_t)buf[0] | (uint32_t)buf[1] << 8 | (uint32_t)buf[2] << 16 |
	       (uint32_t)buf[3] << 24;
	return EMU_OK;
}

static void put_item(uint8_t *buf, unsigned width, uint32_t val)
{
	for (unsigned i = 0; i < width; i++)
		buf[i] = (uint8_t)(val >> 8 * i);
}

/* Item by item, in the order of the CPU's pushes: check all of them, then write. */
static int push_items(struct vcpu *v, const struct segment *ss, uint32_t sp, unsigned access,
		      unsigned width, const uint32_t *val, unsigned n, uint32_t error)
{
	int ret;

	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < n; i++) {
			uint32_t off = (sp - width * (i + 1)) & stack_mask(ss);
			uint8_t buf[4];

			if (!seg_contains(ss, off, width))
				return vcpu_fault(v, VEC_SS, true, error);
			put_item(buf, width, val[i]);
			ret = pass ? mem_write(v, ss->base + off, buf, width, access)
				   : mem_probe_write(v, ss->base + off, width, access);
			if (ret)
				return ret;
		}
	}
	return EMU_OK;
}

int stack_push_frame(struct vcpu *v, const struct segment *ss, uint32_t *esp, unsigned cpl,
		     unsigned width, const uint32_t *val, unsigned n, uint32_t error)
{
	uint32_t sp = *esp & stack_mask(ss), len = n * width;
	unsigned access = cpl == 3 ? PF_USER : 0;
	uint8_t buf[FRAME_MAX * 4];
	int ret;

	if (sp < len && sp) { /* the frame wraps */
		ret = push_items(v, ss, sp, access, width, val, n, error);
	} else {
		/* One block, at the top of the segment if the pointer is zero. */
		uint32_t off = (sp - len) & stack_mask(ss);

		if (!seg_contains(ss, off, len))
			return vcpu_fault(v, VEC_SS, true, error);
		for (unsigned i = 0; i < n; i++)
			put_item(buf + len - width * (i + 1), width, val[i]);
		ret = mem_write(v, ss->base + off, buf, len, access);
		/* CR2 must be the address of the first push that faults, not of the block. */
		if (ret == EMU_FAULT && n > 1)
			ret = push_items(v, ss, sp, access, width, val, n, error);
	}
	if (ret)
		return ret;
	*esp = stack_move(ss, *esp, -(int32_t)len);
	return EMU_OK;
}

int stack_push(struct vcpu *v, unsigned width, uint32_t val)
{
	return stack_push_frame(v, &v->regs.seg[SEG_SS], &v->regs.gpr[ESP], v->sh.cpl, width, &val,
				1, 0);
}

int stack_pop(struct vcpu *v, unsigned width, uint32_t *val)
{
	int ret = stack_peek(v, 0, width, val);

	if (ret)
		return ret;
	v->regs.gpr[ESP] = stack_move(&v->regs.seg[SEG_SS], v->regs.gpr[ESP], (int32_t)width);
	return EMU_OK;
}

int need_cpl0(struct vcpu *v)
{
	return vcpu_protected(v) && v->sh.cpl ? vcpu_gp(v, 0) : EMU_OK;
}
