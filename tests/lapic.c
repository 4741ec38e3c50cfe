/* SPDX-License-Identifier: MIT */
/* Expectations: SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)" (10). */
#include <criterion/criterion.h>

#include "tests/devices.h"
#include "vmm/dev/devices.h"

#define L_TPR 0x080
#define L_PPR 0x0a0
#define L_EOI 0x0b0
#define L_SVR 0x0f0
#define L_ESR 0x280
#define L_ICR 0x300

static struct bench l_b;
static struct lapic *l_dev;
static unsigned l_notified, l_nmis, l_inits, l_eois;
static int l_sipi;
static uint64_t l_tsc_offset;

static void l_notify(void *arg)
{
	(void)arg;
	l_notified++;
}

static void l_nmi(void *arg)
{
	(void)arg;
	l_nmis++;
}

static void l_init_sipi(void *arg, int sipi)
{
	(void)arg;
	l_inits++;
	l_sipi = sipi;
}

static void l_level_eoi(void *arg, uint8_t vector)
{
	(void)arg;
	l_eois = vector;
}

/* The guest's TSC runs at 2 GHz. */
static uint64_t l_tsc(void *arg)
{
	return 2 * bench_clock(arg) + l_tsc_offset;
}

static uint64_t l_tsc_to_ns(void *arg, uint64_t tsc)
{
	(void)arg;
	return (tsc - l_tsc_offset + 1) / 2;
}

static struct lapic *l_make(uint8_t id)
{
	const struct lapic_host host = { .notify = l_notify,
					 .nmi = l_nmi,
					 .tsc = l_tsc,
					 .tsc_to_ns = l_tsc_to_ns,
					 .arg = &l_b,
					 .init_sipi = l_init_sipi,
					 .level_eoi = l_level_eoi };

	return lapic_new(id, &l_b.timers, &host);
}

static uint32_t l_get(uint32_t off)
{
	return lapic_mmio_read(l_dev, off, 4);
}

static void l_set(uint32_t off, uint32_t val)
{
	lapic_mmio_write(l_dev, off, 4, val);
}

static void l_setup(void)
{
	bench_init(&l_b);
	l_dev = l_make(3);
	l_set(L_SVR, 0x1ff);
}

static void l_teardown(void)
{
	lapic_free(l_dev);
	cr_expect_eq(timers_next(&l_b.timers), TIMER_NEVER, "a timer outlived the chip");
}

/* The latched errors, as software reads them. */
static uint32_t l_errors(void)
{
	l_set(L_ESR, 0);
	return l_get(L_ESR);
}

TestSuite(lapic, .init = l_setup, .fini = l_teardown);

/* 10.4.7.1 "Local APIC State After Power-Up or Reset". */
Test(lapic, reset_state)
{
	lapic_reset(l_dev);
	cr_expect_eq(l_get(0x020), 3u << 24);
	cr_expect_eq(l_get(0x030), 0x01050014);
	cr_expect_eq(l_get(0x0e0), 0xffffffff);
	cr_expect_eq(l_get(L_SVR), 0xff);
	for (uint32_t off = 0x320; off <= 0x370; off += 0x10)
		cr_expect_eq(l_get(off), 0x10000, "LVT at %#x", off);
	for (uint32_t off = 0x100; off < 0x280; off += 0x10)
		cr_expect_eq(l_get(off), 0);
	cr_expect_eq(l_get(L_TPR), 0);
	cr_expect_eq(l_get(0x380), 0);
	cr_expect_eq(l_get(0x390), 0);
	cr_expect_eq(l_get(0x3e0), 0);
}

/* Each writable register keeps the bits it has and no others. */
Test(lapic, registers_hold_their_writable_bits)
{
	static const struct {
		uint32_t off, bits;
	} reg[] = {
		{ 0x020, 0xff000000 },
		{ L_TPR, 0x000000ff },
		{ 0x0d0, 0xff000000 },
		{ 0x310, 0xff000000 },
		{ 0x320, 0x000700ff & ~0x40000u },
		{ 0x330, 0x000107ff },
		{ 0x340, 0x000107ff },
		{ 0x350, 0x0001a7ff },
		{ 0x360, 0x0001a7ff },
		{ 0x370, 0x000100ff },
		{ 0x3e0, 0x0000000b },
	};

	for (unsigned i = 0; i < sizeof(reg) / sizeof(reg[0]); i++) {
		l_set(reg[i].off, reg[i].off == 0x320 ? ~0x40000u : ~0u);
		cr_expect_eq(l_get(reg[i].off), reg[i].bits, "%#x: %#x", reg[i].off,
			     l_get(reg[i].off));
		l_set(reg[i].off, 0);
		cr_expect_eq(l_get(reg[i].off), 0, "%#x", reg[i].off);
	}
	l_set(0x0e0, 0);
	cr_expect_eq(l_get(0x0e0), 0x0fffffff, "DFR: the model only");
}

