/* SPDX-License-Identifier: MIT */
/*
 * The board's wires with four vCPUs: IPIs, IOAPIC, PIC.  No thread runs; what a vCPU would take is
 * asked for.  Expectations: SDM Vol. 3A (10); MultiProcessor Specification 1.4.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "vmm/irq_stats.h"
#include "vmm/machine.h"
#include "vmm/machine_priv.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define RT_CPUS 4
#define RT_COM1 0x3f8

static struct vm rt_vm;

static void rt_setup(void)
{
	const struct machine_config cfg = { .console_in = -1,
					    .console_out = -1,
					    .debugcon_out = -1 };

	cr_assert_eq(vm_init(&rt_vm, VM_RAM_MIN), 0);
	rt_vm.dead_quietly = true;
	for (unsigned i = 0; i < RT_CPUS; i++) {
		rt_vm.vcpu[i] = calloc(1, sizeof(struct vcpu));
		rt_vm.vcpu[i]->vm = &rt_vm;
		rt_vm.vcpu[i]->id = i;
		vcpu_reset(rt_vm.vcpu[i]);
	}
	rt_vm.vcpus = RT_CPUS;
	cr_assert_eq(machine_create(&rt_vm, &cfg), 0);
}

static void rt_teardown(void)
{
	machine_destroy(&rt_vm);
	for (unsigned i = 0; i < RT_CPUS; i++)
		free(rt_vm.vcpu[i]);
	vm_destroy(&rt_vm);
}

TestSuite(irq_route, .init = rt_setup, .fini = rt_teardown);

static uint32_t rt_lapic(unsigned cpu, uint32_t off)
{
	return machine_mmio_read(&rt_vm, rt_vm.vcpu[cpu], LAPIC_BASE + off, 4);
}

static void rt_set(unsigned cpu, uint32_t off, uint32_t val)
{
	machine_mmio_write(&rt_vm, rt_vm.vcpu[cpu], LAPIC_BASE + off, 4, val);
}

/* Software-enable everyone, with flat logical ids 1, 2, 4, 8. */
static void rt_enable(void)
{
	for (unsigned i = 0; i < RT_CPUS; i++) {
		rt_set(i, 0xf0, 0x1ff);
		rt_set(i, 0xd0, 1u << (24 + i));
	}
}

static void rt_ioapic(unsigned pin, uint32_t hi, uint32_t lo)
{
	struct vcpu *v = rt_vm.vcpu[0];

	machine_mmio_write(&rt_vm, v, IOAPIC_BASE, 4, 0x11 + 2 * pin);
	machine_mmio_write(&rt_vm, v, IOAPIC_BASE + 0x10, 4, hi);
	machine_mmio_write(&rt_vm, v, IOAPIC_BASE, 4, 0x10 + 2 * pin);
	machine_mmio_write(&rt_vm, v, IOAPIC_BASE + 0x10, 4, lo);
}

static void rt_out(uint16_t port, uint8_t val)
{
	machine_pio_write(&rt_vm, rt_vm.vcpu[0], port, 1, val);
}

/* Who has something to take, a bit for each; and all of it is taken and ended. */
static unsigned rt_taken(uint8_t vector)
{
	unsigned who = 0;

	for (unsigned i = 0; i < RT_CPUS; i++) {
		int got = machine_ack_interrupt(&rt_vm, rt_vm.vcpu[i]);

		if (got < 0)
			continue;
		cr_expect_eq(got, vector, "vCPU %u: %#x", i, (unsigned)got);
		cr_expect_eq(machine_ack_interrupt(&rt_vm, rt_vm.vcpu[i]), -1);
		rt_set(i, 0xb0, 0);
		who |= 1u << i;
	}
	return who;
}

/* Table 10-3 and 10.6.2, from vCPU 1. */
Test(irq_route, fixed_ipis_go_where_the_manual_says)
{
	static const struct {
		uint32_t hi, lo;
		unsigned who;
		const char *what;
	} row[] = {
		{ 2u << 24, 0x41, 0x4, "physical" },
		{ 9u << 24, 0x41, 0x0, "nobody" },
		{ 0xffu << 24, 0x41, 0xf, "physical broadcast" },
		{ 0x05u << 24, 0x841, 0x5, "flat" },
		{ 0xffu << 24, 0x841, 0xf, "flat, all bits" },
		{ 0, 0x40041, 0x2, "self" },
		{ 0, 0x80041, 0xf, "all" },
		{ 0, 0xc0041, 0xd, "others" },
		{ 2u << 24, 0x0, 0x0, "illegal vector" },
	};

	rt_enable();
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		rt_set(1, 0x310, row[i].hi);
		rt_set(1, 0x300, row[i].lo);
		cr_expect_eq(rt_taken(0x41), row[i].who, "%s", row[i].what);
	}
}

