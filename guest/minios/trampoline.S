/* SPDX-License-Identifier: MIT */
/*
 * Where the other processors begin: in real mode, as in 1978, at the start of the page that
 * cpu.c has copied this to.  From there to protected mode, to paging, and to the stack of its
 * idle process, which continues as if it had just called switch_stack().
 */
#define TRAMPOLINE	0x8000
#define CR0_PE		0x00000001
#define CR0_PG_WP	0x80010000	/* paging; read-only is read-only for the kernel too */

	.section .rodata
	.globl	trampoline, trampoline_end
	.code16
trampoline:
	cli
	cld
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	(gdtr - trampoline + TRAMPOLINE)
	movl	%cr0, %eax
	orl	$CR0_PE, %eax
	movl	%eax, %cr0
	ljmpl	$8, $(protected - trampoline + TRAMPOLINE)

	.code32
protected:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	trampoline_dir, %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	orl	$CR0_PG_WP, %eax
	movl	%eax, %cr0
	movl	trampoline_esp, %esp
	movl	$switch_arrive, %eax	/* absolute: we are not where we were linked */
	jmp	*%eax

	/* One table to get through this page; gdt.c has the real one. */
	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff	/* flat code, flat data */
gdtr:	.word	gdtr - gdt - 1
	.long	gdt - trampoline + TRAMPOLINE
trampoline_end:

	.bss
	.balign	4
	.globl	trampoline_dir, trampoline_esp
trampoline_dir:
	.skip	4
trampoline_esp:
	.skip	4
