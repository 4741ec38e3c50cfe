/* SPDX-License-Identifier: MIT */
/*
 * The timer's TSC-deadline mode.  QEMU's TCG does not offer it; tests/apic.c says what must be.
 * Source: SDM Vol. 3A, "TSC-Deadline Mode" (10.5.4.1).
 */
#include "apic.h"

#define MSR_DEADLINE 0x6e0u
#define FAR_AWAY     (1ull << 60)

static void set(uint64_t tsc)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(MSR_DEADLINE), "a"((uint32_t)tsc), "d"((uint32_t)(tsc >> 32))
			 : "memory");
}

static const char *armed(void)
{
	return rdmsr(MSR_DEADLINE) ? "armed" : "not armed";
}

void cases_deadline(void)
{
	uint64_t goal;
	const char *when;

	line("deadline/other mode", "%s", (set(FAR_AWAY), armed()));
	wr(LVT_TIMER, DEADLINE | 0x48);
	line("deadline/lvt", "%05x", rd(LVT_TIMER));
	line("deadline/mode alone", "%s", armed());
	wr(INITIAL, 1000);
	line("deadline/initial count ignored", "%u", rd(INITIAL));
	set(FAR_AWAY);
	line("deadline/far away", "%s irr %s", armed(), vectors(IRR));
	set(0);
	line("deadline/zero disarms", "%s irr %s", armed(), vectors(IRR));
	set(rdtsc());
	line("deadline/past", "%s irr %s", armed(), vectors(IRR));
	window();
	line("deadline/past, taken", "%s", taken());
	goal = rdtsc() + 3000000;
	set(goal);
	while (!pending(0x48))
		;
	when = rdtsc() < goal ? "early" : "not early";
	line("deadline/ahead", "%s, %s", when, armed());
	window();
	taken();
	goal = rdtsc() + 3000000;
	set(goal);
	sti_hlt_cli();
	line("deadline/wakes from hlt", "%s %s", taken(), rdtsc() < goal ? "early" : "not early");
	set(FAR_AWAY);
	wr(LVT_TIMER, 0x48);
	line("deadline/mode left", "%s", armed());
	wr(LVT_TIMER, DEADLINE | 0x48);
	line("deadline/mode entered again", "%s", armed());
	wr(LVT_TIMER, DEADLINE | MASKED | 0x48);
	set(rdtsc());
	line("deadline/masked", "%s irr %s", armed(), vectors(IRR));
	quiet();
}
