/* SPDX-License-Identifier: MIT */
/* To ring 3 and back. */
#include "layout.h"

	.text
	.globl	ring_enter
	.type	ring_enter, @function
ring_enter:
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	20(%esp), %eax
	movl	%esp, kernel_esp
	movl	%eax, %esp
	popal
	iret
	.size	ring_enter, . - ring_enter

	.globl	ring_leave
	.type	ring_leave, @function
ring_leave:
	movl	kernel_esp, %esp	/* off the task's stack, for good */
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret				/* EAX is the task's */
	.size	ring_leave, . - ring_leave

	.bss
	.balign	4
kernel_esp:
	.skip	4
