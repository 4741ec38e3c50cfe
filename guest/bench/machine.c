/* SPDX-License-Identifier: MIT */
/*
 * The machine around the measurements: gates and clocks.
 * Source: SDM Vol. 3A, "Local APIC" (10.4), "APIC Timer" (10.5.4); Intel 8254 data sheet, "Mode 2".
 */
#include "../runtime/lapic.h"
#include "bench.h"

static void idt_init(void)
{
	for (unsigned v = 0; v < 256; v++)
		idt_gate(v, on_other, 0);
	idt_gate(VEC_PF, on_page_fault, 0);
	idt_gate(VEC_TIMER, on_timer, 0);
	idt_gate(VEC_SPURIOUS, on_spurious, 0);
	idt_gate(VEC_NULL, on_null, 3);
	idt_gate(VEC_LEAVE, on_leave, 3);
	idt_gate(VEC_SWITCH, on_switch, 3);
	idt_load();
}

void unexpected(void)
{
	print("unexpected trap\n");
	machine_exit(1);
}

/* ---- clocks ---- */

static uint16_t pit_count(void)
{
	uint8_t low;

	outb(0x43, 0x00); /* latch channel 0 */
	low = inb(0x40);
	return (uint16_t)(low | inb(0x40) << 8);
}

/* Once, over 10 ms. */
static uint32_t tsc_khz_sample(void)
{
	uint16_t first = pit_count(), now;
	uint64_t t0 = rdtsc(), t1;

	do {
		now = pit_count();
		t1 = rdtsc();
	} while ((uint16_t)(first - now) < 12000);
	/* 1.193182 MHz is 105/88 */
	return div64((t1 - t0) * 1000, (uint16_t)(first - now) * 88u / 105u);
}

uint32_t tsc_khz(void)
{
	uint64_t khz[7];

	outb(0x43, 0x34); /* channel 0, low then high byte, mode 2 */
	outb(0x40, 0);    /* divisor 65536: 54.9 ms */
	outb(0x40, 0);
	while (pit_count() > 65000)
		; /* it has begun to count down from the new value */
	for (unsigned i = 0; i < 7; i++)
		khz[i] = tsc_khz_sample();
	return (uint32_t)median(khz, 7);
}

#define PERIOD 2000000u /* counts: 2 ms where the timer runs at 1 GHz */

static uint32_t cycles_per_count; /* times 256 */
static volatile unsigned ticks;
static uint64_t latency_sum;

void apic_init(void)
{
	uint64_t t0;
	uint32_t n0, n1;

	outb(0x21, 0xff); /* both 8259A: nothing */
	outb(0xa1, 0xff);
	LAPIC(SVR) = SVR_ENABLE | VEC_SPURIOUS;
	LAPIC(TIMER_DIVIDE) = 0xb; /* by 1 */
	LAPIC(LVT_TIMER) = LVT_MASKED | VEC_TIMER;
	LAPIC(TIMER_INIT) = 0xffffffffu;
	n0 = LAPIC(TIMER_NOW);
	t0 = rdtsc();
	while (rdtsc() - t0 < 20000000)
		;
	n1 = LAPIC(TIMER_NOW);
	cycles_per_count = div64((rdtsc() - t0) << 8, n0 - n1);
	LAPIC(TIMER_INIT) = 0;
}

/*
 * The count has gone on since the interrupt, so it says how long ago that was.  Reading it may take
 * a while itself (where it is emulated); the count is from about the middle of that time.
 */
void timer_tick(void)
{
	uint64_t t0 = rdtsc();
	uint32_t count = PERIOD - LAPIC(TIMER_NOW);
	uint64_t reading = (rdtsc() - t0) / 2, past = (uint64_t)count * cycles_per_count >> 8;

	latency_sum += past > reading ? past - reading : 0;
	ticks++;
	LAPIC(EOI) = 0;
}

uint64_t timer_latency(unsigned n, bool halted)
{
	latency_sum = 0;
	ticks = 0;
	LAPIC(LVT_TIMER) = LVT_PERIODIC | VEC_TIMER;
	LAPIC(TIMER_INIT) = PERIOD;
	sti();
	while (ticks < n)
		if (halted)
			__asm__ volatile("hlt");
	cli();
	LAPIC(TIMER_INIT) = 0;
	LAPIC(LVT_TIMER) = LVT_MASKED | VEC_TIMER;
	return latency_sum;
}

void machine_init(void)
{
	uart_init();
	segments_init();
	idt_init();
}
