/* SPDX-License-Identifier: MIT */
/*
 * The interrupts of a local APIC: which wait, which are in service, and which comes next.
 * Plain registers and decisions on them; nothing here knows of clocks, pins or other processors.
 * Source: SDM Vol. 3A, "Handling Interrupts" (10.8); numbers below are of its sections.
 */
#ifndef RINGSIDE_VMM_DEV_LAPIC_IRQS_H
#define RINGSIDE_VMM_DEV_LAPIC_IRQS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Sets of vectors have 256 bits: vector v is bit v % 32 of word v / 32.  The upper four bits of a
 * vector are its priority class.
 */
struct lapic_irqs {
	uint32_t irr[8]; /* interrupt requests: accepted, not yet given to the CPU */
	uint32_t isr[8]; /* in service: given to the CPU, no EOI yet */
	uint32_t tmr[8]; /* trigger mode: set if the one accepted last was level-triggered */
	uint32_t tpr;    /* task priority: bits 7:4 are a class, bits 3:0 a subclass */
};

static inline bool lapic_bit_test(const uint32_t *set, uint8_t vector)
{
	return set[vector / 32] >> (vector % 32) & 1;
}

static inline void lapic_bit_set(uint32_t *set, uint8_t vector)
{
	set[vector / 32] |= 1u << (vector % 32);
}

static inline void lapic_bit_clear(uint32_t *set, uint8_t vector)
{
	set[vector / 32] &= ~(1u << (vector % 32));
}

/* The highest vector in @set, or -1. */
static inline int lapic_bit_highest(const uint32_t *set)
{
	for (int i = 7; i >= 0; i--) {
		if (set[i])
			return i * 32 + 31 - __builtin_clz(set[i]);
	}
	return -1;
}

/*
 * The processor priority register (10.8.3.1 "Task and Processor Priorities").  Its class is that of
 * the task priority or of the highest vector in service, whichever is higher.  Its subclass (bits
 * 3:0) is TPR's if TPR's class is the higher one, 0 if it is the lower one; if they are equal the
 * manual allows both.
 */
uint32_t irqs_ppr(const struct lapic_irqs *q);

/* Vector @vector (16-255) arrives.  If the same one waits already, the two become one (10.8.4). */
void irqs_accept(struct lapic_irqs *q, uint8_t vector, bool level);

/* The vector that the CPU would get: the highest that waits, if its class is above PPR's; or -1. */
int irqs_pending(const struct lapic_irqs *q);

/*
 * The CPU takes the pending interrupt: it waits no more, it is in service.  Returns its vector, or
 * -1 if there is none: then nothing changes, and the caller gives the CPU the spurious vector (10.9
 * "Spurious Interrupt").
 */
int irqs_ack(struct lapic_irqs *q);

/*
 * The handler is done: the EOI ends the service of the highest vector that is in service.  Returns
 * it, or -1 if there is none (10.8.5 "Signaling Interrupt Servicing Completion").
 */
int irqs_eoi(struct lapic_irqs *q);

#endif
