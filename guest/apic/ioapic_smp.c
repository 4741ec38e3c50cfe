/* SPDX-License-Identifier: MIT */
/*
 * The I/O APIC's messages to several processors.
 * Source: 82093AA data sheet, 3.2.4; SDM Vol. 3A, "Determining IPI Destination" (10.6.2).
 */
#include "ipi.h"

static void send(const char *what, uint32_t lo, unsigned dest)
{
	entry(1, lo | 0x61, dest);
	kbd_raise();
	line(name("iosmp/%s", what), "%s", who(0x61));
	all_quiet();
}

static uint32_t serve_here(uint32_t end)
{
	ends[0x64] = end ? END_LAPIC : END_NOT;
	window();
	return (uint32_t)taken();
}

static uint32_t eoi_here(uint32_t arg)
{
	(void)arg;
	wr(EOI, 0);
	return 0;
}

static void tprs(const uint8_t *tpr)
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		lapic_write(cpu, TPR, tpr[cpu]);
}

static void clusters(void)
{
	static const uint8_t ldr[] = { 0x11, 0x12, 0x21, 0x28 };

	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		lapic_write(cpu, DFR, 0x0fffffff);
		lapic_write(cpu, LDR, (uint32_t)ldr[cpu] << 24);
	}
}

/* A level interrupt served by another processor. */
static void level(void)
{
	uint32_t a, b;
	const char *first;

	entry(4, 0x64 | LEVEL, 2);
	uart_raise();
	line("iosmp/level/sent", "%s tmr %08x rte %05x", who(0x64), lapic_of(2, TMR + 0x30),
	     entry_lo(4));
	first = (const char *)on_cpu(2, serve_here, 0);
	a = entry_lo(4);
	uart_lower();
	wr(EOI, 0); /* of the wrong processor */
	b = entry_lo(4);
	on_cpu(2, eoi_here, 0);
	line("iosmp/level/served", "%s rte %05x, wrong eoi %05x, eoi %05x", first, a, b,
	     entry_lo(4));
	all_quiet();
	/* To two of them: the first end lets it come again. */
	entry(4, 0x64 | LEVEL | LOGICAL, 0x06);
	uart_raise();
	line("iosmp/level/two", "%s", who(0x64));
	on_cpu(1, serve_here, 0);
	on_cpu(1, eoi_here, 0);
	line("iosmp/level/two, one ended", "%s rte %05x", who(0x64), entry_lo(4));
	uart_lower();
	all_quiet();
}

void cases_ioapic_smp(void)
{
	cpus_start();
	all_quiet();
	send("physical, 0", 0, 0);
	send("physical, 1", 0, 1);
	send("physical, 2", 0, 2);
	send("physical, 3", 0, 3);
	send("physical, all", 0, 0xff);
	send("physical, nobody", 0, 9);
	send("logical 0a", LOGICAL, 0x0a);
	send("logical ff", LOGICAL, 0xff);
	send("logical f0", LOGICAL, 0xf0);
	clusters();
	send("cluster 13", LOGICAL, 0x13);
	clusters();
	send("cluster 28", LOGICAL, 0x28);
	clusters();
	send("cluster ff", LOGICAL, 0xff);
	tprs((const uint8_t[]){ 0x40, 0x30, 0x10, 0x20 });
	send("lowest, 2", LOGICAL | LOWEST, 0xff);
	tprs((const uint8_t[]){ 0x40, 0x30, 0x10, 0x20 });
	send("lowest of 0 and 1", LOGICAL | LOWEST, 0x03);
	tprs((const uint8_t[]){ 0x10, 0x30, 0x20, 0x20 });
	send("lowest, 0", LOGICAL | LOWEST, 0xff);
	lapic_write(1, SVR, 0xff);
	send("1 is off", LOGICAL, 0x0f);
	lapic_write(0, SVR, 0xff);
	send("lowest, 0 is off", LOGICAL | LOWEST, 0x0f);
	entry(1, NMI, 2);
	kbd_raise();
	while (!nmis[2])
		__asm__ volatile("pause");
	line("iosmp/nmi", "%u%u%u%u", nmis[0], nmis[1], nmis[2], nmis[3]);
	all_quiet();
	level();
}
