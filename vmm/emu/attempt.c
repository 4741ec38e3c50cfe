/* SPDX-License-Identifier: MIT */
/*
 * One instruction, all or nothing.  A handler works on the vCPU itself; if it ends in a fault the
 * registers and the shadow go back to what they were, so that no handler needs its own undo (the
 * rewind-on-fault rule).
 */
#include "vmm/emu/handlers.h"

int emu_attempt(struct vcpu *v, const struct insn *in, emu_fn *fn)
{
	const struct cpu_regs regs = v->regs;
	const struct shadow sh = v->sh;
	int r;

	v->regs.eip += in->len;
	if (!v->regs.seg[SEG_CS].db)
		v->regs.eip &= 0xffff;
	v->regs.eflags &= ~FL_RF;
	v->sh.sti_shadow = false;
	v->sh.movss_shadow = false;

	r = fn(v, in);
	if (r != EMU_OK) {
		v->regs = regs;
		v->sh = sh;
	}
	return r;
}
