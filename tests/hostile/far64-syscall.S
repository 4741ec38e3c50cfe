/* SPDX-License-Identifier: MIT */
/*
 * System calls from 64-bit mode, with the numbers of the host's own convention.
 *
 * MUST: the first of them ends the VM with a sentence; nothing is written.  Status 3.
 */
#include "tests/hostile/far64.h"

hostile:
	FAR64
	movl	$1, %eax		/* write(1, breach, len) and the same to 2 */
	movl	$1, %edi
	movl	$breach, %esi
	movl	$breach_len, %edx
	syscall
	movl	$1, %eax
	movl	$2, %edi
	syscall
	movl	$39, %eax		/* getpid, to kill ourselves, our parent, everybody */
	syscall
	movl	$62, %eax
	movq	$-1, %rdi
	movl	$9, %esi
	syscall
	movl	$9, %eax		/* mmap(0, 1 GiB, RWX) */
	xorl	%edi, %edi
	movl	$0x40000000, %esi
	movl	$7, %edx
	movl	$0x22, %r10d
	movq	$-1, %r8
	xorl	%r9d, %r9d
	syscall
	movl	$231, %eax		/* exit_group(0): would look like a good end */
	xorl	%edi, %edi
	syscall
0:	jmp	0b

	.data
breach:	.ascii	"BREACH: a system call from 64-bit mode\n"
	.set	breach_len, . - breach
