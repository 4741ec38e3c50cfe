/* SPDX-License-Identifier: MIT */
/*
 * Where irqbench and its application processors begin, and the entries of its handlers.
 * Source: Multiboot Specification 0.6.96, "OS image format" (3.1); SDM Vol. 3A, "Multiple-Processor
 * (MP) Initialization" (8.4).
 */
#include "layout.h"

#define MULTIBOOT_MAGIC	0x1badb002
#define MULTIBOOT_FLAGS	0x00000003
#define LAPIC_ID	0xfee00020

	.section .multiboot, "a"
	.balign	4
	.long	MULTIBOOT_MAGIC
	.long	MULTIBOOT_FLAGS
	.long	-(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.globl	start
	.type	start, @function
start:
	cli
	cld
	movl	$stacks + STACK_SIZE, %esp
	lgdt	gdtr
	ljmp	$SEL_CODE, $1f
1:	movl	$SEL_DATA, %ecx
	movl	%ecx, %ds
	movl	%ecx, %es
	movl	%ecx, %ss
	pushl	%ebx
	pushl	%eax
	call	irqbench_main		/* never returns */
	.size	start, . - start

/*
 * Copied to TRAMPOLINE; a start-up IPI sends the others there, in real mode.  It is data where it is
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
	ljmpl	$SEL_CODE, $ap_start
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
ap_start:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	LAPIC_ID, %eax
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
