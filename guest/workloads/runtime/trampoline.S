/* SPDX-License-Identifier: MIT */
/*
 * Where the second CPU begins.  Source: SDM Vol. 3A, "MP Initialization Protocol Algorithm" (8.4.3).
 */
#include "layout.h"

/*
 * Copied to TRAMPOLINE; a start-up IPI sends it there, in real mode.  It is data where it is
 * linked: Ringside patches pages that are executed, and who copies from one copies the patches.
 */
	.section .rodata
	.code16
	.globl	trampoline
trampoline:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	(gdtr - trampoline + TRAMPOLINE)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE, $second
	.balign	4
gdtr:	.word	gdt_end - gdt - 1
	.long	gdt
	.globl	trampoline_end
trampoline_end:

	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_end:

	.text
	.code32
	.type	second, @function
second:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$stack + STACK_SIZE, %esp
	pushl	$0
	call	second_main		/* never returns */
	.size	second, . - second

	.bss
	.balign	16
stack:	.skip	STACK_SIZE
