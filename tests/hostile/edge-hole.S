/* SPDX-License-Identifier: MIT */
/*
 * Jump into the hole between RAM and the devices.
 *
 * MUST: end the VM with a sentence.  Status 3.  (Run with -m 16.)
 */
#include "tests/hostile/hostile.h"

hostile:
	movl	$0xd0000000, %eax
	jmp	*%eax
