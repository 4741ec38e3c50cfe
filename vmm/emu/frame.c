/* SPDX-License-Identifier: MIT */
/* The interrupt frame in protected mode. */
#include "vmm/emu/frame.h"

/* Flags that any IRET loads, and those that only the 32-bit form has. */
#define IRET_FLAGS   (FL_ARITH | FL_TF | FL_DF | FL_NT)
#define IRET_FLAGS32 (FL_RF | FL_AC | FL_ID)

uint32_t frame_flags(const struct vcpu *v, const struct event *ev)
{
	uint32_t flags = v->regs.eflags;

	if (ev->soft)
		return flags & ~FL_RF;
	return event_is_fault(ev) ? flags | FL_RF : flags;
}

/*: 185. Building the frame
 * Flags, CS, EIP and perhaps an error code go to the guest's stack; then to the handler, with the
 * flags that the gate wants.
 */
int frame_enter(struct vcpu *v, const struct event *ev, const struct entry *to)
{
	uint32_t frame[6], esp = to->esp;
	unsigned n = 0;
	int ret;

	if (to->inner) {
		frame[n++] = v->regs.seg[SEG_SS].sel;
		frame[n++] = v->regs.gpr[ESP];
	}
	frame[n++] = frame_flags(v, ev);
	frame[n++] = v->regs.seg[SEG_CS].sel;
	frame[n++] = v->regs.eip;
	if (ev->has_error && event_is_exception(ev))
		frame[n++] = ev->error;
	ret = stack_push_frame(v, &to->ss, &esp, to->cpl, to->width, frame, n, to->ss_error);
	if (!ret)
		ret = cs_load(v, &to->cs, to->cpl, to->eip);
	if (ret)
		return ret;
	v->regs.seg[SEG_SS] = to->ss;
	v->regs.gpr[ESP] = esp;
	v->regs.eflags &= ~(FL_TF | FL_NT | FL_RF | FL_VM);
	if (to->interrupt_gate)
		v->regs.eflags &= ~FL_IF;
	return EMU_OK;
}

/* EFLAGS after popping @image with operand size @opsize at privilege level @cpl (the old one). */
static uint32_t iret_flags(const struct vcpu *v, uint32_t image, unsigned opsize, unsigned cpl)
{
	uint32_t mask = IRET_FLAGS;

	if (opsize == 4)
		mask |= IRET_FLAGS32;
	if (cpl <= vcpu_iopl(v))
		mask |= FL_IF;
	if (cpl == 0) {
		mask |= FL_IOPL;
		if (opsize == 4)
			mask |= FL_VIF | FL_VIP;
	}
	return (v->regs.eflags & ~mask) | (image & mask) | FL_FIXED;
}

int frame_leave(struct vcpu *v, unsigned width)
{
	const unsigned cpl = v->sh.cpl;
	struct segment cs, ss = v->regs.seg[SEG_SS];
	uint32_t frame[3], esp, ss_sel, flags; /* EIP, CS, EFLAGS: read once */
	unsigned rpl;
	int ret;

	for (unsigned i = 0; i < 3; i++) {
		ret = stack_peek(v, i * width, width, &frame[i]);
		if (ret)
			return ret;
	}
	if (width == 4 && frame[2] & FL_VM && cpl == 0)
		return iret_v86(v);
	flags = iret_flags(v, frame[2], width, cpl);
	rpl = sel_rpl((uint16_t)frame[1]);
	ret = cs_check_return(v, (uint16_t)frame[1], &cs);
	if (ret)
		return ret;
	esp = stack_move(&ss, v->regs.gpr[ESP], 3 * (int32_t)width);
	if (rpl > cpl) {
		struct segment outer;

		ret = stack_peek(v, 3 * width, width, &esp);
		if (!ret)
			ret = stack_peek(v, 4 * width, 2, &ss_sel);
		if (!ret)
			ret = ss_check(v, (uint16_t)ss_sel, rpl, VEC_GP, &outer);
		if (ret)
			return ret;
		/*
		 * Returning to a 16-bit stack loads SP only, and the inner ESP's upper half shows
		 * through: what Linux's espfix is about.
		 */
		ss = outer;
		if (!ss.db)
			esp = (v->regs.gpr[ESP] & 0xffff0000) | (esp & 0xffff);
	}
	if (frame[0] > cs.limit)
		return vcpu_gp(v, 0);
	ret = seg_mark_accessed(v, &cs);
	if (!ret && rpl > cpl)
		ret = seg_mark_accessed(v, &ss);
	if (!ret)
		ret = cs_load(v, &cs, rpl, frame[0]);
	if (ret)
		return ret;
	v->regs.seg[SEG_SS] = ss;
	v->regs.gpr[ESP] = esp;
	v->regs.eflags = flags;
	if (rpl > cpl)
		seg_drop_privileged(v, rpl);
	return EMU_OK;
}
