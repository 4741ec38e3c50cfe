/* SPDX-License-Identifier: MIT */
/* One CPUID, leaf 1. */
#include "runtime/workload.h"

/* What every processor has that can run this: FPU, TSC, MSR, CX8, APIC. */
#define EVERY 0x00000331u

static uint32_t cpuid_1(uint32_t n)
{
	uint32_t sum = CHECKSUM_INIT;

	while (n--) {
		uint32_t r[4];

		cpuid(1, r);
		sum = checksum(sum, r[3] & EVERY);
	}
	return sum;
}

const struct workload workload = { "cpuid", 10000, false, cpuid_1 };
