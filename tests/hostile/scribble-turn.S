/* SPDX-License-Identifier: MIT */
/*
 * Pretend that a trap has happened: hand the turn to the VMM from 64-bit mode while the guest
 * runs on, again and again, with registers and trap number of the guest's choosing.
 *
 * MUST: end with the VM killed, or hang until --timeout ends it; the VMM is unharmed.  Status 3
 * or 124.
 */
#include "tests/hostile/far64.h"

hostile:
	FAR64
	movabsq	$WORLD_SHARE_ADDR + WORLD_PAGE, %rdi	/* struct world_xchg */
	xorl	%ecx, %ecx
0:	movl	%ecx, 132(%rdi)		/* somewhere in the exit's description */
	movq	%rcx, 136(%rdi)
	movq	%rcx, 152(%rdi)
	movl	$1, (%rdi)		/* TURN_VMM */
	incl	%ecx
	jmp	0b
