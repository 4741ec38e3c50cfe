/* SPDX-License-Identifier: MIT */
/*
 * The two system calls a world's runner may make: rt_sigreturn, with a frame of the guest's own
 * making (all zero, then garbage), and futex, to wake or block others.
 *
 * MUST: end with the VM killed, or hang until --timeout ends it.  Status 3 or 124.
 */
#include "tests/hostile/far64.h"

hostile:
	FAR64
	movl	$202, %eax		/* futex(turn, FUTEX_WAKE, everybody): harmless */
	movabsq	$WORLD_SHARE_ADDR + WORLD_PAGE, %rdi	/* the turn word */
	movl	$1, %esi
	movl	$0x7fffffff, %edx
	syscall
	movl	$fake_frame, %esp
	movl	$15, %eax
	syscall
0:	jmp	0b

	.bss
	.balign	64
fake_frame: .skip 4096
