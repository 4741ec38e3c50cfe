/* SPDX-License-Identifier: MIT */
/*
 * What the local APIC's registers hold: written bits, reserved bits, those that are read-only and
 * those that do not exist.
 * Source: SDM Vol. 3A, table 10-1 and figures 10-6 to 10-24.
 */
#include "apic.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *name;
	uint16_t off;
} writable[] = {
	{ "id", APIC_ID },
	{ "tpr", TPR },
	{ "ldr", LDR },
	{ "dfr", DFR },
	{ "svr", SVR },
	{ "icr hi", ICR_HI },
	{ "lvt timer", LVT_TIMER },
	{ "lvt thermal", LVT_THERMAL },
	{ "lvt perf", LVT_PERF },
	{ "lvt lint0", LVT_LINT0 },
	{ "lvt lint1", LVT_LINT1 },
	{ "lvt error", LVT_ERROR },
	{ "initial", INITIAL },
	{ "divide", DIVIDE },
};

static const struct {
	const char *name;
	uint16_t off;
} read_only[] = {
	{ "version", VERSION }, { "ppr", PPR },         { "apr", APR }, { "isr", ISR + 0x40 },
	{ "tmr", TMR + 0x40 },  { "irr", IRR + 0x40 },  { "rrd", RRD }, { "eoi", EOI },
	{ "esr", ESR },         { "current", CURRENT },
};

/* Masked, so that nothing comes of what is written: the LVT's bit 16 is in all these. */
static const uint32_t patterns[] = { 0xffffffff, 0x55575575, 0xaaa9aa9a, 0x00010000 };

static void hold(void)
{
	for (unsigned i = 0; i < LENGTH(writable); i++)
		for (unsigned p = 0; p < LENGTH(patterns); p++) {
			uint32_t val;

			wr(writable[i].off, patterns[p]);
			val = rd(writable[i].off);
			wr(INITIAL, 0);
			lapic_quiet();
			line(name("register/%s/%08x", writable[i].name, patterns[p]), "%08x", val);
		}
}

static void fixed(void)
{
	for (unsigned i = 0; i < LENGTH(read_only); i++) {
		uint32_t before = rd(read_only[i].off), after;

		wr(read_only[i].off,
		   read_only[i].off == ESR || read_only[i].off == EOI ? 0 : ~before);
		after = rd(read_only[i].off);
		line(name("register/read-only/%s", read_only[i].name), "%08x, %08x", before, after);
	}
}

/* The ICR keeps what was sent; to a processor that is not there. */
static void icr(void)
{
	static const uint32_t sent[] = {
		0x40 | FIXED,        0xff | FIXED | LEVEL | ASSERT, 0x31 | LOWEST | LOGICAL,
		0x22 | NMI | ASSERT, 0xfff00040 | ASSERT,           0x00003040 | ASSERT
	};

	for (unsigned i = 0; i < LENGTH(sent); i++) {
		wr(ICR_HI, 0x70000000);
		wr(LDR, 0x01000000);
		wr(ICR, sent[i] & ~TO_OTHERS);
		line(name("register/icr/%08x", sent[i] & ~TO_OTHERS), "%08x %08x", rd(ICR_HI),
		     rd(ICR));
	}
	quiet();
}

/*
 * Registers that are not there: what is read, and the error that says so.  Not the one at 0, which
 * is where QEMU takes messages of PCI devices.
 */
static void absent(void)
{
	static const uint16_t offs[] = { 0x010, 0x040, 0x050, 0x060, 0x070, 0x290,
					 0x2e0, 0x3a0, 0x3b0, 0x3c0, 0x3d0, 0x3f0 };

	for (unsigned i = 0; i < LENGTH(offs); i++) {
		uint32_t val, after_read, after_write;

		wr(ESR, 0);
		wr(ESR, 0);
		val = rd(offs[i]);
		wr(ESR, 0);
		after_read = rd(ESR);
		wr(offs[i], 0);
		wr(ESR, 0);
		after_write = rd(ESR);
		line(name("register/absent/%03x", offs[i]), "%08x, esr %02x, %02x", val, after_read,
		     after_write);
	}
	quiet();
}

static void boot_state(void)
{
	line("register/lvt count", "%u", rd(VERSION) >> 16 & 0xff);
	line("register/version", "%02x", rd(VERSION) & 0xff);
	line("register/broadcast suppression", "%u", rd(VERSION) >> 24 & 1);
	line("register/id", "%08x", rd(APIC_ID));
	line("register/apicbase", "%08x", (uint32_t)rdmsr(0x1b));
	line("register/isr", "%s", vectors(ISR));
	line("register/irr", "%s", vectors(IRR));
}

void cases_registers(void)
{
	boot_state();
	hold();
	fixed();
	icr();
	absent();
}
