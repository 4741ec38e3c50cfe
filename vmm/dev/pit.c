/* SPDX-License-Identifier: MIT */
/*
 * Intel 8254 programmable interval timer and the PC's port 0x61.
 * Source: Intel 8254 data sheet (231164-005); IBM PC/AT Technical Reference for port 0x61.
 *
 * Counters are not counted: the value is computed from the clock when it is read, in whole ticks
 * of 1193182 Hz since the epoch of the VM's clock, so that nothing drifts.  Only channel 0 has an
 * observer of its output, IRQ 0, and only there a vtimer is armed for the next rising edge.
 *
 * Until the guest programs channel 0 it counts as a BIOS leaves it (mode 3, 65536) but without
 * interrupts: an idle VM is not woken 18 times a second for a guest that never asked.
 * A rate above 50 kHz gives an edge only every n-th period (see PIT_MIN_EDGE_TICKS), and periods
 * missed are merged into one edge, as they merge in the interrupt controller's latch.
 */
#include <stdlib.h>

#include "vmm/dev/devices.h"

#define PIT_HZ      1193182u
#define PIT_BASE    0x40
#define PORT_B      0x61
#define PIT_CONTROL 3

/* About 20 us: the guest cannot have the host do nothing but fire its timer. */
#define PIT_MIN_EDGE_TICKS 24u
/* DRAM refresh, channel 1: a cycle every 15.085 us; bit 4 of port 0x61 toggles with each. */
#define REFRESH_NS 15085u

#define PORT_B_GATE2   0x01
#define PORT_B_SPEAKER 0x02
#define PORT_B_RW      0x0f
#define PORT_B_REFRESH 0x10
#define PORT_B_OUT2    0x20

enum pit_rw { RW_LATCH = 0, RW_LOW = 1, RW_HIGH = 2, RW_LOW_HIGH = 3 };

struct pit_channel {
	uint8_t mode; /* 0-5 */
	enum pit_rw rw;
	bool bcd;
	bool gate;
	bool written;    /* a count was written since the control word */
	bool loaded;     /* a count is in the counting element: it counts */
	uint32_t count;  /* 1-65536 (10000 in BCD) in the counting element */
	uint32_t reload; /* in the count register; goes into the element at a reload */
	uint64_t start;  /* tick at which @count was loaded */
	uint64_t held;   /* gate low: ticks counted before */
	bool null_count; /* the count register is newer than the element */
	bool write_second, read_second; /* RW_LOW_HIGH: which byte is next */
	uint8_t write_low;
	bool count_latched, status_latched;
	uint16_t latch;
	uint8_t status;
};

struct pit {
	struct pit_channel ch[3];
	struct irq_line irq0;
	struct timers *timers;
	struct vtimer timer;
	uint8_t port_b;
	bool irq_wanted; /* the guest has programmed channel 0 */
};

static uint64_t ns_to_ticks(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * PIT_HZ / 1000000000u);
}

/* The first ns at which ns_to_ticks() gives @ticks. */
static uint64_t ticks_to_ns(uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * 1000000000u + PIT_HZ - 1) / PIT_HZ);
}

static uint64_t pit_now(const struct pit *p)
{
	return ns_to_ticks(timers_now(p->timers));
}

