/* SPDX-License-Identifier: MIT */
/*
 * One tick of the local APIC's timer, 1 ms where that runs at 1 GHz, waited for with HLT.  The
 * handler starts the next: a periodic timer's last tick would be followed by another now and then.
 */
#include "runtime/workload.h"

#define PERIOD 1000000u

static volatile uint32_t ticks, sum, wanted;

HANDLER(on_tick, tick);
__attribute__((used)) void tick(void)
{
	sum = checksum(sum, ticks++);
	LAPIC(EOI) = 0;
	if (ticks < wanted)
		LAPIC(TIMER_INIT) = PERIOD;
}

static uint32_t timer(uint32_t n)
{
	sum = CHECKSUM_INIT;
	wanted = n;
	idt_gate(VEC_TIMER, on_tick, 0);
	lapic_init();
	LAPIC(LVT_TIMER) = VEC_TIMER;
	LAPIC(TIMER_INIT) = PERIOD;
	while (ticks < n)
		sti_hlt_cli();
	return sum;
}

const struct workload workload = { "timer", 100, false, timer };
