/* SPDX-License-Identifier: MIT */
/*
 * The local APIC: memory-mapped registers, 16 bytes apart, at 0xfee00000.
 * Source: SDM Vol. 3A, "Local APIC" (10.4), "APIC Timer" (10.5.4),
 * "Interrupt Command Register" (10.6.1).
 */
#include "minios.h"

#define SVR_ENABLE   0x100
#define LVT_MASKED   0x10000
#define LVT_PERIODIC 0x20000
#define LVT_EXTINT   0x700
#define DIVIDE_BY_16 0x3
#define ICR_PENDING  0x1000 /* the last one has not left yet */

volatile unsigned lapic_ticks;

static void on_timer(struct frame *f)
{
	(void)f;
	lapic_ticks++;
	LAPIC_REG(LAPIC_EOI) = 0;
}

static void on_spurious(struct frame *f)
{
	(void)f; /* no EOI: nothing is in service.  SDM Vol. 3A, "Spurious Interrupt" (10.9) */
}

void lapic_init_other(void)
{
	LAPIC_REG(LAPIC_SVR) = SVR_ENABLE | VEC_SPURIOUS;
	LAPIC_REG(LAPIC_TPR) = 0; /* no vector is too low */
}

void lapic_init(void)
{
	trap_handle(VEC_TIMER, on_timer);
	trap_handle(VEC_SPURIOUS, on_spurious);
	lapic_init_other();
	LAPIC_REG(LAPIC_LVT_LINT0) = LVT_EXTINT; /* the 8259A pair comes in here */
}

void lapic_timer(bool periodic, uint32_t count)
{
	LAPIC_REG(LAPIC_TIMER_DIVIDE) = DIVIDE_BY_16;
	LAPIC_REG(LAPIC_LVT_TIMER) = VEC_TIMER | (periodic ? LVT_PERIODIC : 0);
	LAPIC_REG(LAPIC_TIMER_INIT) = count; /* starts it */
}

void lapic_timer_stop(void)
{
	LAPIC_REG(LAPIC_TIMER_INIT) = 0;
	LAPIC_REG(LAPIC_LVT_TIMER) = VEC_TIMER | LVT_MASKED;
}

bool lapic_requested(unsigned vector)
{
	return LAPIC_REG(LAPIC_IRR + vector / 32 * 16) >> vector % 32 & 1;
}

void lapic_ipi(uint8_t apic_id, uint32_t command)
{
	while (LAPIC_REG(LAPIC_ICR_LOW) & ICR_PENDING)
		;
	LAPIC_REG(LAPIC_ICR_HIGH) = (uint32_t)apic_id << 24;
	LAPIC_REG(LAPIC_ICR_LOW) = command; /* sends it */
}
