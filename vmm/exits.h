/* SPDX-License-Identifier: MIT */
/* An exit on its way through its handler.  Between run.c, which has the loop, and exits.c. */
#ifndef RINGSIDE_VMM_EXITS_H
#define RINGSIDE_VMM_EXITS_H

#include "vmm/engine.h"
#include "vmm/vcpu.h"

struct handling {
	struct exit x;
	unsigned cause;   /* account.h; the handler refines it */
	struct insn insn; /* decoded, if insn.len != 0 */
	uint32_t eip;     /* where the exit happened */
	bool stepped;     /* the original instruction ran: no patch is to blame */
};

/* Handle @h->x by its reason.  Returns 0 or more to go on, or negative errno: the VM has ended. */
int exit_handle(struct vcpu *v, struct handling *h);

/* Emulate @h->insn at EIP, with the single-step trap behind it.  EMU_UNHANDLED is passed on. */
int exit_emulate(struct vcpu *v, struct handling *h);

/*
 * Fetch and decode the instruction at EIP into @h->insn.  Returns 0; 1 if the guest got an
 * exception instead; or negative errno.
 */
int exit_decode(struct vcpu *v, struct handling *h);

/* exits_assisted.c: the rows of EXIT_IO to EXIT_EMULATION. */
int exit_io(struct vcpu *v, struct handling *h);
int exit_mmio(struct vcpu *v, struct handling *h);
int exit_hlt(struct vcpu *v, struct handling *h);
int exit_msr(struct vcpu *v, struct handling *h);
int exit_shutdown(struct vcpu *v, struct handling *h);
int exit_emulation(struct vcpu *v, struct handling *h);

/* Inject @ev and count it. */
int exit_inject(struct vcpu *v, const struct event *ev);

#endif
