/* SPDX-License-Identifier: MIT */
/* One interrupt to oneself: a write to the ICR, the handler, its EOI and its IRET. */
#include "runtime/workload.h"

static volatile uint32_t count, sum;

HANDLER(on_self, self);
__attribute__((used)) void self(void)
{
	sum = checksum(sum, count++);
	LAPIC(EOI) = 0;
}

static uint32_t apic_icr(uint32_t n)
{
	sum = CHECKSUM_INIT;
	idt_gate(VEC_SELF, on_self, 0);
	lapic_init();
	sti();
	for (uint32_t i = 1; i <= n; i++) {
		LAPIC(ICR_LOW) = ICR_SELF | ICR_ASSERT | VEC_SELF;
		while (count != i)
			;
	}
	cli();
	return sum;
}

const struct workload workload = { "apic-icr", 5000, false, apic_icr };
