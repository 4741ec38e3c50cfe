/* SPDX-License-Identifier: MIT */
/*
 * Where the processors of the soak guest begin, and how interrupts reach C.
 * Source: Multiboot Specification 0.6.96, "OS image format" (3.1); Intel SDM Vol. 3A, "MP
 * Initialization Protocol" (8.4), "Local APIC ID" (10.4.6).
 */
#include "../runtime/start.inc"
#include "layout.h"

	.section .multiboot, "a"
	multiboot_header 3

	.text
	.globl	start
start:
	cli
	cld
	movl	$0, stacks
	movl	$stacks + STACK_SIZE, %esp
	flat_segments
	pushl	%ebx
	pushl	%eax
	call	boot_main		/* never returns */

/* The others. */
ap_start:
	flat_data
	movl	LAPIC_BASE + LAPIC_ID, %eax
	shrl	$24, %eax
	movl	%eax, %ecx
	cmpl	$CPUS, %eax
	jae	2f
	imull	$STACK_SIZE, %eax, %eax
	movl	%ecx, stacks(%eax)
	leal	stacks + STACK_SIZE(%eax), %esp
	pushl	%ecx
	call	ap_main			/* never returns */
2:	cli
	hlt
	jmp	2b

/* One entry for each vector, 16 bytes apart: C finds out which by the number on the stack. */
	.globl	entries
	.balign	16
entries:
	.set	i, 0
	.rept	256
	.balign	16
	pushl	$i
	jmp	common
	.set	i, i + 1
	.endr

common:
	pushal
	pushl	%esp			/* struct frame * */
	cld
	call	interrupt
	addl	$4, %esp
	popal
	addl	$4, %esp
	iret

	.data
	flat_gdt

	real_mode_trampoline ap_start

	.bss
	.balign	STACK_SIZE
stacks:	.skip	STACK_SIZE * CPUS

	.section .note.GNU-stack, "", @progbits
