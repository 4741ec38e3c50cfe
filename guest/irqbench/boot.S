/* SPDX-License-Identifier: MIT */
/*
 * Where irqbench and its application processors begin, and the entries of its handlers.
 * Source: Multiboot Specification 0.6.96, "OS image format" (3.1); SDM Vol. 3A, "Multiple-Processor
 * (MP) Initialization" (8.4).
 */
#include "../runtime/start.inc"
#include "layout.h"

	.section .multiboot, "a"
	multiboot_header 3

	.text
	.globl	start
	.type	start, @function
start:
	cli
	cld
	movl	$stacks + STACK_SIZE, %esp
	flat_segments
	pushl	%ebx
	pushl	%eax
	call	irqbench_main		/* never returns */
	.size	start, . - start

	real_mode_trampoline ap_start
	.data
	flat_gdt

	.text
ap_start:
	flat_data
	movl	LAPIC_BASE + LAPIC_ID, %eax
	shrl	$24, %eax
	incl	%eax
	imull	$STACK_SIZE, %eax
	leal	stacks(%eax), %esp
	pushl	$0
	call	ap_main			/* never returns */

/*
 * interrupt(uint64_t tsc, unsigned vector), regparm(3): the counter is read as early as can be.
 */
	.macro	handler name, vector
	.globl	\name
\name:	pushl	%eax
	pushl	%edx
	rdtsc
	pushl	%ecx
	movl	$\vector, %ecx
	call	interrupt
	popl	%ecx
	popl	%edx
	popl	%eax
	iret
	.endm

	handler	on_pic, VEC_PIC
	handler	on_pit, VEC_PIT
	handler	on_uart, VEC_UART
	handler	on_timer, VEC_TIMER
	handler	on_ping, VEC_PING
	handler	on_pong, VEC_PONG
	handler	on_wake, VEC_WAKE
	handler	on_assigned, VEC_ASSIGNED

	.globl	on_spurious
on_spurious:
	iret

/* Any other vector: the benchmark is broken. */
	.globl	on_other
on_other:
	call	unexpected

	.bss
	.balign	STACK_SIZE
	.globl	stacks
stacks:	.skip	CPUS_MAX * STACK_SIZE
