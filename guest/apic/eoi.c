/* SPDX-License-Identifier: MIT */
/*
 * The end of interrupts: which one an EOI ends, and what may come then.
 * Source: SDM Vol. 3A, "Signaling Interrupt Servicing Completion" (10.8.5), "Spurious Interrupt"
 * (10.9).
 */
#include "apic.h"

/* Put vectors in service without ending them: each of a higher class than the last. */
static void serve(const uint8_t *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		ends[v[i]] = END_NOT;
		self(v[i]);
		window();
	}
}

static void ladder(const char *what, const uint8_t *v, unsigned n)
{
	const char *isr[5] = { "", "", "", "", "" };

	serve(v, n);
	for (unsigned i = 0; i <= n && i < 5; i++) {
		isr[i] = vectors(ISR);
		wr(EOI, 0);
	}
	line(name("eoi/%s", what), "isr %s %s %s %s %s", isr[0], isr[1], isr[2], isr[3], isr[4]);
	quiet();
}
#define LADDER(what, ...) \
	ladder(what, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void value(uint32_t val)
{
	serve((const uint8_t[]){ 0x41 }, 1);
	wr(EOI, val);
	line(name("eoi/value %08x", val), "isr %s", vectors(ISR));
	quiet();
}

/* What waits comes only when all of its class and above are over. */
static void waits(const char *what, uint8_t first, uint8_t second, uint8_t waiting)
{
	const char *step[3];

	serve((const uint8_t[]){ first, second }, 2);
	taken();
	self(waiting);
	window();
	step[0] = taken();
	wr(EOI, 0);
	window();
	step[1] = taken();
	wr(EOI, 0);
	window();
	step[2] = taken();
	line(name("eoi/waiting/%s", what), "%s, %s, %s", step[0], step[1], step[2]);
	quiet();
}

static void early_end(void)
{
	wr(EOI, 0);
	self(0x31);
	sti_nop_cli();
	sti_nop_cli();
	ends[0x41] = END_NOT;
}

/* A second one of a vector in service is kept; a third is merged with it. */
static void again(void)
{
	serve((const uint8_t[]){ 0x41 }, 1);
	self(0x41);
	self(0x41);
	line("eoi/again in service", "isr %s irr %s", vectors(ISR), vectors(IRR));
	window();
	line("eoi/again not taken yet", "isr %s irr %s", vectors(ISR), vectors(IRR));
	taken();
	ends[0x41] = END_LAPIC;
	wr(EOI, 0);
	window();
	line("eoi/again taken after the end", "%s isr %s irr %s", taken(), vectors(ISR),
	     vectors(IRR));
	quiet();
}

void cases_eoi(void)
{
	LADDER("one", 0x41);
	LADDER("two", 0x41, 0x51);
	LADDER("three", 0x21, 0x81, 0xf1);
	LADDER("four", 0x31, 0x41, 0x51, 0x61);
	LADDER("ends of the range", 0x12, 0xff);
	wr(EOI, 0);
	line("eoi/nothing in service", "isr %s ppr %02x", vectors(ISR), rd(PPR));
	value(0);
	value(1);
	value(0xffffffff);
	waits("below both", 0x41, 0x61, 0x31);
	waits("between", 0x41, 0x61, 0x51);
	waits("above both", 0x41, 0x61, 0x71);
	waits("class of the second", 0x41, 0x61, 0x6f);
	waits("class of the first", 0x41, 0x61, 0x4f);
	on_vector[0x41] = early_end;
	self(0x41);
	window();
	line("eoi/early, then a lower one inside", "%s", taken());
	quiet();
	again();
	/* INT n has nothing to do with the APIC. */
	__asm__ volatile("int $0x42");
	line("eoi/int n", "%s isr %s", taken(), vectors(ISR));
	quiet();
}
