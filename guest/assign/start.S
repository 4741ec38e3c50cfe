/* SPDX-License-Identifier: MIT */
/*
 * Where the assign guest begins, and where its second processor does: in real mode, at page TRAMPOLINE.
 * Source: Multiboot Specification 0.6.96, "OS image format" (3.1); Intel SDM Vol. 3A, "MP
 * Initialization Protocol" (8.4).
 */
#include "../runtime/start.inc"

	.section .multiboot, "a"
	multiboot_header 0

	.text
	.globl	start
start:
	cli
	cld
	movl	$stack0_top, %esp
	flat_segments
	pushl	%ebx
	pushl	%eax
	call	boot_main		/* never returns */

second:
	flat_data
	movl	$stack1_top, %esp
	call	second_main		/* never returns */

	real_mode_trampoline second
	.data
	flat_gdt

	.bss
	.balign	16
	.skip	16384
stack0_top:
	.skip	16384
stack1_top:
	.section .note.GNU-stack, "", @progbits
