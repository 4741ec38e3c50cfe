/* SPDX-License-Identifier: MIT */
/*
 * 256 entry points 16 bytes apart, one for each vector, all alike: make the stack look the same whether or not
 * the CPU pushed an error code, note the vector, save the registers and call C.
 *
 * The segment registers are not saved: the kernel has one flat code and one flat data segment,
 * there is no user mode yet, and the C code uses neither FS nor GS, the only registers that the
 * self-checks point elsewhere.
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
	pushl	%esp			/* struct frame *, see minios.h */
	call	trap_dispatch
	addl	$4, %esp
	popal
	addl	$8, %esp		/* vector and error code */
	iret
	.size	trap_stubs, . - trap_stubs
