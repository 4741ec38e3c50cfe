/* SPDX-License-Identifier: MIT */
/* The handlers of all vectors, and what they write down. */
#include "apic.h"

#define EVENTS  64u
#define LEAVE   0x100u
#define IRQS    16u
#define BUFFERS 6u

void (*on_vector[256])(void);
uint8_t ends[256];

static struct {
	volatile unsigned count;
	uint16_t event[EVENTS]; /* a vector, or LEAVE */
} logs[CPUS];

static void note(unsigned event)
{
	unsigned cpu = this_cpu();

	if (logs[cpu].count < EVENTS)
		logs[cpu].event[logs[cpu].count++] = (uint16_t)event;
}

static void end(unsigned vector)
{
	if (ends[vector] == END_LAPIC)
		wr(EOI, 0);
	if (ends[vector] != END_PIC)
		return;
	if (vector >= PIC_BASE + 8)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

void irq_taken(struct irq_frame *f)
{
	if (f->vector == 2) {
		if (f->eip >= (uint32_t)cpu_check && f->eip < (uint32_t)cpu_go)
			f->eip = (uint32_t)cpu_check;
		if (cpu_called(this_cpu()))
			return;
		nmis[this_cpu()]++;
	}
	note(f->vector);
	if (on_vector[f->vector])
		on_vector[f->vector]();
	if (f->vector != 2)
		end(f->vector);
	note(LEAVE);
}

/* 0x11, #AC, would push an error code as an exception; as interrupts none of them does. */
void irq_gates(void)
{
	for (unsigned v = 0x12; v < 256; v++)
		set_vector(v, SEL_CODE, (uint32_t)irq_stubs + 16 * v, GATE32);
	/* NMI, and two vectors that are illegal for an APIC, should one deliver them all the same.
	 */
	set_vector(2, SEL_CODE, (uint32_t)irq_stubs + 16 * 2, GATE32);
	set_vector(5, SEL_CODE, (uint32_t)irq_stubs + 16 * 5, GATE32);
	set_vector(15, SEL_CODE, (uint32_t)irq_stubs + 16 * 15, GATE32);
	for (unsigned v = 0; v < 256; v++) {
		on_vector[v] = NULL;
		ends[v] = v >= PIC_BASE && v < PIC_BASE + IRQS ? END_PIC : END_LAPIC;
	}
}

void window(void)
{
	for (unsigned i = 0; i < 3; i++)
		__asm__ volatile("sti; nop; nop; nop; cli" : : : "memory");
}

static char *next_buffer(void)
{
	static char buffers[CPUS][BUFFERS][100];
	static unsigned next[CPUS];
	unsigned cpu = this_cpu();

	return buffers[cpu][next[cpu]++ % BUFFERS];
}

/* Append formatted text to *@end, which has room. */
static void append(char **end, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void append(char **end, const char *fmt, ...)
{
	__builtin_va_list ap;

	__builtin_va_start(ap, fmt);
	*end += format(*end, 20, fmt, ap);
	__builtin_va_end(ap);
}

unsigned taken_count(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < logs[this_cpu()].count; i++)
		n += logs[this_cpu()].event[i] != LEAVE;
	return n;
}

const char *taken(void)
{
	unsigned cpu = this_cpu(), n = logs[cpu].count;
	char *buf = next_buffer(), *p = buf;

	for (unsigned i = 0; i < n && p - buf < 80; i++) {
		unsigned event = logs[cpu].event[i];
		bool leaves_at_once = i + 1 < n && logs[cpu].event[i + 1] == LEAVE;

		if (event == LEAVE && (!i || logs[cpu].event[i - 1] == LEAVE))
			append(&p, " )");
		else if (event != LEAVE)
			append(&p, "%s%02x%s", i ? " " : "", event, leaves_at_once ? "" : "(");
	}
	if (!n)
		append(&p, "none");
	logs[cpu].count = 0;
	return buf;
}

bool pending(unsigned vector)
{
	return rd(IRR + vector / 32 * 16) >> vector % 32 & 1;
}

const char *vectors(unsigned reg)
{
	char *buf = next_buffer(), *p = buf;

	*p = 0;
	for (unsigned v = 0; v < 256 && p - buf < 80; v++)
		if (rd(reg + v / 32 * 16) >> v % 32 & 1)
			append(&p, "%s%02x", p == buf ? "" : ",", v);
	if (p == buf)
		append(&p, "-");
	return buf;
}

/* EOI as often as there is something in service, and let in what waits. */
static void drain(void)
{
	for (unsigned i = 0; i < 40; i++)
		wr(EOI, 0);
	window();
	for (unsigned i = 0; i < 8; i++)
		wr(EOI, 0);
}

void lapic_quiet(void)
{
	for (unsigned lvt = LVT_TIMER; lvt <= LVT_ERROR; lvt += 0x10)
		wr(lvt, MASKED);
	wr(INITIAL, 0);
	wr(DIVIDE, 0xb);
	wr(SVR, SVR_ON | 0xff);
	wr(APIC_ID, this_cpu() << 24);
	wr(DFR, 0xffffffff);
	wr(LDR, 1u << (24 + this_cpu()));
	wr(TPR, 0);
	drain();
	wr(ESR, 0);
	wr(ESR, 0);
	taken();
}

void quiet(void)
{
	irq_gates();
	uart_lower();
	kbd_lower();
	rtc_lower();
	pit_lower();
	for (unsigned pin = 0; pin < PINS; pin++)
		entry(pin, MASKED, 0);
	pic_init(1, 0xff, 0xff);
	lapic_quiet();
	wr(ICR_HI, 0);
}
