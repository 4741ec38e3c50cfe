/* SPDX-License-Identifier: MIT */
/*
 * The machine around the measurements: segments and gates, the serial port, and the clocks.
 * Source: SDM Vol. 3A, "Segment Descriptors" (3.4.5), "IDT Descriptors" (6.11), "Local APIC"
 * (10.4), "APIC Timer" (10.5.4); Intel 8254 data sheet, "Mode 2".
 */
#include "../runtime/lapic.h"
#include "bench.h"

/* ---- segments and gates ---- */

struct table_register {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

uint8_t tss[104];
static uint64_t gdt[] = {
	0,
	0x00cf9b000000ffff, /* SEL_CODE: base 0, 4 GiB, code, privilege level 0 */
	0x00cf93000000ffff, /* SEL_DATA */
	0x00cffb000000ffff, /* SEL_USER_CODE: the same for level 3 */
	0x00cff3000000ffff, /* SEL_USER_DATA */
	0,                  /* SEL_TSS */
};
static uint64_t idt[256];

/* Interrupt gate: interrupts are off in the handler. */
static void gate(unsigned vector, void (*entry)(void), unsigned dpl)
{
	uint32_t at = (uint32_t)entry;

	idt[vector] = (uint64_t)((at & 0xffff0000u) | 0x8e00u | dpl << 13) << 32 |
		      (uint32_t)SEL_CODE << 16 | (at & 0xffffu);
}

static void tables_init(void)
{
	struct table_register gdtr = { sizeof(gdt) - 1, (uint32_t)gdt };
	struct table_register idtr = { sizeof(idt) - 1, (uint32_t)idt };
	uint64_t base = (uint32_t)tss;

	gdt[SEL_TSS / 8] = (base & 0xff000000u) << 32 | (uint64_t)0x89 << 40 |
			   (base & 0xffffffu) << 16 | (sizeof(tss) - 1);
	*(uint16_t *)(tss + 8) = SEL_DATA;      /* SS0 */
	*(uint16_t *)(tss + 102) = sizeof(tss); /* no I/O permission bitmap */
	for (unsigned v = 0; v < 256; v++)
		gate(v, on_other, 0);
	gate(VEC_PF, on_page_fault, 0);
	gate(VEC_TIMER, on_timer, 0);
	gate(VEC_SPURIOUS, on_spurious, 0);
	gate(VEC_NULL, on_null, 3);
	gate(VEC_LEAVE, on_leave, 3);
	gate(VEC_SWITCH, on_switch, 3);
	__asm__ volatile("lgdt	%0\n\t"
			 "lidt	%1\n\t"
			 "ljmp	%2, $1f\n"
			 "1:	movl	%3, %%eax\n\t"
			 "movl	%%eax, %%ss\n\t"
			 "movl	%4, %%eax\n\t"
			 "movl	%%eax, %%ds\n\t"
			 "movl	%%eax, %%es\n\t"
			 "movl	%5, %%eax\n\t"
			 "ltr	%%ax"
			 :
			 : "m"(gdtr), "m"(idtr), "i"(SEL_CODE), "i"(SEL_DATA), "i"(SEL_USER_DATA),
			   "i"(SEL_TSS)
			 : "eax", "memory");
}

/* ---- the serial port, polled ---- */

enum { COM1 = 0x3f8, COM1_LCR = COM1 + 3, COM1_LSR = COM1 + 5 };

static void putc(char c)
{
	while (!(inb(COM1_LSR) & 0x20))
		;
	outb(COM1, (uint8_t)c);
}

void print(const char *fmt, ...)
{
	char buf[256];
	__builtin_va_list ap;

	__builtin_va_start(ap, fmt);
	format(buf, sizeof(buf), fmt, ap);
	__builtin_va_end(ap);
	for (const char *p = buf; *p; p++)
		putc(*p);
}

void machine_exit(uint8_t code)
{
	outb(0xf4, code);
	for (;;)
		cli();
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
	outb(COM1 + 1, 0);
	outb(COM1_LCR, 0x80);
	outb(COM1, 1);
	outb(COM1 + 1, 0);
	outb(COM1_LCR, 0x03);
	tables_init();
}
