/* SPDX-License-Identifier: MIT */
/*
 * The pair of 8259s: requests, service, ends, masks, the slave, spurious vectors.  The processor
 * takes part through LINT0 in ExtINT mode where it must; the rest is seen in IRR and ISR.
 * Source: Intel 8259A data sheet (231468), "Initialization Command Words", "Operation Command
 * Words", "Fully Nested Mode", "End of Interrupt".
 */
#include "apic.h"

enum { M = 0x20, S = 0xa0 };

/* Masks and read-back of the three registers. */
static void registers(void)
{
	static const uint8_t masks[] = { 0x00, 0xff, 0x55, 0xaa, 0xfb };

	pic_init(1, 0xff, 0xff);
	for (unsigned i = 0; i < sizeof(masks); i++) {
		outb(M + 1, masks[i]);
		outb(S + 1, (uint8_t)~masks[i]);
		line(name("pic/mask/%02x", masks[i]), "%02x %02x", inb(M + 1), inb(S + 1));
		pic_init(1, 0xff, 0xff);
	}
	line("pic/empty", "irr %02x %02x isr %02x %02x", pic_irr(0), pic_irr(1) & 0xfe, pic_isr(0),
	     pic_isr(1));
	/* The register that OCW3 selects stays selected. */
	kbd_raise();
	outb(M, 0x0a);
	line("pic/read/irr stays selected", "%02x %02x", inb(M) & 0xfe, inb(M) & 0xfe);
	outb(M, 0x0b);
	line("pic/read/isr stays selected", "%02x %02x", inb(M), inb(M));
	outb(M, 0x08); /* neither */
	line("pic/read/no selection", "%02x", inb(M));
	outb(M, 0x0a);
	outb(M, 0x09);
	line("pic/read/rr clear", "%02x", inb(M) & 0xfe);
	/* ICW1 clears masks and selects the IRR; a line that is up must rise anew. */
	pic_init(1, 0xff, 0xff);
	line("pic/icw1/up line is no edge", "%02x", pic_irr(0));
	kbd_lower();
	kbd_raise();
	line("pic/icw1/a new edge is", "%02x", pic_irr(0));
	kbd_lower();
	outb(M, 0x0b);
	outb(M, 0x11);
	line("pic/icw1/reads irr, masks clear", "%02x", inb(M) & 0xfe);
	outb(M + 1, PIC_BASE);
	outb(M + 1, 4);
	outb(M + 1, 1);
	line("pic/icw1/mask after", "%02x", inb(M + 1));
	/* Without ICW4 and without ICW3. */
	outb(M, 0x10);
	outb(M + 1, PIC_BASE);
	outb(M + 1, 4);
	outb(M + 1, 0x5a);
	line("pic/icw1/no icw4", "%02x", inb(M + 1));
	outb(M, 0x13);
	outb(M + 1, PIC_BASE);
	outb(M + 1, 1);
	outb(M + 1, 0xa5);
	line("pic/icw1/single", "%02x", inb(M + 1));
	quiet();
}

/* The lowest three bits of ICW2 do not exist. */
static void bases(void)
{
	static const uint8_t base[] = { 0x40, 0x47, 0xf8, 0x80 };

	for (unsigned i = 0; i < sizeof(base); i++) {
		pic_start(0, 0xff, 0xff);
		outb(M, 0x11);
		outb(M + 1, base[i]);
		outb(M + 1, 4);
		outb(M + 1, 1);
		outb(M + 1, 0xfd);
		ends[(base[i] & 0xf8) + 1] = END_NOT;
		kbd_raise();
		window();
		line(name("pic/base/%02x", base[i]), "%s", taken());
		quiet();
	}
}

