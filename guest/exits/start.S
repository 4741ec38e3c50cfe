/* SPDX-License-Identifier: MIT */
/*
 * Known numbers of things that only a hypervisor can do, whatever the engine and however long they
 * take: no timers, no polling.  What tests/compare_cmd_model.c expects is written beside each.
 * Exits through port 0xf4 with 0x10 if all interrupts came, else with 0x11.
 */
#include "../runtime/start.inc"

#define VECTOR 0x40
#define SELF   (ICR_SELF | ICR_ASSERT | VECTOR)
#define ROUNDS 20

	.code32
	.text
	multiboot_header 0
	.globl	_start
_start:
	mov	$0x200000, %esp
	flat_segments
	gate	VECTOR, handler
	lidt	idtr
	mov	$LAPIC_BASE, %ebx
	xor	%ebp, %ebp

	mov	$200, %esi		/* 200 out, 200 in */
2:	mov	$'.', %al
	out	%al, $0xe9
	in	$0x21, %al
	dec	%esi
	jnz	2b
	mov	$0xe9, %dx		/* one outs of 16 */
	mov	$text, %esi
	mov	$16, %ecx
	rep outsb
	mov	$0x21, %dx		/* one ins of 8 */
	mov	$text, %edi
	mov	$8, %ecx
	rep insb

	movl	$(SVR_ENABLE | 0xff), SVR(%ebx)	/* 1 access of the local APIC */
	mov	$50, %esi		/* 100: reads and writes */
3:	mov	LVT_ERROR(%ebx), %eax
	movl	$0x10, TPR(%ebx)
	dec	%esi
	jnz	3b
	movl	$0, TPR(%ebx)		/* 1 */
	orl	$LVT_MASKED, LVT_ERROR(%ebx) /* 2, by one instruction */

	mov	$ROUNDS, %esi		/* 20 windows; 40: ICR and EOI */
4:	cli
	movl	$SELF, ICR_LOW(%ebx)
	nop
	sti
	nop
	nop
	dec	%esi
	jnz	4b

	mov	$ROUNDS, %esi		/* 20 hlt that an interrupt ends; 40 */
5:	cli
	movl	$SELF, ICR_LOW(%ebx)
	sti
	hlt
	dec	%esi
	jnz	5b

	cmp	$(2 * ROUNDS), %ebp
	mov	$0x10, %al
	je	6f
	inc	%al
6:	out	%al, $0xf4		/* 1 out */
	jmp	.

handler:
	inc	%ebp
	movl	$0, EOI(%ebx)
	iret

	.data
	flat_gdt
idtr:	.word	(VECTOR + 1) * 8 - 1
	.long	idt
text:	.ascii	"sixteen letters."
	.balign	8
idt:	.fill	VECTOR + 1, 8, 0
