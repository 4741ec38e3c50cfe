/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's registers as MSRs (x2APIC mode).  Everything that is reserved faults here, where
 * the memory interface ignores it.
 * Source: SDM Vol. 3A, "Extended XAPIC (x2APIC)" (10.12), table 10-6 "Local APIC Register Address
 * Map Supported by x2APIC", and "Reserved Bit Checking" (10.12.1.3).
 */
#include "vmm/dev/lapic_priv.h"

#include <errno.h>

#define MSR_FIRST 0x800u
#define MSR_LAST  0x83fu

/* Bits that are read-only in an LVT entry, and so may be written with anything. */
#define LVT_STATUS    0x1000u
#define ICR_X2_VALID  0x000ccfffu
#define TIMER_DIVIDES 0x0bu

bool lapic_in_x2apic(const struct lapic *l)
{
	return l->hw_enabled && l->x2apic;
}

int lapic_msr_read(struct lapic *l, uint32_t index, uint64_t *val)
{
	uint32_t off = (index - MSR_FIRST) * 16, lo;

	if (!lapic_in_x2apic(l) || index < MSR_FIRST || index > MSR_LAST)
		return -EINVAL;
	/* The one MSR of 64 bits: table 10-6, note 4. */
	if (off == APIC_ICR_LO) {
		*val = (uint64_t)l->icr_hi << 32 | l->icr_lo;
		return 0;
	}
	/* EOI and SELF IPI are write-only; APR, RRD, DFR and ICR_HI are not there. */
	if (!lapic_read_reg(l, off, &lo))
		return -EINVAL;
	*val = lo;
	return 0;
}

static int write_lvt(struct lapic *l, enum lvt n, uint32_t val)
{
	uint32_t valid = lapic_lvt_writable[n] | LVT_STATUS;

	if (n == LVT_LINT0 || n == LVT_LINT1)
		valid |= LVT_REMOTE_IRR;
	if (val & ~valid)
		return -EINVAL;
	lapic_write_lvt(l, n, val);
	return 0;
}

/* A register of 32 bits. */
static int write_reg(struct lapic *l, uint32_t off, uint32_t val)
{
	switch (off) {
	case APIC_TPR:
		if (val & ~0xffu)
			return -EINVAL;
		lapic_write_tpr(l, val);
		return 0;
	case APIC_EOI:
		if (val)
			return -EINVAL;
		lapic_eoi(l);
		return 0;
	case APIC_SVR:
		if (val & ~SVR_WRITABLE)
			return -EINVAL;
		lapic_write_svr(l, val);
		return 0;
	case APIC_ESR:
		if (val)
			return -EINVAL;
		lapic_write_esr(l);
		return 0;
	case APIC_TIMER_INITIAL: lapic_timer_write_initial(l, val); return 0;
	case APIC_TIMER_DIVIDE:
		if (val & ~TIMER_DIVIDES)
			return -EINVAL;
		lapic_timer_write_divide(l, val);
		return 0;
	case APIC_SELF_IPI:
		if (val & ~0xffu)
			return -EINVAL;
		lapic_self_ipi(l, (uint8_t)val);
		return 0;
	default: break;
	}
	if (off >= APIC_LVT_TIMER && off < APIC_LVT_TIMER + LVT_COUNT * 16)
		return write_lvt(l, (off - APIC_LVT_TIMER) / 16, val);
	return -EINVAL; /* read-only, or not there */
}

int lapic_msr_write(struct lapic *l, uint32_t index, uint64_t val)
{
	uint32_t off = (index - MSR_FIRST) * 16;

	if (!lapic_in_x2apic(l) || index < MSR_FIRST || index > MSR_LAST)
		return -EINVAL;
	if (off == APIC_ICR_LO) {
		if ((uint32_t)val & ~ICR_X2_VALID)
			return -EINVAL;
		l->icr_hi = (uint32_t)(val >> 32);
		lapic_write_icr(l, (uint32_t)val, l->icr_hi);
		return 0;
	}
	return val >> 32 ? -EINVAL : write_reg(l, off, (uint32_t)val);
}
