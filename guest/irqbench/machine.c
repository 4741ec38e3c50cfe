/* SPDX-License-Identifier: MIT */
/*
 * The machine around the measurements: gates, interrupt controllers and clocks.
 * Source: SDM Vol. 3A, "Local APIC" (10.4), "APIC Timer" (10.5.4);
 * Intel 82093AA data sheet, "I/O Redirection Table Registers" (3.2.4); Intel 8259A data sheet,
 * "Initialization Command Words"; Intel 8254 data sheet, "Mode 0" and "Mode 2"; PC16550D data
 * sheet, "Interrupt Enable Register" (8.7).
 */
#include "../runtime/lapic.h"
#include "irqbench.h"

/* ---- gates ---- */

static void idt_init(void)
{
	for (unsigned v = 0; v < 256; v++)
		idt_gate(v, on_other, 0);
	idt_gate(VEC_PIC, on_pic, 0);
	idt_gate(VEC_PIT, on_pit, 0);
	idt_gate(VEC_UART, on_uart, 0);
	idt_gate(VEC_TIMER, on_timer, 0);
	idt_gate(VEC_PING, on_ping, 0);
	idt_gate(VEC_PONG, on_pong, 0);
	idt_gate(VEC_WAKE, on_wake, 0);
	idt_gate(VEC_ASSIGNED, on_assigned, 0);
	idt_gate(VEC_SPURIOUS, on_spurious, 0);
	idt_load();
}

void uart_interrupt(bool enable)
{
	outb(COM1_IER, enable ? 0x02 : 0);
	if (!enable)
		inb(COM1_IIR);
}

void unexpected(void)
{
	print("unexpected trap\n");
	machine_exit(1);
}

/* ---- interrupt controllers ---- */

#define IOAPIC_SELECT (*(volatile uint32_t *)0xfec00000u)
#define IOAPIC_DATA   (*(volatile uint32_t *)0xfec00010u)
#define RTE_MASKED    0x10000u
#define PIT_PIN       2
#define UART_PIN      4

static void ioapic_write(unsigned pin, uint32_t low)
{
	IOAPIC_SELECT = 0x11 + 2 * pin;
	IOAPIC_DATA = 0; /* to local APIC 0 */
	IOAPIC_SELECT = 0x10 + 2 * pin;
	IOAPIC_DATA = low;
}

static void pic_init(void)
{
	static const uint8_t icw[2][4] = { { 0x11, VEC_PIC, 4, 1 }, { 0x11, VEC_PIC + 8, 2, 1 } };
	static const uint16_t port[2] = { 0x20, 0xa0 };

	for (unsigned i = 0; i < 2; i++) {
		outb(port[i], icw[i][0]);
		for (unsigned k = 1; k < 4; k++)
			outb(port[i] + 1, icw[i][k]);
		outb(port[i] + 1, 0xff);
	}
}

void pic_eoi(void)
{
	outb(0x20, 0x20);
}

void route_irqs(enum route r)
{
	/* Whatever came while the controllers looked the other way is taken and forgotten. */
	outb(0x43, 0x30);
	outb(0x21, r == ROUTE_PIC ? 0xfe : 0xff);
	LAPIC(LVT_LINT0) = r == ROUTE_PIC ? 0x700 : 0x700 | LVT_MASKED;
	ioapic_write(PIT_PIN, r == ROUTE_IOAPIC ? VEC_PIT : RTE_MASKED | VEC_PIT);
	ioapic_write(UART_PIN, r == ROUTE_IOAPIC ? VEC_UART : RTE_MASKED | VEC_UART);
}

void lapic_init(void)
{
	LAPIC(SVR) = SVR_ENABLE | VEC_SPURIOUS;
	LAPIC(TPR) = 0;
	LAPIC(LVT_TIMER) = LVT_MASKED | VEC_TIMER;
	LAPIC(TIMER_DIVIDE) = 0xb; /* by 1 */
	LAPIC(ICR_HIGH) = 0;       /* answers go to CPU 0 */
}

void lapic_eoi(void)
{
	LAPIC(EOI) = 0;
}

/* ---- clocks ---- */

uint32_t tsc_khz;
static uint32_t cycles_per_tick; /* of the local APIC's timer, times 65536 */

