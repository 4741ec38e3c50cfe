/* SPDX-License-Identifier: MIT */
/*
 * exit_group(0) from 64-bit mode as the very first system call, so that a filter that lets just
 * this one through shows.
 *
 * MUST: the VM is killed with a sentence.  Status 3.
 */
#include "tests/hostile/far64.h"

hostile:
	FAR64
	movl	$231, %eax
	xorl	%edi, %edi
	syscall
0:	jmp	0b