Test(irq_route, cluster_destinations)
{
	rt_enable();
	for (unsigned i = 0; i < RT_CPUS; i++) {
		rt_set(i, 0xe0, 0x0fffffff);
		rt_set(i, 0xd0, (i / 2) << 28 | 1u << (24 + i % 2)); /* two clusters of two */
	}
	rt_set(0, 0x310, 0x13u << 24);
	rt_set(0, 0x300, 0x841);
	cr_expect_eq(rt_taken(0x41), 0xc);
	rt_set(0, 0x310, 0xf1u << 24);
	rt_set(0, 0x300, 0x841);
	cr_expect_eq(rt_taken(0x41), 0x5);
}

/* 10.6.2.4: the lowest arbitration priority; among equals here the lowest id. */
Test(irq_route, lowest_priority_goes_to_one)
{
	rt_enable();
	rt_set(0, 0x310, 0x0fu << 24);
	rt_set(0, 0x300, 0x941);
	cr_expect_eq(rt_taken(0x41), 0x1);
	rt_set(0, 0x80, 0x20);
	rt_set(1, 0x80, 0x10);
	rt_set(2, 0x80, 0x10);
	rt_set(3, 0x80, 0x20);
	rt_set(0, 0x300, 0x941);
	cr_expect_eq(rt_taken(0x41), 0x2);
	rt_set(1, 0xf0, 0xff); /* a disabled one does not compete */
	rt_set(0, 0x300, 0x941);
	cr_expect_eq(rt_taken(0x41), 0x4);
}

Test(irq_route, an_ipi_kicks_its_target_and_not_its_sender)
{
	rt_enable();
	for (unsigned i = 0; i < RT_CPUS; i++)
		atomic_store(&rt_vm.vcpu[i]->kicked, 0);
	rt_set(1, 0x310, 2u << 24);
	rt_set(1, 0x300, 0x41);
	cr_expect(atomic_load(&rt_vm.vcpu[2]->kicked));
	cr_expect(atomic_load(&rt_vm.vcpu[2]->irq_pending));
	cr_expect_not(atomic_load(&rt_vm.vcpu[1]->kicked));
	cr_expect_not(atomic_load(&rt_vm.vcpu[3]->kicked));
}

Test(irq_route, nmi_ipis_reach_even_disabled_apics)
{
	rt_set(0, 0x300, 0xc4400);
	cr_expect_not(atomic_load(&rt_vm.vcpu[0]->nmi_pending));
	for (unsigned i = 1; i < RT_CPUS; i++)
		cr_expect(machine_ack_nmi(&rt_vm, rt_vm.vcpu[i]));
	cr_expect_not(machine_ack_nmi(&rt_vm, rt_vm.vcpu[1]));
}

/* 10.4.7.3: the local APIC after INIT is as after reset, but for its id. */
Test(irq_route, init_resets_the_targets_local_apic)
{
	rt_enable();
	rt_set(2, 0x20, 0x09000000);
	rt_set(2, 0x320, 0x20033);
	rt_set(0, 0x310, 9u << 24);
	rt_set(0, 0x300, 0x41);
	rt_set(0, 0x300, 0xc500);
	cr_expect_eq(rt_lapic(2, 0xf0), 0xff);
	cr_expect_eq(rt_lapic(2, 0x320), 0x10000);
	cr_expect_eq(rt_lapic(2, 0x20), 0x09000000);
	cr_expect_eq(rt_taken(0x41), 0);
	cr_expect_eq(rt_vm.vcpu[2]->irq_stats->vector[0x41].n.dropped, 1);
	rt_set(0, 0x310, 1u << 24);
	rt_set(0, 0x300, 0x8500); /* level de-assert: nothing */
	cr_expect_eq(rt_lapic(1, 0xf0), 0x1ff);
}

