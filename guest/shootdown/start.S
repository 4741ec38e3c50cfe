/* SPDX-License-Identifier: MIT */
/*
 * TLB shootdown.  The second processor reads a word through a window all the time.  The first maps
 * the window to the other of two frames (or, every fourth time, to nothing at all), tells the second
 * by an interrupt, whose handler does INVLPG and acknowledges, and then writes POISON into the frame
 * that was mapped before.  Exits through port 0xf4: 0x10 if the reader never saw POISON, saw each
 * round's word, and had its page fault when there was nothing; 0x11 if it saw POISON.
 * Source: Intel SDM Vol. 3A, "Propagation of Paging-Structure Changes to Multiple Processors" (4.10.5).
 */
#include "../runtime/start.inc"

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
#define FLUSH	   0x40 /* the vector */

	.code32
	.text
	multiboot_header 0
	.globl	_start
_start:
	mov	$0x200000, %esp
	flat_segments
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
	gate	14, page_fault
	gate	FLUSH, flush
	call	paging
	start_others
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
	movl	$(ICR_OTHERS | ICR_ASSERT | FLUSH), LAPIC_BASE + ICR_LOW
1:	pause
	cmp	%edi, ACK
	jne	1b
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

flush:	invlpg	WINDOW
	lock incl ACK
	movl	$0, LAPIC_BASE + EOI
	iret

page_fault:
	lock incl FAULTS
	add	$4, %esp
	iret

/* The second one. */
other:	flat_data
	mov	$0x210000, %esp
	call	paging
	movl	$(SVR_ENABLE | 0xff), LAPIC_BASE + SVR
	sti
	movl	$1, STARTED
1:	mov	WINDOW, %eax
	cmp	$POISON, %eax
	je	2f
	mov	%eax, LAST
	jmp	1b
2:	movl	$1, BAD
	jmp	.

	real_mode_trampoline other
	.data
	flat_gdt
idtr:	.word	0x7ff
	.long	idt

	.bss
	.align	8
idt:	.skip	0x800
	.section .note.GNU-stack, "", @progbits
