/* SPDX-License-Identifier: MIT */
/*
 * Scheduler activations without an operating system: two processors register a page and a vector,
 * then
 *   - the second says that it is idle, the first wants it again, and it is added;
 *   - they pass a turn to and fro by yielding to each other, TURNS times;
 *   - the first looks whether the ring of events has no gap.
 * Exits through port 0xf4 with 0x10, or with a number below that says what was wrong.
 */
#include "../runtime/start.inc"

#define PAGE	   0x280000
#define ONLINE	   0x180000
#define UPCALLS	   0x180040 /* by processor, 4 bytes each */
#define IDLED	   0x180080 /* the second one's turns through its idle loop */
#define TURN	   0x1800c0 /* whose */
#define PLAY	   0x180100 /* the second one shall play */
#define TURNS	   50
#define VECTOR	   0x60
/* ../../vmm/activations_abi.h; tests/activations_run.c compares. */
#define MSR_PAGE   0x52530000
#define MSR_UPCALL 0x52530001
#define MSR_WANT   0x52530002
#define MSR_IDLE   0x52530003
#define MSR_YIELD  0x52530004
#define ADDED	   1
#define RESUMED	   3
#define BLOCKED	   4
#define IDLE	   4 /* the state */
#define HEAD	   (PAGE + 8)
#define STATE(n)   (PAGE + 64 + 128 * (n) + 4)
#define EVENT	   (PAGE + 2048)

	.code32
	.text
	multiboot_header 0
	.globl	_start
_start:
	mov	$0x200000, %esp
	flat_segments
	mov	$0x180000, %edi
	mov	$0x100, %ecx
	xor	%eax, %eax
	rep stosl
	gate	VECTOR, handler		/* the only one */
	lidt	idtr
	movl	$(SVR_ENABLE | 0xff), LAPIC_BASE + SVR

	mov	$1, %esi		/* 1: the leaf is not there */
	mov	$0x40000001, %eax
	cpuid
	test	$1, %eax
	jz	bad
	mov	$2, %esi		/* 2: wanted is not what there is */
	mov	$MSR_UPCALL, %ecx
	mov	$(VECTOR | 0x100 << ADDED | 0x100 << RESUMED), %eax
	xor	%edx, %edx
	wrmsr
	mov	$MSR_PAGE, %ecx
	mov	$(PAGE | 1), %eax
	wrmsr
	mov	$MSR_WANT, %ecx
	rdmsr
	cmp	$1, %eax		/* the other waits for its start-up interrupt */
	jne	bad

	start_others
2:	pause
	cmpl	$IDLE, STATE(1)
	jne	2b

	mov	$3, %esi		/* 3: somebody who is idle counts */
	mov	$MSR_WANT, %ecx
	rdmsr
	cmp	$1, %eax
	jne	bad
	mov	$4, %esi		/* 4: it idled only once so far */
	cmpl	$0, IDLED
	jne	bad
	movl	$1, PLAY
	mov	$2, %eax
	xor	%edx, %edx
	wrmsr
3:	pause
	cmpl	$1, IDLED
	jne	3b
	mov	$5, %esi		/* 5: it was not interrupted */
	cmpl	$0, UPCALLS + 4
	je	bad
	mov	$6, %esi		/* 6: it still counts as idle */
	mov	$MSR_WANT, %ecx
	rdmsr
	cmp	$2, %eax
	jne	bad

	mov	$TURNS, %ebp
4:	movl	$1, TURN
5:	mov	$MSR_YIELD, %ecx
	mov	$1, %eax
	xor	%edx, %edx
	wrmsr
	cmpl	$0, TURN
	jne	5b
	dec	%ebp
	jnz	4b

	mov	$7, %esi		/* 7: the last events, 32 at most, are not all there */
	mov	HEAD, %edi
	mov	$32, %ecx
	cmp	%ecx, %edi
	jae	6f
	mov	%edi, %ecx
6:	lea	-1(%edi), %eax
	and	$63, %eax
	shl	$5, %eax
	cmp	%edi, EVENT(%eax)
	jne	bad
	dec	%edi
	loop	6b
	mov	$8, %esi		/* 8: off, and still written */
	mov	$MSR_PAGE, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	movl	$0xdeadbeef, HEAD
	mov	$MSR_YIELD, %ecx
	mov	$1, %eax
	wrmsr
	wrmsr
	wrmsr
	cmpl	$0xdeadbeef, HEAD
	jne	bad
	mov	$0x10, %esi
bad:	mov	%esi, %eax
	out	%al, $0xf4
	jmp	.

/* The second one. */
other:
	flat_data
	mov	$0x210000, %esp
	lidt	idtr
	movl	$(SVR_ENABLE | 0xff), LAPIC_BASE + SVR
	movl	$1, ONLINE
7:	mov	$MSR_IDLE, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	sti
	wrmsr
	cli
	cmpl	$0, PLAY		/* an interrupt of its own going to sleep */
	je	7b
	lock incl IDLED
8:	cmpl	$1, TURN
	jne	9f
	movl	$0, TURN
9:	mov	$MSR_YIELD, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	jmp	8b

handler:
	push	%eax
	mov	LAPIC_BASE + LAPIC_ID, %eax
	shr	$24, %eax
	lock incl UPCALLS(, %eax, 4)
	movl	$0, LAPIC_BASE + EOI
	pop	%eax
	iret

	real_mode_trampoline other
	.data
	flat_gdt
idtr:	.word	8 * 256 - 1
	.long	idt

	.bss
	.align	8
idt:	.space	8 * 256
	.section .note.GNU-stack, "", @progbits