/* Through the IOAPIC to another vCPU; the PIC sees the line too. */
Test(irq_route, com1_comes_through_pin_4_to_the_programmed_destination)
{
	rt_enable();
	rt_ioapic(4, 3u << 24, 0x51);
	rt_out(RT_COM1 + 4, 0x08);
	rt_out(RT_COM1 + 1, 0x02);
	cr_expect_eq(rt_taken(0x51), 0x8);
	cr_expect(rt_vm.machine->isa[4].level);
	rt_out(0x20, 0x0a); /* read IRR */
	cr_expect_eq(machine_pio_read(&rt_vm, rt_vm.vcpu[0], 0x20, 1) & 0x10, 0x10);
}

/* A level that stays asserted: one interrupt an EOI, however often it is ended. */
Test(irq_route, a_level_comes_again_with_each_eoi_until_the_line_falls)
{
	rt_enable();
	rt_ioapic(4, 1u << 24, 0x8051);
	rt_out(RT_COM1 + 4, 0x08);
	rt_out(RT_COM1 + 1, 0x02);
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(rt_taken(0x51), 0x2);
	cr_expect_eq(machine_ack_interrupt(&rt_vm, rt_vm.vcpu[1]), 0x51);
	cr_expect_eq(rt_lapic(1, 0x1a0), 1u << 0x11, "TMR");
	rt_out(RT_COM1 + 1, 0); /* the line falls */
	rt_set(1, 0xb0, 0);
	cr_expect_eq(rt_taken(0x51), 0);
}

/* 10.8.5: with directed EOI the IOAPIC's own register ends it. */
Test(irq_route, directed_eoi_needs_the_ioapics_register)
{
	rt_enable();
	rt_set(1, 0xf0, 0x11ff);
	rt_ioapic(4, 1u << 24, 0x8051);
	rt_out(RT_COM1 + 4, 0x08);
	rt_out(RT_COM1 + 1, 0x02);
	cr_expect_eq(rt_taken(0x51), 0x2);
	cr_expect_eq(rt_taken(0x51), 0);
	machine_mmio_write(&rt_vm, rt_vm.vcpu[1], IOAPIC_BASE + 0x40, 4, 0x51);
	cr_expect_eq(rt_taken(0x51), 0x2);
}

/* A level that came while its target was software-disabled comes when it is enabled. */
Test(irq_route, enabling_a_local_apic_lets_a_waiting_level_in)
{
	rt_ioapic(4, 1u << 24, 0x8051);
	rt_out(RT_COM1 + 4, 0x08);
	rt_out(RT_COM1 + 1, 0x02);
	cr_expect_eq(machine_ack_interrupt(&rt_vm, rt_vm.vcpu[1]), -1);
	rt_set(1, 0xf0, 0x1ff);
	cr_expect(atomic_load(&rt_vm.vcpu[1]->irq_pending));
	cr_expect_eq(rt_taken(0x51), 0x2);
}

/* MP specification, "Virtual Wire Mode" (3.6.2.2): through the IOAPIC's pin 0. */
Test(irq_route, virtual_wire_through_the_ioapic)
{
	static const uint8_t setup[][2] = {
		{ 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 }, { 0x21, 3 }, { 0x21, 0xef }
	};

	rt_enable();
	rt_set(0, 0x350, 0x10700);
	for (unsigned i = 0; i < sizeof(setup) / 2; i++)
		rt_out(setup[i][0], setup[i][1]);
	rt_out(RT_COM1 + 4, 0x08);
	rt_out(RT_COM1 + 1, 0x02);
	cr_expect_eq(rt_taken(0x24), 0, "INTR goes nowhere");
	rt_ioapic(0, 2u << 24, 0x700);
	cr_expect(atomic_load(&rt_vm.vcpu[2]->irq_pending));
	cr_expect_eq(rt_taken(0x24), 0x4);
	/* Or as a vector of its own: "timer through the 8259A". */
	rt_ioapic(0, 1u << 24, 0x33);
	rt_out(RT_COM1 + 1, 0);
	rt_out(RT_COM1 + 1, 0x02);
	cr_expect_eq(rt_taken(0x33), 0x2);
}

/* ACPI override and MP table: IRQ 0 is pin 2. */
Test(irq_route, the_pit_is_on_pin_2)
{
	rt_enable();
	rt_ioapic(2, 0, 0x60);
	rt_ioapic(0, 0, 0x61);
	rt_out(0x43, 0x30); /* mode 0: output low until the count is over */
	rt_out(0x40, 1);
	rt_out(0x40, 0);
	vm_lock(&rt_vm);
	timers_run(&rt_vm.timers, timers_now(&rt_vm.timers) + 1000000000u);
	vm_unlock(&rt_vm);
	cr_expect_eq(rt_taken(0x60), 0x1);
}

/* In x2APIC mode the page is gone; figure 10-27. */
Test(irq_route, x2apic_mode_moves_the_registers_to_msrs)
{
	uint64_t val;

	machine_set_apic_base(&rt_vm, rt_vm.vcpu[3], 0xfee00c00);
	rt_vm.vcpu[3]->sh.apic_base = 0xfee00c00;
	cr_expect_eq(rt_lapic(3, 0x30), 0xffffffff);
	cr_expect_eq(machine_x2apic_read(&rt_vm, rt_vm.vcpu[3], 0x802, &val), 0);
	cr_expect_eq(val, 3);
	rt_set(0, 0xf0, 0x1ff);
	cr_expect_eq(machine_x2apic_write(&rt_vm, rt_vm.vcpu[3], 0x830, 0x41), 0);
	cr_expect_eq(rt_taken(0x41), 0x1, "to physical id 0");
	cr_expect_lt(machine_x2apic_read(&rt_vm, rt_vm.vcpu[0], 0x802, &val), 0);
}

/* Two vectors under one class, posted from outside, in one go. */
Test(irq_route, posted_vectors_are_merged_at_the_next_look)
{
	struct lapic *l = rt_vm.vcpu[2]->lapic;

	rt_enable();
	cr_expect(lapic_post(l, 0x71, 1, 5));
	cr_expect_not(lapic_post(l, 0x71, 2, 6), "one notification until it is taken");
	cr_expect_not(lapic_post(l, 0x82, 1, 7));
	cr_expect_eq(machine_ack_interrupt(&rt_vm, rt_vm.vcpu[2]), 0x82);
	rt_set(2, 0xb0, 0);
	cr_expect(lapic_post(l, 0x71, 1, 8));
	cr_expect_eq(machine_ack_interrupt(&rt_vm, rt_vm.vcpu[2]), 0x71);
	cr_expect_eq(rt_vm.vcpu[2]->irq_stats->vector[0x71].n.raised, 4);
	cr_expect_eq(rt_vm.vcpu[2]->irq_stats->vector[0x71].n.coalesced, 3);
	cr_expect_eq(rt_vm.vcpu[2]->irq_stats->path[IRQ_PATH_ASSIGNED].delivered, 2);
}

/* Every row adds up: raised = delivered + coalesced + dropped + pending. */
Test(irq_route, the_account_adds_up)
{
	struct irq_vector *row = &rt_vm.vcpu[1]->irq_stats->vector[0x41];

	rt_enable();
	rt_set(0, 0x310, 1u << 24);
	for (unsigned i = 0; i < 5; i++)
		rt_set(0, 0x300, 0x41);
	cr_expect_eq(rt_taken(0x41), 0x2);
	irq_stats_delivered(rt_vm.vcpu[1], 0x41, UINT64_MAX);
	irq_stats_delivered(rt_vm.vcpu[1], 0x41, UINT64_MAX); /* once is once */
	rt_set(0, 0x300, 0x41);
	cr_expect_eq(row->n.raised, 6);
	cr_expect_eq(row->n.coalesced, 4);
	cr_expect_eq(row->n.delivered, 1);
	cr_expect_neq(row->since_ns, 0, "one is pending");
	cr_expect_eq(row->latency->count, 1);
	cr_expect_eq(row->path, IRQ_PATH_IPI);
}

/* A guest that still runs when the INIT is on its way may enable its local APIC again. */
Test(irq_route, a_vcpu_that_takes_init_has_its_local_apic_reset)
{
	struct vcpu *v = rt_vm.vcpu[2];

	machine_set_apic_base(&rt_vm, v, 0xfee00c00);
	machine_x2apic_write(&rt_vm, v, 0x80f, 0x1ff);
	machine_x2apic_write(&rt_vm, v, 0x83f, 0x41);
	atomic_store(&v->nmi_pending, true);
	vcpu_reset(v);
	machine_vcpu_init(&rt_vm, v);
	cr_expect_eq(rt_lapic(2, 0xf0), 0xff, "in xAPIC mode, as apic_base says");
	cr_expect_eq(machine_ack_interrupt(&rt_vm, v), -1);
	cr_expect_not(machine_ack_nmi(&rt_vm, v));
	cr_expect_eq(v->irq_stats->vector[0x41].n.dropped, 1);
}
