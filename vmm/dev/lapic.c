/* SPDX-License-Identifier: MIT */
/*
 * Local APIC in xAPIC mode: registers, priorities, delivery; the timer is in lapic_timer.c.
 * Source: SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)" (10); numbers below are
 * of its sections.
 */
#include "vmm/dev/lapic_priv.h"

#include <stdlib.h>

#define LAPIC_PAGE     0x1000u
#define SPURIOUS_RESET 0xffu

/* ICR fields (10.6.1). */
#define ICR_LOGICAL   0x00000800u
#define ICR_ASSERT    0x00004000u
#define ICR_LEVEL     0x00008000u
#define ICR_SHORTHAND 0x000c0000u
#define ICR_TO_SELF   0x00040000u
#define ICR_TO_ALL    0x00080000u
#define ICR_TO_OTHERS 0x000c0000u
#define ICR_WRITABLE  0x000ccfffu /* bit 12, delivery status, is always idle here */

/* What software may write into each LVT entry (figure 10-8). */
static const uint32_t lvt_writable[LVT_COUNT] = {
	[LVT_TIMER] = LVT_VECTOR | LVT_MASK | TIMER_MODE,
	[LVT_THERMAL] = LVT_VECTOR | LVT_MODE | LVT_MASK,
	[LVT_PERF] = LVT_VECTOR | LVT_MODE | LVT_MASK,
	[LVT_LINT0] = LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASK,
	[LVT_LINT1] = LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASK,
	[LVT_ERROR] = LVT_VECTOR | LVT_MASK,
};

static bool bit_test(const uint32_t *set, uint8_t vector)
{
	return set[vector / 32] >> (vector % 32) & 1;
}

static void bit_set(uint32_t *set, uint8_t vector)
{
	set[vector / 32] |= 1u << (vector % 32);
}

static void bit_clear(uint32_t *set, uint8_t vector)
{
	set[vector / 32] &= ~(1u << (vector % 32));
}

static int bit_highest(const uint32_t *set)
{
	for (int i = 7; i >= 0; i--) {
		if (set[i])
			return i * 32 + 31 - __builtin_clz(set[i]);
	}
	return -1;
}

/* A vector for comparisons of priority classes: none counts as 0. */
static uint32_t vector_or_0(int vector)
{
	return vector < 0 ? 0 : (uint32_t)vector;
}

/* 10.8.3.1 "Task and Processor Priorities": PPR. */
static uint32_t lapic_ppr(const struct lapic *l)
{
	uint32_t isrv = vector_or_0(bit_highest(l->isr));

	return (l->tpr & 0xf0) >= (isrv & 0xf0) ? l->tpr : isrv & 0xf0;
}

/* 10.6.2.4 "Lowest Priority Delivery Mode": APR. */
static uint32_t lapic_apr(const struct lapic *l)
{
	uint32_t tpr = l->tpr & 0xf0;
	uint32_t irrv = vector_or_0(bit_highest(l->irr)) & 0xf0;
	uint32_t isrv = vector_or_0(bit_highest(l->isr)) & 0xf0;
	uint32_t both = tpr & isrv;

	if (tpr >= irrv && tpr > isrv)
		return l->tpr;
	return both > irrv ? both : irrv;
}

static bool sw_enabled(const struct lapic *l)
{
	return l->svr & SVR_ENABLE;
}

int lapic_pending(const struct lapic *l)
{
	int vector = l->hw_enabled ? bit_highest(l->irr) : -1;

	/* A software-disabled APIC holds what it accepted before; it is still for the CPU
	 * (10.4.7.2). */
	if (vector < 0 || ((uint32_t)vector & 0xf0) <= (lapic_ppr(l) & 0xf0))
		return -1;
	return vector;
}

/* After anything that may have made a vector, or the PIC's INTR, deliverable. */
static void lapic_notify(struct lapic *l)
{
	if (l->host.notify && lapic_pending(l) >= 0)
		l->host.notify(l->host.arg);
}

uint8_t lapic_ack(struct lapic *l)
{
	int vector = lapic_pending(l);

	/* 10.9 "Spurious Interrupt": no ISR bit, so its handler sends no EOI. */
	if (vector < 0)
		return l->svr & 0xff;
	bit_clear(l->irr, (uint8_t)vector);
	bit_set(l->isr, (uint8_t)vector);
	return (uint8_t)vector;
}

