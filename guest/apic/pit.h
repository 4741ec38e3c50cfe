/* SPDX-License-Identifier: MIT */
/*
 * Channel 2 of the 8254, whose gate and output port 0x61 shows; channel 0 for interrupts.
 * Source: Intel 8254 data sheet (231164).
 */
#ifndef APIC_PIT_H
#define APIC_PIT_H

#include "apic.h"

enum { CH0 = 0x40, CH2 = 0x42, CONTROL = 0x43, PORT_B = 0x61 };
enum { LOW = 1, HIGH = 2, BOTH = 3 }; /* byte access */

static inline void gate(bool open)
{
	outb(PORT_B, open);
}

static inline bool out(void)
{
	return inb(PORT_B) & 0x20;
}

static inline void program(unsigned mode, unsigned bytes, bool bcd)
{
	outb(CONTROL, (uint8_t)(0x80 | bytes << 4 | mode << 1 | bcd));
}

static inline void load(uint16_t count)
{
	outb(CH2, (uint8_t)count);
	outb(CH2, (uint8_t)(count >> 8));
}

static inline uint16_t latched(void)
{
	uint16_t low;

	outb(CONTROL, 0x80);
	low = inb(CH2);
	return (uint16_t)(low | inb(CH2) << 8);
}

static inline uint8_t status(void)
{
	outb(CONTROL, 0xe8);
	return inb(CH2);
}

static inline const char *yes(bool b)
{
	return b ? "yes" : "no";
}

/*
 * What depends on a count not having ended is tried again if the host was away for long meanwhile;
 * the local APIC's timer tells.
 */
static inline void clock_start(void)
{
	wr(LVT_TIMER, 0x10000);
	wr(INITIAL, 0xffffffff);
}

/* Some passing of time: 300 us. */
static inline void some_time(void)
{
	uint32_t from = rd(CURRENT);

	if (from < 0x10000000) {
		clock_start();
		from = rd(CURRENT);
	}
	while (from - rd(CURRENT) < 300000)
		;
}

static inline bool stalled(void)
{
	return 0xffffffff - rd(CURRENT) > 10u * 1000 * 1000;
}

#endif
