/* SPDX-License-Identifier: MIT */
/* Expectations: Motorola MC146818A data sheet. */
#include <criterion/criterion.h>

#include "tests/devices.h"
#include "vmm/dev/devices.h"

#define R_MS 1000000ull
#define R_S  1000000000ull

static struct bench r_b;
static struct rtc *r_dev;
static uint64_t r_epoch; /* wall clock minus bench clock */

static uint64_t r_wall(void *arg)
{
	return bench_clock(arg) + r_epoch;
}

/* Start at wall time @seconds and @ns. */
static void r_start(uint64_t seconds, uint64_t ns, uint64_t ram)
{
	rtc_free(r_dev);
	bench_init(&r_b);
	r_epoch = seconds * R_S + ns - r_b.now_ns;
	r_dev = rtc_new(&r_b.pio, bench_line(&r_b), &r_b.timers, r_wall, &r_b, ram);
}

static void r_setup(void)
{
	r_dev = NULL;
	r_start(1709210096, 0, 64 << 20); /* 2024-02-29 12:34:56 UTC, a Thursday */
}

static void r_teardown(void)
{
	rtc_free(r_dev);
	cr_expect_eq(timers_next(&r_b.timers), TIMER_NEVER, "a timer outlived the chip");
}

static uint8_t r_get(uint8_t reg)
{
	bench_out(&r_b, 0x70, reg);
	return bench_in(&r_b, 0x71);
}

static void r_set(uint8_t reg, uint8_t val)
{
	bench_out(&r_b, 0x70, reg);
	bench_out(&r_b, 0x71, val);
}

static void r_expect_time(unsigned h, unsigned m, unsigned s)
{
	cr_expect_eq(r_get(4), h, "hours %#x", r_get(4));
	cr_expect_eq(r_get(2), m, "minutes %#x", r_get(2));
	cr_expect_eq(r_get(0), s, "seconds %#x", r_get(0));
}

TestSuite(rtc, .init = r_setup, .fini = r_teardown);

Test(rtc, the_time_is_the_hosts_in_bcd_24h)
{
	r_expect_time(0x12, 0x34, 0x56);
	cr_expect_eq(r_get(6), 5, "Sunday is 1");
	cr_expect_eq(r_get(7), 0x29);
	cr_expect_eq(r_get(8), 0x02);
	cr_expect_eq(r_get(9), 0x24);
	cr_expect_eq(r_get(0x32), 0x20);
	cr_expect_eq(r_get(0x0d), 0x80);
}

Test(rtc, it_rolls_over_a_leap_day_and_a_year)
{
	bench_advance(&r_b, (11 * 3600 + 25 * 60 + 4) * R_S);
	r_expect_time(0, 0, 0);
	cr_expect_eq(r_get(7), 0x01);
	cr_expect_eq(r_get(8), 0x03);
	r_start(4102444799, 0, 64 << 20); /* 2099-12-31 23:59:59 */
	cr_expect_eq(r_get(9), 0x99);
	bench_advance(&r_b, R_S);
	cr_expect_eq(r_get(9), 0x00);
	cr_expect_eq(r_get(0x32), 0x21);
}

Test(rtc, binary_and_12_hour_formats)
{
	r_set(0x0b, 0x04 | 0x02);
	r_expect_time(12, 34, 56);
	r_set(0x0b, 0x00);
	r_expect_time(0x80 | 0x12, 0x34, 0x56);
	bench_advance(&r_b, 3600 * R_S);
	cr_expect_eq(r_get(4), 0x81, "1 PM");
	bench_advance(&r_b, 11 * 3600 * R_S);
	cr_expect_eq(r_get(4), 0x12, "midnight is 12 AM");
}

Test(rtc, setting_the_time_is_an_offset_to_the_host)
{
	r_set(0x0b, 0x82);
	r_set(4, 0x23);
	r_set(2, 0x59);
	r_set(0, 0x58);
	r_set(7, 0x31);
	r_set(8, 0x12);
	r_set(9, 0x99);
	r_set(0x32, 0x19);
	bench_advance(&r_b, 60 * R_S);
	r_expect_time(0x23, 0x59, 0x58); /* SET holds it */
	r_set(0x0b, 0x02);
	bench_advance(&r_b, 2 * R_S);
	r_expect_time(0, 0, 0);
	cr_expect_eq(r_get(0x32), 0x20);
	cr_expect_eq(r_get(9), 0x00);
	cr_expect_eq(r_get(7), 0x01);
}

Test(rtc, setting_a_register_without_set_works_too)
{
	r_set(4, 0x03);
	r_expect_time(0x03, 0x34, 0x56);
	bench_advance(&r_b, 4 * R_S);
	r_expect_time(0x03, 0x35, 0x00);
}