/* 10.5.3 "Error Handling": latch @bit; the interrupt comes once per write to ESR. */
static void lapic_error(struct lapic *l, uint32_t bit)
{
	l->esr_pending |= bit;
	if (!l->esr_armed)
		return;
	/* Disarm first: an illegal vector in the error entry itself comes back here. */
	l->esr_armed = false;
	lapic_lvt_event(l, LVT_ERROR);
}

void lapic_deliver(struct lapic *l, uint8_t vector, bool level)
{
	if (!l->hw_enabled || !sw_enabled(l))
		return;
	if (vector < 16) {
		lapic_error(l, ESR_RECV_VECTOR);
		return;
	}
	bit_set(l->irr, vector);
	if (level)
		bit_set(l->tmr, vector);
	else
		bit_clear(l->tmr, vector);
	lapic_notify(l);
}

void lapic_lvt_event(struct lapic *l, enum lvt n)
{
	uint32_t lvt = l->lvt[n];
	uint8_t vector = lvt & LVT_VECTOR;

	if (!l->hw_enabled || (lvt & LVT_MASK))
		return;
	/* Timer and error entries have no mode field: these bits are zero there, which is fixed. */
	switch (lvt & LVT_MODE) {
	case DM_FIXED:
		if ((n == LVT_LINT0 || n == LVT_LINT1) && (lvt & LVT_LEVEL)) {
			/* Level: the remote IRR holds the pin off until the EOI. */
			if (lvt & LVT_REMOTE_IRR)
				return;
			if (sw_enabled(l) && vector >= 16)
				l->lvt[n] |= LVT_REMOTE_IRR;
			lapic_deliver(l, vector, true);
			return;
		}
		lapic_deliver(l, vector, false);
		break;
	case DM_NMI:
		if (l->host.nmi)
			l->host.nmi(l->host.arg);
		break;
	default: break; /* ExtINT: lapic_accepts_extint().  SMI and INIT: this board has none. */
	}
}

void lapic_lint(struct lapic *l, unsigned pin, bool level)
{
	enum lvt n = pin ? LVT_LINT1 : LVT_LINT0;
	bool was = l->lint[n - LVT_LINT0];

	l->lint[n - LVT_LINT0] = level;
	/* NMI is edge-sensitive whatever the trigger mode bit says (10.5.1). */
	if (level && !was)
		lapic_lvt_event(l, n);
}

bool lapic_accepts_extint(const struct lapic *l)
{
	uint32_t lvt = l->lvt[LVT_LINT0];

	/* With the APIC off in IA32_APIC_BASE, LINT0 is the INTR pin (10.4.3). */
	return !l->hw_enabled || (!(lvt & LVT_MASK) && (lvt & LVT_MODE) == DM_EXTINT);
}

/* The vector's interrupt is over: a level pin that is still asserted asks again. */
static void lint_eoi(struct lapic *l, enum lvt n, uint8_t vector)
{
	if (!(l->lvt[n] & LVT_REMOTE_IRR) || (l->lvt[n] & LVT_VECTOR) != vector)
		return;
	l->lvt[n] &= ~LVT_REMOTE_IRR;
	if (l->lint[n - LVT_LINT0])
		lapic_lvt_event(l, n);
}

void lapic_eoi(struct lapic *l)
{
	int vector = bit_highest(l->isr);

	if (vector < 0)
		return;
	bit_clear(l->isr, (uint8_t)vector);
	if (bit_test(l->tmr, (uint8_t)vector)) {
		lint_eoi(l, LVT_LINT0, (uint8_t)vector);
		lint_eoi(l, LVT_LINT1, (uint8_t)vector);
		if (l->host.level_eoi)
			l->host.level_eoi(l->host.arg, (uint8_t)vector);
	}
	lapic_notify(l);
}

uint32_t lapic_tpr(const struct lapic *l)
{
	return l->tpr;
}

/* 10.6.2.2 "Logical Destination Mode". */
static bool logical_match(const struct lapic *l, uint8_t dest)
{
	uint8_t id = l->ldr >> 24;

	switch (l->dfr >> 28) {
	case 0xf: return id & dest; /* flat: a bit for each */
	case 0x0: return (dest >> 4 == 0xf || dest >> 4 == id >> 4) && (id & dest & 0xf);
	default: return false;
	}
}

