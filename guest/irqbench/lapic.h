/* SPDX-License-Identifier: MIT */
/* The local APIC's registers.  Source: SDM Vol. 3A, table "Local APIC Register Address Map" (10-1).
 */
#ifndef IRQBENCH_LAPIC_H
#define IRQBENCH_LAPIC_H

#include "irqbench.h"

#define LAPIC(r) (*(volatile uint32_t *)(0xfee00000u + (r)))

enum {
	TPR = 0x080,
	EOI = 0x0b0,
	SVR = 0x0f0,
	ICR_LOW = 0x300,
	ICR_HIGH = 0x310,
	LVT_TIMER = 0x320,
	LVT_LINT0 = 0x350,
	TIMER_INIT = 0x380,
	TIMER_NOW = 0x390,
	TIMER_DIVIDE = 0x3e0,
};
#define LVT_MASKED   0x10000u
#define LVT_PERIODIC 0x20000u

/* Of the CPU that calls. */
void lapic_init(void);
void idt_load(void);

#endif
