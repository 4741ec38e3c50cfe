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

/* ---- console.c: COM1, output polled, input by interrupt 4 ---- */

void console_init(void);
void console_enable_input(void);
void putc(char c);
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* From now on, wait for a key by calling @wait with interrupts off; call @came when one came. */
void console_share(void (*wait)(void), void (*came)(void));
/* Wait, asleep, for a line; echoes what is typed; without the newline, always terminated. */
void read_line(char *buf, size_t size);

/* ---- format.c ---- */

/* %s %c %u %d %x only, with a width and a minus to put the padding on the right. */
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

void gdt_init(void);
/* Point a data segment at [base, base + limit]; the register must be loaded afterwards. */
void gdt_set_window(uint32_t base, uint32_t limit);
void ldt_set_window(uint32_t base, uint32_t limit);
/* The access byte (present, DPL, S, type) of a descriptor in the table. */
uint8_t gdt_access(enum selector sel);
/* Load the task register, and say where the stack is for traps that come from user mode. */
void tss_init(void);
void tss_set_stack(uint32_t top);

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
enum gate { GATE_INTERRUPT = 0x8e, GATE_TRAP = 0x8f, GATE_ABSENT = 0x0e, GATE_SYSCALL = 0xee };

void idt_init(void);
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
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_TIMER_INIT = 0x380,
	LAPIC_TIMER_NOW = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
};
#define LAPIC_BASE   0xfee00000u
#define LAPIC_REG(r) (*(volatile uint32_t *)(LAPIC_BASE + (r)))

enum { VEC_TIMER = 0x40, VEC_SPURIOUS = 0xff };

extern volatile unsigned lapic_ticks; /* timer interrupts handled so far */
void lapic_init(void);
void lapic_timer(bool periodic, uint32_t count);
void lapic_timer_stop(void);
/* Is @vector waiting in the interrupt request register? */
bool lapic_requested(unsigned vector);

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
