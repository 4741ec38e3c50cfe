/* SPDX-License-Identifier: MIT */
/*
 * The 8259's other modes: automatic end, rotation, special mask, special fully nested, polling.
 * Source: Intel 8259A data sheet (231468), "Automatic End of Interrupt", "Automatic Rotation",
 * "Specific Rotation", "Special Mask Mode", "Poll Command", "The Special Fully Nested Mode".
 */
#include "apic.h"

enum { M = 0x20, S = 0xa0, AEOI = 2, SFNM = 0x10 };

static void start(uint8_t icw4, uint8_t mask0, uint8_t mask1)
{
	pic_init(icw4 | 1, mask0, mask1);
	wr(LVT_LINT0, EXTINT);
	for (unsigned v = PIC_BASE; v < PIC_BASE + 16; v++)
		ends[v] = END_NOT;
}

static void automatic_end(void)
{
	const char *first, *second;

	start(AEOI, 0xed, 0xff);
	kbd_raise();
	window();
	first = taken();
	line("aeoi/in service", "%s isr %02x irr %02x", first, pic_isr(0), pic_irr(0));
	quiet();
	start(AEOI, 0xed, 0xff);
	kbd_raise();
	uart_raise();
	window();
	line("aeoi/two", "%s isr %02x", taken(), pic_isr(0));
	quiet();
	start(AEOI, 0xed, 0xff);
	kbd_raise();
	window();
	first = taken();
	window();
	second = taken();
	kbd_lower();
	kbd_raise();
	window();
	line("aeoi/again with the next edge only", "%s, %s, %s", first, second, taken());
	quiet();
	/* Only the master ends by itself; the slave has not been told to. */
	start(AEOI, 0xfb, 0xfe);
	rtc_raise();
	window();
	first = taken();
	line("aeoi/slave without", "%s isr %02x %02x", first, pic_isr(0), pic_isr(1));
	quiet();
}

/* Who comes first of 1 and 4 after @command. */
static void rotation(const char *what, uint8_t command)
{
	start(0, 0xed, 0xff);
	outb(M, command);
	uart_raise();
	kbd_raise();
	window();
	line(name("rotate/%s", what), "%s isr %02x", taken(), pic_isr(0));
	quiet();
}

static void rotations(void)
{
	const char *first, *second;

	rotation("set 0", 0xc0);
	rotation("set 1", 0xc1);
	rotation("set 3", 0xc3);
	rotation("set 4", 0xc4);
	rotation("set 7", 0xc7);
	rotation("nothing", 0x40);
	/* The one that was served becomes the lowest. */
	start(0, 0xed, 0xff);
	kbd_raise();
	window();
	outb(M, 0xa0);
	first = taken();
	kbd_lower();
	uart_raise();
	kbd_raise();
	window();
	second = taken();
	line("rotate/on end", "%s, %s isr %02x", first, second, pic_isr(0));
	quiet();
	start(0, 0xed, 0xff);
	kbd_raise();
	window();
	outb(M, 0xe1);
	first = taken();
	kbd_lower();
	uart_raise();
	kbd_raise();
	window();
	second = taken();
	line("rotate/on specific end", "%s, %s isr %02x", first, second, pic_isr(0));
	quiet();
	/* A rotation on an end of nothing changes nothing. */
	rotation("on end of nothing", 0xa0);
	/* Rotation with the automatic end. */
	start(AEOI, 0xed, 0xff);
	outb(M, 0x80);
	kbd_raise();
	window();
	first = taken();
	kbd_lower();
	outb(M + 1, 0xff);
	uart_raise();
	kbd_raise();
	outb(M + 1, 0xed);
	window();
	line("rotate/automatic", "%s, %s", first, taken());
	quiet();
	start(AEOI, 0xed, 0xff);
	outb(M, 0x80);
	outb(M, 0x00);
	kbd_raise();
	window();
	first = taken();
	kbd_lower();
	outb(M + 1, 0xff);
	uart_raise();
	kbd_raise();
	outb(M + 1, 0xed);
	window();
	line("rotate/automatic, cleared", "%s, %s", first, taken());
	quiet();
	/* After a rotation a non-specific end takes the highest of the new order. */
	start(0, 0xed, 0xff);
	outb(M, 0xc1); /* 2 is the highest, 1 the lowest */
	kbd_raise();
	window();
	uart_raise();
	window();
	first = taken();
	outb(M, 0x20);
	line("rotate/end by the new order", "%s isr %02x", first, pic_isr(0));
	quiet();
	/* ICW1 resets it. */
	start(0, 0xed, 0xff);
	outb(M, 0xc1);
	start(0, 0xed, 0xff);
	uart_raise();
	kbd_raise();
	window();
	line("rotate/reset by icw1", "%s", taken());
	quiet();
}

