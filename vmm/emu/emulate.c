/* SPDX-License-Identifier: MIT */
/* The dispatcher: which handler an instruction has.  attempt.c runs it, all or nothing. */
#include <errno.h>

#include "decoder/sensitive.h"
#include "vmm/emu/handlers.h"

#define LOCK_TRIES 64

/* enum emu_handler to function.  EMU_NONE stays NULL: the guest gets #UD. */
static emu_fn *const handlers[EMU_HANDLER_COUNT] = {
	[EMU_FLAGS] = emu_flags,
	[EMU_HLT] = emu_hlt,
	[EMU_IO] = emu_io,
	[EMU_DTABLE] = emu_dtable,
	[EMU_MSW] = emu_msw,
	[EMU_CR] = emu_cr,
	[EMU_DR] = emu_dr,
	[EMU_CACHE] = emu_cache,
	[EMU_INVLPG] = emu_invlpg,
	[EMU_MSR] = emu_msr,
	[EMU_PMC] = emu_pmc,
	[EMU_TSC] = emu_tsc,
	[EMU_CPUID] = emu_cpuid,
	[EMU_XCR] = emu_xcr,
	[EMU_PROBE] = emu_probe,
	[EMU_SEG] = emu_seg,
	[EMU_FAR_LOAD] = emu_far_load,
	[EMU_SOFT_INT] = emu_soft_int,
	[EMU_IRET] = emu_iret,
	[EMU_FAR] = emu_far,
	[EMU_FAST_SYSCALL] = emu_fast_syscall,
	[EMU_MWAIT] = emu_mwait,
	[EMU_PAUSE] = emu_pause,
	[EMU_SMAP] = emu_smap,
	[EMU_HYPERCALL] = emu_hypercall,
};

/*
 * -EAGAIN: a locked operation lost its race against another vCPU.  It is tried again, but not for
 * ever: then nothing has happened, EIP is still on it and the guest runs into it again.
 */
static int run(struct vcpu *v, const struct insn *in, emu_fn *fn)
{
	int r, tries = 0;

	do {
		r = emu_attempt(v, in, fn);
	} while (r == -EAGAIN && ++tries < LOCK_TRIES);
	return r == -EAGAIN ? EMU_OK : r;
}

uint32_t insn_eip(const struct vcpu *v, const struct insn *in)
{
	uint32_t eip = v->regs.eip - in->len;

	return v->regs.seg[SEG_CS].db ? eip : eip & 0xffff;
}

static int undefined(struct vcpu *v, const struct insn *in)
{
	(void)in;
	return vcpu_ud(v);
}

int emulate_sensitive(struct vcpu *v, const struct insn *in)
{
	emu_fn *fn = NULL;

	if (!in->sens)
		return EMU_UNHANDLED;
	/* No sensitive instruction takes LOCK: #UD before any other check (Vol. 2A, LOCK). */
	if (in->sens->handler < EMU_HANDLER_COUNT && !(in->prefixes & PREFIX_LOCK))
		fn = handlers[in->sens->handler];
	return run(v, in, fn ? fn : undefined);
}

int emulate_ordinary(struct vcpu *v, const struct insn *in)
{
	return run(v, in, emu_ordinary);
}

int emulate(struct vcpu *v, const struct insn *in)
{
	return in->sens ? emulate_sensitive(v, in) : emulate_ordinary(v, in);
}
