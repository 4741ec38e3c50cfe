/* SPDX-License-Identifier: MIT */
/*
 * Fast system calls.  Ringside's vCPU follows the Intel model: SYSENTER and SYSEXIT work in every
 * mode that has them, SYSCALL and SYSRET are #UD outside 64-bit mode (SDM Vol. 2, SYSCALL: "#UD:
 * The SYSCALL instruction is not recognized in ... compatibility mode / protected mode"), whatever
 * the host's vendor.  The CPUID policy must not offer SYSCALL to a 32-bit guest.
 */
#include "vmm/emu/seg.h"

/* "Flat", by definition and not by any descriptor: SDM Vol. 2, SYSENTER, SYSEXIT, Operation. */
static void flat(struct segment *s, uint16_t sel, unsigned cpl, bool code)
{
	*s = (struct segment){
		.sel = sel,
		.type = TYPE_WRITABLE | TYPE_ACCESSED | (code ? TYPE_CODE : 0),
		.dpl = (uint8_t)cpl,
		.s = true,
		.present = true,
		.db = true,
		.g = true,
		.limit = 0xffffffff,
	};
}

static void enter_flat(struct vcpu *v, uint16_t cs, unsigned cpl, uint32_t eip, uint32_t esp)
{
	cs = (uint16_t)((cs & ~3u) | cpl);
	flat(&v->regs.seg[SEG_CS], cs, cpl, true);
	flat(&v->regs.seg[SEG_SS], (uint16_t)(cs + 8), cpl, false);
	v->sh.cpl = (uint8_t)cpl;
	v->regs.eip = eip;
	v->regs.gpr[ESP] = esp;
}

int emu_fast_syscall(struct vcpu *v, const struct insn *in)
{
	uint16_t cs = (uint16_t)v->sh.sysenter_cs;
	int ret;

	if (in->op != OP_SYSENTER && in->op != OP_SYSEXIT)
		return vcpu_ud(v);
	if (!vcpu_protected(v) || sel_is_null(cs))
		return vcpu_gp(v, 0);
	if (in->op == OP_SYSENTER) {
		v->regs.eflags &= ~(FL_VM | FL_IF | FL_RF);
		enter_flat(v, cs, 0, v->sh.sysenter_eip, v->sh.sysenter_esp);
		return EMU_OK;
	}
	ret = need_cpl0(v);
	if (ret)
		return ret;
	enter_flat(v, (uint16_t)(cs + 16), 3, v->regs.gpr[EDX], v->regs.gpr[ECX]);
	return EMU_OK;
}
