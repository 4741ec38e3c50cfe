/* SPDX-License-Identifier: MIT */
/*
 * Lets Criterion run under ThreadSanitizer.  Linked into the tests by `make tsan` only.
 *
 * Criterion's BoxFort passes data to the process of a test in an arena that must be at the same
 * address in both, so it maps it MAP_FIXED at 0x200000000000 + (rand_r() % 2^22 << 24), wherever
 * nothing is (BoxFort, src/arena.c, bxf_arena_init).  Most of that is where ThreadSanitizer keeps
 * its shadow, or may in no way be the program's, so that its mmap refuses; Criterion then ends with
 * "Could not initialize inheritable arena" or a null pointer.  That is no matter of address space
 * randomization (setarch -R changes nothing): the range is hard-coded on both sides.  But the
 * number is asked of rand_r(), and ours answers so that the arena lies where ThreadSanitizer has
 * position-independent programs: from 0x550000000000 to 0x568000000000 (compiler-rt,
 * tsan_platform.h, "MappingX86_64", kMidAppMem), below where Linux puts them (0x555555554000).
 */
#include <stdlib.h>

int rand_r(unsigned *seed)
{
	return (int)(0x352000 + ((*seed)++ & 0xfff));
}
