/* SPDX-License-Identifier: MIT */
/*
 * SYSENTER goes where the guest's own MSRs say.  On an Intel host the instruction enters the host
 * kernel, which then looks at the memory behind EBP: so with good and bad stacks, and with system
 * call numbers that would hurt.
 *
 * MUST: #GP(0) while SYSENTER_CS is 0 (where the host has lost EIP and ESP already: no more is
 * checked); then ESP and EIP from the MSRs and IF clear, all other registers intact.  One is let
 * off: an Intel host's kernel that cannot read EBP's memory puts -EFAULT into EAX.  Status 33.
 * Source: SDM Vol. 2B, "SYSENTER".
 */
#include "tests/hostile/hostile.h"

#define MSR_CS	0x174
#define MSR_ESP	0x175
#define MSR_EIP	0x176

hostile:
	movl	%esp, %ebp		/* an Intel host loses ESP; its kernel takes EBP for it */
	TRY
	sysenter
	END
	WANT	13, 0
	xorl	%edx, %edx
	movl	$MSR_CS, %ecx
	movl	$SEL_CODE, %eax
	wrmsr
	movl	$MSR_ESP, %ecx
	movl	$entry_stack, %eax
	wrmsr
	movl	$MSR_EIP, %ecx
	movl	$entry, %eax
	wrmsr
	movl	$MSR_EIP, %ecx
	rdmsr
	SAME	$entry, %eax

	movl	$stacks, %edi
0:	movl	$1, number		/* exit */
	call	one
	movl	$4, number		/* write */
	call	one
	movl	$252, number		/* exit_group */
	call	one
	movl	$-1, number
	call	one
	addl	$4, %edi
	cmpl	$stacks_end, %edi
	jb	0b
	SAME	$(4 * 7), count
	PASS

one:	movl	%edi, kept_edi
	movl	%esp, kept_esp
	movl	(%edi), %ebp
	movl	number, %eax
	movl	$1, %ebx
	movl	$message, %ecx
	movl	$message_len, %edx
	movl	%ebp, %esp		/* as a C library has it */
	sysenter
	FAIL				/* nobody comes back here */
back:	movl	kept_esp, %esp
	movl	kept_edi, %edi
	ret

entry:	SAME	$entry_stack, %esp
	cmpl	number, %eax
	je	0f
	SAME	$-14, %eax		/* EBP was unreadable */
0:	SAME	$1, %ebx
	SAME	$message, %ecx
	SAME	$message_len, %edx
	movl	kept_edi, %esi
	SAME	(%esi), %ebp
	incl	count
	TRY			/* its frame shows EFLAGS */
	int3
	END
	WANT	3
	testl	$0x200, seen_eflags
	jz	back
	FAIL

	.data
	.balign	4
stacks:	.long	stack_top, 0, 4, 0xfffffffc, 0xffffffff, 0xdeadbeef, 0xfee00000
stacks_end:
number:	.long	0
kept_edi: .long	0
kept_esp: .long	0
count:	.long	0
message: .ascii	"BREACH: the host made a system call for the guest\n"
	.set	message_len, . - message
	.bss
	.balign	16
	.skip	1024
entry_stack:
