/* SPDX-License-Identifier: MIT */
/*
 * Block every signal with a forged sigreturn frame, so that no kick arrives, then wake the VMM from
 * its wait for the turn again and again without giving the turn: it must still notice the time.
 *
 * MUST: hang until --timeout ends it, or be killed.  Status 3 or 124.
 */
#include "tests/hostile/far64.h"

hostile:
	FAR64
	movl	$frame, %esp
	movl	$15, %eax		/* rt_sigreturn */
	syscall
again:	movabsq	$WORLD_SHARE_ADDR + WORLD_PAGE, %rdi	/* turn */
	movl	$1, %esi		/* FUTEX_WAKE */
	movl	$0x7fffffff, %edx
	movl	$202, %eax
	syscall
	jmp	again
	.byte	0xd6			/* no compiler's code: the scanner leaves all this alone */

	.data
	.balign	64
frame:	.quad	6, 0			/* uc_flags: SS is valid; uc_link */
	.quad	0, 2, 0			/* no alternate stack */
	.skip	8 * 16			/* r8 to rsp */
	.long	again, 0, 2, 0	/* rip, rflags */
	.word	HOST_CODE64, 0, 0, 0x2b
	.quad	0, 0, 0, 0, 0		/* err, trapno, oldmask, cr2, fpstate */
	.skip	8 * 8
	.quad	-1			/* uc_sigmask */
