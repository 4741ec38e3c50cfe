/* SPDX-License-Identifier: MIT */
/* Expectations: SDM Vol. 3A, "APIC Timer" (10.5.4). */
#include <criterion/criterion.h>

#include "tests/devices.h"
#include "vmm/dev/devices.h"

#define LT_LVT      0x320
#define LT_INITIAL  0x380
#define LT_CURRENT  0x390
#define LT_DIVIDE   0x3e0
#define LT_VECTOR   0x40
#define LT_PERIODIC 0x20000
#define LT_DEADLINE 0x40000
#define LT_MASKED   0x10000

static struct bench lt_b;
static struct lapic *lt_dev;
static uint64_t lt_tsc_offset;
static uint64_t lt_early_ns; /* how much too early tsc_to_ns() is */

static uint64_t lt_tsc(void *arg)
{
	return 2 * bench_clock(arg) + lt_tsc_offset;
}

static uint64_t lt_tsc_to_ns(void *arg, uint64_t tsc)
{
	uint64_t left = tsc > lt_tsc(arg) ? (tsc - lt_tsc(arg) + 1) / 2 : 0;

	return bench_clock(arg) + (left > lt_early_ns ? left - lt_early_ns : left);
}

static uint32_t lt_get(uint32_t off)
{
	return lapic_mmio_read(lt_dev, off, 4);
}

static void lt_set(uint32_t off, uint32_t val)
{
	lapic_mmio_write(lt_dev, off, 4, val);
}

static void lt_setup(void)
{
	const struct lapic_host host = { .tsc = lt_tsc, .tsc_to_ns = lt_tsc_to_ns, .arg = &lt_b };

	bench_init(&lt_b);
	lt_dev = lapic_new(0, &lt_b.timers, &host);
	lt_set(0x0f0, 0x1ff);
	lt_set(LT_DIVIDE, 0xb); /* by 1: a count is 1 ns */
}

static void lt_teardown(void)
{
	lapic_free(lt_dev);
	cr_expect_eq(timers_next(&lt_b.timers), TIMER_NEVER, "a timer outlived the chip");
}

/* Take and finish an interrupt, if there is one. */
static unsigned lt_take(void)
{
	if (lapic_pending(lt_dev) != LT_VECTOR)
		return 0;
	lapic_ack(lt_dev);
	lapic_eoi(lt_dev);
	return 1;
}

TestSuite(lapic_timer, .init = lt_setup, .fini = lt_teardown);

Test(lapic_timer, one_shot_counts_down_and_interrupts_once)
{
	lt_set(LT_LVT, LT_VECTOR);
	lt_set(LT_INITIAL, 1000000);
	cr_expect_eq(lt_get(LT_CURRENT), 1000000);
	bench_advance(&lt_b, 400000);
	cr_expect_eq(lt_get(LT_CURRENT), 600000);
	bench_advance(&lt_b, 599999);
	cr_expect_eq(lt_take(), 0);
	bench_advance(&lt_b, 1);
	cr_expect_eq(lt_take(), 1);
	cr_expect_eq(lt_get(LT_CURRENT), 0);
	cr_expect_eq(lt_get(LT_INITIAL), 1000000);
	bench_advance(&lt_b, 10000000);
	cr_expect_eq(lt_take(), 0);
	cr_expect_eq(timers_next(&lt_b.timers), TIMER_NEVER);
}

/* Figure 10-10 "Divide Configuration Register". */
Test(lapic_timer, every_divider)
{
	static const struct {
		uint8_t code;
		unsigned by;
	} div[] = { { 0x0, 2 },  { 0x1, 4 },  { 0x2, 8 },   { 0x3, 16 },
		    { 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 } };

	lt_set(LT_LVT, LT_VECTOR);
	for (unsigned i = 0; i < 8; i++) {
		lt_set(LT_DIVIDE, div[i].code);
		lt_set(LT_INITIAL, 100000);
		bench_advance(&lt_b, 1000 * div[i].by);
		cr_expect_eq(lt_get(LT_CURRENT), 99000, "divide by %u", div[i].by);
		bench_advance(&lt_b, 99000 * div[i].by - 1);
		cr_expect_eq(lt_take(), 0);
		bench_advance(&lt_b, 1);
		cr_expect_eq(lt_take(), 1, "divide by %u", div[i].by);
	}
}

Test(lapic_timer, a_new_divider_goes_on_with_the_count)
{
	lt_set(LT_LVT, LT_VECTOR);
	lt_set(LT_INITIAL, 1000000);
	bench_advance(&lt_b, 400000);
	lt_set(LT_DIVIDE, 0x0);
	cr_expect_eq(lt_get(LT_CURRENT), 600000);
	bench_advance(&lt_b, 1200000 - 1);
	cr_expect_eq(lt_take(), 0);
	bench_advance(&lt_b, 1);
	cr_expect_eq(lt_take(), 1);
}