Test(lapic, read_only_registers_ignore_writes_without_error)
{
	static const uint32_t ro[] = { 0x030, 0x090, L_PPR, 0x100, 0x180, 0x200, 0x390 };

	for (unsigned i = 0; i < sizeof(ro) / sizeof(ro[0]); i++) {
		uint32_t was = l_get(ro[i]);

		l_set(ro[i], 0x5a5a5a5a);
		cr_expect_eq(l_get(ro[i]), was, "%#x", ro[i]);
	}
	cr_expect_eq(l_errors(), 0);
}

/* 10.4.1: 32-bit accesses on 16-byte boundaries. */
Test(lapic, other_widths_and_offsets_do_nothing)
{
	cr_expect_eq(lapic_mmio_read(l_dev, 0x030, 1), 0);
	cr_expect_eq(lapic_mmio_read(l_dev, 0x030, 2), 0);
	cr_expect_eq(lapic_mmio_read(l_dev, 0x034, 4), 0);
	lapic_mmio_write(l_dev, L_TPR, 1, 0x55);
	lapic_mmio_write(l_dev, L_TPR + 4, 4, 0x55);
	cr_expect_eq(l_get(L_TPR), 0);
	cr_expect_eq(lapic_mmio_read(l_dev, 0x1000, 4), 0);
	cr_expect_eq(lapic_mmio_read(l_dev, 0xfffffff0, 4), 0);
	lapic_mmio_write(l_dev, 0xfffffff0, 4, 1);
}

/* 10.5.3: bit 7, and the write that makes the register readable. */
Test(lapic, a_reserved_register_is_an_illegal_register_address)
{
	cr_expect_eq(l_get(0x040), 0);
	cr_expect_eq(l_get(L_ESR), 0, "not before a write");
	cr_expect_eq(l_errors(), 0x80);
	cr_expect_eq(l_errors(), 0);
	l_set(0x2f0, 1); /* no CMCI entry in this version */
	cr_expect_eq(l_errors(), 0x80);
}

Test(lapic, every_offset_is_survived)
{
	for (uint32_t off = 0; off < 0x1000; off++) {
		for (unsigned w = 1; w <= 4; w *= 2) {
			lapic_mmio_read(l_dev, off, w);
			lapic_mmio_write(l_dev, off, w, 0xffffffff);
			lapic_mmio_write(l_dev, off, w, 0);
		}
	}
}

/* 10.8.4: IRR to ISR on acknowledge, ISR cleared by EOI. */
Test(lapic, a_vector_goes_from_irr_to_isr_to_eoi)
{
	lapic_deliver(l_dev, 0x61, false);
	cr_expect_eq(l_notified, 1);
	cr_expect_eq(l_get(0x230), 1u << 1);
	cr_expect_eq(lapic_pending(l_dev), 0x61);
	cr_expect_eq(lapic_ack(l_dev), 0x61);
	cr_expect_eq(l_get(0x230), 0);
	cr_expect_eq(l_get(0x130), 1u << 1);
	cr_expect_eq(l_get(L_PPR), 0x60);
	l_set(L_EOI, 0);
	cr_expect_eq(l_get(0x130), 0);
	cr_expect_eq(l_get(L_PPR), 0);
	cr_expect_eq(l_eois, 0, "edges are not broadcast");
}

Test(lapic, vectors_come_by_priority_and_nest_by_class)
{
	lapic_deliver(l_dev, 0x41, false);
	cr_expect_eq(lapic_ack(l_dev), 0x41);
	lapic_deliver(l_dev, 0x4f, false);
	cr_expect_eq(lapic_pending(l_dev), -1, "the same class waits");
	lapic_deliver(l_dev, 0x50, false);
	cr_expect_eq(lapic_ack(l_dev), 0x50);
	lapic_deliver(l_dev, 0xff, false);
	cr_expect_eq(lapic_ack(l_dev), 0xff);
	lapic_eoi(l_dev);
	cr_expect_eq(l_get(L_PPR), 0x50);
	lapic_eoi(l_dev);
	l_notified = 0;
	lapic_eoi(l_dev);
	cr_expect_eq(l_notified, 1, "now 0x4f can go");
	cr_expect_eq(lapic_ack(l_dev), 0x4f);
}

