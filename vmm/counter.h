/* SPDX-License-Identifier: MIT */
/*
 * Counters that one thread writes, without a lock, and others may read meanwhile.  What they read
 * is a value that the counter had; counters that belong together may be an event apart.  An
 * addition costs what a plain one does: with one writer it needs no locked instruction.
 */
#ifndef RINGSIDE_VMM_COUNTER_H
#define RINGSIDE_VMM_COUNTER_H

#include <stdint.h>

static inline uint64_t counter_read(const uint64_t *c)
{
	return __atomic_load_n(c, __ATOMIC_RELAXED);
}

static inline void counter_set(uint64_t *c, uint64_t val)
{
	__atomic_store_n(c, val, __ATOMIC_RELAXED);
}

static inline void counter_add(uint64_t *c, uint64_t n)
{
	counter_set(c, counter_read(c) + n);
}

#endif
