/* SPDX-License-Identifier: MIT */
/*
 * May what is pending be delivered to the guest now, at this instruction boundary?
 * Source: SDM Vol. 3A, "Masking Maskable Hardware Interrupts" (6.8.1), "Masking Exceptions and
 * Interrupts When Switching Stacks" (6.8.3), "Handling Multiple NMIs" (6.7.1), "Priority Among
 * Simultaneous Exceptions and Interrupts" (6.9); Vol. 2B, STI.
 */
#ifndef RINGSIDE_VMM_DELIVER_H
#define RINGSIDE_VMM_DELIVER_H

#include <stdbool.h>
#include <stdint.h>

/* What waits, and what in the vCPU can hold it off. */
struct deliver_state {
	bool nmi; /* an NMI waits */
	bool irq; /* an interrupt of the local APIC or the PIC waits */
	uint32_t eflags;
	bool nmi_blocked;  /* an NMI was delivered, and no IRET executed since */
	bool sti_shadow;   /* the last instruction was an STI that set IF */
	bool movss_shadow; /* the last instruction was a MOV SS or POP SS */
};

enum deliver {
	DELIVER_NONE, /* run the guest */
	DELIVER_NMI,  /* deliver the NMI */
	DELIVER_IRQ,  /* deliver the interrupt */
	DELIVER_STEP, /* only a shadow is in the way: run one instruction, then ask again */
};

/*
 * What to do with what waits.
 *   - Of two that can be delivered the NMI goes first.
 *   - IF holds off interrupts, and no NMI.  nmi_blocked holds off NMIs, and no interrupt.
 *   - Both shadows hold off both, for one instruction.  (For an NMI after STI the manual leaves it
 *     to the processor; ours waits.)
 * DELIVER_STEP costs an extra exit, so it is only for something that can be delivered after it.
 */
enum deliver deliver_next(const struct deliver_state *s);

#endif
