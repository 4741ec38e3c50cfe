/* SPDX-License-Identifier: MIT */
/*
 * An endless loop in 64-bit mode, with nothing that faults.
 *
 * MUST: be ended by --timeout.  Status 124.
 */
#include "tests/hostile/far64.h"

hostile:
	FAR64
0:	jmp	0b
