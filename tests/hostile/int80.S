/* SPDX-License-Identifier: MIT */
/*
 * int $0x80 with every Linux system call number, and some that are none, with arguments that the
 * host's own int $0x80 would take: exit, fork, write, kill, munmap of everything ...
 *
 * MUST: reach the guest's own gate 0x80, once each, with all registers as they were.  Status 33.
 */
#include "tests/hostile/hostile.h"

hostile:
	GATE	0x80, handler
	xorl	%eax, %eax
0:	call	one
	incl	%eax
	cmpl	$501, %eax
	jb	0b
	movl	$odd_numbers, %ebp
1:	movl	(%ebp), %eax
	movl	%ebp, kept
	call	one
	movl	kept, %ebp
	addl	$4, %ebp
	cmpl	$odd_numbers_end, %ebp
	jb	1b
	SAME	$(501 + 8), count
	PASS

/* int $0x80 with @eax; all other registers plausible as arguments, and checked afterwards. */
one:	movl	%eax, number
	movl	%esp, kept_esp
	movl	$1, %ebx		/* standard output; process 1 */
	movl	$message, %ecx
	movl	$message_len, %edx
	movl	$0x00400000, %esi
	movl	$0x22, %edi
	movl	$-1, %ebp
	int	$0x80
	SAME	number, %eax
	SAME	$1, %ebx
	SAME	$message, %ecx
	SAME	$message_len, %edx
	SAME	$0x00400000, %esi
	SAME	$0x22, %edi
	SAME	$-1, %ebp
	SAME	kept_esp, %esp
	ret

handler:
	pushl	%eax
	incl	count
	cmpl	number, %eax		/* the number must be here, not -ENOSYS */
	je	0f
	FAIL
0:	cmpl	$SEL_CODE, 8(%esp)	/* pushed by the guest's rules, not the host's */
	je	1f
	FAIL
1:	popl	%eax
	iret

	.data
odd_numbers:
	.long	-1, -38, 0x80000000, 0x7fffffff, 0x40000001, 0x400000ff, 0xffff, 0x10000
odd_numbers_end:
number:	.long	0
kept:	.long	0
kept_esp: .long	0
count:	.long	0
message: .ascii	"BREACH: the host made a system call for the guest\n"
	.set	message_len, . - message
