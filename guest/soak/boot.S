/* SPDX-License-Identifier: MIT */
/*
 * Where the processors of the soak guest begin, and how interrupts reach C.
 * Source: Multiboot Specification 0.6.96, "OS image format" (3.1); Intel SDM Vol. 3A, "MP
 * Initialization Protocol" (8.4), "Local APIC ID" (10.4.6).
 */
#include "layout.h"

#define MULTIBOOT_MAGIC	0x1badb002
#define MULTIBOOT_FLAGS	0x00000003

	.section .multiboot, "a"
	.balign	4
	.long	MULTIBOOT_MAGIC
	.long	MULTIBOOT_FLAGS
	.long	-(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.globl	start
start:
	cli
	cld
	movl	%eax, %ecx
	movl	$0, stacks
	movl	$stacks + STACK_SIZE, %esp
	lgdt	gdtr
	ljmp	$SEL_CODE, $1f
1:	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	lidt	idtr
	pushl	%ebx
	pushl	%ecx
	call	boot_main		/* never returns */

/* ... and from there in protected mode. */
ap_start:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	LAPIC_BASE + 0x20, %eax
	shrl	$24, %eax
	movl	%eax, %ecx
	cmpl	$CPUS, %eax
	jae	2f
	imull	$STACK_SIZE, %eax, %eax
	movl	%ecx, stacks(%eax)
	leal	stacks + STACK_SIZE(%eax), %esp
	lidt	idtr
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
	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.word	23
	.long	gdt
	.globl	idt
idtr:	.word	256 * 8 - 1
	.long	idt

/*
 * The others: copied to TRAMPOLINE, entered in real mode.  Among the data, as what is copied from a
 * page that is also executed can be the VMM's patched copy (docs/design.md, "Shadow code pages").
 */
	.code16
	.globl	trampoline, trampoline_end
trampoline:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	(gdtr16 - trampoline + TRAMPOLINE)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$SEL_CODE, $ap_start
gdtr16:	.word	23
	.long	gdt
trampoline_end:
	.code32

	.bss
	.balign	STACK_SIZE
stacks:	.skip	STACK_SIZE * CPUS
	.balign	8
idt:	.skip	256 * 8

	.section .note.GNU-stack, "", @progbits