/* Whatever is written, the arithmetic holds. */
Test(rtc, garbage_in_the_time_registers_is_survived)
{
	for (unsigned b = 0; b < 8; b++) {
		r_set(0x0b, (uint8_t)(0x80 | b));
		for (uint8_t reg = 0; reg < 10; reg++)
			r_set(reg, 0xff);
		r_set(0x32, 0xff);
		r_set(0x0b, (uint8_t)b);
		bench_advance(&r_b, R_S);
		for (uint8_t reg = 0; reg < 14; reg++)
			r_get(reg);
		r_set(0x0b, (uint8_t)(0x80 | b));
		for (uint8_t reg = 0; reg < 10; reg++)
			r_set(reg, 0);
		r_set(0x0b, (uint8_t)b);
		r_get(0);
	}
}

/* "Update Cycle": UIP goes high 244 us before the registers change. */
Test(rtc, uip_announces_the_update)
{
	bench_advance(&r_b, R_S - 300000);
	cr_expect_eq(r_get(0x0a) & 0x80, 0);
	bench_advance(&r_b, 100000);
	cr_expect_eq(r_get(0x0a) & 0x80, 0x80);
	cr_expect_eq(r_get(0), 0x56);
	bench_advance(&r_b, 200000);
	cr_expect_eq(r_get(0x0a) & 0x80, 0);
	cr_expect_eq(r_get(0), 0x57);
	r_set(0x0b, 0x82);
	bench_advance(&r_b, R_S - 100000);
	cr_expect_eq(r_get(0x0a) & 0x80, 0, "SET stops updates");
}

/* Table 5: rate 6 is 1024 Hz, and C must be read for the next. */
Test(rtc, periodic_interrupts_come_at_their_rate_when_acknowledged)
{
	unsigned n = 0;

	r_set(0x0a, 0x26);
	r_set(0x0b, 0x42);
	for (unsigned us = 0; us < 1000000; us += 100) {
		bench_advance(&r_b, 100000);
		if (r_b.line) {
			cr_assert_eq(r_get(0x0c) & 0xc0, 0xc0);
			cr_assert_not(r_b.line);
			n++;
		}
	}
	cr_expect_geq(n, 1023);
	cr_expect_leq(n, 1024);
}

/* Table 5, all of it: rates 1 and 2 repeat 8 and 9, and 0 is none. */
Test(rtc, every_periodic_rate)
{
	static const unsigned hz[16] = { 0,   256, 128, 8192, 4096, 2048, 1024, 512,
					 256, 128, 64,  32,   16,   8,    4,    2 };

	r_set(0x0b, 0x42);
	for (uint8_t rs = 0; rs < 16; rs++) {
		unsigned n = 0;
		uint64_t end = r_b.now_ns + R_S;

		r_set(0x0a, 0x20 | rs);
		r_get(0x0c);
		while (timers_next(&r_b.timers) <= end) {
			bench_advance(&r_b, timers_next(&r_b.timers) - r_b.now_ns);
			n += (r_get(0x0c) & 0xc0) == 0xc0;
		}
		bench_advance(&r_b, end - r_b.now_ns);
		r_get(0x0c);
		cr_expect_eq(n, hz[rs], "rate %u: %u Hz", rs, n);
	}
}

Test(rtc, an_unread_c_holds_the_line_and_costs_no_wakeups)
{
	r_set(0x0a, 0x23); /* 8192 Hz */
	r_set(0x0b, 0x42);
	bench_advance(&r_b, R_MS);
	cr_expect(r_b.line);
	cr_expect_eq(timers_next(&r_b.timers), TIMER_NEVER);
	bench_advance(&r_b, R_S);
	cr_expect_eq(r_b.edges, 1);
}

Test(rtc, no_interrupt_enabled_means_no_timer_but_the_flags_tell)
{
	cr_expect_eq(timers_next(&r_b.timers), TIMER_NEVER);
	r_get(0x0c);
	cr_expect_eq(r_get(0x0c), 0);
	bench_advance(&r_b, R_S + R_MS);
	cr_expect_eq(r_get(0x0c), 0x50, "PF and UF, no IRQF");
	cr_expect_not(r_b.line);
}

Test(rtc, the_update_interrupt_comes_each_second)
{
	bench_advance(&r_b, 300 * R_MS);
	r_set(0x0b, 0x12);
	r_get(0x0c);
	bench_advance(&r_b, 699 * R_MS);
	cr_expect_not(r_b.line);
	bench_advance(&r_b, 2 * R_MS);
	cr_expect(r_b.line);
	cr_expect_eq(r_get(0x0c) & 0x90, 0x90);
	bench_advance(&r_b, R_S);
	cr_expect_eq(r_b.edges, 2);
}

