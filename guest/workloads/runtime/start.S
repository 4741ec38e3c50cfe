/* SPDX-License-Identifier: MIT */
/*
 * Where a workload begins.  Interrupts are off.
 * Source: Multiboot Specification 0.6.96, "OS image format" (3.1), "Machine state" (3.2).
 */
#include "../../runtime/start.inc"
#include "layout.h"

	.section .multiboot, "a"
	multiboot_header 3

	.text
	.globl	start
	.type	start, @function
start:
	cld
	movl	$stack + STACK_SIZE, %esp
	pushl	%ebx
	pushl	%eax
	call	workload_main		/* never returns */
	.size	start, . - start

/* An entry for each vector that has no handler. */
	.balign	8
	.globl	unexpected_entry
unexpected_entry:
	.set	vector, 0
	.rept	256
	.balign	8
	.byte	0x6a, vector		/* push, of one byte, sign-extended */
	jmp	1f
	.set	vector, vector + 1
	.endr
1:	andl	$255, (%esp)
	pushl	$0			/* no return address */
	jmp	unexpected		/* never returns */

	.bss
	.balign	16
stack:	.skip	STACK_SIZE