static void special_mask(void)
{
	const char *first;

	/* 1 in service and masked: 4 may come. */
	start(0, 0xed, 0xff);
	kbd_raise();
	window();
	outb(M + 1, 0xef);
	uart_raise();
	window();
	first = taken();
	outb(M, 0x68);
	window();
	line("special mask/lets a lower one in", "%s, set %s isr %02x", first, taken(), pic_isr(0));
	/* A non-specific end does not end the masked one. */
	outb(M, 0x20);
	line("special mask/non-specific end", "isr %02x", pic_isr(0));
	outb(M, 0x20);
	line("special mask/another", "isr %02x", pic_isr(0));
	outb(M, 0x61);
	line("special mask/specific end", "isr %02x", pic_isr(0));
	quiet();
	start(0, 0xed, 0xff);
	kbd_raise();
	window();
	outb(M + 1, 0xef);
	outb(M, 0x68);
	uart_raise();
	window();
	first = taken();
	line("special mask/set first", "%s isr %02x", first, pic_isr(0));
	quiet();
	start(0, 0xed, 0xff);
	kbd_raise();
	window();
	outb(M, 0x68);
	uart_raise();
	window();
	first = taken();
	line("special mask/not masked, still holds", "%s isr %02x", first, pic_isr(0));
	quiet();
	start(0, 0xed, 0xff);
	kbd_raise();
	window();
	outb(M + 1, 0xef);
	outb(M, 0x68);
	outb(M, 0x48);
	uart_raise();
	window();
	line("special mask/reset", "%s", taken());
	quiet();
	start(0, 0xed, 0xff);
	kbd_raise();
	window();
	outb(M + 1, 0xef);
	outb(M, 0x28); /* SMM without ESMM: nothing */
	uart_raise();
	window();
	line("special mask/without enable", "%s", taken());
	quiet();
}

static void special_nested(void)
{
	const char *first, *second;

	/* The slave's only input here is 8: after its own end another 8 comes through. */
	for (unsigned i = 0; i < 2; i++) {
		start(i ? SFNM : 0, 0xfb, 0xfe);
		rtc_raise();
		window();
		first = taken();
		outb(S, 0x20);
		rtc_lower();
		rtc_raise();
		window();
		second = taken();
		line(i ? "special nested/slave again" : "special nested/off, slave waits",
		     "%s, %s isr %02x", first, second, pic_isr(0));
		quiet();
	}
	start(SFNM, 0xe9, 0xfe);
	kbd_raise();
	window();
	first = taken();
	rtc_raise();
	window();
	line("special nested/master's 1 holds it", "%s, %s", first, taken());
	quiet();
}

static void poll(void)
{
	uint8_t a, b, c;

	pic_init(1, 0xed, 0xff);
	kbd_raise();
	outb(M, 0x0c);
	a = inb(M);
	line("poll/1", "%02x isr %02x irr %02x", a, pic_isr(0), pic_irr(0));
	outb(M, 0x20);
	quiet();
	pic_init(1, 0xed, 0xff);
	kbd_raise();
	uart_raise();
	outb(M, 0x0c);
	a = inb(M);
	outb(M, 0x0c);
	b = inb(M) & 0x80;
	outb(M, 0x20);
	outb(M, 0x0c);
	c = inb(M);
	line("poll/two", "%02x, waits %02x, ended %02x", a, b, c);
	quiet();
	pic_init(1, 0xed, 0xff);
	kbd_raise();
	outb(M, 0x0c);
	a = inb(M);
	b = inb(M) & 0xfe;
	line("poll/one read only", "%02x, then irr %02x", a, b);
	quiet();
	pic_init(1, 0xff, 0xff);
	kbd_raise();
	outb(M, 0x0c);
	line("poll/masked", "%02x", inb(M) & 0x80);
	quiet();
	pic_init(1, 0xfb, 0xfe);
	rtc_raise();
	outb(M, 0x0c);
	a = inb(M);
	b = pic_isr(0);
	outb(S, 0x0c);
	c = inb(S);
	line("poll/slave", "master %02x isr %02x, slave %02x isr %02x", a, b, c, pic_isr(1));
	quiet();
	pic_init(1, 0xfd, 0xff);
	kbd_raise();
	outb(M, 0x0c);
	a = inb(M + 1); /* any read is the acknowledge */
	line("poll/read at the data port", "%02x isr %02x", a, pic_isr(0));
	quiet();
	pic_init(3, 0xfd, 0xff);
	kbd_raise();
	outb(M, 0x0c);
	a = inb(M);
	line("poll/automatic end", "%02x isr %02x", a, pic_isr(0));
	quiet();
}

void cases_pic_modes(void)
{
	automatic_end();
	rotations();
	special_mask();
	special_nested();
	poll();
}
