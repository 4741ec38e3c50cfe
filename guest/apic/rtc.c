/* SPDX-License-Identifier: MIT */
/*
 * The real-time clock: its flags and interrupts.
 * Source: Motorola MC146818A data sheet, "Register A" to "Register D", "Interrupts".
 */
#include "apic.h"

enum { A = 0xa, B = 0xb, C = 0xc, D = 0xd };
enum { SET = 0x80, PIE = 0x40, AIE = 0x20, UIE = 0x10, BINARY = 4, H24 = 2 };

/* Read C until all of @flags have been seen; what was seen. */
static uint8_t flags_seen(uint8_t flags)
{
	uint8_t seen_flags = 0;

	while ((seen_flags & flags) != flags)
		seen_flags |= cmos(C);
	return seen_flags;
}

static void registers(void)
{
	static const uint8_t bs[] = { 0x02, 0x06, 0x00, 0x82, 0x92 };

	for (unsigned i = 0; i < sizeof(bs); i++) {
		cmos_write(B, bs[i]);
		line(name("rtc/b/%02x", bs[i]), "%02x", cmos(B));
	}
	cmos_write(B, H24);
	cmos_write(A, 0x26);
	line("rtc/a/26", "%02x", cmos(A) & 0x7f);
	cmos_write(A, 0xa6); /* UIP is read-only */
	line("rtc/a/a6", "%02x", cmos(A) & 0x7f);
	line("rtc/d", "%02x", cmos(D));
	cmos_write(D, 0);
	line("rtc/d written", "%02x", cmos(D));
	cmos(C);
	cmos_write(C, 0xff);
	line("rtc/c written", "%02x", cmos(C) & 0x8f);
	cmos_write(0x50, 0xa5);
	line("rtc/memory", "%02x", cmos(0x50));
	line("rtc/index reads", "%02x", inb(0x70));
}

static void periodic(void)
{
	entry(8, 0x68, 0);
	cmos_write(A, 0x26);
	cmos(C);
	wait_us(100);
	cmos(C);
	cmos_write(B, H24 | PIE);
	while (!pending(0x68))
		;
	line("rtc/periodic/c", "%02x", cmos(C) & 0xef); /* an update may have come, too */
	window();
	line("rtc/periodic/came", "%s", taken_count() ? "yes" : "no");
	taken();
	cmos(C);
	while (!pending(0x68))
		;
	line("rtc/periodic/after c was read", "irr %s", vectors(IRR));
	quiet();
	cmos_write(A, 0x20);
	cmos(C);
	wait_us(3000);
	line("rtc/periodic/rate 0", "%02x", cmos(C) & 0x40);
	/* Enabling it with the flag set. */
	cmos_write(A, 0x26);
	cmos_write(B, H24);
	quiet();
}

/* The flag without the interrupt, which QEMU never sets; and that C must be read. */
void cases_rtc_alone(void)
{
	cmos_write(A, 0x26);
	cmos_write(B, H24);
	cmos(C);
	line("rtc/periodic/flag alone", "%02x", flags_seen(0x40) & 0xc0);
	pic_init(1, 0xff, 0xff);
	wait_us(3000);
	cmos_write(B, H24 | PIE);
	line("rtc/periodic/enabled with the flag set", "irr %02x", pic_irr(1));
	cmos_write(B, H24);
	line("rtc/periodic/disabled again", "irr %02x", pic_irr(1));
	quiet();
	/* C not read: the line stays up, and no other edge comes. */
	entry(8, 0x68, 0);
	cmos(C);
	cmos_write(B, H24 | PIE);
	while (!pending(0x68))
		;
	window();
	taken();
	wait_us(5000);
	window();
	line("rtc/periodic/c unread", "%s", taken());
	quiet();
}

