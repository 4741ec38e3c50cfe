/* SPDX-License-Identifier: MIT */
/*
 * IA32_APIC_BASE: relocation, hardware disable.  QEMU cannot do the first and not undo the second,
 * so these cases come last in a run of their own.
 * Source: SDM Vol. 3A, "Enabling or Disabling the Local APIC" (10.4.3), "Local APIC Status and
 * Location" (10.4.4), "Relocating the Local APIC Registers" (10.4.5).
 */
#include "apic.h"

#define MSR_BASE  0x1bu
#define ENABLE    0x800u
#define BSP       0x100u
#define ELSEWHERE 0xfed80000u

static void wrmsr(uint32_t msr, uint64_t val)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
			 : "memory");
}

static uint32_t at(uint32_t base, unsigned off)
{
	return *(volatile uint32_t *)(base + off);
}

static uint32_t edx_of(uint32_t leaf)
{
	uint32_t r[4];

	cpuid(leaf, r);
	return r[3];
}

static void move(void)
{
	const char *first;

	wr(TPR, 0x35);
	wrmsr(MSR_BASE, ELSEWHERE | ENABLE | BSP);
	line("base/moved/msr", "%08x", (uint32_t)rdmsr(MSR_BASE));
	line("base/moved/tpr there", "%s", at(ELSEWHERE, TPR) == 0x35 ? "yes" : "no");
	line("base/moved/tpr here", "%s", at(LAPIC_BASE, TPR) == 0x35 ? "yes" : "no");
	*(volatile uint32_t *)(ELSEWHERE + TPR) = 0;
	*(volatile uint32_t *)(ELSEWHERE + ICR) = TO_SELF | 0x51;
	ends[0x51] = END_NOT;
	window();
	first = taken();
	*(volatile uint32_t *)(ELSEWHERE + EOI) = 0;
	line("base/moved/self ipi there", "%s", first);
	wrmsr(MSR_BASE, LAPIC_BASE | ENABLE | BSP);
	line("base/moved back", "%08x tpr %02x", (uint32_t)rdmsr(MSR_BASE), rd(TPR));
	quiet();
}

static void off(void)
{
	line("base/on/cpuid apic", "%u", edx_of(1) >> 9 & 1);
	wr(TPR, 0x35);
	wr(LVT_ERROR, MASKED | 0x66);
	wrmsr(MSR_BASE, LAPIC_BASE | BSP);
	line("base/off/msr", "%08x", (uint32_t)rdmsr(MSR_BASE));
	line("base/off/cpuid apic", "%u", edx_of(1) >> 9 & 1);
	/* INTR goes to the processor then. */
	pic_init(1, 0xfd, 0xff);
	kbd_raise();
	window();
	line("base/off/pic", "%s", taken());
	kbd_lower();
	pic_init(1, 0xff, 0xff);
	wrmsr(MSR_BASE, LAPIC_BASE | ENABLE | BSP);
	line("base/on again/msr", "%08x", (uint32_t)rdmsr(MSR_BASE));
	line("base/on again/cpuid apic", "%u", edx_of(1) >> 9 & 1);
	line("base/on again/tpr", "%02x", rd(TPR));
	line("base/on again/svr", "%08x", rd(SVR));
	line("base/on again/lvt error", "%08x", rd(LVT_ERROR));
	line("base/on again/ldr", "%08x", rd(LDR));
	quiet();
	self(0x51);
	window();
	line("base/on again/self ipi", "%s", taken());
}

static void faults(void)
{
	RUN(CODE("wrmsr"), "base/wrmsr/reserved bit 9", .ecx = MSR_BASE, .eax = LAPIC_BASE | 0xb00,
	    .edx = 0);
	RUN(CODE("wrmsr"), "base/wrmsr/reserved bit 0", .ecx = MSR_BASE, .eax = LAPIC_BASE | 0x901,
	    .edx = 0);
	RUN(CODE("wrmsr"), "base/wrmsr/high", .ecx = MSR_BASE, .eax = LAPIC_BASE | 0x900,
	    .edx = 0x80000000);
	irq_gates();
}

void cases_base(void)
{
	move();
	faults();
	quiet();
	off();
}
