/* SPDX-License-Identifier: MIT */
/*
 * The machine around the work: segments and gates, the serial port.
 * Source: SDM Vol. 3A, "Segment Descriptors" (3.4.5), "IDT Descriptors" (6.11), "Task-State Segment
 * (TSS)" (7.2.1); PC16550D data sheet, "Line Status Register" (8.6.3).
 */
#include "ring.h"

/* ---- segments and gates ---- */

struct tss tss;
extern const uint8_t unexpected_entry[256][8]; /* start.S */

static uint64_t gdt[] = {
	0,
	0x00cf9b000000ffff, /* SEL_CODE: base 0, 4 GiB, code, privilege level 0 */
	0x00cf93000000ffff, /* SEL_DATA */
	0x00cffb000000ffff, /* SEL_USER_CODE: the same for level 3 */
	0x00cff3000000ffff, /* SEL_USER_DATA */
	0,                  /* SEL_TSS */
};
static uint64_t idt[256];

struct table_register {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

void gate(unsigned vector, void (*entry)(void), unsigned dpl)
{
	uint32_t at = (uint32_t)entry;

	idt[vector] = (uint64_t)((at & 0xffff0000u) | 0x8e00u | dpl << 13) << 32 |
		      (uint32_t)SEL_CODE << 16 | (at & 0xffffu);
}

void idt_load(void)
{
	struct table_register idtr = { sizeof(idt) - 1, (uint32_t)idt };

	__asm__ volatile("lidt %0" : : "m"(idtr));
}

static void gdt_load(void)
{
	struct table_register gdtr = { sizeof(gdt) - 1, (uint32_t)gdt };

	__asm__ volatile("lgdt	%0\n\t"
			 "ljmp	%1, $1f\n"
			 "1:	movl	%2, %%eax\n\t"
			 "movl	%%eax, %%ss\n\t"
			 "movl	%3, %%eax\n\t"
			 "movl	%%eax, %%ds\n\t"
			 "movl	%%eax, %%es\n\t"
			 "movl	%4, %%eax\n\t"
			 "ltr	%%ax"
			 :
			 : "m"(gdtr), "i"(SEL_CODE), "i"(SEL_DATA), "i"(SEL_USER_DATA), "i"(SEL_TSS)
			 : "eax", "memory");
}

/* From start.S, with what is on the stack: an error code, if @vector has one, and where it was. */
void unexpected(uint32_t vector, uint32_t a, uint32_t b, uint32_t c);
void unexpected(uint32_t vector, uint32_t a, uint32_t b, uint32_t c)
{
	print("%s: nobody expects vector %u, with 0x%x 0x%x 0x%x on the stack\n", workload.name,
	      vector, a, b, c);
	machine_exit(EXIT_BAD);
}

void machine_init(void)
{
	uint64_t base = (uint32_t)&tss;

	gdt[SEL_TSS / 8] = (base & 0xff000000u) << 32 | (uint64_t)0x89 << 40 |
			   (base & 0xffffffu) << 16 | (sizeof(tss) - 1);
	tss.ss0 = SEL_DATA;
	tss.io_bitmap = sizeof(tss); /* none */
	gdt_load();
	for (unsigned v = 0; v < 256; v++)
		gate(v, (void (*)(void))(uint32_t)unexpected_entry[v], 0);
	idt_load();
	outb(0x21, 0xff); /* both 8259A: nothing */
	outb(0xa1, 0xff);
}

/* ---- the serial port ---- */

enum { COM1 = 0x3f8, COM1_LSR = COM1 + 5 };

void putc(char c)
{
	while (!(inb(COM1_LSR) & 0x20))
		; /* until there is room */
	outb(COM1, (uint8_t)c);
}

void print(const char *fmt, ...)
{
	char buf[256];
	__builtin_va_list ap;

	__builtin_va_start(ap, fmt);
	format(buf, sizeof(buf), fmt, ap);
	__builtin_va_end(ap);
	for (const char *p = buf; *p; p++)
		putc(*p);
	while (!(inb(COM1_LSR) & 0x40))
		; /* until it is out */
}

void machine_exit(uint8_t code)
{
	outb(0xf4, code);
	for (;;)
		;
}

void die(const char *why)
{
	cli();
	print("%s: %s\n", workload.name, why);
	machine_exit(EXIT_BAD);
}
