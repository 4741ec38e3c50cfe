/* SPDX-License-Identifier: MIT */
/*
 * Messages among four processors: who gets them.  The others wait with interrupts off; what came is
 * what their IRRs hold, and NMIs are counted.
 * Source: SDM Vol. 3A, "Issuing Interprocessor Interrupts" (10.6), table 10-3.
 */
#include "ipi.h"

static uint32_t drain_here(uint32_t arg)
{
	(void)arg;
	lapic_quiet();
	return 0;
}

void all_quiet(void)
{
	quiet();
	for (unsigned cpu = 1; cpu < CPUS; cpu++) {
		on_cpu(cpu, drain_here, 0);
		cpu_id[cpu] = cpu;
		nmis[cpu] = 0;
	}
	nmis[0] = 0;
	taken();
}

static uint32_t read_here(uint32_t reg)
{
	return rd(reg);
}

uint32_t lapic_of(unsigned cpu, unsigned reg)
{
	return on_cpu(cpu, read_here, reg);
}

static unsigned write_reg;

static uint32_t write_here(uint32_t val)
{
	wr(write_reg, val);
	return 0;
}

void lapic_write(unsigned cpu, unsigned reg, uint32_t val)
{
	write_reg = reg;
	on_cpu(cpu, write_here, val);
}

uint32_t irr_of(unsigned cpu, unsigned vector)
{
	return lapic_of(cpu, IRR + vector / 32 * 16) >> vector % 32 & 1;
}

/* "0-2-": the processors that got @vector. */
const char *who(unsigned vector)
{
	static char text[2][CPUS + 1];
	static unsigned which;
	char *t = text[which++ % 2];

	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		t[cpu] = irr_of(cpu, vector) ? (char)('0' + cpu) : '-';
	t[CPUS] = 0;
	return t;
}

void send_ipi(uint32_t icr, unsigned dest)
{
	wr(ICR_HI, dest << 24);
	wr(ICR, icr);
}

static uint32_t msr_here(uint32_t msr)
{
	return (uint32_t)rdmsr(msr);
}

/* One message of vector 0x51. */
static void ipi(const char *what, uint32_t icr, unsigned dest)
{
	send_ipi(icr | 0x51, dest);
	line(name("ipi/%s", what), "%s", who(0x51));
	all_quiet();
}

/* @expected: a bit for each processor that an NMI is certain to come to, to wait for it. */
static void nmi(const char *what, uint32_t icr, unsigned dest, unsigned expected)
{
	unsigned came = 0;

	send_ipi(icr | NMI, dest);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		while ((expected >> cpu & 1) && !nmis[cpu])
			__asm__ volatile("pause");
	wait_us(500);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		came |= nmis[cpu] ? 1u << cpu : 0;
	line(name("ipi/nmi/%s", what), "to %x", came);
	all_quiet();
}

/* @tpr: of each; the one with the lowest takes it. */
static void lowest(const char *what, const uint8_t *tpr, uint32_t icr, unsigned dest)
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		lapic_write(cpu, TPR, tpr[cpu]);
	send_ipi(icr | LOWEST | 0x51, dest);
	line(name("ipi/lowest/%s", what), "%s", who(0x51));
	all_quiet();
}
#define TPRS(...) ((const uint8_t[]){ __VA_ARGS__ })

static void physical(void)
{
	ipi("physical, 0", 0, 0);
	ipi("physical, 1", 0, 1);
	ipi("physical, 2", 0, 2);
	ipi("physical, 3", 0, 3);
	ipi("physical, nobody", 0, 9);
	ipi("physical, broadcast", 0, 0xff);
	ipi("self", TO_SELF, 0);
	ipi("all", TO_ALL, 0);
	ipi("all but self", TO_OTHERS, 0);
	ipi("all but self, destination ignored", TO_OTHERS, 2);
	ipi("all but self, logical bit ignored", TO_OTHERS | LOGICAL, 2);
	ipi("level", LEVEL | ASSERT, 1);
	ipi("level, deasserted", LEVEL, 1);
	ipi("reserved mode 3", 0x300, 1);
	ipi("extint", EXTINT, 0x0e);
	ipi("start-up to one that runs", SIPI | ASSERT, 1);
	/* The id that counts is the one in the register. */
	lapic_write(3, APIC_ID, 9u << 24);
	cpu_id[3] = 9;
	ipi("physical, changed id", 0, 9);
	lapic_write(3, APIC_ID, 9u << 24);
	cpu_id[3] = 9;
	send_ipi(0x51, 3);
	line("ipi/physical, old id", "%s", who(0x51));
	lapic_write(3, APIC_ID, 3u << 24);
	cpu_id[3] = 3;
	all_quiet();
	/* Many at once. */
	for (unsigned v = 0x40; v < 0x50; v++)
		send_ipi(TO_OTHERS | v, 0);
	line("ipi/sixteen vectors", "%08x %08x %08x", lapic_of(1, IRR + 0x20),
	     lapic_of(2, IRR + 0x20), lapic_of(3, IRR + 0x20));
	all_quiet();
}

