/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>

#include "vmm/bus.h"
#include "vmm/dev/devices.h"

/* A device that remembers its accesses. */
struct bus_probe {
	unsigned calls;
	uint64_t off[8];
	unsigned width[8];
	uint32_t val[8];
};

static uint32_t probe_read(void *dev, uint64_t off, unsigned width)
{
	struct bus_probe *p = dev;

	p->off[p->calls % 8] = off;
	p->width[p->calls++ % 8] = width;
	return 0xa0b0c0d0 + (uint32_t)off;
}

static void probe_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct bus_probe *p = dev;

	p->off[p->calls % 8] = off;
	p->width[p->calls % 8] = width;
	p->val[p->calls++ % 8] = val;
}

static struct bus_range probe_range(struct bus_probe *p, uint64_t base, uint64_t len)
{
	return (struct bus_range){ .name = "probe",
				   .base = base,
				   .len = len,
				   .dev = p,
				   .read = probe_read,
				   .write = probe_write };
}

static int probe_add(struct bus *b, struct bus_probe *p, uint64_t base, uint64_t len)
{
	struct bus_range r = probe_range(p, base, len);

	return bus_add(b, &r);
}

Test(bus, a_device_sees_offsets_and_values_cut_to_the_width)
{
	struct bus_probe p = { 0 };
	struct bus b;

	bus_init(&b, "pio");
	cr_assert_eq(probe_add(&b, &p, 0x100, 8), 0);
	cr_expect_eq(bus_read(&b, 0x103, 1), 0xd3);
	cr_expect_eq(bus_read(&b, 0x104, 2), 0xc0d4);
	cr_expect_eq(bus_read(&b, 0x104, 4), 0xa0b0c0d4);
	bus_write(&b, 0x107, 1, 0x1234);
	cr_expect_eq(p.off[0], 3);
	cr_expect_eq(p.off[3], 7);
	cr_expect_eq(p.val[3], 0x34);
	cr_expect_eq(bus_find(&b, 0x107)->reads, 3);
	cr_expect_eq(bus_find(&b, 0x107)->writes, 1);
}

Test(bus, overlap_is_refused_and_neighbours_are_not)
{
	struct bus_probe p = { 0 };
	struct bus b;

	bus_init(&b, "pio");
	cr_assert_eq(probe_add(&b, &p, 0x100, 8), 0);
	cr_expect_eq(probe_add(&b, &p, 0x107, 1), -EEXIST);
	cr_expect_eq(probe_add(&b, &p, 0xff, 2), -EEXIST);
	cr_expect_eq(probe_add(&b, &p, 0xf0, 0x100), -EEXIST);
	cr_expect_eq(probe_add(&b, &p, 0x108, 1), 0);
	cr_expect_eq(probe_add(&b, &p, 0xff, 1), 0);
}

Test(bus, empty_and_wrapping_ranges_are_refused)
{
	struct bus_probe p = { 0 };
	struct bus b;

	bus_init(&b, "mmio");
	cr_expect_eq(probe_add(&b, &p, 0x100, 0), -EINVAL);
	cr_expect_eq(probe_add(&b, &p, UINT64_MAX, 2), -EINVAL);
	cr_expect_eq(probe_add(&b, &p, UINT64_MAX, 1), 0,
		     "the last byte is an address like others");
	cr_expect_not_null(bus_find(&b, UINT64_MAX));
}

Test(bus, a_full_table_is_reported)
{
	struct bus_probe p = { 0 };
	struct bus b;

	bus_init(&b, "pio");
	for (unsigned i = 0; i < BUS_RANGES_MAX; i++)
		cr_assert_eq(probe_add(&b, &p, i, 1), 0);
	cr_expect_eq(probe_add(&b, &p, BUS_RANGES_MAX, 1), -ENOSPC);
}

