/* SPDX-License-Identifier: MIT */
/*
 * Jump to the last two bytes of the address space.
 *
 * MUST: end the VM with a sentence.  Status 3.  (Run with -m 16.)
 */
#include "tests/hostile/hostile.h"

hostile:
	movl	$0xfffffffe, %eax
	jmp	*%eax
