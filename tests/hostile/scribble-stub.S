/* SPDX-License-Identifier: MIT */
/*
 * The code of the world stub itself.
 *
 * MUST: the store faults and the VM is killed with a sentence.  Status 3.
 */
#define SCRIBBLE_AT (WORLD_STUB_ADDR + 0x1000)
#define SCRIBBLE_LEN 4096
#define SCRIBBLE_NEXT movq $-1, %rax
#include "tests/hostile/scribble.h"