/* A floating bus reads as ones. */
Test(bus, unclaimed_reads_are_ones_of_the_width_and_counted)
{
	struct bus b;

	bus_init(&b, "pio");
	cr_expect_eq(bus_read(&b, 0x80, 1), 0xff);
	cr_expect_eq(bus_read(&b, 0x80, 2), 0xffff);
	cr_expect_eq(bus_read(&b, 0x80, 4), 0xffffffff);
	bus_write(&b, 0x80, 1, 5);
	cr_expect_eq(b.unclaimed_count, 1);
	cr_expect_eq(b.unclaimed[0].addr, 0x80);
	cr_expect_eq(b.unclaimed[0].reads, 3);
	cr_expect_eq(b.unclaimed[0].writes, 1);
	cr_expect_eq(b.unclaimed_reads, 3);
	cr_expect_eq(b.unclaimed_writes, 1);
}

Test(bus, the_list_of_unclaimed_addresses_is_bounded_and_the_totals_are_not)
{
	struct bus b;

	bus_init(&b, "mmio");
	for (unsigned i = 0; i < 1000; i++)
		bus_write(&b, i, 1, 0);
	cr_expect_eq(b.unclaimed_count, BUS_UNCLAIMED_MAX);
	cr_expect_eq(b.unclaimed_writes, 1000);
}

Test(bus, an_access_over_the_end_of_a_range_is_unclaimed)
{
	struct bus_probe p = { 0 };
	struct bus b;

	bus_init(&b, "pio");
	cr_assert_eq(probe_add(&b, &p, 0x100, 2), 0);
	cr_expect_eq(bus_read(&b, 0x101, 2), 0xffff);
	bus_write(&b, 0x100, 4, 0);
	cr_expect_eq(p.calls, 0);
	cr_expect_eq(b.unclaimed_reads, 1);
	cr_expect_eq(b.unclaimed_writes, 1);
}

/* IBM PC/AT Technical Reference: a word cycle to an 8-bit device becomes two byte cycles. */
Test(bus, a_wide_access_to_a_narrow_device_is_split_low_byte_first)
{
	struct bus_probe p = { 0 };
	struct bus_range r = probe_range(&p, 0x100, 4);
	struct bus b;

	bus_init(&b, "pio");
	r.split = 1;
	cr_assert_eq(bus_add(&b, &r), 0);
	bus_write(&b, 0x100, 4, 0x44332211);
	cr_expect_eq(p.calls, 4);
	for (unsigned i = 0; i < 4; i++) {
		cr_expect_eq(p.off[i], i);
		cr_expect_eq(p.width[i], 1);
		cr_expect_eq(p.val[i], 0x11 * (i + 1));
	}
	cr_expect_eq(bus_read(&b, 0x101, 2), 0xd2d1);
	cr_expect_eq(bus_find(&b, 0x100)->writes, 1, "one access of the guest's");
}

/* ---- The two smallest devices ---- */

static uint32_t bus_last_status;
static char bus_printed[8];
static unsigned bus_printed_len;

static void bus_done(void *arg, uint32_t status)
{
	(void)arg;
	bus_last_status = status;
}

static void bus_print(void *arg, uint8_t byte)
{
	(void)arg;
	bus_printed[bus_printed_len++ % sizeof(bus_printed)] = (char)byte;
}

/* QEMU hw/misc/debugexit.c */
Test(bus, the_exit_port_takes_every_width_and_makes_the_status_odd)
{
	struct exitport *x;
	struct bus b;

	bus_init(&b, "pio");
	x = exitport_new(&b, bus_done, NULL);
	cr_expect_eq(bus_read(&b, 0xf4, 1), 0);
	bus_write(&b, 0xf4, 1, 0);
	cr_expect_eq(bus_last_status, 1);
	bus_write(&b, 0xf4, 2, 0x1234);
	cr_expect_eq(bus_last_status, 0x2469);
	bus_write(&b, 0xf4, 4, 0x80000001);
	cr_expect_eq(bus_last_status, 3);
	exitport_free(x);
}

/* Bochs' port_e9_hack: reading gives the port's own number, so that a guest can detect it. */
Test(bus, the_debug_console_prints_and_is_detectable)
{
	struct debugcon *d;
	struct bus b;

	bus_init(&b, "pio");
	d = debugcon_new(&b, bus_print, NULL);
	cr_expect_eq(bus_read(&b, 0xe9, 1), 0xe9);
	bus_write(&b, 0xe9, 1, 'A');
	cr_expect_eq(bus_printed_len, 1);
	cr_expect_eq(bus_printed[0], 'A');
	debugcon_free(d);
}
