/* SPDX-License-Identifier: MIT */
/*
 * COM1 by interrupts, all of it on CPU 0: "line N" comes in and "echo N" goes out, N = 1, 2, 3 ...
 * Source: PC16550D data sheet, "Registers" (8.0).
 */
#include "soak.h"

#define COM1 0x3f8
enum { DATA = COM1, IER, IIR, LCR, MCR, LSR };

#define IER_RX   0x01
#define IER_THRE 0x02
#define LSR_DR   0x01

#define OUT_SIZE 4096u

static char out[OUT_SIZE];
static uint32_t out_head, out_tail; /* bytes put in, taken out */
static char line[32];
static uint32_t line_len, lines;
static bool stop_asked;

void serial_init(void)
{
	outb(IER, 0);
	outb(LCR, 0x80);
	outb(DATA, 1); /* 115200 baud */
	outb(IER, 0);
	outb(LCR, 0x03);
	outb(IIR, 0x47); /* FIFOs on and empty, trigger at 4 */
	outb(MCR, 0x0b); /* DTR, RTS, OUT2: interrupts pass */
	outb(IER, IER_RX);
}

static void queue(const char *text)
{
	while (*text) {
		if (out_head - out_tail == OUT_SIZE) {
			wrong(BAD_SERIAL, 0, 0);
			return;
		}
		out[out_head++ % OUT_SIZE] = *text++;
	}
	outb(IER, IER_RX | IER_THRE); /* if it was off, this raises the interrupt */
}

static void echo(const char *fmt, ...)
{
	char buf[32];
	__builtin_va_list ap;

	__builtin_va_start(ap, fmt);
	format(buf, sizeof(buf), fmt, ap);
	__builtin_va_end(ap);
	queue(buf);
}

static void take_line(void)
{
	const char *p;
	uint32_t n = 0;

	line[line_len] = 0;
	line_len = 0;
	p = after_prefix(line, "stop");
	if (p && !*p) {
		stop_asked = true;
		return;
	}
	p = after_prefix(line, "line ");
	while (p && *p >= '0' && *p <= '9')
		n = n * 10 + (uint32_t)(*p++ - '0');
	if (!p || *p || n != lines + 1)
		wrong(BAD_LINE, lines + 1, n);
	lines = n;
	echo("echo %u\n", n);
}

static void receive(void)
{
	while (inb(LSR) & LSR_DR) {
		char c = (char)inb(DATA);

		if (c == '\n')
			take_line();
		else if (line_len < sizeof(line) - 1)
			line[line_len++] = c;
	}
}

static void transmit(void)
{
	if (out_head == out_tail) {
		outb(IER, IER_RX);
		return;
	}
	for (unsigned i = 0; i < 16 && out_head != out_tail; i++)
		outb(DATA, (uint8_t)out[out_tail++ % OUT_SIZE]);
}

/* Edge-triggered: until the chip wants nothing more, or no further edge would come. */
void serial_interrupt(void)
{
	uint8_t iir;

	while (!((iir = inb(IIR)) & 1)) {
		switch (iir & 0x0f) {
		case 0x04:
		case 0x0c: receive(); break;
		case 0x02: transmit(); break;
		default: inb(LSR); break;
		}
	}
}

void serial_put(const char *text)
{
	uint32_t flags = irq_save();

	queue(text);
	irq_restore(flags);
}

bool serial_stop_asked(void)
{
	return *(volatile bool *)&stop_asked;
}

bool serial_drained(bool complain)
{
	uint32_t left = *(volatile uint32_t *)&out_head - *(volatile uint32_t *)&out_tail;

	if (left && complain)
		wrong(LATE_SERIAL, left, 0);
	return !left;
}

void serial_stop(void)
{
	outb(IER, 0);
}

uint32_t serial_lines(void)
{
	return lines;
}