static bool periodic(const struct pit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

static uint32_t modulus(const struct pit_channel *c)
{
	return c->bcd ? 10000 : 65536;
}

/* Counts of BCD nibbles; what is not decimal is taken at its weight, as the chip leaves it open. */
static uint32_t from_bcd(uint32_t v)
{
	return (v >> 12 & 15) * 1000 + (v >> 8 & 15) * 100 + (v >> 4 & 15) * 10 + (v & 15);
}

static uint16_t to_bcd(uint32_t v)
{
	return (uint16_t)((v / 1000 % 10) << 12 | (v / 100 % 10) << 8 | (v / 10 % 10) << 4 |
			  v % 10);
}

static void channel_load(struct pit_channel *c, uint64_t tick)
{
	c->count = c->reload;
	c->start = tick;
	c->held = 0;
	c->loaded = true;
	c->null_count = false;
}

/* "A new count does not affect the current cycle": modes 2 and 3 take it when one ends. */
static void channel_sync(struct pit_channel *c, uint64_t tick)
{
	if (!c->loaded || !c->null_count || !periodic(c) || !c->gate)
		return;
	if (tick - c->start >= c->count)
		channel_load(c, c->start + (tick - c->start) / c->count * c->count);
}

/* Ticks counted since the load.  The gate stops it in all modes but 1 and 5, which it triggers. */
static uint64_t elapsed(const struct pit_channel *c, uint64_t tick)
{
	if (!c->gate && c->mode != 1 && c->mode != 5)
		return c->held;
	return tick - c->start;
}

/* The counting element (binary, 0 for 65536). */
static uint16_t channel_value(struct pit_channel *c, uint64_t tick)
{
	uint64_t d;
	uint32_t v;

	channel_sync(c, tick);
	d = elapsed(c, tick);
	if (!c->loaded)
		v = c->count;
	else if (c->mode == 2)
		v = c->count - (uint32_t)(d % c->count);
	else if (c->mode == 3) /* by twos, twice a period */
		v = (c->count & ~1u) - (uint32_t)(2 * d % c->count & ~1ull);
	else
		v = (c->count + modulus(c) - (uint32_t)(d % modulus(c))) % modulus(c);
	v %= modulus(c);
	return c->bcd ? to_bcd(v) : (uint16_t)v;
}

/* The OUT pin; data sheet, "Mode Definitions". */
static bool channel_out(struct pit_channel *c, uint64_t tick)
{
	uint64_t d;

	channel_sync(c, tick);
	if (!c->loaded)
		return c->mode != 0;
	d = elapsed(c, tick);
	switch (c->mode) {
	case 0:
	case 1: return d >= c->count;
	case 2: return !c->gate || d % c->count != c->count - 1;
	case 3: return !c->gate || d % c->count < (c->count + 1) / 2;
	default: return d != c->count;
	}
}

/* Tick of the next rising edge of OUT after @tick, or TIMER_NEVER. */
static uint64_t next_edge(struct pit_channel *c, uint64_t tick)
{
	uint64_t d, step, edge;

	channel_sync(c, tick);
	if (!c->loaded)
		return TIMER_NEVER;
	d = tick - c->start;
	switch (c->mode) {
	case 0: edge = c->start + c->count; return edge > tick ? edge : TIMER_NEVER;
	case 4: /* the strobe is low for one clock */
		edge = c->start + c->count + 1;
		return edge > tick ? edge : TIMER_NEVER;
	case 2:
	case 3:
		/* The end of this period, if another count waits for it; else perhaps a later one.
		 */
		step = c->count;
		if (!c->null_count && step < PIT_MIN_EDGE_TICKS)
			step = (PIT_MIN_EDGE_TICKS + step - 1) / step * step;
		return c->start + (d / step + 1) * step;
	default: return TIMER_NEVER; /* 1 and 5 wait for a gate edge, and the gate is tied high */
	}
}

static void pit_arm(struct pit *p, uint64_t tick)
{
	uint64_t edge = p->irq_wanted ? next_edge(&p->ch[0], tick) : TIMER_NEVER;

	timer_set(p->timers, &p->timer, edge == TIMER_NEVER ? TIMER_NEVER : ticks_to_ns(edge));
}

static void pit_fire(void *arg, uint64_t now_ns)
{
	struct pit *p = arg;
	uint64_t tick = ns_to_ticks(now_ns);

	/* A pulse: OUT fell some time before, and rises now. */
	irq_set(&p->irq0, false);
	irq_set(&p->irq0, true);
	pit_arm(p, tick);
}

/* The guest did something to channel 0: the line shows OUT, and the next edge is another. */
static void pit_update_irq(struct pit *p, uint64_t tick)
{
	irq_set(&p->irq0, channel_out(&p->ch[0], tick));
	pit_arm(p, tick);
}

static void channel_write_count(struct pit_channel *c, uint16_t raw, uint64_t tick)
{
	uint32_t count = c->bcd ? from_bcd(raw) : raw;

	channel_sync(c, tick);
	c->reload = count ? count : modulus(c); /* 0 is the largest count */
	c->null_count = true;
	c->written = true;
	if (c->mode == 1 || c->mode == 5)
		return; /* loaded by the next gate trigger */
	if (periodic(c) && c->loaded)
		return; /* at the end of the period */
	channel_load(c, tick);
	if (!c->gate)
		c->held = 0;
}

static void channel_write(struct pit_channel *c, uint8_t val, uint64_t tick)
{
	switch (c->rw) {
	case RW_LOW: channel_write_count(c, val, tick); break;
	case RW_HIGH: channel_write_count(c, (uint16_t)(val << 8), tick); break;
	default:
		if (!c->write_second) {
			c->write_low = val;
			/* Mode 0: "writing the first byte disables counting; OUT is set low". */
			if (c->mode == 0)
				c->loaded = false;
		} else {
			channel_write_count(c, (uint16_t)(c->write_low | val << 8), tick);
		}
		c->write_second = !c->write_second;
		break;
	}
}

static uint8_t channel_read(struct pit_channel *c, uint64_t tick)
{
	uint16_t v;
	bool high;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	high = c->rw == RW_HIGH || (c->rw == RW_LOW_HIGH && c->read_second);
	v = c->count_latched ? c->latch : channel_value(c, tick);
	if (c->rw == RW_LOW_HIGH)
		c->read_second = !c->read_second;
	/* The latch holds until it has been read in full. */
	if (c->rw != RW_LOW_HIGH || high)
		c->count_latched = false;
	return (uint8_t)(high ? v >> 8 : v);
}

static void channel_latch_count(struct pit_channel *c, uint64_t tick)
{
	if (c->count_latched)
		return; /* "the counter latch command is ignored" until the first is read */
	c->latch = channel_value(c, tick);
	c->count_latched = true;
}

static void channel_latch_status(struct pit_channel *c, uint64_t tick)
{
	if (c->status_latched)
		return;
	c->status = (uint8_t)((channel_out(c, tick) ? 0x80 : 0) | (c->null_count ? 0x40 : 0) |
			      (unsigned)c->rw << 4 | (unsigned)c->mode << 1 | c->bcd);
	c->status_latched = true;
}

/* "Read-Back Command": bits 5 and 4 low latch count and status of the channels in bits 3:1. */
static void pit_read_back(struct pit *p, uint8_t val, uint64_t tick)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(val & 2u << i))
			continue;
		if (!(val & 0x20))
			channel_latch_count(&p->ch[i], tick);
		if (!(val & 0x10))
			channel_latch_status(&p->ch[i], tick);
	}
}

