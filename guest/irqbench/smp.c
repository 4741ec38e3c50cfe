/* SPDX-License-Identifier: MIT */
/*
 * The CPUs: what each does while nothing happens, what an interrupt leaves, and the messages
 * between them.
 * Source: SDM Vol. 3A, "MP Initialization Protocol Algorithm" (8.4.3), "Interrupt Command Register"
 * (10.6.1).
 */
#include "../runtime/lapic.h"
#include "irqbench.h"

#define SIPI_OTHERS (ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | TRAMPOLINE >> 12)

struct cpu cpu[CPUS_MAX];

static struct cpu *this_cpu(void)
{
	return &cpu[((uint32_t)__builtin_frame_address(0) - (uint32_t)stacks) / STACK_SIZE];
}

__attribute__((regparm(3))) void interrupt(uint64_t tsc, unsigned vector);
__attribute__((regparm(3))) void interrupt(uint64_t tsc, unsigned vector)
{
	struct cpu *c = this_cpu();

	if (vector == VEC_PING && c->answers)
		LAPIC(ICR_LOW) = ICR_ASSERT | VEC_PONG;
	c->stamp = tsc;
	__asm__ volatile("" : : : "memory");
	if (vector != VEC_WAKE)
		c->count++;
	if (vector == VEC_PIC)
		pic_eoi();
	else
		lapic_eoi();
}

/* ---- waiting ---- */

static bool reached(const volatile uint32_t *count, uint32_t target)
{
	return (int32_t)(*count - target) >= 0;
}

void wait_busy(const volatile uint32_t *count, uint32_t target)
{
	uint32_t h = 2166136261u;

	while (!reached(count, target)) {
		h = (h ^ *count) * 16777619u;
		__asm__ volatile("" : "+r"(h));
	}
}

void wait_halted(const volatile uint32_t *count, uint32_t target)
{
	cli();
	while (!reached(count, target))
		sti_hlt_cli();
	sti();
}

void wait_for(const volatile uint32_t *count, uint32_t target, enum mode mode)
{
	if (mode == MODE_BUSY)
		wait_busy(count, target);
	else
		wait_halted(count, target);
}

void delay_us(uint32_t us)
{
	uint64_t end = rdtsc() + div64((uint64_t)us * tsc_khz, 1000);

	while (rdtsc() < end)
		;
}

/* ---- messages ---- */

void ipi_target(unsigned id)
{
	LAPIC(ICR_HIGH) = id << 24;
}

void ipi_send(uint8_t vector)
{
	LAPIC(ICR_LOW) = ICR_ASSERT | vector;
}

void ipi_send_self(uint8_t vector)
{
	LAPIC(ICR_LOW) = ICR_SELF | ICR_ASSERT | vector;
}

void ipi_send_all(uint8_t vector)
{
	LAPIC(ICR_LOW) = ICR_ALL | ICR_ASSERT | vector;
}

/* ---- the others ---- */

void ap_main(void) __attribute__((noreturn));
void ap_main(void)
{
	struct cpu *c = this_cpu();

	idt_load();
	lapic_init();
	c->started = true;
	for (;;) {
		uint32_t h = 2166136261u;

		cli();
		c->in_mode = MODE_HALTED;
		while (c->mode == MODE_HALTED)
			sti_hlt_cli();
		c->in_mode = MODE_BUSY;
		sti();
		while (c->mode == MODE_BUSY) {
			h = (h ^ c->count) * 16777619u;
			__asm__ volatile("" : "+r"(h));
		}
	}
}

void smp_start(unsigned n)
{
	memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	LAPIC(ICR_LOW) = ICR_OTHERS | ICR_ASSERT | ICR_INIT;
	delay_us(10000);
	LAPIC(ICR_LOW) = SIPI_OTHERS;
	delay_us(200);
	LAPIC(ICR_LOW) = SIPI_OTHERS;
	for (unsigned i = 1; i < n; i++)
		while (!cpu[i].started)
			;
}

void smp_mode(unsigned id, enum mode mode)
{
	cpu[id].mode = mode;
	ipi_target(id);
	ipi_send(VEC_WAKE);
	while (cpu[id].in_mode != mode)
		;
}
