/* SPDX-License-Identifier: MIT */
/*
 * Starts the other processors the way every kernel does: INIT, then two start-up IPIs through the local
 * APIC's interrupt command register, to a real-mode trampoline in low memory.  Each counts itself in.
 * Exits through port 0xf4 with 0x10 when three have.
 * Source: Intel SDM Vol. 3A, "MP Initialization Protocol" (8.4).
 */
#include "../runtime/start.inc"

#define COUNT 0x180000

	.code32
	.text
	multiboot_header 0
	.globl	_start
_start:
	mov	$0x200000, %esp
	flat_segments
	movl	$0, COUNT
	start_others
wait:	pause
	cmpl	$3, COUNT
	jne	wait
	mov	$0x10, %eax
	out	%eax, $0xf4
	jmp	.

other:	flat_data
	lock incl COUNT
3:	cli
	hlt
	jmp	3b

	real_mode_trampoline other
	.data
	flat_gdt
	.section .note.GNU-stack, "", @progbits
