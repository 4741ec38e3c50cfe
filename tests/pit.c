/* SPDX-License-Identifier: MIT */
/* Expectations: Intel 8254 data sheet, "Mode Definitions" and "Read Operations". */
#include <criterion/criterion.h>

#include "tests/devices.h"
#include "vmm/dev/devices.h"

#define T_HZ 1193182u

static struct bench t_b;
static struct pit *t_dev;

static void t_setup(void)
{
	bench_init(&t_b);
	t_dev = pit_new(&t_b.pio, bench_line(&t_b), &t_b.timers);
}

static void t_teardown(void)
{
	pit_free(t_dev);
	cr_expect_eq(timers_next(&t_b.timers), TIMER_NEVER, "a timer outlived the chip");
}

static uint64_t t_ticks(void)
{
	return (uint64_t)((unsigned __int128)t_b.now_ns * T_HZ / 1000000000u);
}

/* Let exactly @n ticks pass. */
static void t_pass(uint64_t n)
{
	uint64_t until = t_ticks() + n;

	bench_advance(&t_b, (uint64_t)(((unsigned __int128)until * 1000000000u + T_HZ - 1) / T_HZ) -
				    t_b.now_ns);
}

static void t_out(uint16_t port, uint8_t val)
{
	bench_out(&t_b, port, val);
}

static void t_program(unsigned ch, unsigned mode, uint16_t count)
{
	t_out(0x43, (uint8_t)(ch << 6 | 0x30 | mode << 1));
	t_out((uint16_t)(0x40 + ch), count & 0xff);
	t_out((uint16_t)(0x40 + ch), (uint8_t)(count >> 8));
}

static uint16_t t_read16(unsigned ch)
{
	uint8_t lo = bench_in(&t_b, (uint16_t)(0x40 + ch));

	return (uint16_t)(lo | bench_in(&t_b, (uint16_t)(0x40 + ch)) << 8);
}

static uint16_t t_count(unsigned ch)
{
	t_out(0x43, (uint8_t)(ch << 6));
	return t_read16(ch);
}

static uint8_t t_status(unsigned ch)
{
	t_out(0x43, (uint8_t)(0xe0 | 2u << ch));
	return bench_in(&t_b, (uint16_t)(0x40 + ch));
}

/* OUT of channel 2, as port 0x61 shows it. */
static bool t_out2(void)
{
	return bench_in(&t_b, 0x61) & 0x20;
}

TestSuite(pit, .init = t_setup, .fini = t_teardown);

Test(pit, mode_2_interrupts_at_its_rate_and_does_not_drift)
{
	t_program(0, 2, 11932); /* 100 Hz */
	bench_advance(&t_b, 10000000000ull);
	/* 10 s * 1193182 / 11932 */
	cr_expect_eq(t_b.edges, 1 + 999, "%u edges", t_b.edges);
}

Test(pit, mode_3_interrupts_at_its_rate_also_for_odd_counts)
{
	t_program(0, 3, 1193);
	t_b.edges = 0;
	t_pass(1193 * 50);
	cr_expect_eq(t_b.edges, 50);
}

Test(pit, a_count_of_zero_is_65536)
{
	t_program(0, 2, 0);
	t_b.edges = 0;
	t_pass(65535);
	cr_expect_eq(t_b.edges, 0);
	t_pass(1);
	cr_expect_eq(t_b.edges, 1);
}

/* Mode 0: OUT low from the control word to terminal count, then high; once. */
Test(pit, mode_0_interrupts_once_on_terminal_count)
{
	t_program(0, 0, 1000);
	cr_expect_not(t_b.line);
	t_pass(999);
	cr_expect_not(t_b.line);
	cr_expect_eq(t_count(0), 1);
	t_pass(1);
	cr_expect(t_b.line);
	t_pass(100);
	cr_expect_eq(t_count(0), 65536 - 100, "it counts on, around");
	t_pass(1000000);
	cr_expect_eq(t_b.edges, 1);
	cr_expect_eq(timers_next(&t_b.timers), TIMER_NEVER);
}

