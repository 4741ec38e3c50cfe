/* SPDX-License-Identifier: MIT */
/*
 * The I/O APIC: its registers, edges and levels, remote IRR, end of interrupt, masks, polarity.
 * Source: 82093AA data sheet, 3.1 and 3.2; ICH data sheet for the EOI register; SDM Vol. 3A,
 * "Directed EOI with x2APIC Mode" (10.8.5).
 */
#include "apic.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define UART_PIN  4
#define KBD_PIN   1

static void registers(void)
{
	static const uint32_t written[] = { 0xffffffff, 0x0001a700, 0x0001ffff, 0x00015555,
					    0x00010000 };
	static const uint8_t pins[] = { 0, 1, 10, 23 };

	for (unsigned i = 0; i < LENGTH(pins); i++)
		line(name("ioapic/register/pin %u masked", pins[i]), "%08x %08x", entry_lo(pins[i]),
		     io_rd(0x11 + 2 * pins[i]));
	for (unsigned i = 0; i < LENGTH(written); i++) {
		entry(10, written[i], 0xff);
		line(name("ioapic/register/entry/%08x", written[i]), "%08x %08x", entry_lo(10),
		     io_rd(0x11 + 20));
		entry(10, MASKED, 0);
	}
	io_wr(0x11 + 20, 0xffffffff);
	line("ioapic/register/destination ffffffff", "%08x", io_rd(0x11 + 20));
	entry(10, MASKED, 0);
	line("ioapic/register/version", "%08x", io_rd(1));
	io_wr(1, 0xffffffff);
	line("ioapic/register/version written", "%08x", io_rd(1));
	io_wr(0, 0xffffffff);
	line("ioapic/register/id ffffffff", "%08x", io_rd(0));
	line("ioapic/register/arbitration", "%08x", io_rd(2));
	io_wr(0, 0x05000000);
	line("ioapic/register/id 05000000", "%08x", io_rd(0));
	io_wr(0, 0);
	line("ioapic/register/id 0", "%08x", io_rd(0));
	line("ioapic/register/3", "%08x", io_rd(3));
	line("ioapic/register/f", "%08x", io_rd(0xf));
	line("ioapic/register/40", "%08x", io_rd(0x40));
	line("ioapic/register/ff", "%08x", io_rd(0xff));
	io_rd(0x25);
	line("ioapic/register/select", "%08x", *(volatile uint32_t *)IOAPIC_BASE);
}

static void edge(const char *what, uint32_t lo, unsigned dest)
{
	const char *irr, *tmr;
	uint32_t rte;

	entry(KBD_PIN, lo, dest);
	kbd_raise();
	irr = vectors(IRR);
	tmr = vectors(TMR);
	rte = entry_lo(KBD_PIN);
	window();
	line(name("ioapic/edge/%s", what), "irr %s tmr %s rte %05x: %s", irr, tmr, rte, taken());
	quiet();
}

