/* SPDX-License-Identifier: MIT */
/*
 * To 64-bit mode, fill the share area above its control page, and back to 32-bit mode as if
 * nothing had happened; then go on trapping.
 *
 * MUST: go on as a good guest, since nothing it wrote may be believed, or be killed with a
 * sentence.  Status 33 or 3.
 */
#include "tests/hostile/far64.h"

hostile:
	movl	%esp, %ebp
	TRY				/* 0x23 is nothing in the guest's GDT: #GP(0x20) is right */
	FAR64
	movabsq	$WORLD_SHARE_ADDR + WORLD_STACK_OFFSET, %rdi
	movl	$WORLD_STACK_SIZE / 8, %ecx
	movq	$-1, %rax
	rep stosq
	pushq	$0x23			/* a host's 32-bit code segment */
	movl	$again, %eax
	pushq	%rax
	lretq
	.code32
again:	movl	%ebp, %esp
	cli
	END
	movl	$1000, %esi
0:	cli
	sti
	decl	%esi
	jnz	0b
	PASS
