/* SPDX-License-Identifier: MIT */
/* Expectations: IBM PC/AT and PS/2 Hardware Interface Technical References. */
#include <criterion/criterion.h>

#include "tests/devices.h"
#include "vmm/dev/devices.h"

static struct bench k_b;
static struct i8042 *k_dev;
static unsigned k_resets;

static void k_reset(void *arg)
{
	(void)arg;
	k_resets++;
}

static void k_setup(void)
{
	bench_init(&k_b);
	k_dev = i8042_new(&k_b.pio, bench_line(&k_b), k_reset, NULL);
}

static void k_teardown(void)
{
	i8042_free(k_dev);
}

static void k_cmd(uint8_t val)
{
	bench_out(&k_b, 0x64, val);
}

static void k_data(uint8_t val)
{
	bench_out(&k_b, 0x60, val);
}

/* The next byte for the host, or -1 if none waits. */
static int k_get(void)
{
	return bench_in(&k_b, 0x64) & 1 ? bench_in(&k_b, 0x60) : -1;
}

TestSuite(i8042, .init = k_setup, .fini = k_teardown);

Test(i8042, self_test_and_port_test_pass)
{
	cr_expect_eq(k_get(), -1);
	k_cmd(0xaa);
	cr_expect_eq(bench_in(&k_b, 0x64) & 0x0f, 0x0d, "OBF, system flag, command; never IBF");
	cr_expect_eq(k_get(), 0x55);
	k_cmd(0xab);
	cr_expect_eq(k_get(), 0x00);
	cr_expect_eq(k_get(), -1);
}

Test(i8042, the_command_byte_reads_back)
{
	k_cmd(0x60);
	k_data(0x65);
	k_cmd(0x20);
	cr_expect_eq(k_get(), 0x65);
	k_cmd(0xad);
	k_cmd(0x20);
	cr_expect_eq(k_get(), 0x75);
	k_cmd(0xae);
	k_cmd(0x20);
	cr_expect_eq(k_get(), 0x65);
}

Test(i8042, the_output_port_carries_a20)
{
	k_cmd(0xd0);
	cr_expect_eq(k_get() & 0x03, 0x03, "A20 open as firmware leaves it, reset inactive");
	k_cmd(0xd1);
	k_data(0xdd);
	k_cmd(0xd0);
	cr_expect_eq(k_get() & 0x03, 0x01);
	cr_expect_eq(bench_in(&k_b, 0x92) & 2, 0, "port 0x92 shows the same line");
	bench_out(&k_b, 0x92, 2);
	k_cmd(0xd0);
	cr_expect_eq(k_get() & 0x03, 0x03);
	cr_expect_eq(k_resets, 0);
}

Test(i8042, every_way_to_reset)
{
	k_cmd(0xfe);
	cr_expect_eq(k_resets, 1);
	k_cmd(0xff); /* pulses nothing */
	cr_expect_eq(k_resets, 1);
	k_cmd(0xd1);
	k_data(0x02);
	cr_expect_eq(k_resets, 2);
	bench_out(&k_b, 0x92, 3);
	cr_expect_eq(k_resets, 3);
	bench_out(&k_b, 0x92, 3);
	cr_expect_eq(k_resets, 3, "only the rising edge");
}

Test(i8042, the_keyboard_resets_and_acknowledges)
{
	static const uint8_t simple[] = { 0xf4, 0xf5, 0xf6 };

	k_data(0xff);
	cr_expect_eq(k_get(), 0xfa);
	cr_expect_eq(k_get(), 0xaa);
	cr_expect_eq(k_get(), -1);
	for (unsigned i = 0; i < sizeof(simple); i++) {
		k_data(simple[i]);
		cr_expect_eq(k_get(), 0xfa);
		cr_expect_eq(k_get(), -1);
	}
	k_data(0xed);
	cr_expect_eq(k_get(), 0xfa);
	k_data(0x07);
	cr_expect_eq(k_get(), 0xfa);
	k_data(0xee);
	cr_expect_eq(k_get(), 0xee);
	k_data(0x12);
	cr_expect_eq(k_get(), 0xfe, "unknown: resend");
}

Test(i8042, identify_is_an_mf2_keyboard_translated_or_not)
{
	k_data(0xf2);
	cr_expect_eq(k_get(), 0xfa);
	cr_expect_eq(k_get(), 0xab);
	cr_expect_eq(k_get(), 0x41);
	k_cmd(0x60);
	k_data(0x00);
	k_data(0xf2);
	cr_expect_eq(k_get(), 0xfa);
	cr_expect_eq(k_get(), 0xab);
	cr_expect_eq(k_get(), 0x83);
}

Test(i8042, the_scan_code_set_is_asked_and_set)
{
	k_data(0xf0);
	k_data(0x00);
	cr_expect_eq(k_get(), 0xfa);
	cr_expect_eq(k_get(), 0xfa);
	cr_expect_eq(k_get(), 2);
	k_data(0xf0);
	k_data(0x03);
	k_get(), k_get();
	k_data(0xf0);
	k_data(0x00);
	k_get(), k_get();
	cr_expect_eq(k_get(), 3);
}

Test(i8042, irq_1_is_an_edge_for_each_byte_when_enabled)
{
	k_data(0xf4);
	cr_expect_not(k_b.line);
	k_get();
	k_cmd(0x60);
	k_data(0x45);
	k_data(0xff);
	cr_expect_eq(k_b.edges, 1);
	k_get();
	cr_expect_eq(k_b.edges, 2);
	k_get();
	cr_expect_not(k_b.line);
	cr_expect_eq(k_b.edges, 2);
}

Test(i8042, aux_loopback_shows_as_aux_and_raises_no_irq_1)
{
	k_cmd(0x60);
	k_data(0x45);
	k_cmd(0xd3);
	k_data(0x5a);
	cr_expect_eq(bench_in(&k_b, 0x64) & 0x21, 0x21);
	cr_expect_not(k_b.line);
	cr_expect_eq(k_get(), 0x5a);
}

Test(i8042, commands_without_reads_do_not_overflow)
{
	for (unsigned i = 0; i < 1000; i++) {
		k_data(0xff);
		k_cmd(0xaa);
	}
	for (unsigned i = 0; i < 16; i++)
		cr_expect_geq(k_get(), 0);
	cr_expect_eq(k_get(), -1);
}
