/* SPDX-License-Identifier: MIT */
/* The counter of a local APIC's timer. */
#include "vmm/dev/lapic_count.h"

#define DIVIDE_BITS 0xbu /* of the divide configuration register */

/* Figure 10-10 "Divide Configuration Register": bits 3, 1, 0. */
uint32_t count_divisor(uint32_t divide)
{
	unsigned d = (divide & 3) | (divide & 8) >> 1;

	return d == 7 ? 1 : 2u << d;
}

/* How long one count lasts. */
static uint64_t unit_ns(const struct lapic_count *c)
{
	return (uint64_t)count_divisor(c->divide) * LAPIC_NS_PER_COUNT;
}

static uint64_t period_ns(const struct lapic_count *c)
{
	return c->initial * unit_ns(c);
}

void count_start(struct lapic_count *c, uint32_t initial, uint64_t now_ns)
{
	c->initial = initial;
	c->counting = initial != 0;
	if (c->counting)
		c->zero_ns = now_ns + period_ns(c);
}

uint32_t count_at(const struct lapic_count *c, uint64_t now_ns)
{
	uint64_t left;

	if (!c->counting || now_ns >= c->zero_ns)
		return 0;
	left = c->zero_ns - now_ns;
	/* Several periods may lie before the next interrupt. */
	left = (left - 1) % period_ns(c) + 1;
	return (uint32_t)((left + unit_ns(c) - 1) / unit_ns(c));
}

bool count_expire(struct lapic_count *c, bool periodic, uint64_t now_ns)
{
	uint64_t interval;

	if (!c->counting || now_ns < c->zero_ns)
		return false;
	interval = count_interval_ns(period_ns(c));
	if (periodic)
		c->zero_ns += ((now_ns - c->zero_ns) / interval + 1) * interval;
	else
		c->counting = false;
	return true;
}

void count_set_divide(struct lapic_count *c, uint32_t divide, uint64_t now_ns)
{
	uint32_t left = count_at(c, now_ns);

	c->divide = divide & DIVIDE_BITS;
	if (c->counting)
		c->zero_ns = now_ns + left * unit_ns(c);
}
