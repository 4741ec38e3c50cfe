/* SPDX-License-Identifier: MIT */
/*
 * Selectors of the local descriptor table: a VMM keeps its own descriptors somewhere in the real
 * one, so look everywhere, and most carefully at the end.
 *
 * MUST: #GP(selector) for all while the guest has no LDT; with an LDT of one entry that entry is a
 * window of 64 bytes, and all others are #GP(selector).  Status 33.
 */
#include "tests/hostile/hostile.h"

hostile:
	xorl	%eax, %eax
	lldt	%ax
	movl	$0x07, %ebx		/* no table: all 8192 of them */
0:	call	nothing_at
	addl	$8, %ebx
	cmpl	$0x10000, %ebx
	jb	0b

	movl	$SEL_LDT, %eax
	lldt	%ax
	movl	$0xff04, %ebx		/* the high ones at every RPL */
1:	call	nothing_at
	incl	%ebx
	orl	$4, %ebx
	cmpl	$0x10000, %ebx
	jb	1b
	movl	$0x0c, %ebx		/* the one behind the limit */
	call	nothing_at

	movl	$0x44444444, window + 8
	.irp	sel, 4, 7
	movl	$\sel, %eax
	movl	%eax, %fs
	cli
	movl	%fs:8, %eax
	SAME	$0x44444444, %eax
	TRY
	movl %fs:61, %eax
	END
	WANT	13, 0
	xorl	%eax, %eax
	movl	%eax, %fs
	.endr
	PASS

nothing_at:
	TRY
	movl %ebx, %fs; cli
	END
	SAME	$13, seen_vector
	movl	%ebx, %eax
	andl	$0xfffc, %eax
	SAME	%eax, seen_error
	ret