bool lapic_ipi_targets(const struct lapic *l, const struct lapic *from, uint32_t icr, uint8_t dest)
{
	switch (icr & ICR_SHORTHAND) {
	case ICR_TO_SELF: return l == from;
	case ICR_TO_ALL: return true;
	case ICR_TO_OTHERS: return l != from;
	default: break;
	}
	if (icr & ICR_LOGICAL)
		return logical_match(l, dest);
	return dest == 0xff || dest == l->id >> 24;
}

void lapic_receive_ipi(struct lapic *l, uint32_t icr)
{
	if (!l->hw_enabled)
		return;
	switch (icr & LVT_MODE) {
	case DM_FIXED:
	case DM_LOWEST: lapic_deliver(l, icr & 0xff, false); break; /* IPIs are edges (10.6.1) */
	case DM_NMI:
		if (l->host.nmi)
			l->host.nmi(l->host.arg);
		break;
	case DM_INIT:
		/* INIT level de-assert only resets arbitration ids, which are long gone. */
		if ((icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
			break;
		if (l->host.init_sipi)
			l->host.init_sipi(l->host.arg, -1);
		break;
	case DM_SIPI:
		if (l->host.init_sipi)
			l->host.init_sipi(l->host.arg, icr & 0xff);
		break;
	default: break;
	}
}

static void lapic_write_icr(struct lapic *l, uint32_t val)
{
	uint32_t mode = val & LVT_MODE;
	uint8_t dest = l->icr_hi >> 24;

	l->icr_lo = val & ICR_WRITABLE;
	if ((mode == DM_FIXED || mode == DM_LOWEST) && (val & 0xff) < 16) {
		lapic_error(l, ESR_SEND_VECTOR);
		return;
	}
	/* 10.6.1: with the "self" shorthand every mode but fixed is invalid; it goes nowhere. */
	if ((val & ICR_SHORTHAND) == ICR_TO_SELF) {
		if (mode == DM_FIXED)
			lapic_receive_ipi(l, l->icr_lo);
		return;
	}
	if (l->host.send_ipi)
		l->host.send_ipi(l->host.arg, l->icr_lo, dest);
	else if (lapic_ipi_targets(l, l, val, dest))
		lapic_receive_ipi(l, l->icr_lo); /* the only processor */
}

static void lapic_write_lvt(struct lapic *l, enum lvt n, uint32_t val)
{
	uint32_t lvt = val & lvt_writable[n];

	/* 10.4.7.2: while software-disabled, attempts to clear a mask bit are ignored. */
	if (!sw_enabled(l))
		lvt |= LVT_MASK;
	if (n == LVT_TIMER) {
		lapic_timer_write_lvt(l, lvt);
		return;
	}
	if ((lvt & LVT_LEVEL) && (lvt & LVT_MODE) == DM_FIXED)
		lvt |= l->lvt[n] & LVT_REMOTE_IRR;
	l->lvt[n] = lvt;
	if ((n == LVT_LINT0 || n == LVT_LINT1) && (lvt & LVT_LEVEL) &&
	    (lvt & LVT_MODE) == DM_FIXED && l->lint[n - LVT_LINT0])
		lapic_lvt_event(l, n);
	/* The PIC may have been waiting for LINT0. */
	if (n == LVT_LINT0 && lapic_accepts_extint(l) && l->host.notify)
		l->host.notify(l->host.arg);
}

static void lapic_write_svr(struct lapic *l, uint32_t val)
{
	l->svr = val & 0x3ff;
	if (sw_enabled(l))
		return;
	for (unsigned n = 0; n < LVT_COUNT; n++)
		lapic_write_lvt(l, n, l->lvt[n] | LVT_MASK);
}

static bool in_block(uint32_t off, uint32_t base, uint32_t len)
{
	return off >= base && off < base + len;
}

uint32_t lapic_mmio_read(struct lapic *l, uint32_t off, unsigned width)
{
	/* 10.4.1: registers are 32 bits wide on 16-byte boundaries; nothing else is defined. */
	if (width != 4 || off % 16 || off >= LAPIC_PAGE)
		return 0;
	if (in_block(off, APIC_ISR, 0x80))
		return l->isr[(off - APIC_ISR) / 16];
	if (in_block(off, APIC_TMR, 0x80))
		return l->tmr[(off - APIC_TMR) / 16];
	if (in_block(off, APIC_IRR, 0x80))
		return l->irr[(off - APIC_IRR) / 16];
	if (in_block(off, APIC_LVT_TIMER, LVT_COUNT * 16))
		return l->lvt[(off - APIC_LVT_TIMER) / 16];
	switch (off) {
	case APIC_ID: return l->id;
	case APIC_VERSION: return APIC_VERSION_VALUE;
	case APIC_TPR: return l->tpr;
	case APIC_APR: return lapic_apr(l);
	case APIC_PPR: return lapic_ppr(l);
	case APIC_EOI: return 0; /* write-only */
	case APIC_RRD: return 0; /* there is no APIC bus to read remotely over */
	case APIC_LDR: return l->ldr;
	case APIC_DFR: return l->dfr;
	case APIC_SVR: return l->svr;
	case APIC_ESR: return l->esr;
	case APIC_ICR_LO: return l->icr_lo;
	case APIC_ICR_HI: return l->icr_hi;
	case APIC_TIMER_INITIAL: return l->initial;
	case APIC_TIMER_CURRENT: return lapic_timer_current(l);
	case APIC_TIMER_DIVIDE: return l->divide;
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
	case APIC_TPR:
		l->tpr = val & 0xff;
		lapic_notify(l);
		break;
	case APIC_EOI: lapic_eoi(l); break;
	case APIC_LDR: l->ldr = val & 0xff000000; break;
	case APIC_DFR: l->dfr = val | 0x0fffffff; break;
	case APIC_SVR: lapic_write_svr(l, val); break;
	case APIC_ESR:
		/* 10.5.3: any write publishes the errors since the last one and re-arms. */
		l->esr = l->esr_pending;
		l->esr_pending = 0;
		l->esr_armed = true;
		break;
	case APIC_ICR_LO: lapic_write_icr(l, val); break;
	case APIC_ICR_HI: l->icr_hi = val & 0xff000000; break;
	case APIC_TIMER_INITIAL: lapic_timer_write_initial(l, val); break;
	case APIC_TIMER_DIVIDE: lapic_timer_write_divide(l, val); break;
	default: lapic_error(l, ESR_ILLEGAL_ADDR); break;
	}
}

void lapic_set_virtual_wire(struct lapic *l)
{
	/* What SeaBIOS writes on the boot processor (smp.c, apic initialization). */
	lapic_mmio_write(l, APIC_SVR, 4, SVR_ENABLE | SPURIOUS_RESET);
	lapic_mmio_write(l, APIC_LVT_TIMER + 16 * LVT_LINT0, 4, DM_EXTINT | LVT_LEVEL);
	lapic_mmio_write(l, APIC_LVT_TIMER + 16 * LVT_LINT1, 4, DM_NMI | LVT_LEVEL);
}

void lapic_set_hw_enabled(struct lapic *l, bool on)
{
	/* 10.4.3: once off, "the APIC returns to its power-up state" when it comes back. */
	if (l->hw_enabled && !on)
		lapic_reset(l);
	l->hw_enabled = on;
}

/* 10.4.7.1 "Local APIC State After Power-Up or Reset". */
void lapic_reset(struct lapic *l)
{
	lapic_timer_reset(l);
	l->id = (uint32_t)l->reset_id << 24;
	l->tpr = l->ldr = l->icr_lo = l->icr_hi = 0;
	l->dfr = UINT32_MAX;
	l->svr = SPURIOUS_RESET;
	for (unsigned i = 0; i < 8; i++)
		l->isr[i] = l->tmr[i] = l->irr[i] = 0;
	for (unsigned n = 0; n < LVT_COUNT; n++)
		l->lvt[n] = LVT_MASK;
	l->esr = l->esr_pending = 0;
	l->esr_armed = true;
}

struct lapic *lapic_new(uint8_t apic_id, struct timers *ts, const struct lapic_host *host)
{
	struct lapic *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->host = *host;
	l->timers = ts;
	l->reset_id = apic_id;
	l->hw_enabled = true;
	lapic_timer_init(l);
	lapic_reset(l);
	return l;
}

void lapic_free(struct lapic *l)
{
	if (!l)
		return;
	timer_cancel(l->timers, &l->timer);
	free(l);
}
