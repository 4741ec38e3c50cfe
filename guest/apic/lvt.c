/* SPDX-License-Identifier: MIT */
/*
 * The local vector table: LINT0, which the PIC's INTR is wired to, in its modes; the error entry.
 * Source: SDM Vol. 3A, "Local Vector Table" (10.5.1), "Error Handling" (10.5.3); MP Specification
 * 1.4, "Virtual Wire Mode" (3.6.2.2).
 */
#include "apic.h"

/* IRQ 1 waits at the PIC, then LINT0 is set up as @lvt. */
static void intr_then_lint0(const char *what, uint32_t lvt)
{
	const char *irr, *first;

	pic_init(1, 0xfd, 0xff);
	kbd_raise();
	wr(LVT_LINT0, lvt);
	irr = vectors(IRR);
	on_vector[0x45] = kbd_lower;
	window();
	first = taken();
	line(name("lint0/intr first/%s", what), "irr %s: %s, pic irr %02x isr %02x", irr, first,
	     pic_irr(0), pic_isr(0));
	quiet();
}

/* LINT0 first, then IRQ 1. */
static void lint0_then_intr(const char *what, uint32_t lvt)
{
	const char *irr, *tmr, *first, *second;
	uint32_t during;

	pic_init(1, 0xfd, 0xff);
	wr(LVT_LINT0, lvt);
	kbd_raise();
	irr = vectors(IRR);
	tmr = vectors(TMR);
	during = rd(LVT_LINT0);
	ends[0x45] = END_NOT;
	window();
	first = taken();
	wr(EOI, 0); /* the line is still up */
	window();
	second = taken();
	line(name("lint0/lint0 first/%s", what),
	     "irr %s tmr %s lvt %05x: %s, again %s, pic irr %02x", irr, tmr, during, first, second,
	     pic_irr(0));
	quiet();
}

/* The line falls before anybody took the interrupt. */
static void intr_falls(const char *what, uint32_t lvt)
{
	const char *irr;

	pic_init(1, 0xfd, 0xff);
	wr(LVT_LINT0, lvt);
	kbd_raise();
	irr = vectors(IRR);
	outb(0x21, 0xff);
	line(name("lint0/intr falls/%s", what), "irr %s, then %s", irr, vectors(IRR));
	window();
	line(name("lint0/intr fell/%s", what), "%s", taken());
	quiet();
}

static void extint(void)
{
	const char *first;

	/* TPR does not hold ExtINT back, nor does what is in service. */
	pic_init(1, 0xfd, 0xff);
	wr(LVT_LINT0, EXTINT);
	wr(TPR, 0xff);
	kbd_raise();
	window();
	line("extint/tpr ff", "%s isr %s", taken(), vectors(ISR));
	quiet();
	pic_init(1, 0xfd, 0xff);
	wr(LVT_LINT0, EXTINT);
	ends[0xf1] = END_NOT;
	self(0xf1);
	window();
	kbd_raise();
	window();
	line("extint/in service f1", "%s isr %s", taken(), vectors(ISR));
	quiet();
	/* Both at once: the APIC's own comes first. */
	pic_init(1, 0xfd, 0xff);
	wr(LVT_LINT0, EXTINT);
	kbd_raise();
	self(0x31);
	window();
	line("extint/and a fixed one", "%s", taken());
	quiet();
	pic_init(1, 0xfd, 0xff);
	wr(LVT_LINT0, EXTINT | MASKED);
	kbd_raise();
	window();
	first = taken();
	wr(LVT_LINT0, EXTINT);
	window();
	line("extint/masked, unmasked", "%s, %s", first, taken());
	quiet();
	/* The request goes away: nothing, or the PIC's spurious vector? */
	pic_init(1, 0xfd, 0xff);
	wr(LVT_LINT0, EXTINT);
	kbd_raise();
	kbd_lower();
	window();
	line("extint/request went away", "%s", taken());
	quiet();
	pic_init(1, 0xed, 0xff);
	wr(LVT_LINT0, EXTINT);
	kbd_raise();
	uart_raise();
	window();
	line("extint/two requests", "%s", taken());
	quiet();
	pic_init(1, 0xfb, 0xfe);
	wr(LVT_LINT0, EXTINT);
	rtc_raise();
	window();
	line("extint/slave", "%s, isr %02x %02x", taken(), pic_isr(0), pic_isr(1));
	quiet();
}

static void error_entry(void)
{
	uint32_t esr;

	wr(LVT_ERROR, 0x47);
	wr(ESR, 0);
	(void)rd(0x50);
	line("error/absent register read", "irr %s", vectors(IRR));
	window();
	wr(ESR, 0);
	esr = rd(ESR);
	line("error/then", "%s esr %02x", taken(), esr);
	(void)rd(0x50);
	(void)rd(0x60);
	window();
	line("error/twice without a write to esr", "%s", taken());
	wr(ESR, 0);
	wr(ESR, 0);
	esr = rd(ESR);
	line("error/esr written twice", "%02x", esr);
	wr(LVT_ERROR, MASKED | 0x47);
	(void)rd(0x50);
	line("error/masked", "irr %s", vectors(IRR));
	wr(ESR, 0);
	line("error/masked, esr", "%02x", rd(ESR));
	wr(LVT_ERROR, 0x47);
	window();
	line("error/unmasked later", "%s", taken());
	quiet();
	/* A vector below 16 in LINT0's entry. */
	pic_init(1, 0xfd, 0xff);
	wr(LVT_LINT0, 0x05);
	kbd_raise();
	wr(ESR, 0);
	esr = rd(ESR);
	line("error/lint0 with vector 5", "irr %s esr %02x", vectors(IRR), esr);
	quiet();
	entry(1, 0x05, 0);
	kbd_raise();
	wr(ESR, 0);
	esr = rd(ESR);
	line("error/ioapic with vector 5", "irr %s esr %02x", vectors(IRR), esr);
	quiet();
}

/* QEMU's TCG hangs in this one: it believes in an interrupt that nobody has. */
void cases_lvt_alone(void)
{
	const char *first;

	pic_init(1, 0xfd, 0xff);
	wr(LVT_LINT0, EXTINT);
	kbd_raise();
	wr(LVT_LINT0, EXTINT | MASKED);
	window();
	first = taken();
	line("extint/masked before it was taken", "%s, pic irr %02x", first, pic_irr(0));
	quiet();
}

void cases_lvt(void)
{
	intr_then_lint0("extint", EXTINT);
	intr_then_lint0("extint, masked", EXTINT | MASKED);
	intr_then_lint0("extint, level", EXTINT | LEVEL);
	intr_then_lint0("fixed, level", 0x45 | LEVEL);
	intr_then_lint0("fixed, level, masked", 0x45 | LEVEL | MASKED);
	lint0_then_intr("extint", EXTINT);
	lint0_then_intr("fixed", 0x45);
	lint0_then_intr("fixed, masked", 0x45 | MASKED);
	lint0_then_intr("fixed, level", 0x45 | LEVEL);
	lint0_then_intr("nmi", NMI);
	lint0_then_intr("nmi, level", NMI | LEVEL);
	lint0_then_intr("nmi, masked", NMI | MASKED);
	intr_falls("extint", EXTINT);
	intr_falls("fixed", 0x45);
	intr_falls("fixed, level", 0x45 | LEVEL);
	extint();
	error_entry();
}
