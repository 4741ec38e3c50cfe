/* SPDX-License-Identifier: MIT */
/*
 * An exception whose frame is pushed where nothing is: on a PC the writes are lost and the handler
 * runs.
 *
 * MUST: run the handler.  Status 33.
 */
#include "tests/hostile/hostile.h"

hostile:
	GATE	3, handler
	movl	%esp, %ebp
	movl	$0xd0000010, %esp
	int3
	movl	%ebp, %esp
	FAIL
handler:
	movl	%esp, %eax
	movl	%ebp, %esp
	SAME	$0xd0000004, %eax
	PASS
