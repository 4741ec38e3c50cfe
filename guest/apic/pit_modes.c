/* SPDX-License-Identifier: MIT */
/*
 * The 8254's six modes on channel 2.  Where something takes time it is waited for, however long the
 * host takes.
 * Source: Intel 8254 data sheet (231164), "Mode Definitions", "Gate Pin Operations Summary".
 */
#include "pit.h"

/* OUT as each mode begins, and with its gate. */
static void outputs(void)
{
	for (unsigned mode = 0; mode < 6; mode++) {
		bool programmed, loaded, closed;

		do {
			clock_start();
			program(0, BOTH, false); /* whatever was before */
			load(0xffff);
			gate(false);
			program(mode, BOTH, false);
			programmed = out();
			load(0xffff);
			loaded = out();
			gate(true);
			some_time();
			closed = out();
		} while (stalled());
		line(name("pit/out/mode %u", mode), "programmed %u, loaded %u, counting %u",
		     programmed, loaded, closed);
	}
	gate(false);
}

static void mode_0(void)
{
	bool before, after, goes_on;

	do {
		clock_start();
		gate(true);
		program(0, BOTH, false);
		load(300);
		while (!out())
			;
		some_time();
		before = out();
		goes_on = latched() > 300;
		load(0xffff);
		after = out();
	} while (stalled());
	line("pit/mode 0/after the end", "out %u, goes on %s", before, yes(goes_on));
	line("pit/mode 0/new count", "out %u", after);
	do {
		clock_start();
		load(200);
		while (!out())
			;
		outb(CH2, 0xff); /* the first byte stops it */
		before = out();
		outb(CH2, 0xff);
		after = out();
	} while (stalled());
	line("pit/mode 0/first byte", "out %u, second %u", before, after);
	gate(false);
}

static void mode_1(void)
{
	bool before, during, falls, again;

	do {
		clock_start();
		gate(false);
		program(1, BOTH, false);
		load(0xffff);
		some_time();
		before = out();
		gate(true); /* the trigger */
		during = out();
		gate(false);
		falls = out();
		gate(true);
		again = out();
	} while (stalled());
	line("pit/mode 1/trigger", "before %u, triggered %u", before, during);
	line("pit/mode 1/gate falls", "out %u", falls);
	line("pit/mode 1/triggered again", "out %u", again);
	gate(false);
	program(1, BOTH, false);
	load(2000);
	gate(true);
	while (!out())
		;
	before = out();
	do {
		clock_start();
		load(0xffff);
		some_time();
		again = out();
	} while (stalled());
	line("pit/mode 1/ends", "out %u, new count alone %u", before, again);
	gate(false);
}

/* For longer than a period of what mode_2_and_3() loads. */
static bool stays_high(void)
{
	bool high = true;

	for (unsigned i = 0; i < 80; i++) {
		high &= out();
		some_time();
	}
	return high;
}

static void mode_2_and_3(void)
{
	unsigned high = 0, low = 0, rounds = 0, null;
	uint16_t a, least = 0xffff, most = 0;

	/* Mode 2 reloads: the count stays within it. */
	gate(true);
	program(2, BOTH, false);
	load(1000);
	some_time();
	for (unsigned i = 0; i < 200; i++) {
		a = latched();
		least = a < least ? a : least;
		most = a > most ? a : most;
	}
	line("pit/mode 2/range", "%s", yes(least >= 1 && most <= 1000));
	gate(false);
	line("pit/mode 2/gate closed", "stays high %s", yes(stays_high()));
	gate(true);
	a = latched();
	line("pit/mode 2/gate triggers", "%s", yes(a <= 1000));
	/* A new count waits for the end of the period. */
	do {
		clock_start();
		program(2, BOTH, false);
		load(0xffff);
		load(0x10);
		a = latched();
		null = status() >> 6 & 1;
	} while (stalled());
	line("pit/mode 2/new count waits", "%s, null %u", yes(a > 0x10), null);
	/* Mode 3: both halves are seen, and the count goes by twos. */
	program(3, BOTH, false);
	load(20000);
	while (!high || !low || rounds < 100) {
		*(out() ? &high : &low) += 1;
		rounds++;
	}
	line("pit/mode 3/both halves", "yes");
	for (unsigned i = 0, odd = 0; i <= 50; i++) {
		odd += latched() & 1;
		if (i == 50)
			line("pit/mode 3/even counts", "%s", yes(!odd));
	}
	gate(false);
	line("pit/mode 3/gate closed", "stays high %s", yes(stays_high()));
}

static void mode_4_and_5(void)
{
	bool before;

	gate(true);
	program(4, BOTH, false);
	load(300);
	before = out();
	while (latched() <= 300 && latched() > 0)
		;
	some_time();
	line("pit/mode 4/strobe over", "before %u, after %u", before, out());
	gate(false);
	program(5, BOTH, false);
	load(300);
	some_time();
	before = out();
	gate(true);
	some_time();
	some_time();
	line("pit/mode 5/strobe over", "before %u, after %u", before, out());
	gate(false);
}

void cases_pit_modes(void)
{
	clock_start();
	outputs();
	mode_0();
	mode_1();
	mode_2_and_3();
	mode_4_and_5();
	quiet();
}