static void service(void)
{
	const char *first, *second;

	pic_start(0, 0xfd, 0xff);
	kbd_raise();
	line("pic/one/requested", "irr %02x isr %02x", pic_irr(0), pic_isr(0));
	window();
	first = taken();
	line("pic/one/in service", "%s irr %02x isr %02x", first, pic_irr(0), pic_isr(0));
	window();
	line("pic/one/stays up", "%s", taken());
	outb(M, 0x20);
	window();
	line("pic/one/ended", "%s irr %02x isr %02x", taken(), pic_irr(0), pic_isr(0));
	quiet();
	/* Another edge during service waits for the end. */
	pic_start(0, 0xfd, 0xff);
	kbd_raise();
	window();
	taken();
	kbd_lower();
	kbd_raise();
	window();
	first = taken();
	outb(M, 0x20);
	window();
	line("pic/one/edge during service", "%s, %s", first, taken());
	quiet();
	/* Masked: latched, and comes when unmasked. */
	pic_start(0, 0xff, 0xff);
	kbd_raise();
	window();
	first = taken();
	line("pic/mask/latched", "%s irr %02x", first, pic_irr(0));
	outb(M + 1, 0xfd);
	window();
	line("pic/mask/unmasked", "%s", taken());
	quiet();
	pic_start(0, 0xff, 0xff);
	kbd_raise();
	kbd_lower();
	line("pic/mask/fell again", "irr %02x", pic_irr(0));
	quiet();
	/* Fully nested: 1 before 4. */
	pic_start(0, 0xed, 0xff);
	uart_raise();
	kbd_raise();
	window();
	first = taken();
	line("pic/nested/two requests", "%s irr %02x isr %02x", first, pic_irr(0), pic_isr(0));
	outb(M, 0x20);
	window();
	first = taken();
	line("pic/nested/after the end", "%s irr %02x isr %02x", first, pic_irr(0), pic_isr(0));
	quiet();
	pic_start(0, 0xed, 0xff);
	kbd_raise();
	window();
	first = taken();
	uart_raise();
	window();
	second = taken();
	line("pic/nested/lower waits", "%s, %s irr %02x isr %02x", first, second, pic_irr(0),
	     pic_isr(0));
	quiet();
	pic_start(0, 0xed, 0xff);
	uart_raise();
	window();
	first = taken();
	kbd_raise();
	window();
	second = taken();
	line("pic/nested/higher interrupts", "%s, %s isr %02x", first, second, pic_isr(0));
	outb(M, 0x20);
	line("pic/nested/first end", "isr %02x", pic_isr(0));
	outb(M, 0x20);
	line("pic/nested/second end", "isr %02x", pic_isr(0));
	outb(M, 0x20);
	line("pic/nested/third end", "isr %02x", pic_isr(0));
	quiet();
	/* Specific ends. */
	pic_start(0, 0xed, 0xff);
	uart_raise();
	window();
	kbd_raise();
	window();
	outb(M, 0x64);
	line("pic/specific/ends 4", "%s isr %02x", taken(), pic_isr(0));
	outb(M, 0x63);
	line("pic/specific/ends 3", "isr %02x", pic_isr(0));
	outb(M, 0x61);
	line("pic/specific/ends 1", "isr %02x", pic_isr(0));
	quiet();
	pic_start(0, 0xfe, 0xff);
	pit_start();
	while (!taken_count())
		window();
	first = taken();
	line("pic/timer", "%s isr %02x", first, pic_isr(0));
	quiet();
}

