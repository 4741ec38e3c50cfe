/* SPDX-License-Identifier: MIT */
/*
 * Logical destinations: flat and cluster model.
 * Source: SDM Vol. 3A, "Logical Destination Mode" (10.6.2.2).
 */
#include "ipi.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static void ids(uint32_t dfr, const uint8_t *ldr)
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		lapic_write(cpu, DFR, dfr);
		lapic_write(cpu, LDR, (uint32_t)ldr[cpu] << 24);
	}
}

static void send(const char *model, uint32_t dfr, const uint8_t *ldr, unsigned dest)
{
	ids(dfr, ldr);
	send_ipi(LOGICAL | 0x51, dest);
	line(name("logical/%s/%02x", model, dest), "%s", who(0x51));
	all_quiet();
}

void cases_logical(void)
{
	static const uint8_t flat[] = { 0x01, 0x02, 0x04, 0x08 };
	static const uint8_t shared[] = { 0x81, 0x42, 0x81, 0x00 };
	static const uint8_t cluster[] = { 0x11, 0x12, 0x21, 0x28 };
	static const uint8_t to_flat[] = { 0x00, 0x01, 0x02, 0x04, 0x08, 0x03, 0x0c,
					   0x0a, 0x0f, 0x10, 0xf0, 0x18, 0xff };
	static const uint8_t to_shared[] = { 0x80, 0x01, 0x40, 0xc0, 0x3c, 0xff };
	static const uint8_t to_cluster[] = { 0x11, 0x12, 0x13, 0x1f, 0x21, 0x28, 0x2f,
					      0x29, 0x14, 0x31, 0x10, 0xf1, 0xf2, 0xff };

	cpus_start();
	all_quiet();
	for (unsigned i = 0; i < LENGTH(to_flat); i++)
		send("flat", 0xffffffff, flat, to_flat[i]);
	for (unsigned i = 0; i < LENGTH(to_shared); i++)
		send("flat shared", 0xffffffff, shared, to_shared[i]);
	for (unsigned i = 0; i < LENGTH(to_cluster); i++)
		send("cluster", 0x0fffffff, cluster, to_cluster[i]);
	/* Shorthands do not ask for it, nor does the physical mode. */
	ids(0x0fffffff, cluster);
	send_ipi(TO_ALL | LOGICAL | 0x51, 0);
	line("logical/cluster/shorthand all", "%s", who(0x51));
	all_quiet();
	ids(0x0fffffff, cluster);
	send_ipi(0x51, 2);
	line("logical/cluster/physical 2", "%s", who(0x51));
	all_quiet();
	/* Software-disabled ones are still named, and take nothing. */
	lapic_write(1, SVR, 0xff);
	send("flat, 1 is off", 0xffffffff, flat, 0x0f);
}
