/* SPDX-License-Identifier: MIT */
/*
 * Where minios begins.  A Multiboot loader finds the header below, copies the segments to
 * memory and jumps to `start` in 32-bit protected mode with paging and interrupts off, EAX =
 * 0x2badb002 and EBX = the physical address of its information block.
 * Source: Multiboot Specification 0.6.96, "OS image format" (3.1), "Machine state" (3.2).
 */
#define MULTIBOOT_MAGIC	0x1badb002
#define MULTIBOOT_FLAGS	0x00000003	/* modules on page boundaries; tell us about memory */

	.section .multiboot, "a"
	.balign	4
	.long	MULTIBOOT_MAGIC
	.long	MULTIBOOT_FLAGS
	.long	-(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)	/* the three add up to zero */

	.text
	.globl	start
	.type	start, @function
start:
	cli
	cld
	movl	$stack_top, %esp	/* the loader promises no stack */
	pushl	%ebx
	pushl	%eax
	call	minios_main		/* minios_main(magic, info) never returns */
0:	cli
	hlt
	jmp	0b
	.size	start, . - start

	.bss
	.balign	16
	.skip	16384
stack_top:
