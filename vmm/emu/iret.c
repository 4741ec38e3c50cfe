/* SPDX-License-Identifier: MIT */
/*
 * IRET; in protected mode frame.c does it.  Source: Intel SDM Vol. 2, IRET/IRETD; Vol. 3A,
 * "Handling Multiple NMIs" (6.7.1).
 */
#include "vmm/emu/frame.h"

static int iret_real(struct vcpu *v, unsigned width)
{
	/* "EFLAGS := (tempEFLAGS AND 257FD5H) OR (EFLAGS AND 1A0000H)" */
	uint32_t mask = width == 4 ? 0x257fd5 : 0x7fd5;
	uint32_t frame[3]; /* EIP, CS, EFLAGS: read once */
	int ret;

	for (unsigned i = 0; i < 3; i++) {
		ret = stack_peek(v, i * width, width, &frame[i]);
		if (ret)
			return ret;
	}
	if (frame[0] > v->regs.seg[SEG_CS].limit)
		return vcpu_gp(v, 0);
	v->regs.eflags = (v->regs.eflags & ~mask) | (frame[2] & mask) | FL_FIXED;
	v->regs.gpr[ESP] = stack_move(&v->regs.seg[SEG_SS], v->regs.gpr[ESP], 3 * (int32_t)width);
	seg_load_real(v, SEG_CS, (uint16_t)frame[1]);
	v->regs.eip = frame[0];
	return EMU_OK;
}

int iret_v86(struct vcpu *v)
{
	return vm_kill(v->vm, "iret with VM set: virtual-8086 mode is not supported yet");
}

/*: 190. And back
 * IRET is sensitive: it loads CS and flags. At the real ring 3 it would do something else than
 * the guest kernel means, so it is emulated, checks included.
 */
int emu_iret(struct vcpu *v, const struct insn *in)
{
	int ret;

	if (!vcpu_protected(v))
		ret = iret_real(v, in->opsize);
	else if (v->regs.eflags & FL_NT)
		ret = vm_kill(v->vm, "iret with NT set: task switching is not supported yet");
	else
		ret = frame_leave(v, in->opsize);
	if (!ret)
		v->sh.nmi_blocked = false;
	return ret;
}
