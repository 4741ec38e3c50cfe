/* SPDX-License-Identifier: MIT */
/*
 * The Bochs/QEMU debug console: one port that prints whatever byte is written to it.
 * Source: Bochs documentation, "port_e9_hack"; QEMU isa-debugcon (reads return the port's number,
 * which is how a guest detects it).
 */
#include <stdlib.h>

#include "vmm/dev/devices.h"

#define DEBUGCON_PORT 0xe9

struct debugcon {
	void (*tx)(void *arg, uint8_t byte);
	void *arg;
};

static uint32_t debugcon_read(void *dev, uint64_t off, unsigned width)
{
	(void)dev, (void)off, (void)width;
	return DEBUGCON_PORT;
}

static void debugcon_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct debugcon *d = dev;

	(void)off, (void)width;
	if (d->tx)
		d->tx(d->arg, (uint8_t)val);
}

struct debugcon *debugcon_new(struct bus *pio, void (*tx)(void *arg, uint8_t byte), void *arg)
{
	struct debugcon *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->tx = tx;
	d->arg = arg;
	if (bus_add(pio, &(struct bus_range){ .name = "debugcon",
					      .base = DEBUGCON_PORT,
					      .len = 1,
					      .dev = d,
					      .read = debugcon_read,
					      .write = debugcon_write,
					      .split = 1 })) {
		free(d);
		return NULL;
	}
	return d;
}

void debugcon_free(struct debugcon *d)
{
	free(d);
}
