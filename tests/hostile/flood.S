/* SPDX-License-Identifier: MIT */
/*
 * A million traps.
 *
 * MUST: take them all, in bounded memory and time.  Status 33.
 */
#include "tests/hostile/hostile.h"

hostile:
	movl	$1000000, %ecx
0:	cli
	decl	%ecx
	jnz	0b
	PASS
