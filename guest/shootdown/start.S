/* SPDX-License-Identifier: MIT */
/*
 * TLB shootdown.  The second processor reads a word through a window all the time.  The first maps
 * the window to the other of two frames (or, every fourth time, to nothing at all), tells the second
 * by an interrupt, whose handler does INVLPG and acknowledges, and then writes POISON into the frame
 * that was mapped before.  Exits through port 0xf4: 0x10 if the reader never saw POISON, saw each
 * round's word, and had its page fault when there was nothing; 0x11 if it saw POISON.
 * Source: Intel SDM Vol. 3A, "Propagation of Paging-Structure Changes to Multiple Processors" (4.10.5).
 */
#define STARTED	   0x180000 /* the second processor runs */
#define ACK	   0x180040 /* shootdowns it has done */
#define LAST	   0x180080 /* the word it read last */
#define FAULTS	   0x1800c0 /* its page faults */
#define BAD	   0x180100 /* it saw POISON */
#define PD	   0x190000
#define PT	   0x191000
#define FRAME	   0x300000 /* two of them */
#define WINDOW	   0x400000
#define POISON	   0xdeadbeef
#define ROUNDS	   40
#define TRAMPOLINE 0x8000 /* start-up vector 8 */
#define LAPIC	   0xfee00000
#define EOI	   0xb0
#define SVR	   0xf0
#define ICR	   0x300
#define INIT_ALL   0x000c4500 /* INIT, assert, all but this one */
#define SIPI_ALL   0x000c4608 /* start up at vector 8, all but this one */
#define FLUSH_ALL  0x000c4040 /* vector 0x40, all but this one */

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
	xor	%eax, %eax
	mov	$STARTED, %edi
	mov	$0x200, %ecx
	rep stosl
	mov	$PD, %edi
	mov	$2048, %ecx
	rep stosl
	movl	$0x83, PD		  /* 4 MiB, identity */
	movl	$(PT + 3), PD + 4	  /* the window's table */
	movl	$(0xfec00000 + 0x93), PD + 0xfec /* 0xfec00000: the APICs */
	movl	$(FRAME + 3), PT
	movl	$0, FRAME
	mov	$page_fault, %eax
	mov	$14, %ebx
	call	gate
	mov	$flush, %eax
	mov	$0x40, %ebx
	call	gate
	mov	$trampoline, %esi
	mov	$TRAMPOLINE, %edi
	mov	$(trampoline_end - trampoline), %ecx
	rep movsb
	call	paging
	movl	$0x1ff, LAPIC + SVR /* software enable */
	movl	$INIT_ALL, LAPIC + ICR
	call	delay
	movl	$SIPI_ALL, LAPIC + ICR
	call	delay
	movl	$SIPI_ALL, LAPIC + ICR
2:	pause
	cmpl	$1, STARTED
	jne	2b

	mov	$1, %esi	/* the round */
	xor	%edi, %edi	/* shootdowns */
round:	test	$3, %esi
	jnz	3f
	movl	$0, PT		/* nothing there */
	call	shoot
	mov	FAULTS, %eax
1:	pause
	cmp	%eax, FAULTS
	je	1b
3:	mov	%esi, %ebx
	and	$1, %ebx
	shl	$12, %ebx
	mov	%esi, FRAME(%ebx)
	lea	FRAME + 3(%ebx), %eax
	mov	%eax, PT
	call	shoot
	xor	$0x1000, %ebx
	movl	$POISON, FRAME(%ebx)
4:	pause			/* the reader goes on with the new word */
	cmpl	$0, BAD
	jne	5f
	cmp	%esi, LAST
	jne	4b
	inc	%esi
	cmp	$(ROUNDS + 1), %esi
	jne	round
	mov	$0x10, %eax
	jmp	6f
5:	mov	$0x11, %eax
6:	out	%eax, $0xf4
	jmp	.

shoot:	invlpg	WINDOW
	inc	%edi
	movl	$FLUSH_ALL, LAPIC + ICR
1:	pause
	cmp	%edi, ACK
	jne	1b
	ret

gate:	mov	%ax, idt(, %ebx, 8)
	movw	$8, idt + 2(, %ebx, 8)
	movw	$0x8e00, idt + 4(, %ebx, 8)
	shr	$16, %eax
	mov	%ax, idt + 6(, %ebx, 8)
	ret

paging:	lidt	idtr
	mov	%cr4, %eax
	or	$0x10, %eax /* PSE */
	mov	%eax, %cr4
	mov	$PD, %eax
	mov	%eax, %cr3
	mov	%cr0, %eax
	or	$0x80010000, %eax /* PG, WP */
	mov	%eax, %cr0
	ret

delay:	mov	$100000, %ecx
1:	loop	1b
	ret

flush:	invlpg	WINDOW
	lock incl ACK
	movl	$0, LAPIC + EOI
	iret

page_fault:
	lock incl FAULTS
	add	$4, %esp
	iret

	.align	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdtr:	.word	gdtr - gdt - 1
	.long	gdt
idtr:	.word	0x7ff
	.long	idt

	.code16
trampoline:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	(gdtr16 - trampoline + TRAMPOLINE)
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$8, $protected
gdtr16:	.word	23
	.long	gdt
trampoline_end:
	.code32
protected:
	mov	$0x10, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$0x210000, %esp
	call	paging
	movl	$0x1ff, LAPIC + SVR
	sti
	movl	$1, STARTED
1:	mov	WINDOW, %eax
	cmp	$POISON, %eax
	je	2f
	mov	%eax, LAST
	jmp	1b
2:	movl	$1, BAD
	jmp	.

	.bss
	.align	8
idt:	.skip	0x800
	.section .note.GNU-stack, "", @progbits