static void slave(void)
{
	const char *first, *second;

	pic_start(0, 0xfb, 0xfe);
	rtc_raise();
	line("pic/slave/requested", "irr %02x %02x", pic_irr(0), pic_irr(1));
	window();
	first = taken();
	line("pic/slave/in service", "%s isr %02x %02x irr %02x %02x", first, pic_isr(0),
	     pic_isr(1), pic_irr(0), pic_irr(1));
	outb(M, 0x20);
	line("pic/slave/master ended", "isr %02x %02x", pic_isr(0), pic_isr(1));
	outb(S, 0x20);
	line("pic/slave/both ended", "isr %02x %02x", pic_isr(0), pic_isr(1));
	quiet();
	pic_start(0, 0xff, 0xfe);
	rtc_raise();
	window();
	first = taken();
	outb(M + 1, 0xfb);
	window();
	line("pic/slave/cascade masked, unmasked", "%s, %s", first, taken());
	quiet();
	pic_start(0, 0xfb, 0xff);
	rtc_raise();
	window();
	first = taken();
	outb(S + 1, 0xfe);
	window();
	line("pic/slave/masked, unmasked", "%s, %s", first, taken());
	quiet();
	/* IRQ 8 is above 4 and below 1. */
	pic_start(0, 0xe9, 0xfe);
	uart_raise();
	rtc_raise();
	window();
	first = taken();
	kbd_raise();
	window();
	second = taken();
	line("pic/slave/between 1 and 4", "%s, %s isr %02x %02x", first, second, pic_isr(0),
	     pic_isr(1));
	quiet();
	/* Ended at the slave only: the master still has its level 2. */
	pic_start(0, 0xe9, 0xfe);
	rtc_raise();
	window();
	outb(S, 0x20);
	rtc_lower();
	rtc_raise();
	window();
	first = taken();
	outb(M, 0x20);
	window();
	line("pic/slave/ended there only", "%s, master ended %s", first, taken());
	quiet();
	/* The request goes away. */
	pic_start(0, 0xfb, 0xfe);
	rtc_raise();
	rtc_lower();
	window();
	first = taken();
	line("pic/slave/went away", "%s irr %02x isr %02x %02x", first, pic_irr(0), pic_isr(0),
	     pic_isr(1));
	quiet();
}

/*
 * A request that falls between INTR and the acknowledge.  Only polling can show it in order: the
 * processor of these machines looks once more before it acknowledges.
 */
static void spurious(void)
{
	pic_start(0, 0xfd, 0xff);
	kbd_raise();
	kbd_lower();
	window();
	line("pic/spurious/fell before", "%s isr %02x", taken(), pic_isr(0));
	quiet();
	pic_start(0, 0xfd, 0xff);
	kbd_raise();
	outb(M + 1, 0xff);
	window();
	line("pic/spurious/masked before", "%s isr %02x irr %02x", taken(), pic_isr(0), pic_irr(0));
	quiet();
	outb(M, 0x0c);
	line("pic/spurious/poll of nothing", "%02x", inb(M) & 0x80);
	outb(S, 0x0c);
	line("pic/spurious/poll of nothing at the slave", "%02x", inb(S) & 0x80);
	quiet();
}

/* ELCR: levels at inputs 3 to 7, 9 to 12, 14 and 15; the UART's is 4. */
static void levels(void)
{
	const char *first, *second;

	for (unsigned i = 0; i < 2; i++) {
		outb(0x4d0, i ? 0xff : 0);
		outb(0x4d1, i ? 0xff : 0);
		line(name("pic/elcr/%s", i ? "ff" : "00"), "%02x %02x", inb(0x4d0), inb(0x4d1));
	}
	quiet();
	pic_start(0, 0xef, 0xff);
	outb(0x4d0, 0x10);
	uart_raise();
	window();
	first = taken();
	outb(M, 0x20);
	window();
	second = taken();
	line("pic/level/again while up", "%s, ended %s", first, second);
	uart_lower();
	outb(M, 0x20);
	window();
	line("pic/level/down", "%s irr %02x isr %02x", taken(), pic_irr(0), pic_isr(0));
	quiet();
	pic_start(0, 0xef, 0xff);
	uart_raise();
	outb(0x4d0, 0x10);
	line("pic/level/selected while up", "irr %02x", pic_irr(0));
	uart_lower();
	line("pic/level/falls", "irr %02x", pic_irr(0));
	quiet();
	pic_start(0, 0xff, 0xff);
	outb(0x4d0, 0x10);
	uart_raise();
	outb(M, 0x11);
	outb(M + 1, PIC_BASE);
	outb(M + 1, 4);
	outb(M + 1, 1);
	line("pic/level/survives icw1", "irr %02x", pic_irr(0));
	quiet();
}

void cases_pic(void)
{
	registers();
	bases();
	service();
	slave();
	spurious();
	levels();
}
