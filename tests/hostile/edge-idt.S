/* SPDX-License-Identifier: MIT */
/*
 * A handler outside RAM.
 *
 * MUST: end the VM with a sentence.  Status 3.  (Run with -m 16.)
 */
#include "tests/hostile/hostile.h"

hostile:
	GATE	3, 0xd0000000
	int3
