/* SPDX-License-Identifier: MIT */
/*
 * Messages between interrupt controllers: the interrupt command register, who a message is for, and
 * what it does when it arrives.  IOAPIC messages have the same form, so they come this way too.
 * Source: SDM Vol. 3A, "Issuing Interprocessor Interrupts" (10.6) and "ICR Operation in x2APIC
 * Mode" (10.12.9); numbers below are of its sections.
 */
#include "vmm/dev/lapic_priv.h"

/* ICR fields (10.6.1). */
#define ICR_LOGICAL   0x00000800u
#define ICR_ASSERT    0x00004000u
#define ICR_LEVEL     0x00008000u
#define ICR_SHORTHAND 0x000c0000u
#define ICR_TO_SELF   0x00040000u
#define ICR_TO_ALL    0x00080000u
#define ICR_TO_OTHERS 0x000c0000u
#define ICR_WRITABLE  0x000ccfffu /* bit 12, delivery status, is always idle here */

/* 10.12.10.2 "Deriving Logical x2APIC ID from the Local x2APIC ID". */
static uint32_t x2apic_ldr(const struct lapic *l)
{
	return (uint32_t)l->reset_id >> 4 << 16 | 1u << (l->reset_id & 15);
}

uint32_t lapic_ldr(const struct lapic *l)
{
	return l->x2apic ? x2apic_ldr(l) : l->ldr;
}

/* 10.6.2.2 "Logical Destination Mode". */
static bool logical_match(const struct lapic *l, uint32_t dest)
{
	uint8_t id = l->ldr >> 24;

	if (l->x2apic) /* 10.12.10.1: always clusters of 16 */
		return dest >> 16 == x2apic_ldr(l) >> 16 && (dest & x2apic_ldr(l) & 0xffff);
	if (dest > 0xff)
		return false;
	switch (l->dfr >> 28) {
	case 0xf: return id & dest; /* flat: a bit for each */
	case 0x0: return (dest >> 4 == 0xf || dest >> 4 == id >> 4) && (id & dest & 0xf);
	default: return false;
	}
}

bool lapic_ipi_targets(const struct lapic *l, const struct lapic *from, uint32_t icr, uint32_t dest)
{
	/* Who sends with 8 bits (xAPIC mode, the IOAPIC) has all ones in them for everybody. */
	uint32_t everybody = from && from->x2apic ? UINT32_MAX : 0xff;

	switch (icr & ICR_SHORTHAND) {
	case ICR_TO_SELF: return l == from;
	case ICR_TO_ALL: return true;
	case ICR_TO_OTHERS: return l != from;
	default: break;
	}
	if (icr & ICR_LOGICAL)
		return (everybody == UINT32_MAX && dest == everybody) || logical_match(l, dest);
	return dest == everybody || dest == (l->x2apic ? l->reset_id : l->id >> 24);
}

void lapic_nmi(struct lapic *l, enum irq_path path)
{
	if (l->stats)
		irq_stats_raised(l->stats, 2, path, timers_now(l->timers));
	if (l->host.nmi)
		l->host.nmi(l->host.arg);
}

void lapic_init(struct lapic *l)
{
	lapic_init_reset(l);
	if (l->host.init_sipi)
		l->host.init_sipi(l->host.arg, -1);
}

bool lapic_receive(struct lapic *l, uint32_t icr, enum irq_path path)
{
	bool level = path == IRQ_PATH_EXTERNAL && (icr & ICR_LEVEL); /* IPIs are edges (10.6.1) */

	if (!l->hw_enabled)
		return false;
	switch (icr & LVT_MODE) {
	case DM_FIXED:
	case DM_LOWEST: return lapic_deliver_from(l, icr & 0xff, level, path);
	case DM_NMI: lapic_nmi(l, path); return true;
	case DM_INIT:
		/* INIT level de-assert only resets arbitration ids, which are long gone. */
		if (path == IRQ_PATH_EXTERNAL || (icr & (ICR_LEVEL | ICR_ASSERT)) != ICR_LEVEL)
			lapic_init(l);
		return true;
	case DM_SIPI:
		if (l->host.init_sipi)
			l->host.init_sipi(l->host.arg, icr & 0xff);
		return true;
	default: return false; /* SMI: this board has none.  ExtINT is the host's matter. */
	}
}

void lapic_receive_ipi(struct lapic *l, uint32_t icr)
{
	lapic_receive(l, icr, IRQ_PATH_IPI);
}

void lapic_self_ipi(struct lapic *l, uint8_t vector)
{
	if (vector < 16)
		lapic_error(l, ESR_SEND_VECTOR);
	else
		lapic_receive(l, vector | DM_FIXED, IRQ_PATH_IPI);
}

void lapic_write_icr(struct lapic *l, uint32_t val, uint32_t dest)
{
	uint32_t mode = val & LVT_MODE;

	l->icr_lo = val & ICR_WRITABLE;
	if ((mode == DM_FIXED || mode == DM_LOWEST) && (val & 0xff) < 16) {
		lapic_error(l, ESR_SEND_VECTOR);
		return;
	}
	/* 10.6.1: with the "self" shorthand every mode but fixed is invalid; it goes nowhere. */
	if ((val & ICR_SHORTHAND) == ICR_TO_SELF) {
		if (mode == DM_FIXED)
			lapic_receive(l, l->icr_lo, IRQ_PATH_IPI);
		return;
	}
	/* Table 10-3: neither do INIT and SIPI go to "all including self". */
	if ((val & ICR_SHORTHAND) == ICR_TO_ALL && mode != DM_FIXED)
		return;
	if (l->host.send_ipi)
		l->host.send_ipi(l->host.arg, l->icr_lo, dest);
	else if (lapic_ipi_targets(l, l, val, dest))
		lapic_receive(l, l->icr_lo, IRQ_PATH_IPI); /* the only processor */
}
