/* SPDX-License-Identifier: MIT */
/* One STI and one CLI. */
#include "runtime/workload.h"

static uint32_t cli_sti(uint32_t n)
{
	uint32_t sum = CHECKSUM_INIT;

	while (n--) {
		sti();
		sum = checksum(sum, n);
		cli();
	}
	return sum;
}

const struct workload workload = { "cli-sti", 20000, false, cli_sti };
