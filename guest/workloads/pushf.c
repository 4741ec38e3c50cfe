/* SPDX-License-Identifier: MIT */
/* One PUSHF; in the first half IF is set. */
#include "runtime/workload.h"

#define FLAGS 0x7202u /* NT, IOPL, IF, and bit 1, which is always 1 */

static uint32_t pushf(uint32_t n, uint32_t sum)
{
	while (n--) {
		uint32_t flags;

		__asm__ volatile("pushfl\n\tpopl %0" : "=r"(flags) : : "memory");
		sum = checksum(sum, flags & FLAGS);
	}
	return sum;
}

static uint32_t pushf_twice(uint32_t n)
{
	uint32_t sum;

	sti();
	sum = pushf(n / 2, CHECKSUM_INIT);
	cli();
	return pushf(n - n / 2, sum);
}

const struct workload workload = { "pushf", 20000, false, pushf_twice };
