/* SPDX-License-Identifier: MIT */
/*
 * Page 0 of the share area, from which the mapper takes its orders: read-only in a world.
 *
 * MUST: the store faults and the VM is killed with a sentence.  Status 3.
 */
#define SCRIBBLE_AT WORLD_SHARE_ADDR
#define SCRIBBLE_LEN 4096
#define SCRIBBLE_NEXT movl $11, %eax
#include "tests/hostile/scribble.h"
