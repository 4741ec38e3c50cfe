/* SPDX-License-Identifier: MIT */
/*
 * Every vector by INT n: 0 to 255, among them 3, 4 and 0x80, which a host treats apart, and those
 * of exceptions with error codes, for which INT pushes none.
 *
 * MUST: reach the guest's own gate with EIP behind the instruction and ESP as it was.  Status 33.
 */
#include "tests/hostile/hostile.h"

hostile:
	/* INT pushes no error code, so every stub does as if the CPU had pushed none. */
	xorl	%ecx, %ecx
	movl	$idt, %edi
	movl	$plain_stubs, %eax
0:	movw	%ax, (%edi)
	movl	%eax, %edx
	shrl	$16, %edx
	movw	%dx, 6(%edi)
	addl	$16, %eax
	addl	$8, %edi
	incl	%ecx
	cmpl	$256, %ecx
	jb	0b
	movl	%esp, %ebp
	.set	n, 0
	.rept	256
	TRY
	.byte 0xcd, n
	END
	SAME	$n, seen_vector
	SAME	%ebp, %esp
	movl	seen_eip, %eax
	cmpb	$n, -1(%eax)
	je	1f
	FAIL
1:
	.set	n, n + 1
	.endr
	PASS

	.balign	16
plain_stubs:
	.set	vec, 0
	.rept	256
	.balign	16
	pushl	$0
	pushl	$vec
	jmp	trapped
	.set	vec, vec + 1
	.endr
