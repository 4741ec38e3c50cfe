/* SPDX-License-Identifier: MIT */
/*
 * The interrupt flag and the flags image: CLI, STI, PUSHF, POPF, HLT.
 * Neither virtual-8086 mode extensions nor protected-mode virtual interrupts exist here: CPUID
 * does not offer VME and CR4 refuses both bits.
 */
#include "vmm/emu/handlers.h"

/* May the guest touch IF now?  CPL <= IOPL; in virtual-8086 mode (CPL 3) that is IOPL 3. */
static bool if_allowed(const struct vcpu *v)
{
	if (!vcpu_protected(v))
		return true;
	return (vcpu_v86(v) ? 3 : v->sh.cpl) <= vcpu_iopl(v);
}

/* SDM Vol. 2A, CLI, table "Decision Table for CLI Results". */
static int cli(struct vcpu *v)
{
	if (!if_allowed(v))
		return vcpu_gp(v, 0);
	v->regs.eflags &= ~FL_IF;
	return EMU_OK;
}

/* SDM Vol. 2B, STI: interrupts stay off for one more instruction, but only if IF was clear. */
static int sti(struct vcpu *v)
{
	if (!if_allowed(v))
		return vcpu_gp(v, 0);
	if (!(v->regs.eflags & FL_IF))
		v->sh.sti_shadow = true;
	v->regs.eflags |= FL_IF;
	return EMU_OK;
}

/* SDM Vol. 2B, PUSHF/PUSHFD: the image has VM and RF clear. */
static int pushf(struct vcpu *v, const struct insn *in)
{
	if (vcpu_v86(v) && vcpu_iopl(v) < 3)
		return vcpu_gp(v, 0);
	return stack_push(v, in->opsize, v->regs.eflags & 0x00fcffff);
}

/*: 140. The instruction that does not trap
 * At ring 3 popf silently leaves IF as it is: no trap, and the guest kernel goes on with
 * interrupts in the wrong state. It is here because the scanner (further on) put a trapping byte
 * in its place.
 */
/*
 * SDM Vol. 2B, POPF/POPFD, table "Effect of POPF/POPFD on the EFLAGS Register": IOPL changes only
 * at CPL 0, IF only if CPL <= IOPL, both silently kept otherwise; VIP, VIF and VM never; RF is
 * cleared.  The 16-bit form leaves the upper half alone (but RF).
 */
static int popf(struct vcpu *v, const struct insn *in)
{
	uint32_t change = FL_ARITH | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID;
	uint32_t image;
	int r;

	if (vcpu_v86(v) && vcpu_iopl(v) < 3)
		return vcpu_gp(v, 0);
	if (!vcpu_protected(v) || (!vcpu_v86(v) && v->sh.cpl == 0))
		change |= FL_IOPL;
	if (if_allowed(v))
		change |= FL_IF;
	if (in->opsize == 2)
		change &= 0xffff;
	r = stack_pop(v, in->opsize, &image);
	if (r)
		return r;
	v->regs.eflags = (v->regs.eflags & ~change & ~FL_RF) | (image & change) | FL_FIXED;
	return EMU_OK;
}

int emu_flags(struct vcpu *v, const struct insn *in)
{
	switch (in->op) {
	case OP_CLI: return cli(v);
	case OP_STI: return sti(v);
	case OP_PUSHF: return pushf(v, in);
	case OP_POPF: return popf(v, in);
	default: return vcpu_ud(v);
	}
}

int emu_hlt(struct vcpu *v, const struct insn *in)
{
	int r = need_cpl0(v);

	(void)in;
	if (r)
		return r;
	v->halted = true;
	v->idle = false;
	return EMU_OK;
}
