/* SPDX-License-Identifier: MIT */
/*
 * A register of the I/O APIC: selected, written, read back.  The redirection entry of pin 20, which
 * stays masked.  Source: Intel 82093AA data sheet, "I/O Redirection Table Registers" (3.2.4).
 */
#include "runtime/workload.h"

#define IOAPIC_SELECT (*(volatile uint32_t *)0xfec00000u)
#define IOAPIC_DATA   (*(volatile uint32_t *)0xfec00010u)
#define ENTRY_LOW     (0x10 + 2 * 20)
#define MASKED        0x10000u

static uint32_t mmio(uint32_t n)
{
	uint32_t sum = CHECKSUM_INIT;

	while (n--) {
		IOAPIC_SELECT = ENTRY_LOW;
		IOAPIC_DATA = MASKED | (0x20 + (n & 0x7f));
		sum = checksum(sum, IOAPIC_DATA);
	}
	return sum;
}

const struct workload workload = { "mmio", 5000, false, mmio };
