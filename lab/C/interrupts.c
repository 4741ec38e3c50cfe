/* SPDX-License-Identifier: MIT */
/*
 * Part C: virtual interrupts.
 *
 * This file takes the place of vmm/dev/lapic_irqs.c, vmm/dev/lapic_count.c, vmm/deliver.c and
 * vmm/emu/frame.c.  Their headers stay and say exactly what each function does: read them first.
 * What is around it:
 *   vmm/dev/lapic.c	   the local APIC: who calls irqs_*()
 *   vmm/dev/lapic_timer.c  its timer: who calls count_*(), and arms a timer of the host
 *   vmm/run.c		   take_pending() asks deliver_next() before each run of the guest
 *   vmm/emu/inject.c	   finds gate, code segment and stack, then calls frame_enter()
 *   vmm/emu/iret.c	   decides what kind of IRET it is, then calls frame_leave()
 *
 * All of it is called with the locks held that it needs.  Do not block, allocate or sleep.
 */
#include "vmm/deliver.h"
#include "vmm/dev/lapic_count.h"
#include "vmm/dev/lapic_irqs.h"
#include "vmm/emu/frame.h"

/* ---- 1. Which interrupt is next: vmm/dev/lapic_irqs.h ---- */

/*
 * Use lapic_bit_set(), lapic_bit_clear(), lapic_bit_test() and lapic_bit_highest().  The priority
 * class of a vector, of TPR or of PPR is in its bits 7:4.
 */
uint32_t irqs_ppr(const struct lapic_irqs *q)
{
	(void)q;
	/* TODO */
	return 0;
}

void irqs_accept(struct lapic_irqs *q, uint8_t vector, bool level)
{
	(void)q, (void)vector, (void)level;
	/* TODO: IRR and TMR */
}

/*: 170. The highest that may
 * A bit for each vector that waits (IRR), a bit for each that is in service (ISR), and a class
 * below which nothing comes through (TPR, PPR).  This is yours: part C.
 */
int irqs_pending(const struct lapic_irqs *q)
{
	(void)q;
	/* TODO: compare classes, not vectors */
	return -1;
}

int irqs_ack(struct lapic_irqs *q)
{
	(void)q;
	/* TODO */
	return -1;
}

int irqs_eoi(struct lapic_irqs *q)
{
	(void)q;
	/* TODO */
	return -1;
}

/* ---- 2. The timer: vmm/dev/lapic_count.h ---- */

/*
 * There is no clock here: each function gets the time.  Mind the width of your products: an initial
 * count of 0xffffffff with divisor 128 lasts nine minutes, which is more than 32 bits of
 * nanoseconds.
 */
uint32_t count_divisor(uint32_t divide)
{
	(void)divide;
	/* TODO: figure 10-10.  Bits 3, 1, 0: 000 is 2, 001 is 4, ... 110 is 128, 111 is 1. */
	return 1;
}

void count_start(struct lapic_count *c, uint32_t initial, uint64_t now_ns)
{
	(void)now_ns;
	c->initial = initial;
	/* TODO */
}

uint32_t count_at(const struct lapic_count *c, uint64_t now_ns)
{
	(void)c, (void)now_ns;
	/* TODO */
	return 0;
}

bool count_expire(struct lapic_count *c, bool periodic, uint64_t now_ns)
{
	(void)c, (void)periodic, (void)now_ns;
	/* TODO: the interrupts of a periodic counter are count_interval_ns(its period) apart */
	return false;
}

void count_set_divide(struct lapic_count *c, uint32_t divide, uint64_t now_ns)
{
	(void)c, (void)divide, (void)now_ns;
	/* TODO */
}

/* ---- 3. What may be delivered now: vmm/deliver.h ---- */

enum deliver deliver_next(const struct deliver_state *s)
{
	(void)s;
	/* TODO */
	return DELIVER_NONE;
}

/* ---- 4. The frame: vmm/emu/frame.h ---- */

uint32_t frame_flags(const struct vcpu *v, const struct event *ev)
{
	(void)ev;
	/* TODO: RF */
	return v->regs.eflags;
}

/*: 185. Building the frame
 * Flags, CS, EIP and perhaps an error code go to the guest's stack; then to the handler, with the
 * flags that the gate wants.  This, too, is part C.
 */
/*
 * Collect the items, in the order of the pushes, in an array; stack_push_frame() then pushes all of
 * them or none, and moves the stack pointer that you give it.  Change the vCPU only after that: if
 * the frame cannot be pushed, the vCPU must be as it was.
 */
int frame_enter(struct vcpu *v, const struct event *ev, const struct entry *to)
{
	(void)ev, (void)to;
	/* TODO: the items */
	/* TODO: stack_push_frame(), cs_load(), SS and ESP, EFLAGS */
	return vm_kill(v->vm, "frame_enter() is not written yet");
}

int frame_leave(struct vcpu *v, unsigned width)
{
	(void)width;
	/* TODO: the steps in the header, one after the other */
	return vm_kill(v->vm, "frame_leave() is not written yet");
}
