/* SPDX-License-Identifier: MIT */
/*
 * The interrupt frame in protected mode: built when an event is delivered, taken down by IRET.
 * What gate, segments and stack belong to it, and whether they may be used, is decided around it,
 * in inject.c and segload.c.
 * Source: SDM Vol. 3A, "Exception- or Interrupt-Handler Procedures" (6.12.1), "Error Code" (6.13);
 * Vol. 2, IRET/IRETD.
 */
#ifndef RINGSIDE_VMM_EMU_FRAME_H
#define RINGSIDE_VMM_EMU_FRAME_H

#include "vmm/emu/seg.h"

/* Where a handler begins, and on which stack: all of it checked. */
struct entry {
	struct segment cs; /* to be loaded with cs_load() */
	uint32_t eip;
	unsigned cpl;        /* the handler's privilege level */
	bool interrupt_gate; /* or else a trap gate */
	unsigned width;      /* bytes of each item in the frame: 4, or 2 for a 16-bit gate */
	bool inner;          /* more privileged than what it interrupts, and so on another stack */
	struct segment ss;   /* the stack; if !@inner, the one the vCPU has */
	uint32_t esp;
	uint32_t ss_error; /* for stack_push_frame() */
};

/* An exception, as opposed to an interrupt (from a device or from INT n) with the same vector. */
static inline bool event_is_exception(const struct event *ev)
{
	return !ev->soft && !ev->external;
}

/* An exception that is a fault: its instruction is executed again after the handler.  inject.c. */
bool event_is_fault(const struct event *ev);

/*
 * EFLAGS as pushed for @ev: the vCPU's, but for RF ("resume").  It is set for a fault, so that the
 * instruction that IRET restarts does not meet its own breakpoint again; it is clear for INT n;
 * else it is pushed as it is.  SDM Vol. 3B, "Instruction-Breakpoint Exception Condition"
 * (17.3.1.1).
 */
uint32_t frame_flags(const struct vcpu *v, const struct event *ev);

/*
 * Enter the handler at *@to for @ev.  The frame, in the order of the pushes: SS and ESP of the
 * interrupted code if @to->inner; EFLAGS, CS, EIP; the error code of an exception that has one.
 * Then the vCPU is at @to->eip with the flags of a handler: TF, NT, RF and VM are clear, and IF is,
 * too, behind an interrupt gate.
 * EMU_FAULT, with nothing changed, if the frame cannot be pushed: #SS, #PF.
 */
int frame_enter(struct vcpu *v, const struct event *ev, const struct entry *to);

/*
 * IRET in protected mode: take down the frame at the top of the stack, its items @width bytes wide
 * (2 or 4).  In this order, where each step can end in a fault of the guest's:
 *
 *   1. Read EIP, CS, EFLAGS with stack_peek(), CS with the full @width.
 *   2. To virtual-8086 mode (VM set in the image, @width is 4 and the vCPL is 0): iret_v86().
 *   3. CS: cs_check_return(), which never lets RPL be below the vCPL.
 *   4. If RPL is above it, privilege is given up: ESP (@width bytes) and SS (2 bytes) follow in the
 *      frame; ss_check() SS for the new level, with VEC_GP.  If that stack is of 16 bits (!ss.db),
 *      only SP is loaded, and the upper half of ESP stays.
 *   5. EIP beyond the limit of CS: #GP(0).
 *   6. seg_mark_accessed() for CS, and for a new SS; then cs_load(), SS, ESP, EFLAGS.  Without a
 *      new stack ESP moves over the three items: stack_move().
 *   7. On the way out, seg_drop_privileged(): data segments that the outer level may not hold.
 *
 * EFLAGS: any IRET loads FL_ARITH, TF, DF and NT; with @width 4 also RF, AC and ID.  IF only if the
 * old vCPL is <= the old IOPL; IOPL only at (the old) vCPL 0, and there with @width 4 also VIF and
 * VIP.  All others stay.  FL_FIXED is always set.
 * Source: SDM Vol. 2, IRET/IRETD, "Operation"; vCPU thread.
 */
int frame_leave(struct vcpu *v, unsigned width);

/* IRET to virtual-8086 mode, which there is not: ends the VM with a sentence.  iret.c. */
int iret_v86(struct vcpu *v);

#endif
