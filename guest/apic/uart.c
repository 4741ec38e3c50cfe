/* SPDX-License-Identifier: MIT */
/*
 * The UART's interrupts: priorities in IIR, FIFO trigger levels, time-out, overrun, modem lines;
 * all in loopback, so that nothing but what a case sends is received. Source: National PC16550D
 * data sheet, section 8.
 */
#include "apic.h"

enum { COM = 0x3f8, RBR = COM, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { FCR = IIR, LOOP = 0x10 };
enum { RDA = 1, THRE = 2, RLS = 4, MS = 8 };

static void rate(uint16_t divisor)
{
	outb(LCR, 0x83);
	outb(COM, (uint8_t)divisor);
	outb(COM + 1, (uint8_t)(divisor >> 8));
	outb(LCR, 0x03);
}

/* At the slowest rate, for the time-out to come only where it is wanted. */
static void begin(uint8_t fcr)
{
	uart_drain();
	rate(0xffff);
	outb(IER, 0);
	outb(MCR, LOOP | 0x0b);
	outb(FCR, 0);
	outb(FCR, fcr | 6);
	while (inb(LSR) & 1)
		inb(RBR);
	inb(IIR);
	inb(MSR);
}

static void finish(void)
{
	outb(IER, 0);
	outb(FCR, 0);
	outb(MCR, 0x0b);
	rate(1);
	while (inb(LSR) & 1)
		inb(RBR);
	inb(IIR);
	inb(MSR);
}

static void send(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		while (!(inb(LSR) & 0x20))
			;
		outb(RBR, (uint8_t)(0x30 + i));
	}
}

/* How many bytes make IIR say "data available", and when taking bytes takes that back. */
static void trigger(uint8_t fcr, const char *what)
{
	unsigned up = 0, down = 0;
	uint8_t cause;

	begin(fcr);
	outb(IER, RDA);
	while (up < 16 && (inb(IIR) & 0x0f) != 4) {
		send(1);
		up++;
	}
	cause = inb(IIR);
	while (down < 16 && (inb(IIR) & 0x0f) == 4) {
		inb(RBR);
		down++;
	}
	finish();
	line(name("uart/trigger/%s", what), "at %u, iir %02x, gone after %u", up, cause, down);
}

/* Fewer bytes than the trigger, and nobody reads: the time-out. */
static void timeout(void)
{
	uint8_t first, later, then;

	begin(0xc1);
	rate(1); /* 115200 */
	outb(IER, RDA);
	send(3);
	while ((inb(IIR) & 0x0f) != 0xc)
		;
	later = inb(IIR);
	rate(0xffff);
	first = inb(RBR);
	then = inb(IIR);
	finish();
	line("uart/time-out", "iir %02x, read %02x, iir %02x", later, first, then & 0x0f);
}

/* A line is printed when loopback is over. */
static void causes(void)
{
	uint8_t a, b, c, d, e, f;

	begin(0);
	a = inb(IIR);
	outb(IER, THRE);
	b = inb(IIR);
	c = inb(IIR);
	outb(IER, 0);
	outb(IER, THRE);
	d = inb(IIR);
	finish();
	line("uart/iir/none", "%02x", a);
	line("uart/iir/thre by enabling", "%02x, %02x", b, c);
	line("uart/iir/thre again", "%02x", d);
	begin(0);
	outb(IER, RDA);
	send(1);
	a = inb(IIR);
	b = inb(IIR);
	c = inb(RBR);
	d = inb(IIR);
	finish();
	line("uart/iir/data", "%02x %02x, read %02x, %02x", a, b, c, d);
	/* Overrun without a FIFO. */
	begin(0);
	outb(IER, RDA | RLS);
	send(2);
	a = inb(IIR);
	b = inb(LSR);
	c = inb(IIR);
	d = inb(RBR);
	e = inb(LSR);
	f = inb(IIR);
	finish();
	line("uart/iir/overrun", "%02x lsr %02x, %02x, read %02x", a, b & 0x0f, c, d);
	line("uart/iir/overrun read", "lsr %02x iir %02x", e & 0x0f, f);
	/* All at once: by priority. */
	begin(0);
	outb(IER, RDA | RLS | THRE | MS);
	outb(MCR, LOOP | 0x01);
	send(2);
	a = inb(IIR);
	inb(LSR);
	b = inb(IIR);
	inb(RBR);
	c = inb(IIR);
	d = inb(IIR);
	inb(MSR);
	e = inb(IIR);
	finish();
	line("uart/iir/priorities", "%02x %02x %02x %02x %02x", a, b, c, d, e);
}

