/* SPDX-License-Identifier: MIT */
/*
 * The other processors.  They wait halted with interrupts off, so that what is sent to them stays
 * in their IRR until somebody looks; an NMI calls them.
 */
#include "apic.h"

#define STACK_SIZE 8192u

volatile unsigned nmis[CPUS];
volatile uint32_t cpu_started[CPUS];
unsigned cpu_id[CPUS];
uint32_t cpu_stack;

static char stacks[CPUS][STACK_SIZE] __attribute__((aligned(STACK_SIZE)));
static struct {
	uint32_t (*volatile fn)(uint32_t arg);
	volatile uint32_t arg, result;
} calls[CPUS];

/* By the stack; the first one has conform's. */
unsigned this_cpu(void)
{
	uint32_t off = (uint32_t)__builtin_frame_address(0) - (uint32_t)stacks;

	return off < sizeof(stacks) ? off / STACK_SIZE : 0;
}

bool cpu_called(unsigned cpu)
{
	return calls[cpu].fn;
}

void cpu_main(void)
{
	unsigned cpu = this_cpu();

	cpu_started[cpu]++;
	for (;;) {
		cpu_wait((volatile uint32_t *)&calls[cpu].fn);
		calls[cpu].result = calls[cpu].fn(calls[cpu].arg);
		calls[cpu].fn = NULL;
	}
}

static void pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

uint32_t on_cpu(unsigned cpu, uint32_t (*fn)(uint32_t arg), uint32_t arg)
{
	if (cpu == this_cpu())
		return fn(arg);
	calls[cpu].arg = arg;
	calls[cpu].fn = fn;
	wr(ICR_HI, cpu_id[cpu] << 24);
	wr(ICR, NMI | ASSERT);
	while (calls[cpu].fn)
		pause();
	return calls[cpu].result;
}

void cpu_init(unsigned cpu)
{
	wr(ICR_HI, cpu_id[cpu] << 24);
	wr(ICR, INIT | ASSERT | LEVEL);
	wr(ICR, INIT | LEVEL);
	wait_us(200);
}

void cpu_start(unsigned cpu)
{
	uint32_t was = cpu_started[cpu];

	cpu_stack = (uint32_t)stacks[cpu] + STACK_SIZE;
	wr(ICR_HI, cpu_id[cpu] << 24);
	wr(ICR, SIPI | ASSERT | TRAMPOLINE >> 12);
	while (cpu_started[cpu] == was)
		pause();
}

static uint32_t quiet_here(uint32_t arg)
{
	(void)arg;
	lapic_quiet();
	return 0;
}

void cpus_start(void)
{
	memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	for (unsigned cpu = 1; cpu < CPUS; cpu++) {
		if (!cpu_started[cpu]) {
			cpu_id[cpu] = cpu;
			cpu_init(cpu);
			cpu_start(cpu);
		}
		on_cpu(cpu, quiet_here, 0);
		nmis[cpu] = 0;
	}
	nmis[0] = 0;
}
