/* SPDX-License-Identifier: MIT */
/*
 * The 8259's other modes: automatic end, rotation, special mask, special fully nested, polling.
 * Source: Intel 8259A data sheet (231468), "Automatic End of Interrupt", "Automatic Rotation",
 * "Specific Rotation", "Special Mask Mode", "Poll Command", "The Special Fully Nested Mode".
 */
#include "apic.h"

enum { M = 0x20, S = 0xa0, AEOI = 2, SFNM = 0x10 };

static void automatic_end(void)
{
	const char *first, *second;

	pic_start(AEOI, 0xed, 0xff);
	kbd_raise();
	window();
	first = taken();
	line("aeoi/in service", "%s isr %02x irr %02x", first, pic_isr(0), pic_irr(0));
	quiet();
	pic_start(AEOI, 0xed, 0xff);
	kbd_raise();
	uart_raise();
	window();
	line("aeoi/two", "%s isr %02x", taken(), pic_isr(0));
	quiet();
	pic_start(AEOI, 0xed, 0xff);
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
	pic_start(AEOI, 0xfb, 0xfe);
	rtc_raise();
	window();
	first = taken();
	line("aeoi/slave without", "%s isr %02x %02x", first, pic_isr(0), pic_isr(1));
	quiet();
}

/* Who comes first of 1 and 4 after @command. */
static void rotation(const char *what, uint8_t command)
{
	pic_start(0, 0xed, 0xff);
	outb(M, command);
	uart_raise();
	kbd_raise();
	window();
	line(name("rotate/%s", what), "%s isr %02x", taken(), pic_isr(0));
	quiet();
}

/* The same after 1 was served, and ended by @command. */
static void rotation_on_end(const char *what, uint8_t command)
{
	const char *first, *second;

	pic_start(0, 0xed, 0xff);
	kbd_raise();
	window();
	outb(M, command);
	first = taken();
	kbd_lower();
	uart_raise();
	kbd_raise();
	window();
	second = taken();
	line(name("rotate/%s", what), "%s, %s isr %02x", first, second, pic_isr(0));
	quiet();
}

/* The same after the @n @commands, and 1 that ended by itself. */
static void automatic_rotation(const char *what, const char *commands, unsigned n)
{
	const char *first;

	pic_start(AEOI, 0xed, 0xff);
	while (n--)
		outb(M, (uint8_t)*commands++);
	kbd_raise();
	window();
	first = taken();
	kbd_lower();
	outb(M + 1, 0xff);
	uart_raise();
	kbd_raise();
	outb(M + 1, 0xed);
	window();
	line(name("rotate/%s", what), "%s, %s", first, taken());
	quiet();
}

static void rotations(void)
{
	const char *first;

	rotation("set 0", 0xc0);
	rotation("set 1", 0xc1);
	rotation("set 3", 0xc3);
	rotation("set 4", 0xc4);
	rotation("set 7", 0xc7);
	rotation("nothing", 0x40);
	/* The one that was served becomes the lowest. */
	rotation_on_end("on end", 0xa0);
	rotation_on_end("on specific end", 0xe1);
	/* A rotation on an end of nothing changes nothing. */
	rotation("on end of nothing", 0xa0);
	/* Rotation with the automatic end. */
	automatic_rotation("automatic", "\x80", 1);
	automatic_rotation("automatic, cleared", "\x80\x00", 2);
	/* After a rotation a non-specific end takes the highest of the new order. */
	pic_start(0, 0xed, 0xff);
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
	pic_start(0, 0xed, 0xff);
	outb(M, 0xc1);
	pic_start(0, 0xed, 0xff);
	uart_raise();
	kbd_raise();
	window();
	line("rotate/reset by icw1", "%s", taken());
	quiet();
}

/* With 1 in service, under the mask @mask and after @commands: what is taken of 4. */
static const char *special_masked(uint8_t mask, const char *commands)
{
	pic_start(0, 0xed, 0xff);
	kbd_raise();
	window();
	outb(M + 1, mask);
	for (; *commands; commands++)
		outb(M, (uint8_t)*commands);
	uart_raise();
	window();
	return taken();
}

static void special_mask(void)
{
	const char *first;

	/* 1 in service and masked: 4 may come. */
	first = special_masked(0xef, "");
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
	first = special_masked(0xef, "\x68");
	line("special mask/set first", "%s isr %02x", first, pic_isr(0));
	quiet();
	first = special_masked(0xed, "\x68");
	line("special mask/not masked, still holds", "%s isr %02x", first, pic_isr(0));
	quiet();
	line("special mask/reset", "%s", special_masked(0xef, "\x68\x48"));
	quiet();
	/* SMM without ESMM: nothing. */
	line("special mask/without enable", "%s", special_masked(0xef, "\x28"));
	quiet();
}

static void special_nested(void)
{
	const char *first, *second;

	/* The slave's only input here is 8: after its own end another 8 comes through. */
	for (unsigned i = 0; i < 2; i++) {
		pic_start(i ? SFNM : 0, 0xfb, 0xfe);
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
	pic_start(SFNM, 0xe9, 0xfe);
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
