/* SPDX-License-Identifier: MIT */
/*
 * x2APIC mode: the registers as MSRs.  QEMU's TCG does not offer it; tests/apic.c says what must
 * be. Source: SDM Vol. 3A, "Extended XAPIC (x2APIC)" (10.12), table 10-6.
 */
#include "ipi.h"

#define MSR_BASE 0x1bu
#define XAPIC    0xfee00900u
#define X2APIC   0xfee00d00u
#define X2(off)  (0x800u + (off) / 16)

static void wrmsr(uint32_t msr, uint64_t val)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
			 : "memory");
}

static uint32_t x2_here(uint32_t msr)
{
	return (uint32_t)rdmsr(msr);
}

static uint32_t enter_here(uint32_t arg)
{
	wrmsr(MSR_BASE, (arg & ~0x100u) | (this_cpu() ? 0 : 0x100));
	return 0;
}

static void try_read(const char *what, uint32_t msr)
{
	tables_reset();
	RUN(CODE("rdmsr"), name("x2apic/read/%s", what), .ecx = msr, .no_regs = true);
}

static void try_write(const char *what, uint32_t msr, uint32_t lo, uint32_t hi)
{
	tables_reset();
	RUN(CODE("wrmsr"), name("x2apic/write/%s", what), .ecx = msr, .eax = lo, .edx = hi);
}

static void accesses(void)
{
	try_read("id", X2(APIC_ID));
	try_read("version", X2(VERSION));
	try_read("eoi", X2(EOI));
	try_read("apr", X2(APR));
	try_read("dfr", X2(DFR));
	try_read("icr", X2(ICR));
	try_read("icr high", X2(ICR_HI));
	try_read("self ipi", 0x83f);
	try_read("absent", 0x804);
	try_write("id", X2(APIC_ID), 0, 0);
	try_write("ldr", X2(LDR), 0, 0);
	try_write("dfr", X2(DFR), 0, 0);
	try_write("tpr", X2(TPR), 0, 0);
	try_write("tpr, reserved", X2(TPR), 0x100, 0);
	try_write("eoi", X2(EOI), 0, 0);
	try_write("eoi, not zero", X2(EOI), 1, 0);
	try_write("esr", X2(ESR), 0, 0);
	try_write("esr, not zero", X2(ESR), 1, 0);
	try_write("svr, reserved", X2(SVR), 0x21ff, 0);
	try_write("lvt timer, reserved", X2(LVT_TIMER), 0x80010000, 0);
	try_write("tpr, high half", X2(TPR), 0, 1);
	try_write("isr", X2(ISR), 0, 0);
	try_write("base, back to xapic", MSR_BASE, XAPIC, 0);
	irq_gates();
}

static void messages(void)
{
	wrmsr(X2(ICR), (uint64_t)0x00000001 << 32 | LOGICAL | 0x51);
	window();
	line("x2apic/logical, itself", "%s isr %08x", taken(), (uint32_t)rdmsr(X2(ISR) + 2));
	wrmsr(X2(EOI), 0);
	wrmsr(0x83f, 0x52);
	window();
	line("x2apic/self ipi", "%s isr %08x", taken(), (uint32_t)rdmsr(X2(ISR) + 2));
	wrmsr(X2(EOI), 0);
	line("x2apic/eoi", "isr %08x", (uint32_t)rdmsr(X2(ISR) + 2));
}

void cases_x2apic(void)
{
	static uint32_t regs[CPUS][2];

	cpus_start();
	all_quiet();
	wrmsr(MSR_BASE, X2APIC);
	for (unsigned v = 0x40; v < 0x80; v++)
		ends[v] = END_NOT;
	line("x2apic/base", "%08x", (uint32_t)rdmsr(MSR_BASE));
	line("x2apic/id", "%08x", (uint32_t)rdmsr(X2(APIC_ID)));
	line("x2apic/ldr", "%08x", (uint32_t)rdmsr(X2(LDR)));
	line("x2apic/svr kept", "%08x", (uint32_t)rdmsr(X2(SVR)));
	messages();
	while ((uint32_t)rdmsr(X2(ISR) + 2))
		wrmsr(X2(EOI), 0);
	accesses();
	/* The only way back is by way of off. */
	wrmsr(MSR_BASE, LAPIC_BASE | 0x100);
	wrmsr(MSR_BASE, XAPIC);
	all_quiet();
	line("x2apic/back by way of off", "%08x svr %08x", (uint32_t)rdmsr(MSR_BASE), rd(SVR));
	/* The others change over; this one still speaks to them with 8 bits. */
	for (unsigned cpu = 1; cpu < CPUS; cpu++) {
		on_cpu(cpu, enter_here, X2APIC);
		regs[cpu][0] = on_cpu(cpu, x2_here, X2(APIC_ID));
		regs[cpu][1] = on_cpu(cpu, x2_here, X2(LDR));
		line(name("x2apic/cpu %u", cpu), "id %08x ldr %08x", regs[cpu][0], regs[cpu][1]);
	}
	send_ipi(0x51, 2);
	line("x2apic/physical from an xapic", "%08x %08x %08x", on_cpu(1, x2_here, X2(IRR) + 2),
	     on_cpu(2, x2_here, X2(IRR) + 2), on_cpu(3, x2_here, X2(IRR) + 2));
	wrmsr(MSR_BASE, X2APIC);
}
