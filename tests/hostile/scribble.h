/* SPDX-License-Identifier: MIT */
/*
 * Fill part of the world's own memory from 64-bit mode, then trap: the signal handler finds its
 * stack and the page it shares with the VMM full of garbage.
 *
 *     SCRIBBLE_AT, SCRIBBLE_LEN	where
 *     SCRIBBLE_NEXT	instructions that leave the next 8 bytes in RAX
 */
#include "tests/hostile/far64.h"

#ifndef SCRIBBLE_AT	/* all but page 0, which is read-only in a world */
#define SCRIBBLE_AT	(WORLD_SHARE_ADDR + WORLD_PAGE)
#define SCRIBBLE_LEN	(WORLD_SHARE_SIZE - WORLD_PAGE)
#endif

hostile:
	FAR64
	movabsq	$SCRIBBLE_AT, %rdi
	movl	$SCRIBBLE_LEN / 8, %ecx
	movl	$2463534242, %eax
0:	SCRIBBLE_NEXT
	movq	%rax, (%rdi)
	addq	$8, %rdi
	decl	%ecx
	jnz	0b
	ud2
0:	jmp	0b
