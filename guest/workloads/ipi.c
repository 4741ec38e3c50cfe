/* SPDX-License-Identifier: MIT */
/* An interrupt to the second CPU, and its answer; both sleep between.  Needs two CPUs. */
#include "runtime/workload.h"

static volatile uint32_t pings, pongs, sum, answered;

HANDLER(on_ping, ping);
__attribute__((used)) void ping(void)
{
	pings++;
	LAPIC(EOI) = 0;
	LAPIC(ICR_LOW) = ICR_ASSERT | VEC_PONG; /* ICR_HIGH is 0: to CPU 0 */
}

HANDLER(on_pong, pong);
__attribute__((used)) void pong(void)
{
	sum = checksum(sum, pings);
	pongs++;
	LAPIC(EOI) = 0;
}

static void answer(void)
{
	LAPIC(ICR_HIGH) = 0;
	for (;;) {
		sti_hlt_cli();
		answered = pings;
	}
}

static uint32_t ipi(uint32_t n)
{
	sum = CHECKSUM_INIT;
	idt_gate(VEC_PING, on_ping, 0);
	idt_gate(VEC_PONG, on_pong, 0);
	lapic_init();
	cpu_start(answer);
	for (uint32_t i = 1; i <= n; i++) {
		LAPIC(ICR_LOW) = ICR_ASSERT | VEC_PING; /* ICR_HIGH is as cpu_start() left it */
		while (pongs != i)
			sti_hlt_cli();
	}
	while (answered != n) /* it has left its last handler */
		__asm__ volatile("pause");
	return sum;
}

const struct workload workload = { "ipi", 1000, false, ipi };
