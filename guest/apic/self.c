/* SPDX-License-Identifier: MIT */
/*
 * A processor interrupts itself: every way to name it, every delivery mode.
 * Source: SDM Vol. 3A, "Issuing Interprocessor Interrupts" (10.6), "Error Handling" (10.5.3).
 */
#include "apic.h"

static void send(const char *what, uint32_t icr, unsigned dest)
{
	const char *irr, *tmr;

	wr(ICR_HI, dest << 24);
	wr(ICR, icr);
	irr = vectors(IRR);
	tmr = vectors(TMR);
	window();
	line(name("self/%s", what), "irr %s tmr %s: %s", irr, tmr, taken());
	quiet();
}

/* From member 1 of cluster 2. */
static void cluster(const char *what, unsigned dest)
{
	wr(LDR, 0x21000000);
	wr(DFR, 0x0fffffff);
	send(what, LOGICAL | 0x51, dest);
}

static void vector_error(const char *what, uint32_t icr)
{
	uint32_t esr;

	wr(ICR_HI, 0);
	wr(ICR, icr);
	wr(ESR, 0);
	esr = rd(ESR);
	line(name("self/%s", what), "irr %s esr %02x", vectors(IRR), esr);
	quiet();
}

void cases_self(void)
{
	send("shorthand", TO_SELF | 0x51, 0);
	send("shorthand, destination ignored", TO_SELF | 0x51, 0x77);
	send("shorthand, logical bit", TO_SELF | LOGICAL | 0x51, 0x77);
	send("shorthand, asserted", TO_SELF | ASSERT | 0x51, 0);
	send("shorthand, level", TO_SELF | ASSERT | LEVEL | 0x51, 0);
	send("shorthand, level deasserted", TO_SELF | LEVEL | 0x51, 0);
	send("shorthand, lowest", TO_SELF | LOWEST | 0x51, 0);
	send("shorthand, nmi", TO_SELF | NMI | 0x51, 0);
	send("physical", 0x51, 0);
	send("physical, lowest", LOWEST | 0x51, 0);
	send("physical, broadcast", 0x51, 0xff);
	send("physical, nobody", 0x51, 0x0e);
	send("physical, nmi", NMI | 0x51, 0);
	send("physical, nmi with vector 0", NMI, 0);
	send("physical, reserved mode 3", 0x300 | 0x51, 0);
	send("physical, smi to nobody", SMI, 0x0e);
	send("physical, init deassert", INIT | LEVEL, 0);
	send("physical, start-up", SIPI | ASSERT | 0x51, 0);
	send("logical", LOGICAL | 0x51, 1);
	send("logical, nobody", LOGICAL | 0x51, 2);
	send("logical, everybody", LOGICAL | 0x51, 0xff);
	send("logical, lowest", LOGICAL | LOWEST | 0x51, 1);
	send("logical, nmi", LOGICAL | NMI, 1);
	send("logical, none", LOGICAL | 0x51, 0);
	send("vector 12", TO_SELF | 0x12, 0);
	send("vector ff", TO_SELF | 0xff, 0);
	vector_error("vector 5", TO_SELF | 5);
	vector_error("vector f", TO_SELF | 15);
	vector_error("vector 5, physical", 5);
	vector_error("vector f, lowest", LOWEST | 15);
	vector_error("vector 20 is legal", TO_SELF | 0x20);
	wr(APIC_ID, 0x05000000);
	send("physical, changed id", 0x51, 5);
	wr(APIC_ID, 0x05000000);
	send("physical, old id", 0x51, 0);
	wr(LDR, 0x80000000);
	send("logical, changed", LOGICAL | 0x51, 0x80);
	wr(LDR, 0);
	send("logical, without any", LOGICAL | 0x51, 0xff);
	cluster("cluster", 0x21);
	cluster("cluster, another", 0x11);
	cluster("cluster, another member", 0x22);
	cluster("cluster, members", 0x2f);
	cluster("cluster, broadcast", 0xff);
	cluster("cluster, broadcast to one member", 0xf1);
}
