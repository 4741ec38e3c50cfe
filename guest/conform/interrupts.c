/* SPDX-License-Identifier: MIT */
/*
 * When an interrupt that waits is taken: STI's shadow, HLT, POPF and IRET that open the gate.
 * Source: SDM Vol. 2, STI, HLT; Vol. 3A, "Masking Exceptions and Interrupts When Switching Stacks"
 * (6.8.3).
 */
#include "conform.h"
#include "../minios/x86.h"

static void pic_init(void)
{
	static const uint8_t icw[2][4] = { { 0x11, 0x20, 0x04, 0x01 }, { 0x11, 0x28, 0x02, 0x01 } };

	for (unsigned i = 0; i < 2; i++) {
		uint16_t port = i ? 0xa0 : 0x20;

		outb(port, icw[i][0]);
		for (unsigned w = 1; w < 4; w++)
			outb(port + 1, icw[i][w]);
		outb(port + 1, 0xff);
	}
}

static void start_timer(uint16_t count)
{
	pic_init();
	outb(0x43, 0x30); /* counter 0, both bytes, mode 0: the line rises at the end and stays */
	outb(0x40, (uint8_t)count);
	outb(0x40, (uint8_t)(count >> 8));
	outb(0x21, 0xfe);
}

/* Interrupt 0 waits: seen in the request register. */
static void pend(void)
{
	start_timer(100);
	do {
		outb(0x20, 0x0a);
	} while (!(inb(0x20) & 1));
}

#define PENDING(code, what, ...)              \
	do {                                  \
		pend();                       \
		RUN(code, what, __VA_ARGS__); \
		pic_init();                   \
	} while (0)

void cases_interrupts(void)
{
	uint32_t in_service;

	PENDING(CODE("nop; nop"), "irq/if=0", .eflags = 2);
	PENDING(CODE("nop; nop"), "irq/if=1", .eflags = IF | 2);
	PENDING(CODE("sti; nop; nop; nop"), "irq/sti", .eflags = 2);
	PENDING(CODE("sti; cli; nop; nop"), "irq/sti,cli", .eflags = 2);
	PENDING(CODE("sti; sti; nop; nop"), "irq/sti,sti", .eflags = 2);
	PENDING(CODE("sti; pushfl; popl %eax; nop"), "irq/sti,pushf", .eflags = 2);
	PENDING(CODE("sti; inb $0xa1, %al; nop"), "irq/sti,in", .eflags = 2);
	PENDING(CODE("sti; jmp 1f; nop; 1: nop; nop"), "irq/sti,jmp", .eflags = 2);
	PENDING(CODE("sti; int $0x30"), "irq/sti,int", .eflags = 2);
	PENDING(CODE("sti; ud2"), "irq/sti,ud2", .eflags = 2);
	PENDING(CODE("sti; hlt; nop"), "irq/sti,hlt", .eflags = 2);
	PENDING(CODE("pushl $0x202; popfl; nop; nop"), "irq/popf32", .eflags = 2);
	PENDING(CODE("pushw $0x202; popfw; nop; nop"), "irq/popf16", .eflags = 2);
	PENDING(CODE("pushl $0x202; pushl %cs; pushl $1f; iretl; nop; 1: nop; nop"), "irq/iret",
		.eflags = 2);
	/* MOV and POP to SS hold an interrupt back, LSS does not. */
	PENDING(CODE("sti; nop; movl %eax, %ss; nop; nop"), "irq/sti,nop,movss", .eflags = 2,
		.eax = SEL_DATA);
	*arena(0) = STACK_TOP;
	*arena(4) = SEL_DATA;
	PENDING(CODE("sti; lss (%ebx), %esp; nop; nop"), "irq/sti,lss", .eflags = 2);
	PENDING(CODE("cli; nop"), "irq/cli after if=1", .eflags = 2);
	PENDING(CODE("sti; clc; stc; cmc; std"), "irq/sti,clc", .eflags = 2);

	/* A halted CPU wakes up behind the HLT. */
	start_timer(2000);
	RUN(CODE("sti; hlt; nop"), "hlt/wake-up", .eflags = 2);
	start_timer(2000);
	RUN(CODE(".byte 0xfb, 0x66, 0xf4; nop"), "hlt/wake-up/opsize16", .eflags = 2);
	outb(0x20, 0x0b);
	in_service = inb(0x20);
	line("irq/in service", "%02x", in_service);
	pic_init();
}
