/* SPDX-License-Identifier: MIT */
/*
 * Non-maskable interrupts: when they come, and that one blocks the next until IRET.
 * Source: SDM Vol. 3A, "Nonmaskable Interrupt (NMI)" (6.7), "Handling Multiple NMIs" (6.7.1),
 * "Priority Among Simultaneous Exceptions and Interrupts" (6.9).
 */
#include "apic.h"

/* To this processor, by its id; the shorthand takes fixed mode only. */
static void send(void)
{
	__asm__ volatile("" : : : "memory"); /* what the handler reads is written */
	wr(ICR_HI, 0);
	wr(ICR, NMI | ASSERT);
}

/* An NMI that was sent is taken somewhere in here: an emulator may look at a branch only. */
static void settle(void)
{
	__asm__ volatile("jmp 1f; 1: nop; jmp 2f; 2: nop; jmp 3f; 3:" : : : "memory");
}

static unsigned sends_left, depth, deepest;

/* Sends another from inside, as long as there are some. */
static void resend(void)
{
	deepest = ++depth > deepest ? depth : deepest;
	if (sends_left) {
		sends_left--;
		send();
		settle();
	}
	depth--;
}

static void nested(unsigned n)
{
	sends_left = n;
	depth = deepest = 0;
	on_vector[2] = resend;
	send();
	settle();
	on_vector[2] = NULL;
	line(name("nmi/nested/%u inside", n), "%s, deepest %u", taken(), deepest);
}

static void fire_and_open(void)
{
	on_vector[2] = NULL;
	self(0x41);
	sti_nop_cli();
}

static void twice_inside(void)
{
	on_vector[2] = NULL;
	send();
	send();
	settle();
}

static void in_interrupt(void)
{
	send();
	settle();
}

/* IRET, even of something else, ends the blocking. */
static void iret_inside(void)
{
	on_vector[2] = NULL;
	send();
	settle();
	__asm__ volatile("pushfl; pushl %%cs; pushl $1f; iret; 1: nop; nop" : : : "memory");
}

static void int_inside(void)
{
	on_vector[2] = NULL;
	send();
	settle();
	__asm__ volatile("int $0x77; nop; nop" : : : "memory");
}

void cases_nmi(void)
{
	send();
	settle();
	line("nmi/if=0", "%s", taken());
	for (unsigned n = 1; n <= 3; n++)
		nested(n);
	on_vector[2] = fire_and_open;
	send();
	settle();
	window();
	line("nmi/interrupt inside", "%s", taken());
	on_vector[2] = twice_inside;
	send();
	settle();
	line("nmi/two inside are one", "%s", taken());
	on_vector[2] = iret_inside;
	send();
	settle();
	line("nmi/iret inside opens", "%s", taken());
	ends[0x77] = END_NOT;
	on_vector[2] = int_inside;
	send();
	settle();
	line("nmi/int and iret inside open", "%s", taken());
	quiet();
	on_vector[0x41] = in_interrupt;
	self(0x41);
	window();
	line("nmi/inside an interrupt", "%s", taken());
	quiet();
	wr(TPR, 0xff);
	send();
	settle();
	line("nmi/tpr ff", "%s isr %s irr %s", taken(), vectors(ISR), vectors(IRR));
	quiet();
}