Test(rtc, the_alarm_rings_at_its_time_and_once_a_day)
{
	r_set(5, 0x12);
	r_set(3, 0x35);
	r_set(1, 0x10);
	r_set(0x0b, 0x22);
	bench_advance(&r_b, 13 * R_S);
	cr_expect_not(r_b.line);
	bench_advance(&r_b, R_S);
	cr_expect(r_b.line);
	cr_expect_eq(r_get(0x0c) & 0xa0, 0xa0);
	bench_advance(&r_b, 86400 * R_S - 2 * R_S);
	cr_expect_eq(r_b.edges, 1);
	bench_advance(&r_b, 3 * R_S);
	cr_expect_eq(r_b.edges, 2);
}

/* "Don't care" codes 0xc0-0xff. */
Test(rtc, an_alarm_with_dont_care_hours_and_minutes_rings_each_minute)
{
	r_set(5, 0xc0);
	r_set(3, 0xff);
	r_set(1, 0x30);
	r_set(0x0b, 0x22);
	for (unsigned i = 0; i < 3; i++) {
		bench_advance(&r_b, 60 * R_S);
		cr_expect_eq(r_get(0x0c) & 0xa0, 0xa0);
	}
	cr_expect_eq(r_b.edges, 3);
}

Test(rtc, an_alarm_at_no_time_of_day_never_rings_and_arms_nothing)
{
	r_set(5, 0x77);
	r_set(0x0b, 0x22);
	cr_expect_eq(timers_next(&r_b.timers), TIMER_NEVER);
	bench_advance(&r_b, 2 * 86400 * R_S);
	cr_expect_eq(r_b.edges, 0);
}

/* Setting the clock forward is not the passing of time. */
Test(rtc, setting_the_time_past_the_alarm_does_not_ring_it)
{
	r_set(5, 0x13);
	r_set(3, 0x00);
	r_set(1, 0x00);
	r_set(0x0b, 0x22);
	r_get(0x0c);
	r_set(4, 0x15);
	cr_expect_eq(r_get(0x0c) & 0xa0, 0);
}

Test(rtc, a_host_clock_that_steps_back_makes_no_events)
{
	r_set(0x0b, 0x12);
	r_get(0x0c);
	r_epoch -= 3600 * R_S;
	bench_advance(&r_b, 100 * R_MS);
	cr_expect_eq(r_get(0x0c), 0);
	bench_advance(&r_b, R_S);
	cr_expect(r_b.line);
}

/* IBM PC/AT Technical Reference: base and extended memory in KiB; 0x34: 64 KiB above 16 MiB. */
Test(rtc, cmos_tells_the_memory_sizes_and_no_floppies)
{
	cr_expect_eq(r_get(0x15) | r_get(0x16) << 8, 640);
	cr_expect_eq(r_get(0x17) | r_get(0x18) << 8, 63 * 1024);
	cr_expect_eq(r_get(0x30) | r_get(0x31) << 8, 63 * 1024);
	cr_expect_eq(r_get(0x34) | r_get(0x35) << 8, 48 * 16);
	cr_expect_eq(r_get(0x10), 0);
	cr_expect_eq(r_get(0x14), 0);
	r_start(0, 0, 3ull << 30);
	cr_expect_eq(r_get(0x17) | r_get(0x18) << 8, 0xffff);
	cr_expect_eq(r_get(0x34) | r_get(0x35) << 8, (3072 - 16) * 16);
	r_start(0, 0, 1 << 20);
	cr_expect_eq(r_get(0x17) | r_get(0x18) << 8, 0);
	cr_expect_eq(r_get(0x34) | r_get(0x35) << 8, 0);
}

Test(rtc, memory_holds_and_bit_7_of_the_index_is_the_nmi_mask)
{
	r_set(0x40, 0xa5);
	r_set(0xff, 0x5a);
	cr_expect_eq(r_get(0xc0), 0xa5);
	cr_expect_eq(r_get(0x7f), 0x5a);
	r_set(0x0d, 0);
	cr_expect_eq(r_get(0x0d), 0x80, "D is read-only");
}

/* "Divider Bits": 11x holds the time; the first update is half a second after the release. */
Test(rtc, the_divider_reset_starts_a_second_at_will)
{
	bench_advance(&r_b, 900 * R_MS);
	r_set(0x0a, 0x66);
	bench_advance(&r_b, 10 * R_S);
	cr_expect_eq(r_get(0), 0x56);
	r_set(0x0a, 0x26);
	bench_advance(&r_b, 499 * R_MS);
	cr_expect_eq(r_get(0), 0x56);
	bench_advance(&r_b, 2 * R_MS);
	cr_expect_eq(r_get(0), 0x57);
}
