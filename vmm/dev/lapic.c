/* SPDX-License-Identifier: MIT */
/*
 * Local APIC: delivery, LVT, reset.  Which interrupt is next is in lapic_irqs.c; the register
 * interfaces are in lapic_regs.c (memory) and lapic_x2apic.c (MSRs), messages in lapic_ipi.c, the
 * timer in lapic_timer.c.
 * Source: SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)" (10); numbers below are
 * of its sections.
 */
#include "vmm/dev/lapic_priv.h"

#include <stdlib.h>

/* What software may write into each LVT entry (figure 10-8). */
const uint32_t lapic_lvt_writable[LVT_COUNT] = {
	[LVT_TIMER] = LVT_VECTOR | LVT_MASK | TIMER_MODE,
	[LVT_THERMAL] = LVT_VECTOR | LVT_MODE | LVT_MASK,
	[LVT_PERF] = LVT_VECTOR | LVT_MODE | LVT_MASK,
	[LVT_LINT0] = LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASK,
	[LVT_LINT1] = LVT_VECTOR | LVT_MODE | LVT_POLARITY | LVT_LEVEL | LVT_MASK,
	[LVT_ERROR] = LVT_VECTOR | LVT_MASK,
};

/* A vector for comparisons of priority classes: none counts as 0. */
static uint32_t vector_or_0(int vector)
{
	return vector < 0 ? 0 : (uint32_t)vector;
}

/* 10.6.2.4 "Lowest Priority Delivery Mode": APR. */
uint32_t lapic_apr(const struct lapic *l)
{
	uint32_t tpr = l->irqs.tpr & 0xf0;
	uint32_t irrv = vector_or_0(lapic_bit_highest(l->irqs.irr)) & 0xf0;
	uint32_t isrv = vector_or_0(lapic_bit_highest(l->irqs.isr)) & 0xf0;
	uint32_t both = tpr & isrv;

	if (tpr >= irrv && tpr > isrv)
		return l->irqs.tpr;
	return both > irrv ? both : irrv;
}

bool lapic_enabled(const struct lapic *l)
{
	return l->hw_enabled && lapic_sw_enabled(l);
}

int lapic_pending(const struct lapic *l)
{
	/* A software-disabled APIC holds what it accepted before; it is still for the CPU
	 * (10.4.7.2). */
	return l->hw_enabled ? irqs_pending(&l->irqs) : -1;
}

void lapic_notify(struct lapic *l)
{
	if (l->host.notify && lapic_pending(l) >= 0)
		l->host.notify(l->host.arg);
}

uint8_t lapic_ack(struct lapic *l)
{
	int vector = l->hw_enabled ? irqs_ack(&l->irqs) : -1;

	/* 10.9 "Spurious Interrupt": no ISR bit, so its handler sends no EOI. */
	if (vector < 0)
		return l->svr & 0xff;
	if (l->stats)
		irq_stats_acked(l->stats, (uint8_t)vector);
	return (uint8_t)vector;
}

void lapic_error(struct lapic *l, uint32_t bit)
{
	l->esr_pending |= bit;
	if (!l->esr_armed)
		return;
	/* Disarm first: an illegal vector in the error entry itself comes back here. */
	l->esr_armed = false;
	lapic_lvt_event(l, LVT_ERROR);
}

bool lapic_deliver_from(struct lapic *l, uint8_t vector, bool level, enum irq_path path)
{
	if (!lapic_enabled(l))
		return false;
	if (vector < 16) {
		lapic_error(l, ESR_RECV_VECTOR);
		return false;
	}
	if (l->stats)
		irq_stats_raised(l->stats, vector, path, timers_now(l->timers));
	irqs_accept(&l->irqs, vector, level);
	lapic_notify(l);
	return true;
}

void lapic_deliver(struct lapic *l, uint8_t vector, bool level)
{
	lapic_deliver_from(l, vector, level, IRQ_PATH_EXTERNAL);
}

