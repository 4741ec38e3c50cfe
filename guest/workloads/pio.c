/* SPDX-License-Identifier: MIT */
/* One character on COM1: wait until there is room, and send it.  Each 64 are a line. */
#include "runtime/workload.h"

static uint32_t pio(uint32_t n)
{
	uint32_t sum = CHECKSUM_INIT;

	for (uint32_t i = 1; i <= n; i++) {
		char c = i == n || i % 64 == 0 ? '\n' : (char)('!' + sum % 94);

		putc(c);
		sum = checksum(sum, (uint8_t)c);
	}
	return sum;
}

const struct workload workload = { "pio", 4096, false, pio };
