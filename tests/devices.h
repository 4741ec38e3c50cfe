/* SPDX-License-Identifier: MIT */
/* A bus, a clock driven by hand and one interrupt line, for tests of a single chip. */
#ifndef RINGSIDE_TESTS_DEVICES_H
#define RINGSIDE_TESTS_DEVICES_H

#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/timer.h"

struct bench {
	struct bus pio;
	struct timers timers;
	uint64_t now_ns;
	bool line;      /* level of the interrupt line */
	unsigned edges; /* how often it rose */
};

static inline uint64_t bench_clock(void *arg)
{
	return ((struct bench *)arg)->now_ns;
}

static inline void bench_set_line(void *arg, unsigned input, bool level)
{
	struct bench *b = arg;

	(void)input;
	b->edges += level && !b->line;
	b->line = level;
}

static inline void bench_init(struct bench *b)
{
	*b = (struct bench){ .now_ns = 1000000000 };
	bus_init(&b->pio, "pio");
	timers_init(&b->timers, bench_clock, b);
}

static inline struct irq_line bench_line(struct bench *b)
{
	return (struct irq_line){ .set = bench_set_line, .controller = b };
}

/* Let @ns pass, firing each timer at its own deadline. */
static inline void bench_advance(struct bench *b, uint64_t ns)
{
	uint64_t end = b->now_ns + ns;

	while (timers_next(&b->timers) <= end) {
		if (timers_next(&b->timers) > b->now_ns)
			b->now_ns = timers_next(&b->timers);
		timers_run(&b->timers, b->now_ns);
	}
	b->now_ns = end;
}

static inline uint8_t bench_in(struct bench *b, uint16_t port)
{
	return (uint8_t)bus_read(&b->pio, port, 1);
}

static inline void bench_out(struct bench *b, uint16_t port, uint8_t val)
{
	bus_write(&b->pio, port, 1, val);
}

#endif