static void fifo(void)
{
	uint8_t a, b, c, d = 0, e;

	/* Sixteen and one more. */
	begin(0x01);
	outb(IER, RLS);
	send(17);
	a = inb(IIR);
	b = inb(LSR);
	c = inb(RBR);
	for (unsigned i = 1; i < 16; i++)
		d = inb(RBR);
	e = inb(LSR);
	finish();
	line("uart/fifo/overrun", "iir %02x lsr %02x first %02x last %02x left %u", a, b & 3, c, d,
	     e & 1);
	begin(0x01);
	send(5);
	outb(FCR, 0x03);
	a = inb(LSR);
	b = inb(IIR);
	finish();
	line("uart/fifo/receiver reset", "dr %u iir %02x", a & 1, b);
	begin(0x01);
	send(5);
	outb(FCR, 0x00);
	a = inb(LSR);
	b = inb(IIR);
	finish();
	line("uart/fifo/off", "dr %u iir %02x", a & 1, b);
}

/* Loopback wires the modem outputs to the inputs. */
static void modem(void)
{
	static const uint8_t outputs[] = { 0x00, 0x01, 0x02, 0x04, 0x08, 0x0f };

	for (unsigned i = 0; i < sizeof(outputs); i++) {
		uint8_t a, b;

		begin(0);
		outb(MCR, LOOP);
		inb(MSR);
		outb(MCR, LOOP | outputs[i]);
		a = inb(MSR);
		b = inb(MSR);
		finish();
		line(name("uart/modem/%x", outputs[i]), "msr %02x, %02x", a, b);
	}
	begin(0);
	outb(MCR, LOOP | 0x04);
	inb(MSR);
	outb(IER, MS);
	outb(MCR, LOOP);
	{
		uint8_t a = inb(IIR), b = inb(MSR), c = inb(IIR);

		finish();
		line("uart/modem/trailing edge of ri", "iir %02x msr %02x, iir %02x", a, b, c);
	}
}

static void held(void)
{
	static const uint8_t vals[] = { 0xff, 0x55, 0x00 };
	uint8_t a, b;

	for (unsigned i = 0; i < sizeof(vals); i++) {
		outb(SCR, vals[i]);
		line(name("uart/scratch/%02x", vals[i]), "%02x", inb(SCR));
	}
	uart_drain();
	outb(IER, 0xf0);
	a = inb(IER);
	outb(IER, 0);
	line("uart/ier/f0", "%02x", a);
	uart_drain();
	outb(MCR, 0xeb);
	a = inb(MCR);
	outb(MCR, 0x0b);
	line("uart/mcr/eb", "%02x", a);
	uart_drain();
	outb(LCR, 0x83);
	a = inb(COM);
	b = inb(COM + 1);
	outb(COM, 0x34);
	outb(COM + 1, 0x12);
	a = inb(COM);
	b = inb(COM + 1);
	outb(COM, 1);
	outb(COM + 1, 0);
	outb(LCR, 0x03);
	line("uart/divisor", "%02x%02x", b, a);
	line("uart/lcr", "%02x", inb(LCR));
	line("uart/lsr", "%02x", inb(LSR) & 0x0f);
	/* FCR's bits 7 and 6 of IIR say that there are FIFOs. */
	uart_drain();
	outb(FCR, 0x01);
	a = inb(IIR);
	outb(FCR, 0x00);
	b = inb(IIR);
	line("uart/fifo/iir", "%02x, %02x", a, b);
}

/* The line: gated by OUT2, forced off in loopback. */
static void out2(void)
{
	static const uint8_t mcrs[] = { 0x0b, 0x03, 0x08, LOOP | 0x0b };

	for (unsigned i = 0; i < sizeof(mcrs); i++) {
		uint8_t irr;

		pic_init(1, 0xff, 0xff);
		uart_drain();
		outb(MCR, mcrs[i]);
		uart_raise();
		irr = pic_irr(0);
		uart_lower();
		outb(MCR, 0x0b);
		inb(MSR);
		line(name("uart/line/mcr %02x", mcrs[i]), "irr %02x", irr & 0x10);
	}
	pic_init(1, 0xff, 0xff);
	uart_raise();
	inb(IIR);
	{
		uint8_t irr = pic_irr(0);

		uart_lower();
		line("uart/line/falls with iir", "irr %02x", irr & 0x10);
	}
	quiet();
}

void cases_uart(void)
{
	trigger(0x01, "1");
	trigger(0x41, "4");
	trigger(0x81, "8");
	trigger(0xc1, "14");
	trigger(0x00, "no fifo");
	timeout();
	causes();
	fifo();
	modem();
	held();
	out2();
}
