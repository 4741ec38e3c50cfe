/* SPDX-License-Identifier: MIT */
/* One write to the local APIC's EOI register, with nothing in service: it has no effect. */
#include "runtime/workload.h"

static uint32_t apic_eoi(uint32_t n)
{
	uint32_t sum = CHECKSUM_INIT;

	lapic_init();
	while (n--) {
		LAPIC(EOI) = 0;
		sum = checksum(sum, n);
	}
	return sum;
}

const struct workload workload = { "apic-eoi", 20000, false, apic_eoi };
