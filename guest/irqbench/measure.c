/* SPDX-License-Identifier: MIT */
/*
 * The measurements: from the cause of an interrupt to its handler, and there and back.
 *
 * The cause is the deadline of a timer; the end of the instruction that made it would be too late,
 * as an emulated access has its effect before it ends, so a deadline counts from the middle of the
 * access that set it (machine.c).  Where an instruction causes the interrupt itself (UART, IPI),
 * the beginning of that instruction counts.
 */
#include "irqbench.h"

#define SETTLE_US 200u /* until everybody has gone back to what he did */

static int32_t cycles(uint64_t from, uint64_t to)
{
	int64_t d = (int64_t)(to - from);

	return d > INT32_MAX ? INT32_MAX : d < INT32_MIN ? INT32_MIN : (int32_t)d;
}

/* A number below @n, so that nothing is in step with anything. */
static uint32_t jitter(uint32_t n)
{
	static uint32_t x = 1;

	x = x * 1664525u + 1013904223u;
	return (x >> 16) % n;
}

static void one_shot(const struct measure *m, int32_t *v, unsigned n,
		     bool (*arm)(uint32_t ticks, uint64_t *deadline), uint32_t ticks,
		     uint32_t spread)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned tries = 0;
		uint64_t deadline;
		bool good;

		do {
			uint32_t next = cpu[0].count + 1;

			good = arm(ticks + jitter(spread), &deadline);
			wait_for(&cpu[0].count, next, m->mode);
		} while (!good && ++tries < ACCESS_TRIES);
		v[i] = cycles(deadline, cpu[0].stamp);
	}
}

static void pit(const struct measure *m, int32_t *v, unsigned n)
{
	one_shot(m, v, n, pit_arm, 600, 128); /* 0.50 to 0.61 ms */
}

static void lapic(const struct measure *m, int32_t *v, unsigned n)
{
	one_shot(m, v, n, lapic_arm, lapic_period(tsc_khz / 2), lapic_period(tsc_khz / 10));
}

/* How far the time from tick to tick is from the period, 1 ms. */
static void period(const struct measure *m, int32_t *v, unsigned n)
{
	uint64_t last = 0;

	lapic_periodic(lapic_period(tsc_khz));
	for (unsigned i = 0; i <= n; i++) {
		wait_for(&cpu[0].count, cpu[0].count + 1, m->mode);
		if (i) {
			int32_t d = cycles(last + tsc_khz, cpu[0].stamp);

			v[i - 1] = d < 0 ? -d : d;
		}
		last = cpu[0].stamp;
	}
	lapic_periodic(0);
}

static void uart(const struct measure *m, int32_t *v, unsigned n)
{
	(void)m;
	for (unsigned i = 0; i < n; i++) {
		uint32_t next = cpu[0].count + 1;
		uint64_t t0 = rdtsc();

		uart_interrupt(true);
		wait_busy(&cpu[0].count, next);
		v[i] = cycles(t0, cpu[0].stamp);
		uart_interrupt(false);
	}
}

static void ipi_self(const struct measure *m, int32_t *v, unsigned n)
{
	(void)m;
	for (unsigned i = 0; i < n; i++) {
		uint32_t next = cpu[0].count + 1;
		uint64_t t0 = rdtsc();

		ipi_send_self(VEC_PING);
		wait_busy(&cpu[0].count, next);
		v[i] = cycles(t0, cpu[0].stamp);
	}
}

static void ipi(const struct measure *m, int32_t *v, unsigned n)
{
	smp_mode(1, m->mode);
	for (unsigned i = 0; i < n; i++) {
		uint32_t next = cpu[1].count + 1;
		uint64_t t0;

		delay_us(SETTLE_US);
		t0 = rdtsc();
		ipi_send(VEC_PING);
		wait_busy(&cpu[1].count, next);
		v[i] = cycles(t0, cpu[1].stamp);
	}
	smp_mode(1, MODE_HALTED);
}

static void round_trip(const struct measure *m, int32_t *v, unsigned n)
{
	smp_mode(1, m->mode);
	cpu[1].answers = true;
	for (unsigned i = 0; i < n; i++) {
		uint32_t next = cpu[0].count + 1;
		uint64_t t0;

		delay_us(SETTLE_US);
		t0 = rdtsc();
		ipi_send(VEC_PING);
		wait_for(&cpu[0].count, next, m->asker);
		v[i] = cycles(t0, cpu[0].stamp);
	}
	cpu[1].answers = false;
	smp_mode(1, MODE_HALTED);
}

/* To all, this one included: until the last has it. */
static void broadcast(const struct measure *m, int32_t *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t next[CPUS_MAX];
		uint64_t t0;

		delay_us(2 * SETTLE_US);
		for (unsigned c = 0; c < m->cpus; c++)
			next[c] = cpu[c].count + 1;
		t0 = rdtsc();
		ipi_send_all(VEC_PING);
		v[i] = 0;
		for (unsigned c = 0; c < m->cpus; c++) {
			int32_t d;

			wait_busy(&cpu[c].count, next[c]);
			d = cycles(t0, cpu[c].stamp);
			v[i] = d > v[i] ? d : v[i];
		}
	}
}

#define HALTED MODE_HALTED
#define BUSY   MODE_BUSY
const struct measure measures[] = {
	{ "pit_ioapic_halted", pit, ROUTE_IOAPIC, HALTED, HALTED, 1, 200, 10 },
	{ "pit_ioapic_busy", pit, ROUTE_IOAPIC, BUSY, HALTED, 1, 200, 10 },
	{ "pit_pic_halted", pit, ROUTE_PIC, HALTED, HALTED, 1, 200, 10 },
	{ "pit_pic_busy", pit, ROUTE_PIC, BUSY, HALTED, 1, 200, 10 },
	{ "uart", uart, ROUTE_IOAPIC, BUSY, HALTED, 1, 500, 20 },
	{ "lapic_halted", lapic, ROUTE_NONE, HALTED, HALTED, 1, 200, 10 },
	{ "lapic_busy", lapic, ROUTE_NONE, BUSY, HALTED, 1, 200, 10 },
	{ "jitter_halted", period, ROUTE_NONE, HALTED, HALTED, 1, 500, 10 },
	{ "jitter_busy", period, ROUTE_NONE, BUSY, HALTED, 1, 500, 10 },
	{ "ipi_self", ipi_self, ROUTE_NONE, BUSY, HALTED, 1, 500, 20 },
	{ "ipi_halted", ipi, ROUTE_NONE, HALTED, HALTED, 2, 300, 10 },
	{ "ipi_busy", ipi, ROUTE_NONE, BUSY, HALTED, 2, 300, 10 },
	{ "trip_halted", round_trip, ROUTE_NONE, HALTED, BUSY, 2, 300, 10 },
	{ "trip_busy", round_trip, ROUTE_NONE, BUSY, BUSY, 2, 300, 10 },
	{ "trip_asleep", round_trip, ROUTE_NONE, HALTED, HALTED, 2, 300, 10 },
	{ "broadcast4", broadcast, ROUTE_NONE, HALTED, HALTED, 4, 200, 10 },
	{ NULL, NULL, ROUTE_NONE, HALTED, HALTED, 0, 0, 0 },
};