static uint32_t take_here(uint32_t arg)
{
	(void)arg;
	window();
	return (uint32_t)taken();
}

/* What another takes when its window opens, in its own order. */
static void taken_there(void)
{
	send_ipi(0x51, 2);
	send_ipi(0x91, 2);
	send_ipi(0x71, 2);
	send_ipi(0x51, 2);
	line("ipi/taken by another", "%s", (const char *)on_cpu(2, take_here, 0));
	all_quiet();
	lapic_write(2, TPR, 0x70);
	send_ipi(0x51, 2);
	send_ipi(0x91, 2);
	line("ipi/taken by another above its tpr", "%s", (const char *)on_cpu(2, take_here, 0));
	lapic_write(2, TPR, 0);
	line("ipi/the rest", "%s", (const char *)on_cpu(2, take_here, 0));
	all_quiet();
}

/* Two processors answer each other with interrupts; counted on both sides. */
static volatile unsigned pings, pongs;

static void ping(void)
{
	pings++;
	send_ipi(0x52, 0);
}

static void pong(void)
{
	pongs++;
}

static uint32_t open_until(uint32_t n)
{
	while (pings < n)
		sti_hlt_cli();
	taken();
	return 0;
}

static void ping_pong(void)
{
	pings = pongs = 0;
	on_vector[0x51] = ping;
	on_vector[0x52] = pong;
	for (unsigned i = 0; i < 20; i++) {
		send_ipi(0x51, 1);
		on_cpu(1, open_until, i + 1);
		while (pongs <= i)
			window();
	}
	line("ipi/ping and pong", "%u %u", pings, pongs);
	taken();
	all_quiet();
}

void cases_ipi(void)
{
	cpus_start();
	all_quiet();
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		line(name("ipi/cpu %u", cpu), "id %08x apicbase %08x", lapic_of(cpu, APIC_ID),
		     on_cpu(cpu, msr_here, 0x1b));
	physical();
	taken_there();
	ping_pong();
	nmi("physical", 0, 2, 4);
	nmi("physical, self", 0, 0, 1);
	nmi("broadcast", 0, 0xff, 0xf);
	nmi("all but self", TO_OTHERS, 0, 0xe);
	nmi("logical", LOGICAL, 0x06, 6);
	nmi("nobody", 0, 9, 0);
	nmi("vector is ignored", 0x77, 1, 2);
	lapic_write(2, SVR, 0xff);
	nmi("software disabled", 0, 2, 4);
	lapic_write(2, TPR, 0xff);
	nmi("tpr ff", 0, 2, 4);
	lapic_write(2, SVR, 0xff);
	ipi("software disabled", TO_OTHERS, 0);
	lowest("logical all, 3 is lowest", TPRS(0x40, 0x30, 0x20, 0x10), LOGICAL, 0xff);
	lowest("logical all, 0 is lowest", TPRS(0x10, 0x20, 0x30, 0x40), LOGICAL, 0xff);
	lowest("logical all, 2 is lowest", TPRS(0x30, 0x20, 0x10, 0x40), LOGICAL, 0xff);
	lowest("logical 1 and 2", TPRS(0x10, 0x40, 0x30, 0x10), LOGICAL, 0x06);
	lowest("logical, one", TPRS(0x10, 0x40, 0x30, 0x10), LOGICAL, 0x08);
	lowest("logical, nobody", TPRS(0x10, 0x40, 0x30, 0x10), LOGICAL, 0xf0);
	lowest("physical", TPRS(0x10, 0x40, 0x30, 0x10), 0, 1);
	lapic_write(0, SVR, 0xff);
	lowest("the lowest is off", TPRS(0x10, 0x20, 0x30, 0x40), LOGICAL, 0xff);
}
