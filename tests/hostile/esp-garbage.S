/* SPDX-License-Identifier: MIT */
/*
 * Traps with a stack pointer that points nowhere.  The host must not touch the guest's stack, and
 * CLI, STI, IN, OUT and RDMSR have no use for it.
 *
 * MUST: go on as if nothing were.  Status 33.
 */
#include "tests/hostile/hostile.h"

hostile:
	movl	%esp, %ebp
	movl	$values, %esi
0:	movl	(%esi), %esp
	cli
	sti
	cli
	movw	$COM1 + 5, %dx
	inb	%dx, %al
	movl	$0x1b, %ecx
	rdmsr
	movl	%esp, %eax
	movl	%ebp, %esp
	SAME	(%esi), %eax
	addl	$4, %esi
	cmpl	$values_end, %esi
	jb	0b
	PASS

	.data
	.balign	4
values:	.long	0, 1, 3, 0xffffffff, 0xfffffffc, 0xdeadbeef, 0x80000000, 0xfee00080, 0xa0000
values_end:
