/* SPDX-License-Identifier: MIT */
/*
 * The exit port: any write ends the machine with status (value << 1) | 1, which is odd so that a
 * host failure (0 or even) is told from a guest's verdict.
 * Source: QEMU hw/misc/debugexit.c, device isa-debug-exit with iobase=0xf4, iosize=4.
 */
#include <stdlib.h>

#include "vmm/dev/devices.h"

#define EXITPORT_BASE 0xf4
#define EXITPORT_LEN  4

struct exitport {
	void (*done)(void *arg, uint32_t status);
	void *arg;
};

static uint32_t exitport_read(void *dev, uint64_t off, unsigned width)
{
	(void)dev, (void)off, (void)width;
	return 0;
}

static void exitport_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct exitport *x = dev;

	(void)off, (void)width;
	if (x->done)
		x->done(x->arg, (val << 1) | 1);
}

struct exitport *exitport_new(struct bus *pio, void (*done)(void *arg, uint32_t status), void *arg)
{
	struct exitport *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->done = done;
	x->arg = arg;
	if (bus_add(pio, &(struct bus_range){ .name = "exitport",
					      .base = EXITPORT_BASE,
					      .len = EXITPORT_LEN,
					      .dev = x,
					      .read = exitport_read,
					      .write = exitport_write })) {
		free(x);
		return NULL;
	}
	return x;
}

void exitport_free(struct exitport *x)
{
	free(x);
}
