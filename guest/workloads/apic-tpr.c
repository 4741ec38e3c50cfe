/* SPDX-License-Identifier: MIT */
/* The local APIC's TPR written and read back. */
#include "runtime/workload.h"

static uint32_t apic_tpr(uint32_t n)
{
	uint32_t sum = CHECKSUM_INIT;

	lapic_init();
	while (n--) {
		LAPIC(TPR) = n & 0xff;
		sum = checksum(sum, LAPIC(TPR));
	}
	LAPIC(TPR) = 0;
	return sum;
}

const struct workload workload = { "apic-tpr", 10000, false, apic_tpr };
