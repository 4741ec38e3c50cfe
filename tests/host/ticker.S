/* SPDX-License-Identifier: MIT */
/*
 * Counts on COM1 for ever: a line "N\n" for each tick of the timer, N = 0, 1, ..., so that who reads
 * can see whether a line is missing.  Then there are keys, each answered at the next tick:
 *	x	exit with status 33, as "all is well"
 *	f	exit with status 3, a failure
 *	t	triple fault
 *	b	ticks no longer: an endless loop, which wants the CPU all the time
 *	c	counts on without any interrupt, a line for each 4 million turns of a loop
 *	l	prints as fast as it can, and no numbers
 * Sources: Intel 8254 and 8259A data sheets (mode 2; ICW1 to ICW4, OCW2), PC16550D data sheet.
 */
#define COM1 0x3f8
#define RATE 23864 /* of 1193182 Hz: 50 ticks a second */

	.code32
	.text
	.long	0x1badb002, 0, -0x1badb002
	.globl	_start
_start:
	mov	$stack_top, %esp
	lgdt	gdtr
	ljmp	$8, $1f
1:	mov	$0x10, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	/* A gate for vector 32; the rest of the table is not present. */
	mov	$tick, %eax
	mov	%ax, idt + 32 * 8
	shr	$16, %eax
	mov	%ax, idt + 32 * 8 + 6
	movw	$8, idt + 32 * 8 + 2
	movw	$0x8e00, idt + 32 * 8 + 4
	lidt	idtr
	/* The first PIC at vector 32, all masked but the timer; the second all masked. */
	mov	$0x11, %al
	out	%al, $0x20
	mov	$32, %al
	out	%al, $0x21
	mov	$4, %al
	out	%al, $0x21
	mov	$1, %al
	out	%al, $0x21
	mov	$0xfe, %al
	out	%al, $0x21
	mov	$0xff, %al
	out	%al, $0xa1
	/* Counter 0, both bytes, mode 2. */
	mov	$0x34, %al
	out	%al, $0x43
	mov	$(RATE & 0xff), %al
	out	%al, $0x40
	mov	$(RATE >> 8), %al
	out	%al, $0x40
	xor	%ebp, %ebp
	sti
idle:	hlt
	cli
	call	line
	call	key
	sti
	jmp	idle

tick:	push	%eax
	mov	$0x20, %al
	out	%al, $0x20
	pop	%eax
	iret

/* Print %ebp and count it. */
line:	mov	%ebp, %eax
	inc	%ebp
	xor	%ecx, %ecx
	mov	$10, %ebx
1:	xor	%edx, %edx
	div	%ebx
	add	$'0', %edx
	push	%edx
	inc	%ecx
	test	%eax, %eax
	jnz	1b
	mov	$COM1, %dx
2:	pop	%eax
	out	%al, %dx
	loop	2b
	mov	$'\n', %al
	out	%al, %dx
	ret

/* Do what was typed. */
key:	mov	$(COM1 + 5), %dx
	in	%dx, %al
	test	$1, %al
	jz	9f
	mov	$COM1, %dx
	in	%dx, %al
	cmp	$'x', %al
	je	leave
	cmp	$'f', %al
	je	fail
	cmp	$'t', %al
	je	triple
	cmp	$'b', %al
	je	busy
	cmp	$'c', %al
	je	count
	cmp	$'l', %al
	je	loud
9:	ret
leave:	mov	$0x10, %al /* (0x10 << 1) | 1 = 33 */
	out	%al, $0xf4
	jmp	.
fail:	mov	$1, %al /* (1 << 1) | 1 = 3 */
	out	%al, $0xf4
	jmp	.
triple:	lidt	no_idtr
	ud2
busy:	jmp	busy
count:	mov	$0xff, %al
	out	%al, $0x21
1:	mov	$4000000, %ecx
2:	dec	%ecx
	jnz	2b
	call	line
	jmp	1b
loud:	mov	$COM1, %dx
	mov	$noise, %esi
	mov	$(noise_end - noise), %ecx
	cld
	rep outsb
	jmp	loud
noise:	.rept	16
	.ascii	"This is quite some noise, which nobody wants to hear at all...\n"
	.endr
noise_end:

	.align	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.word	gdtr - gdt - 1
	.long	gdt
idtr:	.word	33 * 8 - 1
	.long	idt
no_idtr: .word	0
	.long	0
	.bss
	.align	8
idt:	.skip	33 * 8
	.align	16
	.skip	4096
stack_top:
	.section .note.GNU-stack, "", @progbits
