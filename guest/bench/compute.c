/* SPDX-License-Identifier: MIT */
/*
 * The compute loop: a hash carried through a buffer, with a load, a multiplication and a store for
 * each word.  One function without references to anything else, so the very same bytes run in the
 * guest's kernel, in its user mode, and natively in bench/paging.c, which takes them out of the
 * image by the name of the symbol.
 */
#include "bench.h"

__attribute__((section(".compute"), noinline)) uint32_t compute(uint32_t *buf, uint32_t words,
								uint32_t rounds)
{
	uint32_t h = 2166136261u;

	while (rounds--)
		for (uint32_t i = 0; i < words; i++) {
			h = (h ^ buf[i]) * 16777619u;
			h ^= h >> 15;
			buf[i] = h;
		}
	return h;
}
