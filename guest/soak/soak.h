/* SPDX-License-Identifier: MIT */
/*
 * soak: a guest of four processors that does nothing but take interrupts, from every source at
 * once, and keeps book of them:
 *
 *   timer     each local APIC's, periodic, hz=N a second
 *   IPI       numbered messages between all ordered pairs of processors (mail.c)
 *   COM1      numbered lines come in and are echoed, by receive and THRE interrupts (serial.c)
 *   doorbell  an assigned device posts a vector, and may count in shared memory (doorbell.c)
 *
 * Interrupts of a vector may coalesce, so a number may be found late; but none may be missing, and
 * after the last there is one that tells of it.  After "stop" on COM1, or seconds=N, the timers
 * of CPUs 1 to 3 are stopped and all that is under way must arrive.  They sleep now, so that a
 * wake-up that is lost stays lost: a token goes round by IPIs, and then, after "soak: quiet",
 * doorbells ring.  In the end the totals are printed: for the VMM's own account to be compared with
 * (tests/soak/).  Boots in QEMU too (-smp 4), without doorbells.
 */
#ifndef SOAK_H
#define SOAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../runtime/runtime.h"
#include "layout.h"

/* By priority class: a timer's handler lets in what is above it. */
#define VEC_COM1     0x30
#define VEC_TIMER    0x40
#define VEC_IPI      0x50 /* + who sent it */
#define VEC_DOORBELL 0x61 /* + device / CPUS, on CPU device % CPUS */
#define VEC_LAST     0x71 /* rung once, when all other doorbells are still */
#define VEC_SPURIOUS 0xff

#define DOORBELLS_MAX 7
#define SHM_BASE      0xd0000000u /* a page for each doorbell */

/* What an entry and `common` in boot.S push, from the lowest address. */
struct frame {
	uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
	uint32_t vector;
	uint32_t at[3]; /* EIP, CS, EFLAGS; or the error code and these */
};

/* In the order of these, each begun by CPU 0 when the one before is complete. */
enum phase { PHASE_START, PHASE_RUN, PHASE_STOP, PHASE_TOKEN, PHASE_QUIET, PHASE_FINISH };

struct cpu {
	volatile uint32_t ticks;
	volatile uint32_t handled[256];
};

/* ---- boot.S ---- */

extern const uint8_t entries[], trampoline[], trampoline_end[];

/* ---- main.c ---- */

extern struct cpu cpus[CPUS];
extern volatile enum phase phase;
extern uint32_t hz;
void boot_main(uint32_t magic, const uint32_t *info) __attribute__((noreturn));
void ap_main(uint32_t cpu) __attribute__((noreturn));
void interrupt(struct frame *f);

static inline uint32_t this_cpu(void)
{
	uint32_t esp;

	__asm__ volatile("movl %%esp, %0" : "=r"(esp));
	return *(uint32_t *)(esp & ~(uint32_t)(STACK_SIZE - 1));
}

/* Sleep until the next interrupt; interrupts are off before and on after. */
static inline void sti_hlt(void)
{
	__asm__ volatile("sti\n\thlt" : : : "memory");
}

/* ---- report.c: output by polling, and what went wrong ---- */

/* Remember the first mistake of each kind; any CPU, any handler. */
enum mistake {
	BAD_MESSAGE,   /* not the message that comes next: number expected, word found */
	BAD_LINE,      /* not the line that comes next: number expected, number found */
	BAD_DOORBELL,  /* the count went back: count seen, count found */
	BAD_VECTOR,    /* an interrupt nobody asked for: vector, CPU */
	BAD_SERIAL,    /* no room to echo in: - */
	LATE_MESSAGE,  /* from, to: sent and not received */
	LATE_DOORBELL, /* device, count: rung and not heard */
	LATE_LAST,     /* the last doorbell */
	LATE_SERIAL,   /* bytes left to send */
	LATE_TOKEN,    /* CPU that should have passed it on, how often it was passed */
	LATE_STOP,     /* CPUs that did stop, phase */
	BUSY_APIC,     /* CPU, vector that stays in IRR or ISR */
	MISTAKES
};
void wrong(enum mistake m, uint32_t a, uint32_t b);
void report_and_exit(void) __attribute__((noreturn));

/* ---- apic.c ---- */

void apic_init(void); /* this CPU's */
void apic_eoi(void);
void apic_timer_start(uint32_t per_second);
void apic_timer_stop(void);
void apic_start_others(void);
void apic_ipi(uint32_t to, uint32_t vector);
void apic_ipi_others(uint32_t vector);
/* A vector that is requested or in service on this CPU; 0: none. */
uint32_t apic_busy(void);
void ioapic_com1(bool on); /* IRQ 4 to VEC_COM1 on CPU 0 */

/* ---- mail.c ---- */

struct mail_count {
	uint32_t messages, ipis, received;
};
/* What CPU @from sends on its tick number @tick. */
void mail_tick(uint32_t from, uint32_t tick);
/* One message with its IPI; false if the box is full. */
bool mail_send(uint32_t from, uint32_t to);
/* The IPI's handler. */
void mail_receive(uint32_t from, uint32_t to);
/* Every CPU has had messages from every other. */
bool mail_all_pairs(void);
/* All that was sent is received; if not and @complain, that is wrong. */
bool mail_drained(bool complain);
struct mail_count mail_counts(uint32_t from, uint32_t to);

/* ---- serial.c ---- */

void serial_init(void);
void serial_interrupt(void);
void serial_put(const char *text); /* CPU 0, outside its handler */
bool serial_stop_asked(void);
bool serial_drained(bool complain);
void serial_stop(void);
uint32_t serial_lines(void);

/* ---- doorbell.c ---- */

extern uint32_t doorbells;    /* devices */
extern uint32_t doorbell_shm; /* whether they count in shared memory */
void doorbell_interrupt(uint32_t cpu, uint32_t vector);
bool doorbell_drained(bool complain);
uint32_t doorbell_seen(uint32_t device);

#endif
