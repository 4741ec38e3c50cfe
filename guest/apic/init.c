/* SPDX-License-Identifier: MIT */
/*
 * INIT and start-up messages: what a processor and its local APIC are then.
 * Source: SDM Vol. 3A, "Local APIC State After It Receives an INIT-Deassert IPI" and "... an INIT
 * Reset" (10.4.7.3, 10.4.7.4), "MP Initialization Protocol" (8.4).
 */
#include "ipi.h"

/* Everything of @cpu away from its reset state. */
static uint32_t disturb(uint32_t arg)
{
	(void)arg;
	wr(TPR, 0x35);
	wr(LDR, 0xa5000000);
	wr(DFR, 0x0fffffff);
	wr(LVT_TIMER, PERIODIC | 0x48);
	wr(LVT_LINT1, 0x49);
	wr(LVT_ERROR, 0x4a);
	wr(INITIAL, 0x7fffffff);
	wr(DIVIDE, 3);
	ends[0x61] = END_NOT;
	wr(ICR, TO_SELF | 0x61);
	window();
	wr(ICR, TO_SELF | 0x52);
	return 0;
}

static const struct {
	const char *name;
	uint16_t off;
} regs[] = {
	{ "tpr", TPR },
	{ "ldr", LDR },
	{ "dfr", DFR },
	{ "svr", SVR },
	{ "id", APIC_ID },
	{ "isr", ISR + 0x30 },
	{ "irr", IRR + 0x20 },
	{ "tmr", TMR + 0x30 },
	{ "lvt timer", LVT_TIMER },
	{ "lvt thermal", LVT_THERMAL },
	{ "lvt perf", LVT_PERF },
	{ "lvt lint0", LVT_LINT0 },
	{ "lvt lint1", LVT_LINT1 },
	{ "lvt error", LVT_ERROR },
	{ "initial", INITIAL },
	{ "current", CURRENT },
	{ "divide", DIVIDE },
	{ "esr", ESR },
	{ "ppr", PPR },
	{ "version", VERSION },
};

static uint32_t enable_here(uint32_t arg)
{
	wr(SVR, arg);
	return 0;
}

static uint32_t base_here(uint32_t arg)
{
	(void)arg;
	return (uint32_t)rdmsr(0x1b);
}

static void state_after_init(void)
{
	on_cpu(1, disturb, 0);
	cpu_init(1);
	cpu_start(1);
	for (unsigned i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		line(name("init/after/%s", regs[i].name), "%08x", lapic_of(1, regs[i].off));
	line("init/after/apicbase", "%08x", on_cpu(1, base_here, 0));
	on_cpu(1, enable_here, SVR_ON | 0xff);
	all_quiet();
	/* A changed id is kept. */
	lapic_write(2, APIC_ID, 7u << 24);
	cpu_id[2] = 7;
	cpu_init(2);
	cpu_start(2);
	line("init/changed id", "%08x", lapic_of(2, APIC_ID));
	lapic_write(2, APIC_ID, 2u << 24);
	cpu_id[2] = 2;
	all_quiet();
}

/* How often each has started. */
static const char *starts(void)
{
	static char text[2][32];
	static unsigned which;
	char *t = text[which++ % 2];

	for (unsigned cpu = 1; cpu < CPUS; cpu++)
		t[cpu - 1] = (char)('0' + cpu_started[cpu]);
	t[CPUS - 1] = 0;
	return t;
}

static void messages(void)
{
	const char *before = starts();

	/* Start-up messages to processors that run are ignored, whatever their form. */
	send_ipi(SIPI | ASSERT | 8, 1);
	send_ipi(SIPI | ASSERT | TO_OTHERS | 8, 0);
	wait_us(500);
	line("init/start-up ignored", "%s, %s", before, starts());
	/* INIT deassert resets nobody. */
	send_ipi(INIT | LEVEL | TO_ALL, 0);
	send_ipi(INIT | LEVEL, 1);
	wait_us(500);
	line("init/deassert", "svr %08x", lapic_of(1, SVR));
	/* A second start-up message does nothing more. */
	cpu_init(3);
	cpu_start(3);
	send_ipi(SIPI | ASSERT | 8, 3);
	wait_us(500);
	line("init/second start-up", "%s", starts());
	on_cpu(3, enable_here, SVR_ON | 0xff);
	all_quiet();
	/* By logical destination. */
	lapic_write(2, LDR, 0x40000000);
	send_ipi(LOGICAL | INIT | ASSERT | LEVEL, 0x40);
	wait_us(500);
	cpu_start(2);
	line("init/logical", "%s ldr %08x", starts(), lapic_of(2, LDR));
	on_cpu(2, enable_here, SVR_ON | 0xff);
	all_quiet();
	/* An edge INIT is one, too. */
	send_ipi(INIT, 1);
	wait_us(500);
	cpu_start(1);
	line("init/edge", "%s svr %08x", starts(), lapic_of(1, SVR));
	on_cpu(1, enable_here, SVR_ON | 0xff);
	all_quiet();
	/* All but self. */
	send_ipi(INIT | ASSERT | LEVEL | TO_OTHERS, 0);
	wait_us(500);
	for (unsigned cpu = 1; cpu < CPUS; cpu++) {
		cpu_start(cpu);
		on_cpu(cpu, enable_here, SVR_ON | 0xff);
	}
	line("init/all but self", "%s", starts());
	all_quiet();
}

/* While it waits for start-up nothing fixed is accepted: the local APIC is off. */
static void waiting(void)
{
	cpu_init(1);
	send_ipi(0x51, 1);
	cpu_start(1);
	line("init/fixed while waiting", "irr %08x", lapic_of(1, IRR + 0x20));
	on_cpu(1, enable_here, SVR_ON | 0xff);
	all_quiet();
	send_ipi(TO_OTHERS | 0x51, 0);
	cpu_init(1);
	cpu_start(1);
	line("init/pending before", "irr %08x", lapic_of(1, IRR + 0x20));
	on_cpu(1, enable_here, SVR_ON | 0xff);
	all_quiet();
}

void cases_init(void)
{
	cpus_start();
	all_quiet();
	state_after_init();
	messages();
	waiting();
}
