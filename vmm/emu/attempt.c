/* SPDX-License-Identifier: MIT */
/* One instruction, all or nothing: the rewind-on-fault rule. No handler needs its own undo. */
#include "vmm/emu/handlers.h"

/*: 130. All or nothing
 * An instruction that faults has not happened. So the registers are kept, the handler works on
 * the vCPU itself, and if it fails they are put back.
 */
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
