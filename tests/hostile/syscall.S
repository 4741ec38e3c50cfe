/* SPDX-License-Identifier: MIT */
/*
 * SYSCALL in 32-bit mode.  Intel knows it in 64-bit mode only; AMD also here, if EFER.SCE is set,
 * which it is not after reset.  On an AMD host the instruction does reach the host kernel.
 *
 * MUST: #UD at the instruction, for every system call number; nothing done.  Status 33.
 * Source: SDM Vol. 2B, "SYSCALL"; AMD APM Vol. 3, "SYSCALL".
 */
#include "tests/hostile/hostile.h"

hostile:
	xorl	%ebp, %ebp
0:	movl	%ebp, %eax
	movl	$1, %edi		/* both conventions: 64-bit and 32-bit arguments */
	movl	$1, %ebx
	movl	$message, %esi
	movl	$message_len, %edx
	movl	%esp, kept_esp
	TRY
	at: syscall
	END
	WANT	6
	SAME	$at, seen_eip
	SAME	kept_esp, %esp
	incl	%ebp
	cmpl	$501, %ebp
	jb	0b
	PASS

	.data
kept_esp: .long	0
message: .ascii	"BREACH: the host made a system call for the guest\n"
	.set	message_len, . - message
