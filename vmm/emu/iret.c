/* SPDX-License-Identifier: MIT */
/*
 * IRET.  Source: Intel SDM Vol. 2, IRET/IRETD; Vol. 3A, "Exception- or Interrupt-Handler
 * Procedures" (6.12.1).
 */
#include "vmm/emu/seg.h"

/* Flags that any IRET loads, and those that only the 32-bit form has. */
#define IRET_FLAGS   (FL_ARITH | FL_TF | FL_DF | FL_NT)
#define IRET_FLAGS32 (FL_RF | FL_AC | FL_ID)

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

static int iret_real(struct vcpu *v, const struct insn *in, const uint32_t frame[3])
{
	/* "EFLAGS := (tempEFLAGS AND 257FD5H) OR (EFLAGS AND 1A0000H)" */
	uint32_t mask = in->opsize == 4 ? 0x257fd5 : 0x7fd5;

	if (frame[0] > v->regs.seg[SEG_CS].limit)
		return vcpu_gp(v, 0);
	v->regs.eflags = (v->regs.eflags & ~mask) | (frame[2] & mask) | FL_FIXED;
	v->regs.gpr[ESP] = stack_move(&v->regs.seg[SEG_SS], v->regs.gpr[ESP],
				      3 * (int32_t)in->opsize);
	seg_load_real(v, SEG_CS, (uint16_t)frame[1]);
	v->regs.eip = frame[0];
	return EMU_OK;
}

/*: 190. And back
 * IRET is sensitive: it loads CS and flags. At the real ring 3 it would do something else than
 * the guest kernel means, so it is emulated, checks included.
 */
static int iret_protected(struct vcpu *v, const struct insn *in, const uint32_t frame[3])
{
	const uint16_t sel = (uint16_t)frame[1];
	const unsigned rpl = sel_rpl(sel), cpl = v->sh.cpl, width = in->opsize;
	struct segment cs, ss = v->regs.seg[SEG_SS];
	uint32_t flags = iret_flags(v, frame[2], width, cpl), esp, ss_sel;
	int ret = cs_check_return(v, sel, &cs);

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

int emu_iret(struct vcpu *v, const struct insn *in)
{
	uint32_t frame[3]; /* EIP, CS, EFLAGS: read once */
	int ret;

	if (vcpu_protected(v) && v->regs.eflags & FL_NT)
		return vm_kill(v->vm, "iret with NT set: task switching is not supported yet");
	for (unsigned i = 0; i < 3; i++) {
		ret = stack_peek(v, i * in->opsize, in->opsize, &frame[i]);
		if (ret)
			return ret;
	}
	if (!vcpu_protected(v))
		ret = iret_real(v, in, frame);
	else if (in->opsize == 4 && frame[2] & FL_VM && v->sh.cpl == 0)
		ret = vm_kill(v->vm, "iret with VM set: virtual-8086 mode is not supported yet");
	else
		ret = iret_protected(v, in, frame);
	if (!ret)
		v->sh.nmi_blocked = false;
	return ret;
}
