/* SPDX-License-Identifier: MIT */
/*
 * apic: interrupt controllers, timers and the moments at which interrupts are taken, one line a
 * case.  The same image boots under QEMU and Ringside, and a test compares the lines.
 *
 * Lines and instruction cases are made by guest/conform (run.c there).  Here: irq.c, the handlers
 * and what they log; sources.c, lines of devices that can be raised and lowered at will; cpus.c,
 * the other processors.  The other files are lists of cases, by subject.
 *
 * Interrupts are off but in window(), so that their order does not depend on anybody's speed.
 * Nothing that is printed is a time: only whether one was within bounds that hold by arithmetic.
 */
#ifndef APIC_H
#define APIC_H

#include "../conform/conform.h"
#include "../minios/x86.h"

#define CPUS 4u

/* ---- local APIC; SDM Vol. 3A, table 10-1 ---- */

#define LAPIC_BASE 0xfee00000u
enum {
	APIC_ID = 0x20,
	VERSION = 0x30,
	TPR = 0x80,
	APR = 0x90,
	PPR = 0xa0,
	EOI = 0xb0,
	RRD = 0xc0,
	LDR = 0xd0,
	DFR = 0xe0,
	SVR = 0xf0,
	ISR = 0x100,
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR_HI = 0x310,
	LVT_TIMER = 0x320,
	LVT_THERMAL = 0x330,
	LVT_PERF = 0x340,
	LVT_LINT0 = 0x350,
	LVT_LINT1 = 0x360,
	LVT_ERROR = 0x370,
	INITIAL = 0x380,
	CURRENT = 0x390,
	DIVIDE = 0x3e0,
};
/* Delivery modes and other bits of the ICR and of LVT and redirection entries. */
enum {
	FIXED = 0,
	LOWEST = 0x100,
	SMI = 0x200,
	NMI = 0x400,
	INIT = 0x500,
	SIPI = 0x600,
	EXTINT = 0x700,
	LOGICAL = 0x800,
	ASSERT = 0x4000,
	LEVEL = 0x8000,
	ACTIVE_LOW = 0x2000,
	REMOTE_IRR = 0x4000,
	MASKED = 0x10000,
	PERIODIC = 0x20000,
	DEADLINE = 0x40000,
	TO_SELF = 0x40000,
	TO_ALL = 0x80000,
	TO_OTHERS = 0xc0000,
	SVR_ON = 0x100,
	SVR_DIRECTED = 0x1000,
};

static inline uint32_t rd(unsigned off)
{
	return *(volatile uint32_t *)(LAPIC_BASE + off);
}

static inline void wr(unsigned off, uint32_t val)
{
	*(volatile uint32_t *)(LAPIC_BASE + off) = val;
}

/* Interrupt this processor with @vector. */
static inline void self(unsigned vector)
{
	wr(ICR, vector | TO_SELF);
}

/* Everybody's controllers and devices as every case finds them.  Forgets what is pending. */
void quiet(void);
/* The same for the local APIC of this processor, and its logical destination. */
void lapic_quiet(void);
/* "31,42" or "-": the vectors in the ISR, TMR or IRR of this processor.  One of a few buffers. */
const char *vectors(unsigned reg);
bool pending(unsigned vector);

/* ---- irq.c ---- */

struct irq_frame {
	uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax, vector, eip, cs, eflags;
};
void irq_taken(struct irq_frame *f);
/* Gates to the stubs that log and return, from vector 0x10 on and for NMIs. */
void irq_gates(void);
/* Let pending interrupts in. */
void window(void);
/*
 * What this processor took since the last call: "31 42", "42( 51 )" when one came inside another,
 * "none".
 */
const char *taken(void);
unsigned taken_count(void);
/* Called by the handler of a vector before it ends the interrupt. */
extern void (*on_vector[256])(void);
/* Who ends the interrupts of a vector.  By default the PIC's vectors end at the PIC. */
enum ends { END_LAPIC, END_PIC, END_NOT };
extern uint8_t ends[256];
unsigned this_cpu(void);

