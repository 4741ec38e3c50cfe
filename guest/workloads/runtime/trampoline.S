/* SPDX-License-Identifier: MIT */
/*
 * Where the second CPU begins.  Source: SDM Vol. 3A, "MP Initialization Protocol Algorithm" (8.4.3).
 */
#include "../../runtime/start.inc"
#include "layout.h"

	real_mode_trampoline second
	.data
	flat_gdt

	.text
	.type	second, @function
second:
	flat_data
	movl	$stack + STACK_SIZE, %esp
	pushl	$0
	call	second_main		/* never returns */
	.size	second, . - second

	.bss
	.balign	16
stack:	.skip	STACK_SIZE