static void pit_control(struct pit *p, uint8_t val, uint64_t tick)
{
	unsigned select = val >> 6;
	struct pit_channel *c;

	if (select == 3) {
		pit_read_back(p, val, tick);
		return;
	}
	c = &p->ch[select];
	if (!(val & 0x30)) {
		channel_latch_count(c, tick);
		return;
	}
	c->rw = (enum pit_rw)(val >> 4 & 3);
	c->mode = val >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4; /* bit 2 of the mode is "don't care" for 2 and 3 */
	c->bcd = val & 1;
	c->written = c->loaded = false;
	c->null_count = true;
	c->held = 0;
	c->write_second = c->read_second = false;
	c->count_latched = c->status_latched = false;
	if (select == 0)
		p->irq_wanted = true;
}

static void pit_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct pit *p = dev;
	uint64_t tick = pit_now(p);

	(void)width;
	if (off == PIT_CONTROL)
		pit_control(p, (uint8_t)val, tick);
	else
		channel_write(&p->ch[off % 3], (uint8_t)val, tick);
	/* Latching must not disturb the line between two edges that the vtimer makes. */
	if (off == 0 || (off == PIT_CONTROL && val < 0x40 && (val & 0x30)))
		pit_update_irq(p, tick);
}

static uint32_t pit_read(void *dev, uint64_t off, unsigned width)
{
	struct pit *p = dev;

	(void)width;
	if (off == PIT_CONTROL)
		return 0xff; /* the control word cannot be read */
	return channel_read(&p->ch[off % 3], pit_now(p));
}

static void channel_set_gate(struct pit_channel *c, bool gate, uint64_t tick)
{
	if (gate == c->gate)
		return;
	channel_sync(c, tick);
	if (!gate) {
		c->held = tick - c->start;
		c->gate = false;
		return;
	}
	c->gate = true;
	if (c->mode == 0 || c->mode == 4)
		c->start = tick - c->held; /* goes on */
	else if (c->written)
		channel_load(c, tick); /* a trigger: starts over */
}

static void port_b_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct pit *p = dev;

	(void)off, (void)width;
	p->port_b = (uint8_t)val & PORT_B_RW;
	channel_set_gate(&p->ch[2], val & PORT_B_GATE2, pit_now(p));
}

static uint32_t port_b_read(void *dev, uint64_t off, unsigned width)
{
	struct pit *p = dev;
	uint8_t val = p->port_b;

	(void)off, (void)width;
	if (timers_now(p->timers) / REFRESH_NS & 1)
		val |= PORT_B_REFRESH;
	if (channel_out(&p->ch[2], pit_now(p)))
		val |= PORT_B_OUT2;
	return val;
}

struct pit *pit_new(struct bus *pio, struct irq_line irq0, struct timers *ts)
{
	struct pit *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->irq0 = irq0;
	p->timers = ts;
	timer_init(&p->timer, pit_fire, p);
	for (unsigned i = 0; i < 3; i++) {
		p->ch[i] = (struct pit_channel){
			.mode = 3,
			.rw = RW_LOW_HIGH,
			.gate = i != 2,
			.count = 65536,
			.reload = 65536,
			.written = true,
		};
		if (p->ch[i].gate)
			channel_load(&p->ch[i], pit_now(p));
	}
	if (bus_add(pio, &(struct bus_range){ .name = "pit",
					      .base = PIT_BASE,
					      .len = 4,
					      .dev = p,
					      .read = pit_read,
					      .write = pit_write,
					      .split = 1 }) ||
	    bus_add(pio, &(struct bus_range){ .name = "port61",
					      .base = PORT_B,
					      .len = 1,
					      .dev = p,
					      .read = port_b_read,
					      .write = port_b_write,
					      .split = 1 })) {
		free(p);
		return NULL;
	}
	return p;
}

void pit_free(struct pit *p)
{
	if (!p)
		return;
	timer_cancel(p->timers, &p->timer);
	free(p);
}
