/* SPDX-License-Identifier: MIT */
/*
 * Read all of the world's own memory that can be read.  There is nothing to find, but it must not
 * do harm either.
 *
 * MUST: the final ud2 in 64-bit mode kills the VM with a sentence.  Status 3.
 */
#include "tests/hostile/far64.h"

hostile:
	FAR64
	movabsq	$WORLD_STUB_ADDR, %rsi
	movl	$4096 / 8, %ecx
	rep lodsq
	movabsq	$WORLD_SHARE_ADDR, %rsi
	movl	$WORLD_SHARE_SIZE / 8, %ecx
	rep lodsq
	ud2
0:	jmp	0b
