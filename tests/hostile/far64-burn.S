/* SPDX-License-Identifier: MIT */
/*
 * Post an exit that did not happen, at a hlt, so that the VMM takes the vCPU for halted; and go on
 * computing on a CPU that belongs to others.
 *
 * MUST: be noticed by the CPU time of its world, and be killed.
 */
#include "tests/hostile/far64.h"

hostile:
	FAR64
	movabsq	$WORLD_SHARE_ADDR + WORLD_PAGE, %rdi	/* struct world_xchg: turn */
	movl	$halt, 64 + 32(%rdi)	/* regs.eip */
	movl	$2, 64 + 36(%rdi)	/* regs.eflags */
	movl	$11, 128(%rdi)		/* exit.signo: SIGSEGV */
	movl	$0x80, 132(%rdi)	/* exit.code: SI_KERNEL */
	movl	$13, 136(%rdi)		/* exit.trapno: #GP */
	movl	$0, 140(%rdi)		/* exit.error */
	movl	$1, (%rdi)		/* turn: the VMM's */
	movl	$1, %esi		/* FUTEX_WAKE */
	movl	$0x7fffffff, %edx
	movl	$202, %eax
	syscall
0:	jmp	0b
	.code32
halt:	hlt
	jmp	halt
	.byte	0xd6			/* no compiler's code: the scanner leaves all this alone */
