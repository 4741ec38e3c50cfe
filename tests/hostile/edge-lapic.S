/* SPDX-License-Identifier: MIT */
/*
 * Jump into the registers of the local APIC.
 *
 * MUST: end the VM with a sentence.  Status 3.  (Run with -m 16.)
 */
#include "tests/hostile/hostile.h"

hostile:
	movl	$0xfee00000, %eax
	jmp	*%eax