/* ---- sources.c ---- */

#define PIC_BASE 0x20u /* vector of IRQ 0; the slave's are 8 further on */

/* ICW1 to ICW4 to both, then the masks. */
void pic_init(uint8_t icw4, uint8_t mask0, uint8_t mask1);
/* The same with ICW4's bit 0 set, its interrupts let in through LINT0; handlers end nothing. */
void pic_start(uint8_t icw4, uint8_t mask0, uint8_t mask1);
/* The request register; without IRQ 0, for whether the PIT's line is up is a matter of time. */
uint8_t pic_irr(unsigned chip), pic_isr(unsigned chip);
/* IRQ 1, pin 1: a byte in the keyboard controller's output buffer. */
void kbd_raise(void), kbd_lower(void);
/* IRQ 4, pin 4: the UART's transmitter wants data. */
void uart_raise(void), uart_lower(void);
/* Until everything that was printed has left the UART: changing its modes would lose it. */
void uart_drain(void);
/* IRQ 8, pin 8: the clock's periodic interrupt; waits for it. */
void rtc_raise(void), rtc_lower(void);
/* IRQ 0, pin 2: rises at the end of a count in mode 0, 84 us; low for another 55 ms. */
void pit_start(void), pit_lower(void);
uint8_t cmos(unsigned reg);
void cmos_write(unsigned reg, uint8_t val);

/* ---- time, by channel 2 of the PIT ---- */

#define PIT_HZ 1193182u
void watch_start(void);
/* Ticks since; false if it has wrapped (55 ms). */
bool watch(uint32_t *ticks);
/* At least so long. */
void wait_us(unsigned us);

/* ---- cpus.c ---- */

/* Start the others, once.  They wait, halted with interrupts off. */
void cpus_start(void);
/* What NMIs that wake nobody found: counted here. */
extern volatile unsigned nmis[CPUS];
/* Have processor @cpu (this one, too) call @fn(@arg); its result. */
uint32_t on_cpu(unsigned cpu, uint32_t (*fn)(uint32_t arg), uint32_t arg);
/* INIT and start-up IPI to one. */
void cpu_init(unsigned cpu), cpu_start(unsigned cpu);
extern volatile uint32_t cpu_started[CPUS];
/* The APIC id that reaches it. */
extern unsigned cpu_id[CPUS];
extern uint32_t cpu_stack;
extern char cpu_check[], cpu_go[];
extern char trampoline[], trampoline_end[], irq_stubs[];
void cpu_main(void) __attribute__((noreturn));
void cpu_wait(volatile uint32_t *word);
bool cpu_called(unsigned cpu);

/* ---- I/O APIC; 82093AA data sheet, 3.1 and 3.2 ---- */

#define IOAPIC_BASE 0xfec00000u
#define PINS        24u
uint32_t io_rd(unsigned reg);
void io_wr(unsigned reg, uint32_t val);
/* Redirection entry of @pin: low half, destination. */
void entry(unsigned pin, uint32_t lo, unsigned dest);
static inline uint32_t entry_lo(unsigned pin)
{
	return io_rd(0x10 + 2 * pin);
}

/* ---- the lists of cases ---- */

void cases_registers(void), cases_priority(void), cases_eoi(void), cases_lvt(void),
	cases_timer(void), cases_self(void), cases_ipi(void), cases_logical(void), cases_init(void),
	cases_ioapic(void), cases_ioapic_smp(void), cases_pic(void), cases_pic_modes(void),
	cases_pit(void), cases_rtc(void), cases_uart(void), cases_windows(void), cases_nmi(void),
	cases_disable(void), cases_base(void), cases_x2apic(void), cases_deadline(void),
	cases_lvt_alone(void), cases_rtc_alone(void), cases_pit_alone(void), cases_pit_modes(void);

#endif