void lapic_lvt_event(struct lapic *l, enum lvt n)
{
	bool pin = n == LVT_LINT0 || n == LVT_LINT1;
	enum irq_path path = pin ? IRQ_PATH_EXTERNAL : IRQ_PATH_SYSTEM;
	uint32_t lvt = l->lvt[n];
	uint8_t vector = lvt & LVT_VECTOR;

	if (!l->hw_enabled || (lvt & LVT_MASK))
		return;
	/* Timer and error entries have no mode field: these bits are zero there, which is fixed. */
	switch (lvt & LVT_MODE) {
	case DM_FIXED:
		if (pin && (lvt & LVT_LEVEL)) {
			/* Level: the remote IRR holds the pin off until the EOI. */
			if (!(lvt & LVT_REMOTE_IRR) && lapic_deliver_from(l, vector, true, path))
				l->lvt[n] |= LVT_REMOTE_IRR;
			return;
		}
		lapic_deliver_from(l, vector, false, path);
		break;
	case DM_NMI: lapic_nmi(l, path); break;
	case DM_INIT: lapic_init(l); break;
	default: break; /* ExtINT: lapic_accepts_extint().  SMI: this board has none. */
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
	int vector = irqs_eoi(&l->irqs);

	if (vector < 0)
		return;
	if (lapic_bit_test(l->irqs.tmr, (uint8_t)vector)) {
		lint_eoi(l, LVT_LINT0, (uint8_t)vector);
		lint_eoi(l, LVT_LINT1, (uint8_t)vector);
		/* 10.8.5 "Signaling Interrupt Servicing Completion". */
		if (l->host.level_eoi && !(l->svr & SVR_DIRECTED_EOI))
			l->host.level_eoi(l->host.arg, (uint8_t)vector);
	}
	lapic_notify(l);
}

int lapic_in_service(const struct lapic *l, bool *level)
{
	int vector = lapic_bit_highest(l->irqs.isr);

	if (vector >= 0)
		*level = lapic_bit_test(l->irqs.tmr, (uint8_t)vector);
	return vector;
}

uint32_t lapic_tpr(const struct lapic *l)
{
	return l->irqs.tpr;
}

void lapic_write_tpr(struct lapic *l, uint32_t val)
{
	l->irqs.tpr = val & 0xff;
	lapic_notify(l);
}

void lapic_write_esr(struct lapic *l)
{
	/* 10.5.3: any write publishes the errors since the last one and re-arms. */
	l->esr = l->esr_pending;
	l->esr_pending = 0;
	l->esr_armed = true;
}

void lapic_write_lvt(struct lapic *l, enum lvt n, uint32_t val)
{
	bool pin = n == LVT_LINT0 || n == LVT_LINT1;
	uint32_t lvt = val & lapic_lvt_writable[n];
	bool level = pin && (lvt & LVT_LEVEL) && (lvt & LVT_MODE) == DM_FIXED;

	/* 10.4.7.2: while software-disabled, attempts to clear a mask bit are ignored. */
	if (!lapic_sw_enabled(l))
		lvt |= LVT_MASK;
	if (n == LVT_TIMER) {
		lapic_timer_write_lvt(l, lvt);
		return;
	}
	if (level)
		lvt |= l->lvt[n] & LVT_REMOTE_IRR;
	l->lvt[n] = lvt;
	if (level && l->lint[n - LVT_LINT0])
		lapic_lvt_event(l, n);
	/* The PIC may have been waiting for LINT0. */
	if (n == LVT_LINT0 && lapic_accepts_extint(l) && l->host.notify)
		l->host.notify(l->host.arg);
}

void lapic_write_svr(struct lapic *l, uint32_t val)
{
	l->svr = val & SVR_WRITABLE;
	if (lapic_sw_enabled(l))
		return;
	for (unsigned n = 0; n < LVT_COUNT; n++)
		lapic_write_lvt(l, n, l->lvt[n] | LVT_MASK);
}

void lapic_set_virtual_wire(struct lapic *l)
{
	/* What SeaBIOS writes on the boot processor (smp.c, apic initialization). */
	lapic_write_svr(l, SVR_ENABLE | SVR_RESET);
	lapic_write_lvt(l, LVT_LINT0, DM_EXTINT | LVT_LEVEL);
	lapic_write_lvt(l, LVT_LINT1, DM_NMI | LVT_LEVEL);
}

void lapic_set_mode(struct lapic *l, bool enabled, bool x2apic)
{
	/* 10.4.3: once off, "the APIC returns to its power-up state" when it comes back. */
	if (l->hw_enabled && !enabled)
		lapic_reset(l);
	l->hw_enabled = enabled;
	l->x2apic = enabled && x2apic;
}

void lapic_set_hw_enabled(struct lapic *l, bool on)
{
	lapic_set_mode(l, on, l->x2apic);
}

void lapic_set_stats(struct lapic *l, struct irq_stats *stats)
{
	l->stats = stats;
}

/*
 * 10.4.7.3 "Local APIC State After an INIT Reset": as after power-up, but the APIC ID register is
 * kept; and IA32_APIC_BASE, so also the mode, is none of its business.
 */
void lapic_init_reset(struct lapic *l)
{
	lapic_timer_reset(l);
	for (unsigned vector = 0; vector < 256 && l->stats; vector++)
		if (lapic_bit_test(l->irqs.irr, (uint8_t)vector))
			irq_stats_dropped(l->stats, (uint8_t)vector);
	l->irqs = (struct lapic_irqs){ 0 };
	l->ldr = l->icr_lo = l->icr_hi = 0;
	l->dfr = UINT32_MAX;
	l->svr = SVR_RESET;
	for (unsigned n = 0; n < LVT_COUNT; n++)
		l->lvt[n] = LVT_MASK;
	l->esr = l->esr_pending = 0;
	l->esr_armed = true;
}

/* 10.4.7.1 "Local APIC State After Power-Up or Reset". */
void lapic_reset(struct lapic *l)
{
	l->id = (uint32_t)l->reset_id << 24;
	lapic_init_reset(l);
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
