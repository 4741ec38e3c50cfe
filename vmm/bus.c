/* SPDX-License-Identifier: MIT */
#include "vmm/bus.h"

#include <errno.h>
#include <string.h>

static uint32_t width_mask(unsigned width)
{
	return width >= 4 ? UINT32_MAX : (1u << (8 * width)) - 1;
}

void bus_init(struct bus *b, const char *name)
{
	memset(b, 0, sizeof(*b));
	b->name = name;
}

int bus_add(struct bus *b, const struct bus_range *r)
{
	/* The last byte may be the last of the address space, so compare ends inclusively. */
	uint64_t last = r->base + r->len - 1;

	if (r->len == 0 || last < r->base)
		return -EINVAL;
	for (size_t i = 0; i < b->count; i++) {
		const struct bus_range *o = &b->range[i];

		if (r->base <= o->base + o->len - 1 && o->base <= last)
			return -EEXIST;
	}
	if (b->count == BUS_RANGES_MAX)
		return -ENOSPC;
	b->range[b->count] = *r;
	b->range[b->count].reads = b->range[b->count].writes = 0;
	b->count++;
	return 0;
}

struct bus_range *bus_find(struct bus *b, uint64_t addr)
{
	/* A PC has a dozen ranges: a scan costs less than the trap that brought us here by far. */
	for (size_t i = 0; i < b->count; i++) {
		if (addr - b->range[i].base < b->range[i].len)
			return &b->range[i];
	}
	return NULL;
}

/* The range that holds all of [addr, addr + width), or NULL. */
static struct bus_range *find_access(struct bus *b, uint64_t addr, unsigned width)
{
	struct bus_range *r = bus_find(b, addr);

	if (!r || width > r->len || addr - r->base > r->len - width)
		return NULL;
	return r;
}

/* The account's line for @addr; NULL when the list is full (the totals still count). */
static struct bus_unclaimed *unclaimed_at(struct bus *b, uint64_t addr)
{
	for (size_t i = 0; i < b->unclaimed_count; i++) {
		if (b->unclaimed[i].addr == addr)
			return &b->unclaimed[i];
	}
	if (b->unclaimed_count == BUS_UNCLAIMED_MAX)
		return NULL;
	b->unclaimed[b->unclaimed_count] = (struct bus_unclaimed){ .addr = addr };
	return &b->unclaimed[b->unclaimed_count++];
}

uint32_t bus_read(struct bus *b, uint64_t addr, unsigned width)
{
	struct bus_range *r = find_access(b, addr, width);
	uint32_t val = 0;

	if (!r) {
		struct bus_unclaimed *u = unclaimed_at(b, addr);

		b->unclaimed_reads++;
		if (u)
			u->reads++;
		return width_mask(width);
	}
	r->reads++;
	if (!r->read)
		return width_mask(width);
	if (!r->split || width <= r->split)
		return r->read(r->dev, addr - r->base, width) & width_mask(width);
	for (unsigned i = 0; i < width; i += r->split)
		val |= (r->read(r->dev, addr - r->base + i, r->split) & width_mask(r->split))
		       << (8 * i);
	return val;
}

void bus_write(struct bus *b, uint64_t addr, unsigned width, uint32_t val)
{
	struct bus_range *r = find_access(b, addr, width);

	if (!r) {
		struct bus_unclaimed *u = unclaimed_at(b, addr);

		b->unclaimed_writes++;
		if (u)
			u->writes++;
		return;
	}
	r->writes++;
	if (!r->write)
		return;
	if (!r->split || width <= r->split) {
		r->write(r->dev, addr - r->base, width, val & width_mask(width));
		return;
	}
	for (unsigned i = 0; i < width; i += r->split)
		r->write(r->dev, addr - r->base + i, r->split,
			 (val >> (8 * i)) & width_mask(r->split));
}
