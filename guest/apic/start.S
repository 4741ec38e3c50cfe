/* SPDX-License-Identifier: MIT */
/*
 * Interrupt stubs that return, and where the other processors begin and wait.
 * Source: SDM Vol. 3A, "MP Initialization Protocol" (8.4).
 */
#include "../runtime/start.inc"

	.text
/* One stub for each vector, 16 bytes apart; none for those that push an error code. */
	.balign	16
	.globl	irq_stubs
irq_stubs:
	.set	vec, 0
	.rept	256
	.balign	16
	pushl	$vec
	jmp	irq_common
	.set	vec, vec + 1
	.endr

irq_common:
	pushal
	cld
	pushl	%esp
	call	irq_taken		/* irq_taken(struct irq_frame *) */
	popl	%eax
	popal
	addl	$4, %esp
	iret

/*
 * void cpu_wait(volatile uint32_t *word): halt until *word is not zero.  Who sets it sends an NMI;
 * the handler moves EIP back to cpu_check, so that one between look and HLT is not lost.
 */
	.globl	cpu_wait, cpu_check, cpu_go
cpu_wait:
	movl	4(%esp), %eax
cpu_check:
	cmpl	$0, (%eax)
	jne	cpu_go
	hlt
	jmp	cpu_check
cpu_go:
	ret

	real_mode_trampoline cpu_start32, 0x202000	/* conform.h, GDT */
cpu_start32:
	flat_data
	lgdt	good_gdtr
	lidt	good_idtr
	movl	cpu_stack, %esp
	call	cpu_main
	.section .note.GNU-stack, "", @progbits
