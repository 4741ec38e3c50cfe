/* SPDX-License-Identifier: MIT */
/*
 * The second CPU.  Source: SDM Vol. 3A, "MP Initialization Protocol Algorithm" (8.4.3), "Interrupt
 * Command Register" (10.6.1).
 */
#include "workload.h"

#define SIPI (ICR_ASSERT | ICR_STARTUP | TRAMPOLINE >> 12)

/* Where the timer runs at 1 GHz. */
#define COUNTS_10_MS  10000000u
#define COUNTS_200_US 200000u
#define TRIES         20u /* of 200 ms */

extern const uint8_t trampoline[], trampoline_end[];
static void (*job)(void);
static volatile bool started;

void second_main(void);
void second_main(void)
{
	idt_load();
	lapic_init();
	started = true;
	job();
}

void cpu_start(void (*fn)(void))
{
	job = fn;
	memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	LAPIC(ICR_HIGH) = 1u << 24;
	LAPIC(ICR_LOW) = ICR_ASSERT | ICR_INIT;
	lapic_delay(COUNTS_10_MS);
	LAPIC(ICR_LOW) = SIPI;
	lapic_delay(COUNTS_200_US);
	LAPIC(ICR_LOW) = SIPI;
	for (unsigned i = 0; i < TRIES && !started; i++) {
		LAPIC(TIMER_INIT) = 20 * COUNTS_10_MS;
		while (!started && LAPIC(TIMER_NOW))
			;
	}
	LAPIC(TIMER_INIT) = 0;
	if (!started)
		die("needs a second processor");
}
