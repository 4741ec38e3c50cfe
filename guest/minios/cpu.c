/* SPDX-License-Identifier: MIT */
/*
 * The other processors.  The firmware has left them asleep, and an INIT and a start-up interrupt
 * make one begin in real mode, at a page below 1 MiB that the start-up interrupt names.
 * trampoline.S takes it from there to its idle process.
 * Source: SDM Vol. 3A, "MP Initialization Protocol" (8.4), "Typical BSP Initialization Sequence"
 * (8.4.4.1).
 */
#include "os.h"
#include "x86.h"

#define TRAMPOLINE  0x8000u /* the Multiboot loaders that we know leave it free */
#define START_TICKS 3000u

struct cpu cpus[CPUS_MAX];
unsigned cpu_count;

extern const char trampoline[], trampoline_end[]; /* trampoline.S */
extern uint32_t trampoline_dir, trampoline_esp;   /* what it loads into CR3 and ESP */

void cpus_find(void)
{
	uint8_t ids[CPUS_MAX];
	cpu_count = madt_processors(ids, CPUS_MAX);
	for (unsigned i = 0; i < cpu_count; i++) {
		cpus[i].number = i;
		cpus[i].apic_id = ids[i];
		cpus[i].queue_lock = (struct lock){ .rank = RANK_QUEUE, .name = "queue" };
	}
}

/* Here a new processor is its own idle process, with paging on and interrupts off. */
static void begin(void)
{
	struct cpu *self = this_cpu();
	gdt_init(self->number);
	idt_load();
	tss_init(self->number);
	__asm__ volatile("movl %0, %%ds\n\tmovl %0, %%es" : : "r"(SEL_USER_DATA) : "memory");
	lapic_init_other();
	self->online = true;
	if (smp_stress_rounds)
		smp_stress();
	rest();
}

static void wait_ticks(uint32_t n)
{
	uint32_t start = clock_ticks;
	while (clock_ticks - start < n)
		sti_hlt_cli();
}

static void start(struct cpu *c)
{
	process_create_idle(c, begin);
	trampoline_esp = c->idle->esp;
	lapic_ipi(c->apic_id, IPI_INIT | IPI_ASSERT);
	wait_ticks(2); /* 10 ms at least */
	/* The second is for those that have missed the first; the others ignore it. */
	for (unsigned i = 0; i < 2 && !c->online; i++) {
		lapic_ipi(c->apic_id, IPI_STARTUP | IPI_ASSERT | TRAMPOLINE / PAGE_SIZE);
		wait_ticks(1);
	}
	for (unsigned i = 0; !c->online; i++) {
		if (i == START_TICKS)
			panic("processor %u does not start", c->number);
		wait_ticks(1);
	}
}

void cpus_start(void)
{
	memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	trampoline_dir = (uint32_t)kernel_dir;
	for (unsigned i = 1; i < cpu_count; i++)
		start(&cpus[i]);
}