Test(pit, mode_0_first_byte_of_a_new_count_stops_counting)
{
	t_program(0, 0, 1000);
	t_pass(500);
	t_out(0x40, 0x10);
	t_pass(5000);
	cr_expect_not(t_b.line);
	t_out(0x40, 0x00);
	t_pass(0x10);
	cr_expect(t_b.line);
}

/* Mode 4: a strobe one clock low at terminal count. */
Test(pit, mode_4_strobes_once)
{
	t_program(0, 4, 100);
	cr_expect(t_b.line, "OUT is high to begin with");
	t_b.edges = 0;
	t_pass(101);
	cr_expect_eq(t_b.edges, 1);
	t_pass(1000000);
	cr_expect_eq(t_b.edges, 1);
}

Test(pit, modes_1_and_5_wait_for_a_gate_that_channel_0_has_not)
{
	t_program(0, 1, 100);
	t_pass(100000);
	t_program(0, 5, 100);
	t_b.edges = 0;
	t_pass(100000);
	cr_expect_eq(t_b.edges, 0);
	cr_expect_eq(timers_next(&t_b.timers), TIMER_NEVER);
}

/* A guest that wants two million interrupts a second gets the most the host is willing to give. */
Test(pit, the_shortest_period_is_bounded_and_stays_in_phase)
{
	t_program(0, 2, 2);
	t_b.edges = 0;
	t_pass(24 * 100);
	cr_expect_eq(t_b.edges, 100);
	t_out(0x43, 0x34);
	t_out(0x40, 1); /* illegal in mode 2; no loop, no division by zero */
	t_out(0x40, 0);
	t_count(0);
	t_b.edges = 0;
	t_pass(24 * 100);
	cr_expect_leq(t_b.edges, 100);
}

/* The I/O thread was held up: one interrupt for all that were missed, the next on its own time. */
Test(pit, late_periods_merge_into_one)
{
	uint64_t start, next;

	t_program(0, 2, 1000);
	start = t_ticks();
	t_b.edges = 0;
	t_b.now_ns += 1000000000;
	timers_run(&t_b.timers, t_b.now_ns);
	timers_run(&t_b.timers, t_b.now_ns);
	cr_expect_eq(t_b.edges, 1);
	next = (uint64_t)((unsigned __int128)timers_next(&t_b.timers) * T_HZ / 1000000000u);
	cr_expect_eq((next - start) % 1000, 0);
}

/* "A new count does not affect the current counting sequence" (modes 2 and 3). */
Test(pit, a_new_count_takes_effect_at_the_end_of_the_period)
{
	t_program(0, 2, 1000);
	t_pass(400);
	t_out(0x40, 0xd0);
	t_out(0x40, 0x07); /* 2000 */
	cr_expect_eq(t_status(0) & 0x40, 0x40, "null count: not loaded yet");
	cr_expect_eq(t_count(0), 600);
	t_b.edges = 0;
	t_pass(600);
	cr_expect_eq(t_b.edges, 1);
	cr_expect_eq(t_count(0), 2000);
	cr_expect_eq(t_status(0) & 0x40, 0);
	t_pass(1999);
	cr_expect_eq(t_b.edges, 1);
	t_pass(1);
	cr_expect_eq(t_b.edges, 2);
}

Test(pit, the_latch_holds_while_the_counter_goes_on)
{
	t_program(0, 2, 10000);
	t_pass(1000);
	t_out(0x43, 0x00);
	t_pass(500);
	t_out(0x43, 0x00); /* ignored until the first is read */
	cr_expect_eq(t_read16(0), 9000);
	t_pass(100);
	cr_expect_eq(t_count(0), 8400);
}

Test(pit, low_only_and_high_only_access)
{
	t_out(0x43, 0x54 + 0x40); /* channel 2, low byte, mode 2 */
	t_out(0x61, 0x01);
	t_out(0x42, 100);
	t_pass(30);
	cr_expect_eq(bench_in(&t_b, 0x42), 70);
	cr_expect_eq(bench_in(&t_b, 0x42), 70, "every read is the low byte");
	t_out(0x43, 0xa4); /* high byte */
	t_out(0x42, 0x12);
	cr_expect_eq(bench_in(&t_b, 0x42), 0x12);
}

