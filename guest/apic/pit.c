/* SPDX-License-Identifier: MIT */
/*
 * The 8254: status, latches, access by bytes, BCD, and interrupts of channel 0.
 * Source: Intel 8254 data sheet (231164), "Counter Latch Command", "Read-Back Command".
 */
#include "pit.h"

static void statuses(void)
{
	for (unsigned mode = 0; mode < 8; mode++) {
		uint8_t before, after;

		gate(false);
		program(mode, BOTH, false);
		before = status();
		load(1000);
		after = status();
		line(name("pit/status/mode %u", mode), "%02x, loaded %02x", before & 0x7f,
		     after & 0x3f);
	}
	for (unsigned bytes = 1; bytes < 4; bytes++) {
		program(2, bytes, bytes & 1);
		line(name("pit/status/access %u", bytes), "%02x", status() & 0x3f);
	}
}

/*
 * The count shortly after it was loaded.  A counter whose gate is closed stands, but not QEMU's: so
 * "near" is less than 0x30 below, and QEMU gets some tries.
 */
#define TRIES 2000
static const char *near(bool is)
{
	return is ? "near" : "far";
}

static bool is_near(uint16_t val, uint16_t loaded)
{
	return (uint16_t)(loaded - val) < 0x30;
}

/* Status and count at once: status is read first. */
static void read_back(void)
{
	uint8_t st, low, high;
	unsigned tries;

	for (tries = 0; tries < TRIES; tries++) {
		gate(false);
		program(0, BOTH, false);
		load(0x1234);
		outb(CONTROL, 0xc8);
		st = inb(CH2), low = inb(CH2), high = inb(CH2);
		if (is_near((uint16_t)(high << 8 | low), 0x1234))
			break;
	}
	line("pit/read-back/both", "status %02x count %s", st & 0x3f, near(tries < TRIES));
	for (tries = 0; tries < TRIES; tries++) {
		load(0x1234);
		outb(CONTROL, 0xd8); /* count only */
		low = inb(CH2), high = inb(CH2);
		if (is_near((uint16_t)(high << 8 | low), 0x1234))
			break;
	}
	line("pit/read-back/count", "%s", near(tries < TRIES));
	for (tries = 0; tries < TRIES; tries++) {
		load(0x1234);
		outb(CONTROL, 0xf8); /* neither */
		low = inb(CH2), high = inb(CH2);
		if (is_near((uint16_t)(high << 8 | low), 0x1234))
			break;
	}
	line("pit/read-back/neither", "%s", near(tries < TRIES));
}

/* One byte only, or both. */
static void access(void)
{
	static const struct {
		const char *name;
		uint16_t first, loaded, expected;
		uint8_t bytes;
		bool bcd, again;
	} in[] = {
		{ "low only", 0, 0xf8, 0xf8, LOW, false, false },
		{ "high only", 0, 0x12, 0x12, HIGH, false, false },
		{ "both", 0, 0x5678, 0x5678, BOTH, false, false },
		{ "control word in between", 0x11, 0x3322, 0x3322, BOTH, false, true },
		{ "bcd", 0, 0x1278, 0x1278, BOTH, true, false },
	};

	for (unsigned i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
		unsigned tries;

		gate(false);
		for (tries = 0; tries < TRIES; tries++) {
			uint16_t val;

			program(0, in[i].bytes, in[i].bcd);
			if (in[i].again) {
				outb(CH2, (uint8_t)in[i].first);
				program(0, in[i].bytes, in[i].bcd);
			}
			outb(CH2, (uint8_t)in[i].loaded);
			if (in[i].bytes == BOTH)
				outb(CH2, (uint8_t)(in[i].loaded >> 8));
			val = inb(CH2);
			if (in[i].bytes == BOTH)
				val |= (uint16_t)(inb(CH2) << 8);
			if (is_near(val, in[i].expected))
				break;
		}
		line(name("pit/access/%s", in[i].name), "%s", near(tries < TRIES));
	}
}

/* With its gate closed, a counter in mode 0 stands where it was loaded. */
static void counts(void)
{
	bool decimal = true;
	uint16_t a, b, c;

	gate(false);
	program(0, BOTH, false);
	load(0x1234);
	a = latched();
	some_time();
	b = latched();
	line("pit/count/gate closed", "stands %s", yes(a == b));
	do {
		clock_start();
		load(0x1234);
		gate(true);
		some_time();
		a = latched();
		gate(false);
		b = latched();
		some_time();
		c = latched();
	} while (stalled());
	line("pit/count/goes and stops", "goes %s, stands %s", yes(a != 0x1234), yes(b == c));
	/* A latched count stays until it is read in full, and a second latch is ignored. */
	do {
		clock_start();
		gate(true);
		program(0, BOTH, false);
		load(0xffff);
		outb(CONTROL, 0x80);
		some_time();
		outb(CONTROL, 0x80);
		a = inb(CH2);
		some_time();
		a |= (uint16_t)(inb(CH2) << 8);
		b = latched();
	} while (stalled());
	line("pit/count/latch holds", "%s", yes(a > b + 600));
	program(0, BOTH, true);
	load(0x1234);
	gate(true);
	for (unsigned i = 0; i < 500; i++) {
		a = latched();
		decimal &= (a & 15) < 10 && (a >> 4 & 15) < 10 && (a >> 8 & 15) < 10 &&
			   a >> 12 < 10;
	}
	gate(false);
	line("pit/count/bcd digits", "decimal %s", yes(decimal));
	line("pit/count/control port reads", "%02x", inb(CONTROL));
}

/*
 * Channel 0: what its output does to IRQ 0, by way of pin 2.  The control word may raise the line
 * already, so the pin is opened behind it.
 */
static void irq_start(unsigned mode)
{
	outb(CONTROL, (uint8_t)(0x30 | mode << 1));
	entry(2, 0x62, 0);
	outb(CH0, 0xe8);
	outb(CH0, 0x03); /* 1000: 838 us */
}

static void irq(unsigned mode, unsigned times)
{
	irq_start(mode);
	for (unsigned i = 0; i < times; i++) {
		while (!pending(0x62))
			;
		window();
	}
	if (times == 1) {
		wait_us(3000);
		window();
	}
	line(name("pit/irq/mode %u", mode), "%s", taken_count() == 1 ? "one" : "more");
	quiet();
}

/* Modes 1 and 5 wait for a gate that channel 0 has not; QEMU lets them count all the same. */
void cases_pit_alone(void)
{
	for (unsigned mode = 1; mode < 6; mode += 4) {
		irq_start(mode);
		wait_us(3000);
		window();
		line(name("pit/irq/mode %u", mode), "%s", taken());
		quiet();
	}
}

void cases_pit(void)
{
	statuses();
	read_back();
	access();
	counts();
	irq(0, 1);
	irq(2, 2);
	irq(3, 2);
	irq(4, 1);
	/* Port 0x61: what is written and what is not. */
	outb(PORT_B, 0x03);
	line("pit/port 61/3", "%02x", inb(PORT_B) & 0x0f);
	outb(PORT_B, 0x0c);
	line("pit/port 61/c", "%02x", inb(PORT_B) & 0x0f);
	outb(PORT_B, 0);
	line("pit/port 61/0", "%02x", inb(PORT_B) & 0x0f);
	quiet();
}
