/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes at the edges of RAM and of the address space, across them and beyond, with all
 * kinds of instructions.  (Run with -m 16.)
 *
 * MUST: go on: behind RAM there is nothing, which reads as ones and swallows writes.  Status 33.
 */
#include "tests/hostile/hostile.h"

#define RAM_END	0x1000000

hostile:
	movl	$edges, %esi
0:	movl	(%esi), %ebx
	movb	(%ebx), %al
	movw	(%ebx), %ax
	movl	(%ebx), %eax
	movl	%eax, (%ebx)
	addl	$0, (%ebx)
	orb	$0, (%ebx)
	xchgl	%eax, (%ebx)
	lock incl (%ebx)
	lock decl (%ebx)
	pushl	(%ebx)
	popl	(%ebx)
	movzbl	(%ebx), %ecx
	movswl	(%ebx), %ecx
	movl	%ebx, %edi
	stosl
	movl	%ebx, %edi
	movl	$5, %ecx
	rep stosw
	addl	$4, %esi
	cmpl	$edges_end, %esi
	jb	0b
	movl	$0x12345678, RAM_END - 4	/* the last bytes of RAM are RAM */
	movl	RAM_END - 4, %eax
	SAME	$0x12345678, %eax
	movl	0xd0000000, %eax
	SAME	$-1, %eax
	PASS

	.data
	.balign	4
edges:	.long	RAM_END - 1, RAM_END - 2, RAM_END - 3, RAM_END, RAM_END + 0x1000
	.long	0xd0000000, 0xfebffffe, 0xfee01000, 0xfffff000, 0xffffffe0
edges_end:
