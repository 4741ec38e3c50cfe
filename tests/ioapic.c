/* SPDX-License-Identifier: MIT */
/* Expectations: Intel 82093AA data sheet (290566-001), section 3; ICH data sheet for the EOI. */
#include <criterion/criterion.h>

#include "tests/devices.h"
#include "vmm/dev/devices.h"

#define IO_MASK  0x10000u
#define IO_LEVEL 0x8000u
#define IO_RIRR  0x4000u
#define IO_LOW   0x2000u
#define IO_WAIT  0x1000u

static struct bus io_bus;
static struct ioapic *io_dev;
static struct irq_line io_line[24];
static unsigned io_sent;
static uint32_t io_icr;
static uint8_t io_dest;
static bool io_accept;

static bool io_send(void *arg, uint32_t icr, uint8_t dest)
{
	(void)arg;
	io_sent++;
	io_icr = icr;
	io_dest = dest;
	return io_accept;
}

static void io_setup(void)
{
	const struct ioapic_host host = { io_send, NULL };

	bus_init(&io_bus, "mmio");
	io_dev = ioapic_new(&io_bus, &host);
	for (unsigned i = 0; i < 24; i++)
		io_line[i] = ioapic_line(io_dev, i);
	io_accept = true;
	io_sent = 0;
}

static void io_teardown(void)
{
	ioapic_free(io_dev);
}

static uint32_t io_get(uint8_t reg)
{
	bus_write(&io_bus, 0xfec00000, 4, reg);
	return bus_read(&io_bus, 0xfec00010, 4);
}

static void io_set(uint8_t reg, uint32_t val)
{
	bus_write(&io_bus, 0xfec00000, 4, reg);
	bus_write(&io_bus, 0xfec00010, 4, val);
}

/* Entry of @pin for destination 1. */
static void io_rte(unsigned pin, uint32_t lo)
{
	io_set((uint8_t)(0x11 + 2 * pin), 0x01000000);
	io_set((uint8_t)(0x10 + 2 * pin), lo);
}

static uint32_t io_lo(unsigned pin)
{
	return io_get((uint8_t)(0x10 + 2 * pin));
}

TestSuite(ioapic, .init = io_setup, .fini = io_teardown);

/* 3.2.1-3.2.4. */
Test(ioapic, after_reset_all_pins_are_masked)
{
	cr_expect_eq(io_get(1), 0x00170020);
	cr_expect_eq(io_get(0), 0);
	for (unsigned i = 0; i < 24; i++) {
		cr_expect_eq(io_lo(i), IO_MASK);
		irq_set(&io_line[i], true);
	}
	cr_expect_eq(io_sent, 0);
}

Test(ioapic, registers_hold_their_writable_bits)
{
	io_set(0, ~0u);
	cr_expect_eq(io_get(0), 0x0f000000);
	cr_expect_eq(io_get(2), 0x0f000000, "the arbitration id follows the id");
	io_set(1, ~0u);
	cr_expect_eq(io_get(1), 0x00170020);
	io_set(0x10, ~0u);
	cr_expect_eq(io_get(0x10), 0x1afff);
	io_set(0x11, ~0u);
	cr_expect_eq(io_get(0x11), 0xff000000);
}

/* Hostile: the whole page, every index, every width. */
Test(ioapic, every_access_is_survived)
{
	for (unsigned reg = 0; reg < 0x200; reg++) {
		bus_write(&io_bus, 0xfec00000, 4, reg);
		bus_write(&io_bus, 0xfec00010, 4, 0x18700u);
		bus_read(&io_bus, 0xfec00010, 4);
	}
	for (uint64_t off = 0; off < 0x1000; off++) {
		for (unsigned w = 1; w <= 4; w *= 2) {
			bus_read(&io_bus, 0xfec00000 + off, w);
			bus_write(&io_bus, 0xfec00000 + off, w, ~0u);
		}
	}
	cr_expect_eq(io_get(0x40), 0, "behind the table");
	irq_set(&(struct irq_line){ io_line[0].set, io_dev, 24 }, true);
	irq_set(&(struct irq_line){ io_line[0].set, io_dev, ~0u }, true);
}

Test(ioapic, an_edge_sends_once_for_each_rise)
{
	io_rte(4, 0x31);
	irq_set(&io_line[4], true);
	irq_set(&io_line[4], true);
	cr_expect_eq(io_sent, 1);
	cr_expect_eq(io_icr & 0x8fff, 0x31);
	cr_expect_eq(io_dest, 1);
	irq_set(&io_line[4], false);
	irq_set(&io_line[4], true);
	cr_expect_eq(io_sent, 2);
	cr_expect_eq(io_lo(4), 0x31, "no remote IRR for an edge");
}

/* 3.2.4, bit 16: "edge-sensitive interrupts signaled on a masked pin are ignored". */
Test(ioapic, a_masked_edge_is_lost_and_a_masked_level_is_not)
{
	io_rte(4, 0x31 | IO_MASK);
	irq_set(&io_line[4], true);
	io_rte(4, 0x31);
	cr_expect_eq(io_sent, 0);
	io_rte(5, 0x32 | IO_MASK | IO_LEVEL);
	irq_set(&io_line[5], true);
	cr_expect_eq(io_sent, 0);
	io_rte(5, 0x32 | IO_LEVEL);
	cr_expect_eq(io_sent, 1);
}

Test(ioapic, a_level_sends_again_only_after_its_eoi)
{
	io_rte(9, 0x45 | IO_LEVEL);
	irq_set(&io_line[9], true);
	cr_expect_eq(io_sent, 1);
	cr_expect_eq(io_icr & 0x8000, 0x8000);
	cr_expect_eq(io_lo(9) & IO_RIRR, IO_RIRR);
	irq_set(&io_line[9], false);
	irq_set(&io_line[9], true);
	cr_expect_eq(io_sent, 1);
	ioapic_eoi(io_dev, 0x46);
	cr_expect_eq(io_sent, 1, "another vector's");
	ioapic_eoi(io_dev, 0x45);
	cr_expect_eq(io_sent, 2, "still asserted: exactly one more");
	irq_set(&io_line[9], false);
	ioapic_eoi(io_dev, 0x45);
	cr_expect_eq(io_sent, 2);
	cr_expect_eq(io_lo(9) & IO_RIRR, 0);
}

/* ICH data sheet, "EOI Register": the vector of an ended level interrupt. */
Test(ioapic, the_eoi_register_ends_all_pins_of_the_vector)
{
	io_rte(9, 0x45 | IO_LEVEL);
	io_rte(10, 0x45 | IO_LEVEL);
	irq_set(&io_line[9], true);
	irq_set(&io_line[10], true);
	irq_set(&io_line[10], false);
	cr_expect_eq(io_sent, 2);
	bus_write(&io_bus, 0xfec00040, 4, 0x45);
	cr_expect_eq(io_sent, 3);
	cr_expect_eq(io_lo(10) & IO_RIRR, 0);
}

Test(ioapic, polarity_turns_the_line_over)
{
	io_rte(7, 0x37 | IO_LOW);
	irq_set(&io_line[7], true);
	cr_expect_eq(io_sent, 0);
	irq_set(&io_line[7], false);
	cr_expect_eq(io_sent, 1);
	io_rte(8, 0x38 | IO_LOW | IO_LEVEL);
	cr_expect_eq(io_sent, 2, "a low line is an asserted one");
}

/* Nothing is behind it: a hostile or careless entry sends nothing. */
Test(ioapic, an_unwired_pin_is_never_active)
{
	const struct ioapic_host host = { io_send, NULL };
	struct bus bus;
	struct ioapic *io;

	bus_init(&bus, "mmio");
	io = ioapic_new(&bus, &host);
	for (uint32_t lo = 0; lo <= 0xffff; lo += 0x2000) {
		bus_write(&bus, 0xfec00000, 4, 0x10 + 2 * 20);
		bus_write(&bus, 0xfec00010, 4, lo | 0x50);
	}
	cr_expect_eq(io_sent, 0);
	ioapic_free(io);
}

Test(ioapic, modes_and_destination_mode_are_passed_on)
{
	static const uint32_t modes[] = { 0x000, 0x100, 0x400, 0x500, 0x700 };

	for (unsigned i = 0; i < 5; i++) {
		io_rte(11, 0x800 | modes[i] | 0x22);
		irq_set(&io_line[11], true);
		cr_expect_eq(io_icr & 0xf00, 0x800 | modes[i]);
		irq_set(&io_line[11], false);
	}
	io_rte(11, 0x400 | IO_LEVEL);
	irq_set(&io_line[11], true);
	cr_expect_eq(io_icr & 0x8000, 0, "NMI is an edge whatever the entry says");
	cr_expect_eq(io_lo(11) & IO_RIRR, 0);
}

/* Bit 12: the message waits; nothing is lost while every local APIC is off. */
Test(ioapic, a_level_nobody_accepts_is_tried_again)
{
	io_accept = false;
	io_rte(9, 0x45 | IO_LEVEL);
	irq_set(&io_line[9], true);
	cr_expect_eq(io_lo(9) & (IO_RIRR | IO_WAIT), IO_WAIT);
	ioapic_retry(io_dev);
	cr_expect_eq(io_sent, 2);
	io_accept = true;
	ioapic_retry(io_dev);
	cr_expect_eq(io_lo(9) & (IO_RIRR | IO_WAIT), IO_RIRR);
	ioapic_retry(io_dev);
	cr_expect_eq(io_sent, 3);
}

/* How Linux ends a level without the EOI register (__eoi_ioapic_pin). */
Test(ioapic, switching_to_edge_and_back_clears_a_stuck_remote_irr)
{
	io_rte(9, 0x45 | IO_LEVEL);
	irq_set(&io_line[9], true);
	irq_set(&io_line[9], false);
	io_rte(9, 0x45 | IO_MASK);
	io_rte(9, 0x45 | IO_LEVEL);
	cr_expect_eq(io_lo(9) & IO_RIRR, 0);
}

Test(ioapic, unmasking_extint_tells_of_an_intr_that_waits)
{
	uint32_t icr;
	uint8_t dest;

	irq_set(&io_line[0], true);
	cr_expect_not(ioapic_extint(io_dev, 0, &icr, &dest));
	io_rte(0, 0x700);
	cr_expect_eq(io_sent, 1);
	cr_expect(ioapic_extint(io_dev, 0, &icr, &dest));
	cr_expect_eq(dest, 1);
}
