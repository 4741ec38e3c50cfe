/* SPDX-License-Identifier: MIT */
/*
 * An instruction whose first byte is the last of RAM.
 *
 * MUST: end the VM with a sentence.  Status 3.  (Run with -m 16.)
 */
#include "tests/hostile/hostile.h"

hostile:
	movb	$0x0f, 0xffffff
	movl	$0xffffff, %eax
	jmp	*%eax