Test(pit, read_back_latches_status_and_count_of_several_channels)
{
	t_program(0, 2, 0x4321);
	t_program(1, 3, 0x1000);
	t_out(0x43, 0xc6); /* status and count of 0 and 1 */
	t_pass(50);
	cr_expect_eq(bench_in(&t_b, 0x40), 0x80 | 0x30 | 0x04, "OUT, both bytes, mode 2");
	cr_expect_eq(t_read16(0), 0x4321);
	cr_expect_eq(bench_in(&t_b, 0x41), 0x80 | 0x30 | 0x06);
	cr_expect_eq(t_read16(1), 0x1000);
}

Test(pit, bcd_counts_in_decimal)
{
	t_out(0x43, 0x35); /* channel 0, both bytes, mode 2, BCD */
	t_out(0x40, 0x00);
	t_out(0x40, 0x10); /* 1000 */
	t_pass(1);
	cr_expect_eq(t_count(0), 0x0999);
	t_out(0x43, 0x35);
	t_out(0x40, 0x00);
	t_out(0x40, 0x00); /* 10000 */
	cr_expect_eq(t_count(0), 0x0000);
	t_pass(1);
	cr_expect_eq(t_count(0), 0x9999);
	t_out(0x43, 0x31);
	t_out(0x40, 0xff);
	t_out(0x40, 0xff); /* not decimal: anything but a crash */
	t_pass(12345);
	t_count(0);
}

Test(pit, a_wrong_first_and_an_unknown_mode_are_mapped_as_the_chip_does)
{
	t_program(0, 6, 500); /* x10: mode 2 */
	cr_expect_eq(t_status(0) & 0x0e, 0x04);
	t_program(0, 7, 500); /* x11: mode 3 */
	cr_expect_eq(t_status(0) & 0x0e, 0x06);
}

/* IBM PC/AT Technical Reference, port 0x61: how kernels calibrate delays with channel 2. */
Test(pit, channel_2_counts_while_its_gate_is_open_and_shows_out_in_port_61)
{
	t_out(0x61, 0x00);
	t_program(2, 0, 1000);
	t_pass(5000);
	cr_expect_not(t_out2(), "gate closed: nothing counts");
	cr_expect_eq(t_count(2), 1000);
	t_out(0x61, 0x01);
	t_pass(400);
	t_out(0x61, 0x00);
	t_pass(400);
	cr_expect_eq(t_count(2), 600, "held");
	t_out(0x61, 0x01);
	t_pass(599);
	cr_expect_not(t_out2());
	t_pass(1);
	cr_expect(t_out2());
}

Test(pit, a_gate_edge_triggers_mode_1_on_channel_2)
{
	t_program(2, 1, 100);
	cr_expect(t_out2(), "high until triggered");
	t_out(0x61, 0x01);
	cr_expect_not(t_out2());
	t_pass(100);
	cr_expect(t_out2());
	t_out(0x61, 0x00);
	t_out(0x61, 0x01);
	cr_expect_not(t_out2(), "retriggered");
}

Test(pit, port_61_holds_its_low_bits_and_toggles_refresh)
{
	unsigned toggles = 0;
	uint8_t last;

	t_out(0x61, 0xff);
	cr_expect_eq(bench_in(&t_b, 0x61) & 0xcf, 0x0f);
	last = bench_in(&t_b, 0x61) & 0x10;
	for (unsigned i = 0; i < 1000; i++) {
		uint8_t is;

		bench_advance(&t_b, 1000);
		is = bench_in(&t_b, 0x61) & 0x10;
		toggles += is != last;
		last = is;
	}
	cr_expect_geq(toggles, 66); /* 1 ms / 15.085 us */
	cr_expect_leq(toggles, 67);
}

/* Nobody asked for interrupts: an idle VM is not woken (see the top of pit.c). */
Test(pit, unprogrammed_it_counts_and_arms_nothing)
{
	cr_expect_eq(timers_next(&t_b.timers), TIMER_NEVER);
	t_pass(100);
	cr_expect_eq(t_count(0), 65536 - 200, "mode 3 counts by twos");
	cr_expect_eq(t_b.edges, 0);
}
