/* SPDX-License-Identifier: MIT */
/*
 * Move the sleeping mapper thread to another futex, so that the VMM's next request wakes nobody; go
 * back to 32-bit code and execute a page that has to be mapped first.
 *
 * MUST: be stopped at the system call.
 */
#include "tests/hostile/far64.h"

hostile:
	movl	$0x0000ffff, gdt + 0x20	/* where the host has flat 32-bit code */
	movl	$0x00cf9b00, gdt + 0x24
	FAR64
	movl	%ss, %ebx
	movl	$20000000, %ecx		/* until the mapper sleeps */
0:	loop	0b
	movabsq	$WORLD_SHARE_ADDR, %rdi	/* map_seq */
	movl	$3, %esi		/* FUTEX_REQUEUE: wake none, move all */
	xorl	%edx, %edx
	movl	$0x7fffffff, %r10d
	movabsq	$WORLD_SHARE_ADDR + WORLD_PAGE + 512, %r8
	movl	$202, %eax
	syscall
	movl	%ebx, %ss		/* the system call has changed it */
	movl	$stack_top, %esp
	ljmpl	*back(%rip)
	.byte	0xd6			/* no compiler's code: the scanner leaves all this alone */
	.code32
on_back:
	movb	$0xc3, 0x700000	/* ret */
	movl	$0x700000, %eax
	call	*%eax
	PASS

	.data
back:	.long	on_back
	.word	0x23
