/* SPDX-License-Identifier: MIT */
/* Expectations: SDM Vol. 3A, "Extended XAPIC (x2APIC)" (10.12), table 10-6. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/devices.h"
#include "vmm/dev/devices.h"

static struct bench x2_b;
static struct lapic *x2_dev;
static unsigned x2_sent, x2_eois;
static uint32_t x2_icr, x2_dest;

static void x2_send(void *arg, uint32_t icr, uint32_t dest)
{
	(void)arg;
	x2_sent++;
	x2_icr = icr;
	x2_dest = dest;
}

static void x2_eoi(void *arg, uint8_t vector)
{
	(void)arg;
	(void)vector;
	x2_eois++;
}

static struct lapic *x2_make(uint8_t id)
{
	const struct lapic_host host = { .send_ipi = x2_send, .level_eoi = x2_eoi };
	struct lapic *l = lapic_new(id, &x2_b.timers, &host);

	lapic_set_mode(l, true, true);
	lapic_msr_write(l, 0x80f, 0x1ff);
	return l;
}

static void x2_setup(void)
{
	bench_init(&x2_b);
	x2_dev = x2_make(5);
	x2_sent = x2_eois = 0;
}

static void x2_teardown(void)
{
	lapic_free(x2_dev);
}

static uint64_t x2_get(uint32_t msr)
{
	uint64_t val = ~0ull;

	cr_expect_eq(lapic_msr_read(x2_dev, msr, &val), 0, "rdmsr %#x", msr);
	return val;
}

static int x2_set(uint32_t msr, uint64_t val)
{
	return lapic_msr_write(x2_dev, msr, val);
}

TestSuite(x2apic, .init = x2_setup, .fini = x2_teardown);

/* 10.12.10: the ids are the hardware's and read-only. */
Test(x2apic, ids_are_32_bits_and_derived)
{
	struct lapic *far = x2_make(0x23);
	uint64_t val;

	cr_expect_eq(x2_get(0x802), 5);
	cr_expect_eq(x2_get(0x80d), 1u << 5);
	cr_expect_eq(x2_set(0x802, 5), -EINVAL);
	cr_expect_eq(x2_set(0x80d, 1), -EINVAL);
	cr_expect_eq(lapic_msr_read(far, 0x80d, &val), 0);
	cr_expect_eq(val, 2u << 16 | 1u << 3);
	lapic_free(far);
}

/* Table 10-6: which registers there are. */
Test(x2apic, exactly_the_registers_of_the_table_can_be_read)
{
	for (uint32_t msr = 0x800; msr <= 0x8ff; msr++) {
		bool is = msr == 0x802 || msr == 0x803 || msr == 0x808 || msr == 0x80a ||
			  msr == 0x80d || msr == 0x80f || (msr >= 0x810 && msr <= 0x828) ||
			  msr == 0x830 || (msr >= 0x832 && msr <= 0x839) || msr == 0x83e;
		uint64_t val;

		cr_expect_eq(lapic_msr_read(x2_dev, msr, &val), is ? 0 : -EINVAL, "%#x", msr);
	}
}

Test(x2apic, exactly_the_registers_of_the_table_can_be_written)
{
	for (uint32_t msr = 0x800; msr <= 0x8ff; msr++) {
		bool is = msr == 0x808 || msr == 0x80b || msr == 0x80f || msr == 0x828 ||
			  msr == 0x830 || (msr >= 0x832 && msr <= 0x838) || msr == 0x83e ||
			  msr == 0x83f;

		cr_expect_eq(x2_set(msr, 0), is ? 0 : -EINVAL, "%#x", msr);
		if (msr != 0x830)
			cr_expect_eq(x2_set(msr, 1ull << 32), -EINVAL, "%#x: upper half", msr);
	}
}

/* 10.12.1.3 "Reserved Bit Checking". */
Test(x2apic, reserved_bits_fault)
{
	static const struct {
		uint32_t msr, valid;
	} reg[] = { { 0x808, 0xff },    { 0x80b, 0 },       { 0x80f, 0x13ff },  { 0x828, 0 },
		    { 0x832, 0x710ff }, { 0x833, 0x117ff }, { 0x834, 0x117ff }, { 0x835, 0x1f7ff },
		    { 0x836, 0x1f7ff }, { 0x837, 0x110ff }, { 0x83e, 0xb },     { 0x83f, 0xff },
		    { 0x830, 0xccfff } };

	for (unsigned i = 0; i < sizeof(reg) / sizeof(reg[0]); i++)
		for (unsigned bit = 0; bit < 32; bit++)
			cr_expect_eq(x2_set(reg[i].msr, 1u << bit),
				     reg[i].valid >> bit & 1 ? 0 : -EINVAL, "%#x bit %u",
				     reg[i].msr, bit);
}

