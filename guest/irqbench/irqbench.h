/* SPDX-License-Identifier: MIT */
/*
 * irqbench: a guest that measures how long interrupts take, with the time-stamp counter, which all
 * CPUs share.  For each path it prints a line on COM1: name, then minimum, median, 99th percentile
 * and maximum in cycles, and the number of samples.  bench/irq.c runs the same image under Ringside
 * and QEMU.
 *
 * Command line: cpus=N (as many as the machine has, default 1: no IPIs between CPUs), brief (few
 * samples), only=NAME (one measure), assigned=halted or assigned=busy (take interrupts that the
 * host posts, and measure nothing).
 */
#ifndef IRQBENCH_H
#define IRQBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../runtime/runtime.h"
#include "layout.h"

/* ---- boot.S ---- */

extern uint8_t stacks[CPUS_MAX][STACK_SIZE];
extern const uint8_t trampoline[], trampoline_end[];
void on_pic(void);
void on_pit(void);
void on_uart(void);
void on_timer(void);
void on_ping(void);
void on_pong(void);
void on_wake(void);
void on_assigned(void);
void on_spurious(void);
void on_other(void);
void irqbench_main(uint32_t magic, const uint32_t *info) __attribute__((noreturn));

/* ---- machine.c ---- */

extern uint32_t tsc_khz;
void machine_init(void);
void unexpected(void) __attribute__((noreturn));

/* Where the interrupts of PIT and UART go. */
enum route { ROUTE_NONE, ROUTE_PIC, ROUTE_IOAPIC };
void route_irqs(enum route r);

/*
 * Let the timer count down @ticks of its clock, once; *@deadline is the cycle at which it is done.
 * False if that is not known well, because setting it was interrupted: try again, but after
 * ACCESS_TRIES it is as good as it gets.
 */
#define ACCESS_TRIES 100u
bool pit_arm(uint32_t ticks, uint64_t *deadline);   /* 1193182 Hz */
bool lapic_arm(uint32_t ticks, uint64_t *deadline); /* the local APIC's timer, VEC_TIMER */
uint32_t lapic_period(uint32_t tsc);                /* ticks of the latter in @tsc cycles */
void lapic_periodic(uint32_t ticks);                /* each time, until 0 */
void uart_interrupt(bool enable); /* THR empty, which it is: at once; false: acknowledge it */
void lapic_eoi(void);
void lapic_init(void); /* of the CPU that calls */
void pic_eoi(void);

/* ---- smp.c ---- */

enum mode { MODE_HALTED, MODE_BUSY };

struct cpu {
	volatile uint32_t count; /* of interrupts taken; @stamp is valid when it changes */
	volatile uint64_t stamp; /* TSC in the first instructions of the last one's handler */
	volatile enum mode mode, in_mode; /* wanted; what it is in */
	volatile bool answers;            /* VEC_PING with VEC_PONG to CPU 0 */
	volatile bool started;
} __attribute__((aligned(64)));

extern struct cpu cpu[CPUS_MAX];
/* Start the others; waits until CPUs 1 to @n - 1 are there. */
void smp_start(unsigned n);
/* Have CPU @id compute or halt.  Waits until it does one or is about to do the other. */
void smp_mode(unsigned id, enum mode mode);
/* The CPU that ipi_send() goes to. */
void ipi_target(unsigned id);
void ipi_send(uint8_t vector);
void ipi_send_self(uint8_t vector);
void ipi_send_all(uint8_t vector); /* this CPU, too */
/* Compute, without instructions that a monitor would see, or halt, until *@count has reached
 * @target. */
void wait_busy(const volatile uint32_t *count, uint32_t target);
void wait_halted(const volatile uint32_t *count, uint32_t target);
void wait_for(const volatile uint32_t *count, uint32_t target, enum mode mode);
void delay_us(uint32_t us);

/* ---- measure.c ---- */

struct measure {
	const char *name;
	/* @n samples in cycles to @v. */
	void (*collect)(const struct measure *m, int32_t *v, unsigned n);
	enum route route;
	enum mode mode;       /* of who is interrupted */
	enum mode asker;      /* round trips: of who waits for the answer */
	unsigned cpus;        /* so many must be there */
	unsigned full, brief; /* samples */
};
#define SAMPLES_MAX 600u
extern const struct measure measures[]; /* end with a NULL name */

#endif