/* How often 8192 Hz comes within some milliseconds, roughly: a rate, not a time. */
static void rates(void)
{
	static const uint8_t rate[] = { 3, 4, 6, 8 };

	for (unsigned i = 0; i < sizeof(rate); i++) {
		uint32_t period = PIT_HZ / (32768u >> (rate[i] - 1)), ticks, n;
		bool good;

		do {
			cmos_write(A, 0x20);
			cmos_write(B, H24 | PIE);
			cmos(C);
			watch_start();
			cmos_write(A, 0x20 | rate[i]);
			for (n = 0; n < 5; n++)
				flags_seen(0x40);
			good = watch(&ticks);
		} while (!good);
		/* The first may come at once; late ones come together, but none before its time. */
		line(name("rtc/rate/%u", rate[i]), "%s",
		     ticks + 10 < 4 * period ? "fast" : "not fast");
	}
	quiet();
}

/* The next second ends half a second after the divider was held in reset. */
static void hurry(void)
{
	cmos_write(A, 0x70);
	cmos_write(A, 0x20);
}

/* Setting and stopping the time. */
static void times(void)
{
	uint8_t s, m, h, tries = 0;

	cmos_write(B, SET | H24);
	cmos_write(0, 0x30);
	cmos_write(2, 0x59);
	cmos_write(4, 0x23);
	cmos_write(6, 0x06);
	cmos_write(7, 0x31);
	cmos_write(8, 0x12);
	cmos_write(9, 0x24);
	line("rtc/set/held", "%02x:%02x:%02x %02x-%02x-%02x", cmos(4), cmos(2), cmos(0), cmos(9),
	     cmos(8), cmos(7));
	line("rtc/set/no update in progress", "%02x", cmos(A) & 0x80);
	do { /* again if the host was away for a whole second */
		cmos_write(B, SET | H24);
		cmos_write(0, 0x59);
		cmos_write(2, 0x59);
		cmos_write(4, 0x23);
		cmos_write(7, 0x31);
		cmos_write(8, 0x12);
		cmos_write(9, 0x24);
		cmos_write(B, H24);
		hurry();
		cmos(C);
		/* The second ends, and with it the year. */
		flags_seen(0x10);
		s = cmos(0), m = cmos(2), h = cmos(4);
	} while (s == 1 && tries++ < 5);
	line("rtc/update/new year", "%02x:%02x:%02x %02x-%02x-%02x", h, m, s, cmos(9), cmos(8),
	     cmos(7));
	/* Twelve hours, binary. */
	cmos_write(B, SET | BINARY | H24);
	cmos_write(4, 13);
	cmos_write(2, 45);
	cmos_write(0, 10);
	line("rtc/set/binary", "%u:%u:%u", cmos(4), cmos(2), cmos(0));
	cmos_write(B, SET);
	cmos_write(4, 0x81);
	line("rtc/set/12 hours", "%02x", cmos(4));
	cmos_write(B, SET | H24);
	cmos_write(4, 0x10);
	cmos_write(2, 0x20);
	cmos_write(0, 0x30);
	cmos_write(B, H24);
}

/* One alarm at the next second, one at any; the interrupts of alarm and update. */
static void alarms(void)
{
	entry(8, 0x68, 0);
	cmos_write(1, 0xc0); /* each second */
	cmos_write(3, 0xc0);
	cmos_write(5, 0xc0);
	hurry();
	cmos(C);
	cmos_write(B, H24 | AIE);
	while (!pending(0x68))
		;
	line("rtc/alarm/any time", "c %02x", cmos(C) & 0xef);
	window();
	line("rtc/alarm/interrupt", "%s", taken());
	cmos_write(5, 0x09); /* not now */
	hurry();
	cmos(C);
	cmos_write(B, H24 | UIE);
	while (!pending(0x68))
		;
	line("rtc/update/c", "%02x", cmos(C));
	window();
	line("rtc/update/interrupt", "%s", taken());
	cmos_write(B, SET | UIE | H24);
	line("rtc/update/set clears uie", "%02x", cmos(B));
	cmos_write(B, H24);
	quiet();
}

void cases_rtc(void)
{
	registers();
	periodic();
	rates();
	times();
	alarms();
}
