/* SPDX-License-Identifier: MIT */
/*
 * Wait where the mapper thread waits, to be woken by the VMM's next request in its place.
 *
 * MUST: be stopped at the system call.
 */
#include "tests/hostile/far64.h"

hostile:
	FAR64
	movabsq	$WORLD_SHARE_ADDR, %rdi	/* map_seq */
	xorl	%esi, %esi		/* FUTEX_WAIT */
	movl	(%rdi), %edx
	xorl	%r10d, %r10d
	movl	$202, %eax
	syscall
0:	jmp	0b
	.byte	0xd6			/* no compiler's code: the scanner leaves all this alone */