/* 10.8.3.1: PPR is TPR when its class is not below the one in service, else that class. */
Test(lapic, tpr_holds_off_its_class_and_lowering_it_tells_the_vcpu)
{
	l_set(L_TPR, 0x65);
	lapic_deliver(l_dev, 0x6f, false);
	cr_expect_eq(lapic_pending(l_dev), -1);
	cr_expect_eq(l_get(L_PPR), 0x65);
	cr_expect_eq(l_notified, 0);
	lapic_deliver(l_dev, 0x70, false);
	cr_expect_eq(lapic_ack(l_dev), 0x70);
	cr_expect_eq(l_get(L_PPR), 0x70);
	lapic_eoi(l_dev);
	l_notified = 0;
	l_set(L_TPR, 0x5f);
	cr_expect_eq(l_notified, 1);
	cr_expect_eq(lapic_ack(l_dev), 0x6f);
	cr_expect_eq(lapic_tpr(l_dev), 0x5f);
}

/* 10.9: the vector of SVR, without an ISR bit. */
Test(lapic, an_ack_with_nothing_to_give_is_spurious)
{
	l_set(L_SVR, 0x1ef);
	lapic_deliver(l_dev, 0x55, false);
	l_set(L_TPR, 0xf0);
	cr_expect_eq(lapic_ack(l_dev), 0xef);
	for (uint32_t off = 0x100; off < 0x180; off += 0x10)
		cr_expect_eq(l_get(off), 0);
}

/* 10.6.2.4, the formula for APR. */
Test(lapic, apr_follows_the_manuals_formula)
{
	l_set(L_TPR, 0x34);
	cr_expect_eq(l_get(0x090), 0x34, "TPR above IRRV and ISRV: TPR itself");
	lapic_deliver(l_dev, 0x81, false);
	cr_expect_eq(l_get(0x090), 0x80, "IRRV above");
	lapic_ack(l_dev);
	cr_expect_eq(l_get(0x090), 0x30 & 0x80, "max(TPR and ISRV, IRRV)");
}

Test(lapic, vectors_below_16_are_receive_errors)
{
	lapic_deliver(l_dev, 15, false);
	cr_expect_eq(lapic_pending(l_dev), -1);
	cr_expect_eq(l_errors(), 0x40);
	l_set(L_ICR, 0x40005); /* self */
	cr_expect_eq(l_errors(), 0x20);
}

/* 10.5.3: the LVT error entry; once per write to ESR; its own illegal vector does not recurse. */
Test(lapic, errors_interrupt_once_until_esr_is_written)
{
	l_set(0x370, 0x7e);
	lapic_deliver(l_dev, 1, false);
	cr_expect_eq(lapic_ack(l_dev), 0x7e);
	lapic_eoi(l_dev);
	lapic_deliver(l_dev, 1, false);
	cr_expect_eq(lapic_pending(l_dev), -1);
	cr_expect_eq(l_errors(), 0x40);
	lapic_deliver(l_dev, 1, false);
	cr_expect_eq(lapic_ack(l_dev), 0x7e);
	l_errors();
	l_set(0x370, 0x05);
	l_get(0x040);
	cr_expect_eq(l_errors(), 0xc0);
}

/* 10.4.7.2 "Local APIC State After It Has Been Software Disabled". */
Test(lapic, software_disable_masks_the_lvts_and_accepts_nothing_new)
{
	l_set(0x350, 0x700);
	l_set(0x320, 0x20030);
	lapic_deliver(l_dev, 0x51, false);
	l_set(L_SVR, 0x0ff);
	cr_expect_eq(l_get(0x350), 0x10700);
	l_set(0x350, 0x700);
	cr_expect_eq(l_get(0x350), 0x10700, "the mask cannot be cleared");
	lapic_deliver(l_dev, 0x61, false);
	cr_expect_eq(lapic_pending(l_dev), 0x51, "what was accepted is held");
	l_set(L_SVR, 0x1ff);
	cr_expect_eq(l_get(0x350), 0x10700, "and enabling leaves them masked");
}

/* 10.4.3: off, INTR goes to the CPU as if there were no APIC; back on, it is as after reset. */
Test(lapic, hardware_disable_forgets_everything_and_passes_intr)
{
	lapic_deliver(l_dev, 0x51, false);
	cr_expect_not(lapic_accepts_extint(l_dev));
	lapic_set_hw_enabled(l_dev, false);
	cr_expect_eq(lapic_pending(l_dev), -1);
	cr_expect(lapic_accepts_extint(l_dev));
	lapic_set_hw_enabled(l_dev, true);
	cr_expect_eq(lapic_pending(l_dev), -1);
	cr_expect_eq(l_get(L_SVR), 0xff);
}

Test(lapic, virtual_wire_passes_the_pic_through_lint0)
{
	lapic_reset(l_dev);
	cr_expect_not(lapic_accepts_extint(l_dev));
	lapic_set_virtual_wire(l_dev);
	cr_expect(lapic_accepts_extint(l_dev));
	cr_expect_eq(l_get(0x360) & 0x10700, 0x400, "LINT1 is NMI");
	l_set(0x350, 0x10700);
	cr_expect_not(lapic_accepts_extint(l_dev));
	l_notified = 0;
	l_set(0x350, 0x700);
	cr_expect_eq(l_notified, 1, "the PIC may have been waiting");
}

