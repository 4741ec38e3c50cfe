/* SPDX-License-Identifier: MIT */
/*
 * The far jump to 64-bit mode in the open, and a system call behind it.
 *
 * MUST: the guest's own #GP(0x30), since its GDT has nothing there, or, where the host's segment
 * was reached, the VM killed with a sentence.  Status 33 or 3; never a system call.
 */
#include "tests/hostile/far64.h"

hostile:
	TRY
	ljmp	$HOST_CODE64, $there
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
