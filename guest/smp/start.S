/* SPDX-License-Identifier: MIT */
/*
 * Starts the other processors the way every kernel does: INIT, then two start-up IPIs through the local
 * APIC's interrupt command register, to a real-mode trampoline in low memory.  Each counts itself in.
 * Exits through port 0xf4 with 0x10 when three have.
 * Source: Intel SDM Vol. 3A, "MP Initialization Protocol" (8.4).
 */
#define COUNT	   0x180000
#define TRAMPOLINE 0x8000 /* start-up vector 8 */
#define LAPIC	   0xfee00000
#define SVR	   0xf0
#define ICR	   0x300
#define INIT_ALL   0x000c4500 /* INIT, assert, all but this one */
#define SIPI_ALL   0x000c4608 /* start up at vector 8, all but this one */

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
	movl	$0, COUNT
	mov	$trampoline, %esi
	mov	$TRAMPOLINE, %edi
	mov	$(trampoline_end - trampoline), %ecx
	rep movsb
	mov	$LAPIC, %ebx
	movl	$0x1ff, SVR(%ebx) /* software enable */
	movl	$INIT_ALL, ICR(%ebx)
	call	delay
	movl	$SIPI_ALL, ICR(%ebx)
	call	delay
	movl	$SIPI_ALL, ICR(%ebx) /* ignored by those that run already */
wait:	pause
	cmpl	$3, COUNT
	jne	wait
	mov	$0x10, %eax
	out	%eax, $0xf4
	jmp	.
delay:	mov	$100000, %ecx
2:	loop	2b
	ret

	.align	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.word	gdtr - gdt - 1
	.long	gdt

	.code16
trampoline:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	(gdtr16 - trampoline + TRAMPOLINE)
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$8, $(protected - trampoline + TRAMPOLINE)
	.code32
protected:
	mov	$0x10, %ax
	mov	%ax, %ds
	lock incl COUNT
3:	cli
	hlt
	jmp	3b
gdtr16:	.word	23
	.long	gdt
trampoline_end:
	.section .note.GNU-stack, "", @progbits
