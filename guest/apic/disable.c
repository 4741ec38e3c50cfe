/* SPDX-License-Identifier: MIT */
/*
 * The local APIC switched off by software.
 * Source: SDM Vol. 3A, "Local APIC State After It Has Been Software Disabled" (10.4.7.2).
 */
#include "apic.h"

static void off(void)
{
	wr(SVR, 0xff);
}

static void on(void)
{
	wr(SVR, SVR_ON | 0xff);
}

static void masks(void)
{
	static const char *const names[] = {
		"timer", "thermal", "perf", "lint0", "lint1", "error"
	};

	for (unsigned i = 0; i < 6; i++) {
		unsigned lvt = LVT_TIMER + 16 * i;
		uint32_t is_on, is_off, written, again;

		wr(lvt, 0x40);
		is_on = rd(lvt);
		off();
		is_off = rd(lvt);
		wr(lvt, 0x41);
		written = rd(lvt);
		on();
		again = rd(lvt);
		quiet();
		line(name("disable/lvt %s", names[i]), "%05x, off %05x, written %05x, on %05x",
		     is_on, is_off, written, again);
	}
}

void cases_disable(void)
{
	const char *before, *during;

	masks();
	/* What was accepted before stays for the processor. */
	self(0x51);
	off();
	before = vectors(IRR);
	window();
	during = taken();
	on();
	window();
	line("disable/pending before", "irr %s, off %s, on %s", before, during, taken());
	quiet();
	/* Nothing new is accepted. */
	off();
	wr(ICR_HI, 0);
	wr(ICR, 0x52);
	before = vectors(IRR);
	on();
	window();
	line("disable/fixed ipi while off", "irr %s, on %s", before, taken());
	quiet();
	off();
	self(0x52);
	before = vectors(IRR);
	on();
	window();
	line("disable/self ipi while off", "irr %s, on %s", before, taken());
	quiet();
	off();
	wr(ICR_HI, 0);
	wr(ICR, NMI | ASSERT);
	window();
	line("disable/nmi while off", "%s", taken());
	quiet();
	ends[0x53] = END_NOT;
	self(0x53);
	window();
	taken();
	off();
	line("disable/in service", "isr %s", vectors(ISR));
	wr(EOI, 0);
	line("disable/eoi while off", "isr %s", vectors(ISR));
	quiet();
	wr(TPR, 0x35);
	off();
	wr(TPR, 0x46);
	line("disable/tpr while off", "%02x ppr %02x", rd(TPR), rd(PPR));
	quiet();
	off();
	line("disable/id and ldr", "%08x %08x %08x", rd(APIC_ID), rd(LDR), rd(DFR));
	wr(LDR, 0x08000000);
	line("disable/ldr while off", "%08x", rd(LDR));
	quiet();
	/* The PIC's way through LINT0 is masked, too; edge and IOAPIC pins lead nowhere. */
	wr(LVT_LINT0, EXTINT);
	off();
	pic_init(1, 0xfd, 0xff);
	kbd_raise();
	window();
	during = taken();
	on();
	window();
	before = taken();
	wr(LVT_LINT0, EXTINT);
	window();
	line("disable/extint", "off %s, on %s, unmasked %s", during, before, taken());
	quiet();
	off();
	entry(1, 0x61, 0);
	kbd_raise();
	before = vectors(IRR);
	on();
	window();
	line("disable/ioapic edge while off", "irr %s, on %s", before, taken());
	quiet();
	off();
	entry(4, LEVEL | 0x62, 0);
	uart_raise();
	before = vectors(IRR);
	on();
	on_vector[0x62] = uart_lower;
	window();
	line("disable/ioapic level while off", "irr %s, on %s", before, taken());
	quiet();
}
