/* SPDX-License-Identifier: MIT */
/*
 * Known numbers of things that only a hypervisor can do, whatever the engine and however long they
 * take: no timers, no polling.  What tests/compare_cmd_model.c expects is written beside each.
 * Exits through port 0xf4 with 0x10 if all interrupts came, else with 0x11.
 */
#define LAPIC	   0xfee00000
#define TPR	   0x80
#define EOI	   0xb0
#define SVR	   0xf0
#define ICR	   0x300
#define LVT_ERROR  0x370
#define SELF	   0x00044040 /* to itself, vector 0x40 */
#define ROUNDS	   20

	.code32
	.text
	.long	0x1badb002, 0, -0x1badb002
	.globl	_start
_start:
	mov	$0x200000, %esp
	lgdt	gdtr
	ljmp	$8, $1f
1:	mov	$0x10, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$handler, %eax
	mov	%ax, idt + 0x40 * 8
	movw	$8, idt + 0x40 * 8 + 2
	movw	$0x8e00, idt + 0x40 * 8 + 4
	shr	$16, %eax
	mov	%ax, idt + 0x40 * 8 + 6
	lidt	idtr
	mov	$LAPIC, %ebx
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

	movl	$0x1ff, SVR(%ebx)	/* 1 access of the local APIC */
	mov	$50, %esi		/* 100: reads and writes */
3:	mov	LVT_ERROR(%ebx), %eax
	movl	$0x10, TPR(%ebx)
	dec	%esi
	jnz	3b
	movl	$0, TPR(%ebx)		/* 1 */
	orl	$0x10000, LVT_ERROR(%ebx) /* 2, by one instruction */

	mov	$ROUNDS, %esi		/* 20 windows; 40: ICR and EOI */
4:	cli
	movl	$SELF, ICR(%ebx)
	nop
	sti
	nop
	nop
	dec	%esi
	jnz	4b

	mov	$ROUNDS, %esi		/* 20 hlt that an interrupt ends; 40 */
5:	cli
	movl	$SELF, ICR(%ebx)
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
	.balign	8
gdt:	.quad	0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr:	.word	. - gdt - 1
	.long	gdt
idtr:	.word	0x41 * 8 - 1
	.long	idt
text:	.ascii	"sixteen letters."
	.balign	8
idt:	.fill	0x41, 8, 0