static void edges(void)
{
	const char *first, *second;

	edge("fixed", 0x61, 0);
	edge("lowest", 0x61 | LOWEST, 0);
	edge("nmi", 0x61 | NMI, 0);
	edge("nmi, level", 0x61 | NMI | LEVEL, 0);
	edge("reserved mode 3", 0x61 | 0x300, 0);
	edge("reserved mode 6", 0x61 | 0x600, 0);
	edge("logical", 0x61 | LOGICAL, 1);
	edge("logical, nobody", 0x61 | LOGICAL, 0x80);
	edge("logical, all", 0x61 | LOGICAL, 0xff);
	edge("physical, nobody", 0x61, 0x0d);
	edge("physical, all", 0x61, 0xff);
	edge("masked", 0x61 | MASKED, 0);
	edge("vector ff", 0xff, 0);
	edge("vector 12", 0x12, 0);
	edge("active low", 0x61 | ACTIVE_LOW, 0);
	/* An edge while masked is lost; the next one counts. */
	entry(KBD_PIN, 0x61 | MASKED, 0);
	kbd_raise();
	entry(KBD_PIN, 0x61, 0);
	window();
	first = taken();
	kbd_lower();
	kbd_raise();
	window();
	line("ioapic/edge/while masked, then another", "%s, %s", first, taken());
	quiet();
	/* No second one without a fall. */
	entry(KBD_PIN, 0x61, 0);
	kbd_raise();
	window();
	first = taken();
	window();
	line("ioapic/edge/stays up", "%s, %s", first, taken());
	quiet();
	/* Two edges before anybody looks are one interrupt. */
	entry(KBD_PIN, 0x61, 0);
	kbd_raise();
	kbd_lower();
	kbd_raise();
	window();
	line("ioapic/edge/two", "%s", taken());
	quiet();
	entry(KBD_PIN, 0x61, 0);
	kbd_raise();
	kbd_lower();
	window();
	line("ioapic/edge/gone again", "%s", taken());
	quiet();
	/* Masking does not call back what was sent. */
	entry(KBD_PIN, 0x61, 0);
	kbd_raise();
	entry(KBD_PIN, 0x61 | MASKED, 0);
	window();
	line("ioapic/edge/masked after it was sent", "%s", taken());
	quiet();
	/* One during service comes after the end. */
	entry(KBD_PIN, 0x61, 0);
	ends[0x61] = END_NOT;
	kbd_raise();
	window();
	kbd_lower();
	kbd_raise();
	first = vectors(IRR);
	second = vectors(ISR);
	ends[0x61] = END_LAPIC;
	wr(EOI, 0);
	window();
	line("ioapic/edge/during service", "irr %s isr %s: %s", first, second, taken());
	quiet();
}

static void others(void)
{
	entry(2, 0x62, 0);
	pit_start();
	while (!pending(0x62))
		;
	window();
	line("ioapic/pin/pit is on 2", "%s", taken());
	quiet();
	entry(0, 0x62, 0);
	pit_start();
	wait_us(1000);
	window();
	line("ioapic/pin/pit is not on 0", "%s", taken());
	quiet();
	entry(8, 0x68, 0);
	rtc_raise();
	window();
	line("ioapic/pin/rtc is on 8", "%s", taken());
	quiet();
	entry(8, 0x68 | LEVEL, 0);
	on_vector[0x68] = rtc_lower;
	rtc_raise();
	window();
	line("ioapic/pin/rtc by level", "%s, rte %05x", taken(), entry_lo(8));
	quiet();
	entry(4, 0x64, 0);
	uart_raise();
	window();
	line("ioapic/pin/uart is on 4", "%s", taken());
	quiet();
	/* Two pins with one vector. */
	entry(KBD_PIN, 0x61, 0);
	entry(UART_PIN, 0x61, 0);
	kbd_raise();
	uart_raise();
	window();
	line("ioapic/pin/two of one vector", "%s", taken());
	quiet();
	entry(KBD_PIN, 0x61, 0);
	entry(UART_PIN, 0x74, 0);
	kbd_raise();
	uart_raise();
	window();
	line("ioapic/pin/two of two vectors", "%s", taken());
	quiet();
	/* The PIC sees the same line. */
	entry(KBD_PIN, 0x61, 0);
	pic_init(1, 0xfd, 0xff);
	wr(LVT_LINT0, EXTINT);
	kbd_raise();
	window();
	line("ioapic/pin/and pic", "%s", taken());
	quiet();
}

/* ---- levels: the UART's line ---- */

static void level_start(uint32_t lo)
{
	entry(UART_PIN, lo, 0);
	uart_raise();
}

