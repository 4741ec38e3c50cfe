/* SPDX-License-Identifier: MIT */
/*
 * An address space of devices: one for I/O ports, one for memory-mapped I/O.  A device registers
 * ranges; the emulator reads and writes.  Same handler signature for both.
 */
#ifndef RINGSIDE_VMM_BUS_H
#define RINGSIDE_VMM_BUS_H

#include <stddef.h>
#include <stdint.h>

#define BUS_RANGES_MAX    64
#define BUS_UNCLAIMED_MAX 32

struct bus_range {
	const char *name; /* for the account, e.g. "uart0" */
	uint64_t base, len;
	void *dev;
	/* @off is relative to @base, @width 1, 2 or 4 bytes.  Under the VM's device lock. */
	uint32_t (*read)(void *dev, uint64_t off, unsigned width);
	void (*write)(void *dev, uint64_t off, unsigned width, uint32_t val);
	uint64_t reads, writes; /* for the account */
	/*
	 * 0: the device takes every width.  1 or 2: an 8- or 16-bit ISA device; the bus splits a
	 * wider access into cycles of this width at rising addresses, low byte first, as the PC's
	 * bus does.
	 */
	unsigned split;
};

/* An address nobody claimed, and how often it was touched (shown in the account). */
struct bus_unclaimed {
	uint64_t addr;
	uint64_t reads, writes;
};

struct bus {
	const char *name; /* "pio" or "mmio" */
	struct bus_range range[BUS_RANGES_MAX];
	size_t count;
	struct bus_unclaimed unclaimed[BUS_UNCLAIMED_MAX];
	size_t unclaimed_count;
	uint64_t unclaimed_reads, unclaimed_writes; /* totals, also of those not listed */
};

void bus_init(struct bus *b, const char *name);
/* Returns 0, -EEXIST if the range overlaps one already there, -ENOSPC, -EINVAL for len 0 or wrap.
 */
int bus_add(struct bus *b, const struct bus_range *r);
/* Unclaimed: all ones of @width, counted.  An access that straddles a range's end is unclaimed. */
uint32_t bus_read(struct bus *b, uint64_t addr, unsigned width);
/* Unclaimed: ignored, counted. */
void bus_write(struct bus *b, uint64_t addr, unsigned width, uint32_t val);
/* The range that holds @addr, or NULL. */
struct bus_range *bus_find(struct bus *b, uint64_t addr);

#endif
