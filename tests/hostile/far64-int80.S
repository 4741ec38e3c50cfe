/* SPDX-License-Identifier: MIT */
/*
 * The 32-bit system call instruction from 64-bit mode.
 *
 * MUST: the VM is killed with a sentence.  Status 3.
 */
#include "tests/hostile/far64.h"

hostile:
	FAR64
	movl	$4, %eax		/* write(1, breach, len) */
	movl	$1, %ebx
	movl	$breach, %ecx
	movl	$breach_len, %edx
	int	$0x80
0:	jmp	0b

	.data
breach:	.ascii	"BREACH: int 0x80 from 64-bit mode\n"
	.set	breach_len, . - breach
