/* SPDX-License-Identifier: MIT */
/*
 * minios: a small kernel that checks the machine it runs on, and a small operating system on top.
 * This header is the machine; os.h is the operating system.  README.md says what to read in which
 * order.
 */
#ifndef MINIOS_H
#define MINIOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As many processors as we use; `cpu` below is 0 for the one that booted, then counts up. */
#define CPUS_MAX 8

/* ---- lock.c: spinlocks, for the operating system on several processors ---- */

/*
 * The lock order: who holds one of these may only take one further down.  As long as all do, no
 * circle of waiters can form, and lock_take() panics when one does not.
 */
enum lock_rank {
	RANK_FAMILY = 1, /* process.c: the table, parents and children */
	RANK_SPACE,      /* space.c: one address space, its page tables */
	RANK_CLOCK,      /* clock.c: sleepers */
	RANK_KEYS,       /* console.c: what has been typed */
	RANK_ACTIVATION, /* activation.c: what a preempted processor was computing */
	RANK_PROCESS,    /* process.c: the state of one process */
	RANK_QUEUE,      /* schedule.c: the run queue of one processor */
	RANK_FLUSH,      /* flush.c: one TLB shootdown at a time */
	RANK_FRAMES,     /* frames.c */
	RANK_CONSOLE,    /* console.c: output */
	RANK_TEST,       /* smp_stress.c */
};

struct lock {
	volatile uint32_t taken; /* 0 or 1 */
	enum lock_rank rank;
	const char *name;
	struct cpu *owner; /* if taken */
};

/* Both do nothing until there are processors to speak of: the self-checks need no locks. */
void lock_take(struct lock *l);
void lock_drop(struct lock *l);
/* How many the processor that we run on holds. */
unsigned locks_held(void);

/* ---- console.c: COM1, output polled, input by interrupt 4 ---- */