/*
 * An access takes a while where it is emulated, and happens about in the middle of it.  One that
 * took longer than this was interrupted, and does not count.
 */
#define ACCESS_US 20u

static uint64_t middle(uint64_t before, uint64_t after)
{
	return before + (after - before) / 2;
}

static bool too_long(uint64_t before, uint64_t after)
{
	return after - before > div64((uint64_t)tsc_khz * ACCESS_US, 1000);
}

/* The counter of channel 0, and the cycle at which it was that. */
static uint16_t pit_count(uint64_t *at)
{
	uint64_t before = rdtsc(), after;
	uint8_t low;

	outb(0x43, 0x00); /* latch */
	after = rdtsc();
	*at = middle(before, after);
	low = inb(0x40);
	return (uint16_t)(low | inb(0x40) << 8);
}

/* Once, over 25 ms.  Wrong if the host leaves us alone for 30 ms: then the counter wraps. */
static uint32_t tsc_khz_sample(void)
{
	uint64_t t0, t1;
	uint16_t first = pit_count(&t0), now;

	do
		now = pit_count(&t1);
	while ((uint16_t)(first - now) < 30000);
	/* 1.193182 MHz is 105/88 */
	return div64((t1 - t0) * 1000, (uint16_t)(first - now) * 88u / 105u);
}

/* Until two in a row agree to 0.05 %. */
static void tsc_measure(void)
{
	uint32_t last;
	uint64_t t;

	outb(0x43, 0x34); /* channel 0, low then high byte, mode 2 */
	outb(0x40, 0);    /* divisor 65536: 54.9 ms */
	outb(0x40, 0);
	while (pit_count(&t) > 65000)
		; /* it has begun to count down from the new value */
	tsc_khz = tsc_khz_sample();
	do {
		last = tsc_khz;
		tsc_khz = tsc_khz_sample();
	} while (tsc_khz - last + last / 2000 > last / 1000);
}

static uint32_t lapic_count(uint64_t *at)
{
	uint64_t before, after;
	uint32_t count;
	unsigned tries = 0;

	do {
		before = rdtsc();
		count = LAPIC(TIMER_NOW);
		after = rdtsc();
	} while (too_long(before, after) && ++tries < ACCESS_TRIES);
	*at = middle(before, after);
	return count;
}

static void lapic_measure(void)
{
	uint64_t t0, t1;
	uint32_t n0, n1;

	LAPIC(TIMER_INIT) = 0xffffffffu;
	n0 = lapic_count(&t0);
	delay_us(50000);
	n1 = lapic_count(&t1);
	cycles_per_tick = div64((t1 - t0) << 16, n0 - n1);
	LAPIC(TIMER_INIT) = 0;
}

bool pit_arm(uint32_t ticks, uint64_t *deadline)
{
	uint64_t before, after;

	outb(0x43, 0x30); /* channel 0, low then high byte, mode 0 */
	outb(0x40, (uint8_t)ticks);
	before = rdtsc();
	outb(0x40, (uint8_t)(ticks >> 8));
	after = rdtsc();
	/* ticks * 88 / 105 us */
	*deadline = middle(before, after) + div64((uint64_t)tsc_khz * ticks * 88u, 105u * 1000u);
	return !too_long(before, after);
}

bool lapic_arm(uint32_t ticks, uint64_t *deadline)
{
	uint64_t before, after;

	LAPIC(LVT_TIMER) = VEC_TIMER;
	before = rdtsc();
	LAPIC(TIMER_INIT) = ticks;
	after = rdtsc();
	*deadline = middle(before, after) + ((uint64_t)ticks * cycles_per_tick >> 16);
	return !too_long(before, after);
}

uint32_t lapic_period(uint32_t tsc)
{
	return div64((uint64_t)tsc << 16, cycles_per_tick);
}

void lapic_periodic(uint32_t ticks)
{
	LAPIC(LVT_TIMER) = ticks ? LVT_PERIODIC | VEC_TIMER : LVT_MASKED | VEC_TIMER;
	LAPIC(TIMER_INIT) = ticks;
}

void machine_init(void)
{
	uart_init();
	idt_init();
	pic_init();
	lapic_init();
	route_irqs(ROUTE_NONE);
	tsc_measure();
	lapic_measure();
}