Test(lapic_timer, periodic_does_not_drift)
{
	unsigned n = 0;

	lt_set(LT_LVT, LT_VECTOR | LT_PERIODIC);
	lt_set(LT_INITIAL, 1000000);
	for (unsigned i = 0; i < 1000; i++) {
		bench_advance(&lt_b, 1000000);
		n += lt_take();
		/* Each run of the timers is a little late. */
		lt_b.now_ns += 300;
	}
	bench_advance(&lt_b, 0);
	cr_expect_eq(n + lt_take(), 1000);
	cr_expect_eq(lt_get(LT_CURRENT), 1000000 - 1000 * 300);
}

Test(lapic_timer, periods_missed_while_late_merge_into_one_interrupt)
{
	lt_set(LT_LVT, LT_VECTOR | LT_PERIODIC);
	lt_set(LT_INITIAL, 1000000);
	lt_b.now_ns += 3600ull * 1000000000 + 250000;
	timers_run(&lt_b.timers, lt_b.now_ns);
	cr_expect_eq(lt_take(), 1);
	timers_run(&lt_b.timers, lt_b.now_ns);
	cr_expect_eq(lt_take(), 0);
	cr_expect_eq(lt_get(LT_CURRENT), 750000, "and the phase is kept");
}

/* LAPIC_MIN_PERIOD_NS in devices.h. */
Test(lapic_timer, a_tiny_period_cannot_busy_the_host)
{
	unsigned n = 0;

	lt_set(LT_LVT, LT_VECTOR | LT_PERIODIC);
	lt_set(LT_INITIAL, 3);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t next = timers_next(&lt_b.timers);

		cr_assert_geq(next - lt_b.now_ns + (i == 0) * LAPIC_MIN_PERIOD_NS,
			      LAPIC_MIN_PERIOD_NS);
		bench_advance(&lt_b, next - lt_b.now_ns);
		n += lt_take();
		cr_assert_leq(lt_get(LT_CURRENT), 3);
	}
	cr_expect_eq(n, 1000);
}

Test(lapic_timer, initial_count_zero_stops_it)
{
	lt_set(LT_LVT, LT_VECTOR | LT_PERIODIC);
	lt_set(LT_INITIAL, 1000000);
	lt_set(LT_INITIAL, 0);
	cr_expect_eq(timers_next(&lt_b.timers), TIMER_NEVER);
	bench_advance(&lt_b, 10000000);
	cr_expect_eq(lt_take(), 0);
	cr_expect_eq(lt_get(LT_CURRENT), 0);
}

/* Kernels calibrate with a masked timer: it must count, and may cost nothing. */
Test(lapic_timer, a_masked_timer_counts_without_waking_anyone)
{
	lt_set(LT_LVT, LT_VECTOR | LT_PERIODIC | LT_MASKED);
	lt_set(LT_INITIAL, 1000000);
	cr_expect_eq(timers_next(&lt_b.timers), TIMER_NEVER);
	bench_advance(&lt_b, 5300000);
	cr_expect_eq(lt_get(LT_CURRENT), 700000);
	lt_set(LT_LVT, LT_VECTOR | LT_PERIODIC);
	cr_expect_eq(lt_take(), 0, "what expired under the mask is gone");
	bench_advance(&lt_b, 700000);
	cr_expect_eq(lt_take(), 1);
}

Test(lapic_timer, a_masked_one_shot_that_expired_does_not_come_back_as_periodic)
{
	lt_set(LT_LVT, LT_VECTOR | LT_MASKED);
	lt_set(LT_INITIAL, 1000);
	bench_advance(&lt_b, 5000);
	lt_set(LT_LVT, LT_VECTOR | LT_PERIODIC);
	cr_expect_eq(lt_get(LT_CURRENT), 0);
	cr_expect_eq(timers_next(&lt_b.timers), TIMER_NEVER);
}

/* Whoever is first, the vtimer or the guest's read, the interrupt is there with the zero. */
Test(lapic_timer, a_read_that_sees_the_expiry_delivers_it)
{
	lt_set(LT_LVT, LT_VECTOR);
	lt_set(LT_INITIAL, 1000);
	lt_b.now_ns += 1000; /* no timers_run() */
	cr_expect_eq(lt_get(LT_CURRENT), 0);
	cr_expect_eq(lt_take(), 1);
	timers_run(&lt_b.timers, lt_b.now_ns);
	cr_expect_eq(lt_take(), 0);
}

