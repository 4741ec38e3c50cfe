/* SPDX-License-Identifier: MIT */
/*
 * 256 entry points 16 bytes apart, one for each vector, all alike: make the stack look the same whether or not
 * the CPU pushed an error code, note the vector, save the registers and call C.
 *
 * The data segment registers are neither saved nor restored.  A trap from user mode loads DS and ES
 * with the one flat data segment that user and kernel may both use, since a program may have
 * put anything there; they simply stay loaded when it goes on.  A trap from the kernel finds them
 * right.  FS and GS are used by nobody but the self-checks.
 */
	.text
	.balign	16
	.globl	trap_stubs
	.type	trap_stubs, @function
trap_stubs:
	.set	vec, 0
	.rept	256
	.balign	16
	/* #DF #TS #NP #SS #GP #PF #AC push an error code: SDM Vol. 3A, table 6-1. */
	.if	!(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17)
	pushl	$0
	.endif
	pushl	$vec
	jmp	common
	.set	vec, vec + 1
	.endr

common:
	pushal
	cld
	testb	$3, 44(%esp)		/* frame.cs: which privilege level did we come from? */
	jz	1f
	movl	$0x2b, %eax		/* SEL_USER_DATA */
	movl	%eax, %ds
	movl	%eax, %es
1:	pushl	%esp			/* struct frame *, see minios.h */
	call	trap_dispatch
	addl	$4, %esp
	.globl	trap_return		/* a new process begins here, with a frame made by hand */
trap_return:
	popal
	addl	$8, %esp		/* vector and error code */
	iret
	.size	trap_stubs, . - trap_stubs
