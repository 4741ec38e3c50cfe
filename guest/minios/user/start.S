/* SPDX-License-Identifier: MIT */
/* Where a program begins.  The kernel (exec.c) has put argc and argv on the stack. */
	.text
	.globl	_start
	.type	_start, @function
_start:
	call	main			/* argc and argv are its two arguments */
	pushl	%eax
	call	exit
	.size	_start, . - _start
