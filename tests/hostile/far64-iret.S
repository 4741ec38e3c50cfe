/* SPDX-License-Identifier: MIT */
/*
 * Into 64-bit mode by IRET and, if that does not lead there, by a far return; then a system call.
 *
 * MUST: the guest's own #GP(0x30) for each, since its GDT has nothing there, or, where the host's
 * segment was reached, the VM killed with a sentence.  Status 33 or 3; never a system call.
 */
#include "tests/hostile/far64.h"

hostile:
	movl	%esp, %ebp
	pushl	$0x2
	pushl	$HOST_CODE64
	pushl	$there
	TRY
	iret
	END
	WANT	13, 0x30
	movl	%ebp, %esp
	pushl	$HOST_CODE64
	pushl	$there
	TRY
	lret
	END
	WANT	13, 0x30
	PASS

	.code64
there:	movl	$1, %eax
	movl	$1, %edi
	movl	$breach, %esi
	movl	$breach_len, %edx
	syscall
0:	jmp	0b

	.data
breach:	.ascii	"BREACH: a system call from 64-bit mode\n"
	.set	breach_len, . - breach