static void levels(void)
{
	const char *irr, *tmr, *first;
	uint32_t a, b;

	level_start(0x64 | LEVEL);
	irr = vectors(IRR);
	tmr = vectors(TMR);
	line("ioapic/level/sent", "irr %s tmr %s rte %05x", irr, tmr, entry_lo(UART_PIN));
	ends[0x64] = END_NOT;
	window();
	first = taken();
	line("ioapic/level/in service", "%s isr %s rte %05x", first, vectors(ISR),
	     entry_lo(UART_PIN));
	window();
	line("ioapic/level/no second before the end", "%s irr %s", taken(), vectors(IRR));
	wr(EOI, 0);
	line("ioapic/level/still up at the end", "irr %s rte %05x", vectors(IRR),
	     entry_lo(UART_PIN));
	window();
	taken();
	uart_lower();
	line("ioapic/level/falls in service", "isr %s rte %05x", vectors(ISR), entry_lo(UART_PIN));
	wr(EOI, 0);
	line("ioapic/level/ended", "irr %s isr %s tmr %s rte %05x", vectors(IRR), vectors(ISR),
	     vectors(TMR), entry_lo(UART_PIN));
	quiet();
	/* Falls before it is taken: the IRR has it already. */
	level_start(0x64 | LEVEL);
	uart_lower();
	a = entry_lo(UART_PIN);
	window();
	line("ioapic/level/falls before it is taken", "rte %05x: %s, rte %05x", a, taken(),
	     entry_lo(UART_PIN));
	quiet();
	/* Masked: waits, and comes when unmasked. */
	level_start(0x64 | LEVEL | MASKED);
	irr = vectors(IRR);
	on_vector[0x64] = uart_lower;
	entry(UART_PIN, 0x64 | LEVEL, 0);
	window();
	line("ioapic/level/masked, unmasked", "irr %s: %s", irr, taken());
	quiet();
	level_start(0x64 | LEVEL | MASKED);
	uart_lower();
	entry(UART_PIN, 0x64 | LEVEL, 0);
	window();
	line("ioapic/level/masked, falls, unmasked", "%s", taken());
	quiet();
	/* Masked in service, as Linux does: the EOI does not bring it back until unmasked. */
	level_start(0x64 | LEVEL);
	ends[0x64] = END_NOT;
	window();
	entry(UART_PIN, 0x64 | LEVEL | MASKED, 0);
	a = entry_lo(UART_PIN);
	wr(EOI, 0);
	b = entry_lo(UART_PIN);
	taken();
	window();
	first = taken();
	entry(UART_PIN, 0x64 | LEVEL, 0);
	window();
	line("ioapic/level/masked in service", "rte %05x, %05x: %s, unmasked %s", a, b, first,
	     taken());
	quiet();
	/* Turned into an edge and back: remote IRR is gone. */
	level_start(0x64 | LEVEL);
	a = entry_lo(UART_PIN);
	entry(UART_PIN, 0x64 | MASKED, 0);
	b = entry_lo(UART_PIN);
	entry(UART_PIN, 0x64 | LEVEL | MASKED, 0);
	line("ioapic/level/edge and back", "rte %05x, %05x, %05x", a, b, entry_lo(UART_PIN));
	quiet();
	/* Remote IRR cannot be written. */
	entry(UART_PIN, 0x64 | LEVEL | MASKED | REMOTE_IRR | 0x1000, 0);
	line("ioapic/level/remote irr written", "rte %05x", entry_lo(UART_PIN));
	level_start(0x64 | LEVEL);
	entry(UART_PIN, 0x64 | LEVEL, 0);
	line("ioapic/level/remote irr written as 0", "rte %05x", entry_lo(UART_PIN));
	quiet();
	/* EOI of another vector leaves it alone. */
	level_start(0x64 | LEVEL);
	self(0x71);
	wr(TPR, 0x6f);
	window();
	line("ioapic/level/another vector ends", "%s rte %05x", taken(), entry_lo(UART_PIN));
	quiet();
	/* The vector is changed while remote IRR is set: the end of the old one no longer finds it.
	 */
	level_start(0x64 | LEVEL);
	entry(UART_PIN, 0x65 | LEVEL, 0);
	uart_lower();
	window();
	line("ioapic/level/vector changed", "%s rte %05x", taken(), entry_lo(UART_PIN));
	entry(UART_PIN, MASKED, 0);
	quiet();
	level_start(0x64 | LEVEL | LOWEST);
	on_vector[0x64] = uart_lower;
	window();
	line("ioapic/level/lowest", "%s rte %05x", taken(), entry_lo(UART_PIN));
	quiet();
	entry(UART_PIN, 0x64 | LEVEL, 0x0d);
	uart_raise();
	line("ioapic/level/nobody there", "rte %05x", entry_lo(UART_PIN));
	uart_lower();
	quiet();
	/* Active low: up when the line is down. */
	entry(UART_PIN, 0x64 | LEVEL | ACTIVE_LOW, 0);
	on_vector[0x64] = uart_raise;
	line("ioapic/level/active low, line low", "irr %s rte %05x", vectors(IRR),
	     entry_lo(UART_PIN));
	window();
	line("ioapic/level/active low, raised by its handler", "%s rte %05x", taken(),
	     entry_lo(UART_PIN));
	entry(UART_PIN, MASKED, 0);
	quiet();
	/* An edge entry made level while the line is up. */
	entry(UART_PIN, 0x64, 0);
	uart_raise();
	window();
	taken();
	ends[0x64] = END_NOT;
	entry(UART_PIN, 0x64 | LEVEL, 0);
	window();
	line("ioapic/level/edge made level", "%s rte %05x", taken(), entry_lo(UART_PIN));
	quiet();
	/* A level interrupt's vector, sent by IPI as an edge: TMR is the last one's. */
	level_start(0x64 | LEVEL);
	tmr = vectors(TMR);
	uart_lower();
	self(0x64);
	line("ioapic/level/tmr after an ipi of the vector", "tmr %s, %s", tmr, vectors(TMR));
	quiet();
	entry(UART_PIN, 0x64 | LEVEL | MASKED, 0);
	quiet();
}

