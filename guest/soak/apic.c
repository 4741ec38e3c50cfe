/* SPDX-License-Identifier: MIT */
/*
 * Local APIC and IOAPIC.
 * Source: SDM Vol. 3A, "Local APIC" (10.4), "APIC Timer" (10.5.4), "Issuing Interprocessor
 * Interrupts" (10.6), "MP Initialization Protocol" (8.4); Intel 82093AA data sheet, 3.2.4.
 */
#include "../runtime/lapic.h"
#include "soak.h"

#define TIMER_HZ 1000000000u /* here and in QEMU */

#define IOAPIC(r)   (*(volatile uint32_t *)(0xfec00000u + (r)))
#define IOAPIC_COM1 (0x10 + 2 * 4)
#define RTE_MASKED  0x10000u

void apic_init(void)
{
	LAPIC(SVR) = SVR_ENABLE | VEC_SPURIOUS;
	LAPIC(LVT_LINT0) = LVT_MASKED;
}

void apic_eoi(void)
{
	LAPIC(EOI) = 0;
}

void apic_timer_start(uint32_t per_second)
{
	LAPIC(TIMER_DIVIDE) = 0xb; /* by 1 */
	LAPIC(LVT_TIMER) = LVT_PERIODIC | VEC_TIMER;
	LAPIC(TIMER_INIT) = TIMER_HZ / per_second;
}

void apic_timer_stop(void)
{
	LAPIC(TIMER_INIT) = 0;
	LAPIC(LVT_TIMER) = LVT_MASKED | VEC_TIMER;
}

static void command(uint32_t icr)
{
	LAPIC(ICR_LOW) = icr;
	while (LAPIC(ICR_LOW) & ICR_PENDING)
		;
}

static void delay(void)
{
	for (volatile unsigned i = 0; i < 100000; i++)
		;
}

void apic_start_others(void)
{
	memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	command(ICR_OTHERS | ICR_ASSERT | ICR_INIT);
	delay();
	command(ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | TRAMPOLINE >> 12);
	delay();
	/* Ignored by those that run already. */
	command(ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | TRAMPOLINE >> 12);
}

void apic_ipi(uint32_t to, uint32_t vector)
{
	LAPIC(ICR_HIGH) = to << 24;
	LAPIC(ICR_LOW) = ICR_ASSERT | vector;
}

void apic_ipi_others(uint32_t vector)
{
	LAPIC(ICR_LOW) = ICR_OTHERS | ICR_ASSERT | vector;
}

uint32_t apic_busy(void)
{
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t set = LAPIC(IRR + 16 * i) | LAPIC(ISR + 16 * i);

		if (set)
			return 32 * i + (uint32_t)__builtin_ctz(set);
	}
	return 0;
}

void ioapic_com1(bool on)
{
	IOAPIC(0) = IOAPIC_COM1 + 1;
	IOAPIC(0x10) = 0; /* to CPU 0 */
	IOAPIC(0) = IOAPIC_COM1;
	IOAPIC(0x10) = VEC_COM1 | (on ? 0 : RTE_MASKED);
}
