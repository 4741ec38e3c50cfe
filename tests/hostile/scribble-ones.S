/* SPDX-License-Identifier: MIT */
/*
 * The share area full of ones.
 *
 * MUST: the VM is killed with a sentence, or hangs until --timeout; the VMM is unharmed.  Status 3 or 124.
 */
#define SCRIBBLE_NEXT movq $-1, %rax
#include "tests/hostile/scribble.h"
