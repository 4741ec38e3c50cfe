/* SPDX-License-Identifier: MIT */
/*
 * What the CPU reads from the task-state segment while it stays in one task: the stacks of the
 * inner privilege levels and the I/O permission bitmap.  Implicit supervisor accesses.
 * Source: Intel SDM Vol. 3A, "Task-State Segment (TSS)" (7.2.1), "16-Bit TSS" (7.6); Vol. 1, "I/O
 * Permission Bit Map" (18.5.2).
 */
#include "vmm/emu/seg.h"

#define TSS32_IOMAP 102 /* offset of the 16-bit base of the I/O permission bitmap */

static bool tr_is(const struct vcpu *v, unsigned type)
{
	const struct segment *tr = &v->sh.tr;

	return !tr->unusable && !tr->s && (tr->type & ~2u) == type; /* bit 1: busy */
}

int tss_stack(struct vcpu *v, unsigned cpl, uint16_t *ss, uint32_t *esp)
{
	const struct segment *tr = &v->sh.tr;
	unsigned width = tr_is(v, DESC_TSS32) ? 4 : 2;
	uint32_t off = (cpl * 2 + 1) * width;
	uint8_t buf[6];
	int ret;

	if (width == 2 && !tr_is(v, DESC_TSS16))
		return vcpu_fault(v, VEC_TS, true, sel_error(tr->sel));
	/* The pointer and the selector after it: "TSSstackAddress + 5 (or 3) > TSS limit". */
	if (off + width + 1 > tr->limit)
		return vcpu_fault(v, VEC_TS, true, sel_error(tr->sel));
	ret = mem_read(v, tr->base + off, buf, width + 2, 0);
	if (ret)
		return ret;
	*esp = (uint32_t)buf[0] | (uint32_t)buf[1] << 8;
	if (width == 4)
		*esp |= (uint32_t)buf[2] << 16 | (uint32_t)buf[3] << 24;
	*ss = (uint16_t)(buf[width] | buf[width + 1] << 8);
	return EMU_OK;
}

int tss_io_allowed(struct vcpu *v, uint16_t port, unsigned width)
{
	const struct segment *tr = &v->sh.tr;
	uint16_t map, bits;
	uint32_t off;
	int ret;

	/* A 16-bit TSS has no bitmap; one whose limit ends before the field has none either. */
	if (!tr_is(v, DESC_TSS32) || tr->limit < TSS32_IOMAP + 1)
		return vcpu_gp(v, 0);
	ret = mem_read(v, tr->base + TSS32_IOMAP, &map, sizeof(map), 0);
	if (ret)
		return ret;
	/*
	 * The CPU always reads two bytes, because the bits of a wide access may cross a byte; that
	 * is why the bitmap must be followed by a byte of ones.
	 */
	off = map + port / 8u;
	if (off + 1 > tr->limit)
		return vcpu_gp(v, 0);
	ret = mem_read(v, tr->base + off, &bits, sizeof(bits), 0);
	if (ret)
		return ret;
	if (bits >> (port & 7) & ((1u << width) - 1))
		return vcpu_gp(v, 0);
	return EMU_OK;
}
