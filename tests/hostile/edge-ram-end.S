/* SPDX-License-Identifier: MIT */
/*
 * Jump to the first byte behind RAM.
 *
 * MUST: end the VM with a sentence.  Status 3.  (Run with -m 16.)
 */
#include "tests/hostile/hostile.h"

hostile:
	movl	$0x1000000, %eax
	jmp	*%eax
