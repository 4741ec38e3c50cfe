/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's registers in memory (xAPIC mode), and reading them for both interfaces.
 * Source: SDM Vol. 3A, "The Local APIC Block Diagram" (10.4.1), table 10-1.
 */
#include "vmm/dev/lapic_priv.h"

#define LAPIC_PAGE 0x1000u

static bool in_block(uint32_t off, uint32_t base, uint32_t len)
{
	return off >= base && off < base + len;
}

bool lapic_read_reg(struct lapic *l, uint32_t off, uint32_t *val)
{
	if (in_block(off, APIC_ISR, 0x80)) {
		*val = l->irqs.isr[(off - APIC_ISR) / 16];
		return true;
	}
	if (in_block(off, APIC_TMR, 0x80)) {
		*val = l->irqs.tmr[(off - APIC_TMR) / 16];
		return true;
	}
	if (in_block(off, APIC_IRR, 0x80)) {
		*val = l->irqs.irr[(off - APIC_IRR) / 16];
		return true;
	}
	if (in_block(off, APIC_LVT_TIMER, LVT_COUNT * 16)) {
		*val = l->lvt[(off - APIC_LVT_TIMER) / 16];
		return true;
	}
	switch (off) {
	case APIC_ID: *val = l->x2apic ? l->reset_id : l->id; return true;
	case APIC_VERSION: *val = APIC_VERSION_VALUE; return true;
	case APIC_TPR: *val = l->irqs.tpr; return true;
	case APIC_PPR: *val = irqs_ppr(&l->irqs); return true;
	case APIC_LDR: *val = lapic_ldr(l); return true;
	case APIC_SVR: *val = l->svr; return true;
	case APIC_ESR: *val = l->esr; return true;
	case APIC_TIMER_INITIAL: *val = l->count.initial; return true;
	case APIC_TIMER_CURRENT: *val = lapic_timer_current(l); return true;
	case APIC_TIMER_DIVIDE: *val = l->count.divide; return true;
	default: return false;
	}
}

uint32_t lapic_mmio_read(struct lapic *l, uint32_t off, unsigned width)
{
	uint32_t val;

	/* 10.4.1: registers are 32 bits wide on 16-byte boundaries; nothing else is defined. */
	if (width != 4 || off % 16 || off >= LAPIC_PAGE)
		return 0;
	if (lapic_read_reg(l, off, &val))
		return val;
	switch (off) {
	case APIC_APR: return lapic_apr(l);
	case APIC_EOI: return 0; /* write-only */
	case APIC_RRD: return 0; /* there is no APIC bus to read remotely over */
	case APIC_DFR: return l->dfr;
	case APIC_ICR_LO: return l->icr_lo;
	case APIC_ICR_HI: return l->icr_hi;
	default: lapic_error(l, ESR_ILLEGAL_ADDR); return 0;
	}
}

/* Registers that exist and cannot be written. */
static bool is_read_only(uint32_t off)
{
	return off == APIC_VERSION || off == APIC_APR || off == APIC_PPR || off == APIC_RRD ||
	       off == APIC_TIMER_CURRENT || in_block(off, APIC_ISR, 3 * 0x80);
}

void lapic_mmio_write(struct lapic *l, uint32_t off, unsigned width, uint32_t val)
{
	if (width != 4 || off % 16 || off >= LAPIC_PAGE || is_read_only(off))
		return;
	if (in_block(off, APIC_LVT_TIMER, LVT_COUNT * 16)) {
		lapic_write_lvt(l, (off - APIC_LVT_TIMER) / 16, val);
		return;
	}
	switch (off) {
	case APIC_ID: l->id = val & 0xff000000; break;
	case APIC_TPR: lapic_write_tpr(l, val); break;
	case APIC_EOI: lapic_eoi(l); break;
	case APIC_LDR: l->ldr = val & 0xff000000; break;
	case APIC_DFR: l->dfr = val | 0x0fffffff; break;
	case APIC_SVR: lapic_write_svr(l, val); break;
	case APIC_ESR: lapic_write_esr(l); break;
	case APIC_ICR_LO: lapic_write_icr(l, val, l->icr_hi >> 24); break;
	case APIC_ICR_HI: l->icr_hi = val & 0xff000000; break;
	case APIC_TIMER_INITIAL: lapic_timer_write_initial(l, val); break;
	case APIC_TIMER_DIVIDE: lapic_timer_write_divide(l, val); break;
	default: lapic_error(l, ESR_ILLEGAL_ADDR); break;
	}
}
