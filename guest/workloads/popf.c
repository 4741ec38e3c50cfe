/* SPDX-License-Identifier: MIT */
/* One POPF, which sets or clears IF, and five flags that LAHF reads back. */
#include "runtime/workload.h"

#define FLAGS_ALWAYS 0x002u
#define FLAGS_LAHF   0x0d5u /* SF, ZF, AF, PF, CF */
#define FLAGS_IF     0x200u

static uint32_t popf(uint32_t n)
{
	uint32_t sum = CHECKSUM_INIT;

	while (n--) { /* the last one clears IF */
		uint32_t flags = FLAGS_ALWAYS | (n * 37 & FLAGS_LAHF) | (n & 1 ? FLAGS_IF : 0);
		uint32_t got;

		__asm__ volatile("pushl	%1\n\t"
				 "popfl\n\t"
				 "lahf"
				 : "=a"(got)
				 : "r"(flags)
				 : "memory", "cc");
		sum = checksum(sum, got >> 8 & FLAGS_LAHF);
	}
	return sum;
}

const struct workload workload = { "popf", 20000, false, popf };