/* 10.5.1: delivery modes of the pins. */
Test(lapic, lint_pins_deliver_fixed_edges_nmis_and_levels)
{
	l_set(0x350, 0x45);
	lapic_lint(l_dev, 0, true);
	lapic_lint(l_dev, 0, true);
	cr_expect_eq(lapic_ack(l_dev), 0x45);
	cr_expect_eq(lapic_pending(l_dev), -1);
	lapic_eoi(l_dev);
	l_set(0x360, 0x400);
	lapic_lint(l_dev, 1, true);
	lapic_lint(l_dev, 1, false);
	lapic_lint(l_dev, 1, true);
	cr_expect_eq(l_nmis, 2);
	lapic_lint(l_dev, 0, false);
	l_set(0x350, 0x8046);
	lapic_lint(l_dev, 0, true);
	cr_expect_eq(l_get(0x350), 0xc046, "remote IRR");
	cr_expect_eq(lapic_ack(l_dev), 0x46);
	lapic_eoi(l_dev);
	cr_expect_eq(lapic_ack(l_dev), 0x46, "still asserted: again");
	lapic_lint(l_dev, 0, false);
	lapic_eoi(l_dev);
	cr_expect_eq(lapic_pending(l_dev), -1);
	cr_expect_eq(l_get(0x350), 0x8046);
}

Test(lapic, tmr_tells_levels_and_their_eoi_is_broadcast)
{
	lapic_deliver(l_dev, 0x72, true);
	cr_expect_eq(l_get(0x1b0), 1u << 0x12);
	lapic_ack(l_dev);
	lapic_eoi(l_dev);
	cr_expect_eq(l_eois, 0x72);
	lapic_deliver(l_dev, 0x72, false);
	cr_expect_eq(l_get(0x1b0), 0);
}

/* 10.6.1: shorthands. */
Test(lapic, self_ipis_by_shorthand_and_by_destination)
{
	l_set(L_ICR, 0x00040033);
	cr_expect_eq(lapic_ack(l_dev), 0x33);
	lapic_eoi(l_dev);
	l_set(0x310, 3u << 24);
	l_set(L_ICR, 0x00000034);
	cr_expect_eq(lapic_ack(l_dev), 0x34);
	lapic_eoi(l_dev);
	l_set(0x310, 4u << 24);
	l_set(L_ICR, 0x00000035);
	l_set(L_ICR, 0x000c0035); /* all but self */
	cr_expect_eq(lapic_pending(l_dev), -1);
	l_set(L_ICR, 0x00081036);
	cr_expect_eq(lapic_ack(l_dev), 0x36);
	cr_expect_eq(l_get(L_ICR), 0x00080036, "delivery status is always idle");
}

/* 10.6.2: destinations. */
Test(lapic, ipi_destinations_physical_flat_and_cluster)
{
	struct lapic *other = l_make(1);

	cr_expect(lapic_ipi_targets(l_dev, other, 0x33, 3));
	cr_expect(lapic_ipi_targets(l_dev, other, 0x33, 0xff));
	cr_expect_not(lapic_ipi_targets(l_dev, other, 0x33, 1));
	l_set(0x0d0, 0x08000000);
	cr_expect(lapic_ipi_targets(l_dev, other, 0x833, 0x0c));
	cr_expect_not(lapic_ipi_targets(l_dev, other, 0x833, 0x07));
	l_set(0x0e0, 0x0fffffff);
	l_set(0x0d0, 0x21000000); /* cluster 2, member 1 */
	cr_expect(lapic_ipi_targets(l_dev, other, 0x833, 0x23));
	cr_expect(lapic_ipi_targets(l_dev, other, 0x833, 0xf1));
	cr_expect_not(lapic_ipi_targets(l_dev, other, 0x833, 0x22));
	cr_expect_not(lapic_ipi_targets(l_dev, other, 0x833, 0x11));
	lapic_free(other);
}

/* 10.6.1: INIT and SIPI; the level de-assert is not an INIT. */
Test(lapic, nmi_init_and_sipi_go_to_the_host)
{
	lapic_receive_ipi(l_dev, 0x00004400);
	cr_expect_eq(l_nmis, 1);
	lapic_receive_ipi(l_dev, 0x0000c500);
	cr_expect_eq(l_inits, 1);
	cr_expect_eq(l_sipi, -1);
	lapic_receive_ipi(l_dev, 0x00008500);
	cr_expect_eq(l_inits, 1);
	lapic_receive_ipi(l_dev, 0x0000469f);
	cr_expect_eq(l_inits, 2);
	cr_expect_eq(l_sipi, 0x9f);
}
