/* SPDX-License-Identifier: MIT */
/* The host's time-stamp counter as a clock. */
#ifndef RINGSIDE_VMM_TSC_H
#define RINGSIDE_VMM_TSC_H

#include <stdint.h>

static inline uint64_t tsc_read(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* Ticks per second, measured against CLOCK_MONOTONIC once (about 2 ms the first time). Thread-safe.
 */
uint64_t tsc_hz(void);
uint64_t tsc_to_ns(uint64_t ticks);
uint64_t tsc_from_ns(uint64_t ns);
/* CLOCK_MONOTONIC now. */
uint64_t host_ns(void);

#endif