/* 10.12.9: one 64-bit MSR; one write sends. */
Test(x2apic, icr_is_one_register_with_a_32_bit_destination)
{
	cr_expect_eq(x2_set(0x830, 0x1234567800000041), 0);
	cr_expect_eq(x2_sent, 1);
	cr_expect_eq(x2_dest, 0x12345678);
	cr_expect_eq(x2_get(0x830), 0x1234567800000041);
}

/* 10.12.11 "SELF IPI Register". */
Test(x2apic, self_ipi)
{
	cr_expect_eq(x2_set(0x83f, 0x61), 0);
	cr_expect_eq(lapic_ack(x2_dev), 0x61);
	cr_expect_eq(x2_set(0x80b, 0), 0);
	cr_expect_eq(x2_set(0x83f, 0x0f), 0);
	cr_expect_eq(lapic_pending(x2_dev), -1);
	x2_set(0x828, 0);
	cr_expect_eq(x2_get(0x828), 0x20, "send illegal vector");
}

/* 10.12.10.1: physical by id or all ones; logical by cluster and bit. */
Test(x2apic, destinations)
{
	struct lapic *from = x2_make(1);

	cr_expect(lapic_ipi_targets(x2_dev, from, 0x41, 5));
	cr_expect_not(lapic_ipi_targets(x2_dev, from, 0x41, 0xff));
	cr_expect(lapic_ipi_targets(x2_dev, from, 0x41, 0xffffffff));
	cr_expect(lapic_ipi_targets(x2_dev, from, 0x841, 0x21));
	cr_expect_not(lapic_ipi_targets(x2_dev, from, 0x841, 0x1));
	cr_expect_not(lapic_ipi_targets(x2_dev, from, 0x841, 0x10020));
	cr_expect(lapic_ipi_targets(x2_dev, from, 0x841, 0xffffffff));
	cr_expect(lapic_ipi_targets(x2_dev, NULL, 0x41, 5), "from the IOAPIC, 8 bits");
	cr_expect(lapic_ipi_targets(x2_dev, NULL, 0x41, 0xff));
	lapic_free(from);
}

/* 10.12.1.2: no MSRs in xAPIC mode nor when disabled. */
Test(x2apic, there_are_no_msrs_in_other_modes)
{
	uint64_t val;

	lapic_set_mode(x2_dev, false, false);
	cr_expect_eq(lapic_msr_read(x2_dev, 0x802, &val), -EINVAL);
	lapic_set_mode(x2_dev, true, false);
	cr_expect_eq(lapic_msr_read(x2_dev, 0x802, &val), -EINVAL);
	cr_expect_eq(lapic_msr_write(x2_dev, 0x83f, 0x41), -EINVAL);
	cr_expect_eq(lapic_mmio_read(x2_dev, 0x20, 4), 5u << 24);
}

/* 10.12.5.1: from xAPIC to x2APIC the state is kept; through disabled it is lost. */
Test(x2apic, entering_keeps_the_state)
{
	lapic_set_mode(x2_dev, false, false);
	lapic_set_mode(x2_dev, true, false);
	lapic_mmio_write(x2_dev, 0xf0, 4, 0x1ee);
	lapic_mmio_write(x2_dev, 0x80, 4, 0x30);
	lapic_mmio_write(x2_dev, 0xd0, 4, 0x77000000);
	lapic_set_mode(x2_dev, true, true);
	cr_expect_eq(x2_get(0x80f), 0x1ee);
	cr_expect_eq(x2_get(0x808), 0x30);
	cr_expect_eq(x2_get(0x80d), 1u << 5, "but for the logical id");
}

/* 10.8.5: SVR bit 12 keeps EOIs of levels from the IOAPIC. */
Test(x2apic, directed_eoi_is_not_broadcast)
{
	for (unsigned directed = 0; directed < 2; directed++) {
		x2_set(0x80f, 0x1ff | directed << 12);
		lapic_deliver(x2_dev, 0x71, true);
		cr_expect_eq(lapic_ack(x2_dev), 0x71);
		x2_set(0x80b, 0);
		cr_expect_eq(x2_eois, 1, "directed: %u", directed);
	}
}
