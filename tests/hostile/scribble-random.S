/* SPDX-License-Identifier: MIT */
/*
 * The share area full of pseudo-random bits: a 64-bit multiplicative generator.
 *
 * MUST: the VM is killed with a sentence, or hangs until --timeout; the VMM is unharmed.  Status 3 or 124.
 */
#define SCRIBBLE_NEXT movabsq $0x5851f42d4c957f2d, %rdx; imulq %rdx, %rax; incq %rax
#include "tests/hostile/scribble.h"
