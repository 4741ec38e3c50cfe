/* SPDX-License-Identifier: MIT */
/*
 * Where the assign guest begins, and where its second processor does: in real mode, at page TRAMPOLINE.
 * Source: Multiboot Specification 0.6.96, "OS image format" (3.1); Intel SDM Vol. 3A, "MP
 * Initialization Protocol" (8.4).
 */
#include "layout.h"

	.section .multiboot, "a"
	.balign	4
	.long	0x1badb002, 0, -0x1badb002

	.text
	.globl	start
start:
	cli
	cld
	movl	$stack0_top, %esp
	lgdt	gdtr
	ljmp	$SEL_CODE, $1f
1:	movl	$SEL_DATA, %ecx
	movl	%ecx, %ds
	movl	%ecx, %es
	movl	%ecx, %ss
	pushl	%ebx
	pushl	%eax
	call	boot_main		/* never returns */

	/* Data here, since it is copied from here: a code page that is read may show the VMM's patches. */
	.data
	.code16
	.globl	trampoline, trampoline_end
trampoline:
	cli
	cld
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	(1f - trampoline + TRAMPOLINE)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE, $second
1:	.word	gdtr - gdt - 1
	.long	gdt
trampoline_end:

	.text
	.code32
second:
	movl	$SEL_DATA, %ecx
	movl	%ecx, %ds
	movl	%ecx, %es
	movl	%ecx, %ss
	movl	$stack1_top, %esp
	call	second_main		/* never returns */

	.data
	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.word	gdtr - gdt - 1
	.long	gdt

	.bss
	.balign	16
	.skip	16384
stack0_top:
	.skip	16384
stack1_top:
	.section .note.GNU-stack, "", @progbits