Test(lapic_timer, the_largest_count_at_the_largest_divider)
{
	lt_set(LT_LVT, LT_VECTOR);
	lt_set(LT_DIVIDE, 0xa);
	lt_set(LT_INITIAL, 0xffffffff);
	bench_advance(&lt_b, 128ull * 0xfffffffe);
	cr_expect_eq(lt_get(LT_CURRENT), 1);
	bench_advance(&lt_b, 128);
	cr_expect_eq(lt_take(), 1);
}

/* 10.5.4.1 "TSC-Deadline Mode". */
Test(lapic_timer, tsc_deadline_fires_when_the_tsc_gets_there_and_then_reads_zero)
{
	lt_set(LT_LVT, LT_VECTOR | LT_DEADLINE);
	lapic_set_tsc_deadline(lt_dev, lt_tsc(&lt_b) + 2000000);
	cr_expect_eq(lapic_tsc_deadline(lt_dev), lt_tsc(&lt_b) + 2000000);
	bench_advance(&lt_b, 999999);
	cr_expect_eq(lt_take(), 0);
	bench_advance(&lt_b, 1);
	cr_expect_eq(lt_take(), 1);
	cr_expect_eq(lapic_tsc_deadline(lt_dev), 0);
}

Test(lapic_timer, a_deadline_in_the_past_fires_at_once_and_zero_disarms)
{
	lt_set(LT_LVT, LT_VECTOR | LT_DEADLINE);
	lapic_set_tsc_deadline(lt_dev, 1);
	cr_expect_eq(lt_take(), 1);
	lapic_set_tsc_deadline(lt_dev, lt_tsc(&lt_b) + 1000);
	lapic_set_tsc_deadline(lt_dev, 0);
	cr_expect_eq(timers_next(&lt_b.timers), TIMER_NEVER);
	lapic_set_tsc_deadline(lt_dev, UINT64_MAX);
	bench_advance(&lt_b, 1000000000);
	cr_expect_eq(lt_take(), 0);
}

/* The host's conversion is not exact: never early. */
Test(lapic_timer, a_vtimer_that_comes_early_waits_for_the_tsc)
{
	lt_early_ns = 700;
	lt_set(LT_LVT, LT_VECTOR | LT_DEADLINE);
	lapic_set_tsc_deadline(lt_dev, lt_tsc(&lt_b) + 20000);
	bench_advance(&lt_b, 9999);
	cr_expect_eq(lt_take(), 0);
	bench_advance(&lt_b, 1);
	cr_expect_eq(lt_take(), 1);
}

Test(lapic_timer, a_changed_tsc_moves_the_deadline)
{
	lt_set(LT_LVT, LT_VECTOR | LT_DEADLINE);
	lapic_set_tsc_deadline(lt_dev, lt_tsc(&lt_b) + 2000000);
	lt_tsc_offset += 1000000;
	lapic_tsc_changed(lt_dev);
	bench_advance(&lt_b, 500000);
	cr_expect_eq(lt_take(), 1);
}

/* "In TSC-deadline mode, writes to the initial-count register are ignored; current count is 0." */
Test(lapic_timer, modes_keep_to_their_own_registers)
{
	lapic_set_tsc_deadline(lt_dev, lt_tsc(&lt_b) + 1000);
	cr_expect_eq(lapic_tsc_deadline(lt_dev), 0);
	lt_set(LT_LVT, LT_VECTOR | LT_DEADLINE);
	lt_set(LT_INITIAL, 1000);
	cr_expect_eq(lt_get(LT_CURRENT), 0);
	bench_advance(&lt_b, 2000);
	cr_expect_eq(lt_take(), 0);
}

Test(lapic_timer, entering_or_leaving_deadline_mode_disarms)
{
	lt_set(LT_LVT, LT_VECTOR);
	lt_set(LT_INITIAL, 1000000);
	lt_set(LT_LVT, LT_VECTOR | LT_DEADLINE);
	cr_expect_eq(timers_next(&lt_b.timers), TIMER_NEVER);
	lapic_set_tsc_deadline(lt_dev, lt_tsc(&lt_b) + 1000000);
	lt_set(LT_LVT, LT_VECTOR);
	cr_expect_eq(timers_next(&lt_b.timers), TIMER_NEVER);
	bench_advance(&lt_b, 10000000);
	cr_expect_eq(lt_take(), 0);
}

Test(lapic_timer, one_shot_turned_periodic_goes_on)
{
	lt_set(LT_LVT, LT_VECTOR);
	lt_set(LT_INITIAL, 100000);
	bench_advance(&lt_b, 50000);
	lt_set(LT_LVT, LT_VECTOR | LT_PERIODIC);
	bench_advance(&lt_b, 50000);
	cr_expect_eq(lt_take(), 1);
	bench_advance(&lt_b, 100000);
	cr_expect_eq(lt_take(), 1);
}
