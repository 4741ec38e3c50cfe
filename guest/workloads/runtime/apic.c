/* SPDX-License-Identifier: MIT */
/* The local APIC.  Source: SDM Vol. 3A, "Local APIC" (10.4), "APIC Timer" (10.5.4). */
#include "workload.h"

void on_spurious(void);
__asm__(".text\n"
	".type on_spurious, @function\n"
	"on_spurious: iret\n"
	".size on_spurious, . - on_spurious\n");

void lapic_init(void)
{
	idt_gate(VEC_SPURIOUS, on_spurious, 0);
	LAPIC(SVR) = SVR_ENABLE | VEC_SPURIOUS;
	LAPIC(TPR) = 0;
	LAPIC(LVT_LINT0) = 0x700 | LVT_MASKED;
	LAPIC(LVT_TIMER) = LVT_MASKED | VEC_TIMER;
	LAPIC(TIMER_DIVIDE) = 0xb;
}

void lapic_delay(uint32_t counts)
{
	LAPIC(TIMER_INIT) = counts;
	while (LAPIC(TIMER_NOW))
		;
}
