/* SPDX-License-Identifier: MIT */
/* How a self-check provokes a trap and sees what came of it. */
#ifndef MINIOS_TRAP_H
#define MINIOS_TRAP_H

#include "minios.h"

#define NO_TRAP 0x1000u

/* The trap that came, as the handler saw it. */
struct trap {
	uint32_t vector, error, eip, cs, eflags;
};
extern struct trap trap_seen;
extern uint32_t trap_at;   /* address of the instruction that should trap */
extern uint32_t trap_next; /* address behind it; execution goes on there */
extern volatile uint8_t trap_armed;

/*
 * Run @setup, then @insn, which is expected to trap.  (MOV leaves the flags alone, so @setup may
 * prepare them.)  EAX, ECX and EDX are free to use.
 */
#define TRAP(setup, insn)                                                \
	do {                                                             \
		trap_seen.vector = NO_TRAP;                              \
		__asm__ volatile(setup "\n\t"                            \
				       "movl	$1f, trap_at\n\t"           \
				       "movl	$2f, trap_next\n\t"         \
				       "movb	$1, trap_armed\n"           \
				       "1:	" insn "\n"              \
				       "2:	movb	$0, trap_armed"          \
				 :                                       \
				 :                                       \
				 : "eax", "ecx", "edx", "cc", "memory"); \
	} while (0)

/* A fault points at its instruction, a trap behind it: SDM Vol. 3A, 6.5. */
enum trap_kind { FAULT, AFTER };
const char *expect_trap(uint32_t vector, uint32_t error, enum trap_kind kind);

#endif