/* ---- directed EOI ---- */

static void directed(void)
{
	uint32_t a, b;

	*(volatile uint32_t *)(IOAPIC_BASE + 0x40) = 0x64;
	wr(SVR, SVR_ON | SVR_DIRECTED | 0xff);
	line("ioapic/directed/svr", "%08x", rd(SVR));
	level_start(0x64 | LEVEL);
	ends[0x64] = END_NOT;
	window();
	taken();
	uart_lower();
	wr(EOI, 0);
	a = entry_lo(UART_PIN);
	*(volatile uint32_t *)(IOAPIC_BASE + 0x40) = 0x65;
	b = entry_lo(UART_PIN);
	*(volatile uint32_t *)(IOAPIC_BASE + 0x40) = 0x64;
	line("ioapic/directed/eoi", "rte %05x, other vector %05x, its own %05x", a, b,
	     entry_lo(UART_PIN));
	quiet();
	/* The register ends it in broadcast mode, too, and with the line up it comes again. */
	level_start(0x64 | LEVEL);
	ends[0x64] = END_NOT;
	window();
	taken();
	*(volatile uint32_t *)(IOAPIC_BASE + 0x40) = 0x64;
	line("ioapic/directed/before the local eoi", "irr %s isr %s rte %05x", vectors(IRR),
	     vectors(ISR), entry_lo(UART_PIN));
	uart_lower();
	quiet();
	entry(KBD_PIN, 0x61, 0);
	*(volatile uint32_t *)(IOAPIC_BASE + 0x40) = 0x61;
	line("ioapic/directed/an edge", "rte %05x", entry_lo(KBD_PIN));
	quiet();
}

/* Pin 0 is the PIC's INTR: MP Specification 1.4, "Virtual Wire Mode" via the I/O APIC (3.6.2.2). */
static void extint(void)
{
	const char *first;

	pic_init(1, 0xfd, 0xff);
	entry(0, EXTINT, 0);
	kbd_raise();
	window();
	line("ioapic/extint/pin 0", "%s", taken());
	quiet();
	pic_init(1, 0xfd, 0xff);
	entry(0, EXTINT | MASKED, 0);
	kbd_raise();
	window();
	first = taken();
	entry(0, EXTINT, 0);
	window();
	line("ioapic/extint/masked, unmasked", "%s, %s", first, taken());
	quiet();
	pic_init(1, 0xfd, 0xff);
	entry(0, EXTINT | LOGICAL, 1);
	kbd_raise();
	window();
	line("ioapic/extint/logical", "%s", taken());
	quiet();
}

void cases_ioapic(void)
{
	registers();
	edges();
	others();
	levels();
	directed();
	extint();
}
