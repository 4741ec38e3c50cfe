/* SPDX-License-Identifier: MIT */
/* MOV from a control register: the shadow's value, never the CPU's own. */
#include "vmm/emu/handlers.h"

/* SDM Vol. 2B, MOV (control registers): a register that does not exist is #UD at any CPL. */
int emu_cr_read(struct vcpu *v, const struct insn *in)
{
	uint32_t val;
	int r;

	switch (in->opnd[1].reg) {
	case 0: val = v->sh.cr0; break;
	case 2: val = v->sh.cr2; break;
	case 3: val = v->sh.cr3; break;
	case 4: val = v->sh.cr4; break;
	default: return vcpu_ud(v);
	}
	r = need_cpl0(v);
	if (r)
		return r;
	gpr_write(v, in->opnd[0].reg, 4, val);
	return EMU_OK;
}
