/* SPDX-License-Identifier: MIT */
/*
 * A ticket lock that all processors fight for: the hard case for virtual processors, because the one
 * whose turn it is may be the one that the host has preempted, and nobody else can go before it.
 * The last character of the command line is the number of processors, 1 to 8.  Each takes the lock
 * ROUNDS times.  Exits through port 0xf4 with 0x10 if the count that the lock guards is right.
 */
#include "../runtime/start.inc"

#define COUNT	   0x180000
#define DONE	   0x180040
#define TICKET	   0x180080
#define SERVING	   0x1800c0
#define GUARDED	   0x180100 /* not touched atomically */
#ifndef ROUNDS
#define ROUNDS 500
#endif
#define INSIDE	   2000 /* loops with the lock held */
#define OUTSIDE	   1000 /* loops without */

	.code32
	.text
	multiboot_header 0
	.globl	_start
_start:
	mov	$0x200000, %esp
	mov	16(%ebx), %esi /* the command line */
	flat_segments
	movl	$0, COUNT
	movl	$0, DONE
	movl	$0, TICKET
	movl	$0, SERVING
	movl	$0, GUARDED
2:	lodsb
	test	%al, %al
	jz	3f
	mov	%al, %dl
	jmp	2b
3:	sub	$'0', %dl
	movzbl	%dl, %ebp
	start_others
	lea	-1(%ebp), %eax
4:	pause
	cmp	%eax, COUNT
	jne	4b
	call	fight
5:	pause
	cmp	%ebp, DONE
	jne	5b
	imul	$ROUNDS, %ebp
	mov	$0x10, %eax
	cmp	%ebp, GUARDED
	je	6f
	mov	$0x11, %eax
6:	out	%eax, $0xf4
	jmp	.

fight:	mov	$ROUNDS, %edi
1:	mov	$1, %eax
	lock xadd %eax, TICKET
2:	cmp	%eax, SERVING
	je	3f
	pause
	jmp	2b
3:	mov	$INSIDE, %ecx
4:	loop	4b
	incl	GUARDED
	incl	SERVING
	mov	$OUTSIDE, %ecx
5:	loop	5b
	dec	%edi
	jnz	1b
	lock incl DONE
	ret

other:	flat_data
	mov	$0x1000, %esp
	lock xadd %esp, stacks
	lock incl COUNT
	call	fight
1:	cli
	hlt
	jmp	1b

	real_mode_trampoline other
	.data
	flat_gdt
	.balign	64
stacks:	.long	0x211000
	.section .note.GNU-stack, "", @progbits