void console_init(void);
void console_enable_input(void);
void putc(char c);
/* These bytes, with none of another processor's in between. */
void console_write(const char *buf, size_t size);
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same in an emergency: lock or no lock. */
void print_anyhow(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/*
 * From now on, wait for a key by calling @wait and call @came when one came, both with @keys_lock
 * held and interrupts off.
 */
extern struct lock keys_lock;
void console_share(void (*wait)(void), void (*came)(void));
/* Wait, asleep, for a line; echoes what is typed; without the newline, always terminated. */
void read_line(char *buf, size_t size);

/* ---- format.c ---- */

/* %s %c %u %d %x only, with a width: padded with blanks, or zeroes, or with a minus on the right.
 */
int format(char *buf, size_t size, const char *fmt, __builtin_va_list ap);

/* ---- gdt.c: segments.  A selector is the byte offset of its descriptor in the table ---- */

enum selector {
	SEL_CODE = 0x08,
	SEL_DATA = 0x10,
	SEL_WINDOW = 0x18,        /* data: base and limit chosen by gdt_set_window() */
	SEL_USER_CODE = 0x20 | 3, /* the low two bits ask for privilege level 3 */
	SEL_USER_DATA = 0x28 | 3,
	SEL_ABSENT = 0x38, /* data, not present */
	SEL_TSS = 0x40,
	SEL_LDT = 0x48,
	SEL_CODE2 = 0x50,  /* a second flat code segment */
	SEL_BEYOND = 0x90, /* outside the table */
	LDT_WINDOW = 0x04, /* first entry of the local table (bit 2 set) */
};

/* Each processor has tables of its own, alike but for the TSS. */
void gdt_init(unsigned cpu);
/* Point a data segment at [base, base + limit]; the register must be loaded afterwards. */
void gdt_set_window(uint32_t base, uint32_t limit);
void ldt_set_window(uint32_t base, uint32_t limit);
/* The access byte (present, DPL, S, type) of a descriptor in the table. */
uint8_t gdt_access(enum selector sel);
/* Load the task register, and say where the stack is for traps that come from user mode. */
void tss_init(unsigned cpu);
void tss_set_stack(unsigned cpu, uint32_t top);

/* ---- idt.c: traps and interrupts ---- */

/* What vectors.S leaves on the stack; the last five are the CPU's. */
struct frame {
	uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax; /* esp: as before PUSHAL */
	uint32_t vector, error;
	uint32_t eip, cs, eflags;
	uint32_t user_esp, user_ss; /* only there if the trap came from user mode: from_user() */
};

static inline bool from_user(const struct frame *f)
{
	return (f->cs & 3) == 3;
}

#define EFLAGS_TF 0x100u
#define EFLAGS_IF 0x200u

typedef void trap_fn(struct frame *f);

/* GATE_SYSCALL has DPL 3: user mode may INT through it.  An INT through the others is #GP there. */
#define SYSCALL_VECTOR 0x80

enum gate { GATE_INTERRUPT = 0x8e, GATE_TRAP = 0x8f, GATE_ABSENT = 0x0e, GATE_SYSCALL = 0xee };

/* One table for all processors; each has to load it. */
void idt_init(void);
void idt_load(void);
void idt_set_gate(unsigned vector, enum gate kind);
/* Call @fn for @vector; NULL takes it away. */
void trap_handle(unsigned vector, trap_fn *fn);
void trap_dispatch(struct frame *f);

/* ---- pic.c: the 8259A pair, and the 8254 timer on its line 0 ---- */

enum { IRQ_BASE = 0x20, IRQ_TIMER = 0, IRQ_COM1 = 4 };

void pic_init(void);
void pic_unmask(unsigned irq);
void pic_mask(unsigned irq);
void pic_eoi(unsigned irq);
void pit_start(unsigned hz);

/* ---- lapic.c: the local APIC and its timer ---- */

enum {
	LAPIC_ID = 0x020,
	LAPIC_VERSION = 0x030,
	LAPIC_TPR = 0x080,
	LAPIC_EOI = 0x0b0,
	LAPIC_LDR = 0x0d0,
	LAPIC_SVR = 0x0f0,
	LAPIC_IRR = 0x200,
	LAPIC_ICR_LOW = 0x300,
	LAPIC_ICR_HIGH = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_INIT = 0x380,
	LAPIC_TIMER_NOW = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
};
#define LAPIC_BASE   0xfee00000u
#define LAPIC_REG(r) (*(volatile uint32_t *)(LAPIC_BASE + (r)))

enum {
	VEC_TIMER = 0x40,
	VEC_RESCHEDULE = 0x50,
	VEC_FLUSH,
	VEC_PING = 0x60,   /* + the number of the sender */
	VEC_UPCALL = 0xf0, /* above all others: activation.c */
	VEC_SPURIOUS = 0xff
};

extern volatile unsigned lapic_ticks; /* timer interrupts handled so far */
void lapic_init(void);
/* The same for a processor that did not boot: the 8259A pair is not connected to it. */
void lapic_init_other(void);
void lapic_timer(bool periodic, uint32_t count);
void lapic_timer_stop(void);
/* Is @vector waiting in the interrupt request register? */
bool lapic_requested(unsigned vector);
/* Interrupt the processor whose local APIC is @apic_id; @command is the low half of the ICR. */
enum { IPI_FIXED = 0, IPI_INIT = 0x500, IPI_STARTUP = 0x600, IPI_ASSERT = 0x4000 };
void lapic_ipi(uint8_t apic_id, uint32_t command);

/* ---- madt.c: which processors there are ---- */

/* Local APIC ids, that of the processor we boot on first; returns how many, at most @max. */
unsigned madt_processors(uint8_t *apic_id, unsigned max);

/* ---- multiboot.c: what the boot loader told us ---- */

struct boot {
	const char *args;      /* the command line after the name of the kernel */
	uint32_t lower, upper; /* KiB of memory below 1 MiB, and from there on */
	uint32_t mods;
	uint32_t flags;
	uint32_t info; /* address of the information block */
};
extern struct boot boot;
void boot_init(uint32_t magic, uint32_t info);
void boot_show_modules(void);
/* Module @i is [*@start, *@end) and came with the string *@args. */
void boot_module(uint32_t i, uint32_t *start, uint32_t *end, const char **args);
/* Is @word one of the arguments?  For "name=", *@value gets the number behind it. */
bool boot_arg(const char *word, uint32_t *value);
const char *check_boot_memory(void);

/* ---- check*.c: the self-checks ---- */

/* A check returns NULL, or why it failed. */
typedef const char *check_fn(void);
struct check {
	const char *name;
	check_fn *fn;
};
extern const struct check cpu_checks[], segment_checks[], irq_checks[], device_checks[];
/* Run a table that ends with a NULL name and print one line for each; returns how many failed. */
unsigned run_checks(const struct check *c, unsigned *total);
/* A reason, formatted. */
const char *why(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- main.c ---- */

extern char kernel_data[], kernel_end[]; /* kernel.ld: first writable byte, last byte + 1 */
void minios_main(uint32_t magic, uint32_t info) __attribute__((noreturn));
/* Leave the machine through the exit port; the host sees (code << 1) | 1. */
enum { EXIT_GOOD = 0x10, EXIT_BAD = 0x11 };
void machine_exit(uint8_t code) __attribute__((noreturn));
/* Something impossible happened: say so and leave. */
void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- lib.c: gcc may call these even in freestanding code ---- */

void *memset(void *dst, int c, size_t n);
void *memcpy(void *dst, const void *src, size_t n);
int strcmp(const char *a, const char *b);
size_t strlen(const char *s);
/* Copy @src, or as much as fits; always terminated. */
void copy_name(char *dst, size_t size, const char *src);
/* What follows @prefix in @s, or NULL if @s does not begin with it. */
const char *after_prefix(const char *s, const char *prefix);

#endif
