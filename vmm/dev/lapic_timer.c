/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer: one-shot, periodic and TSC-deadline.
 * Source: SDM Vol. 3A, "APIC Timer" (10.5.4).
 *
 * Nothing ticks.  The count is computed from the clock when it is read, and a vtimer is armed only
 * while an interrupt can come of it (so a masked timer costs nothing).  Every entry point first
 * calls timer_expire(), which does what is due; whether the vtimer or the guest gets there first
 * makes no difference.
 *
 * A period below LAPIC_MIN_PERIOD_NS gives an interrupt only every n-th time round, the smallest
 * n that respects it: the counter stays true and in phase, and the guest cannot make the host do
 * nothing but fire timers.  Interrupts that would have come while we were late are merged into
 * one, as they merge in the IRR bit of hardware.
 */
#include "vmm/dev/lapic_priv.h"

#define NS_PER_COUNT (1000000000u / LAPIC_TIMER_HZ)

/* Table "Divide Configuration Register" (figure 10-10): bits 3, 1, 0. */
static uint64_t divider(const struct lapic *l)
{
	unsigned d = (l->divide & 3) | (l->divide & 8) >> 1;

	return d == 7 ? 1 : 2u << d;
}

static uint64_t period_ns(const struct lapic *l)
{
	return l->initial * divider(l) * NS_PER_COUNT;
}

/* From one interrupt to the next in periodic mode; a multiple of the period. */
static uint64_t interrupt_interval_ns(const struct lapic *l)
{
	uint64_t period = period_ns(l);

	if (period >= LAPIC_MIN_PERIOD_NS)
		return period;
	return (LAPIC_MIN_PERIOD_NS + period - 1) / period * period;
}

static uint32_t timer_mode(const struct lapic *l)
{
	return l->lvt[LVT_TIMER] & TIMER_MODE;
}

/* Arm the vtimer for the next event, if that event would do anything. */
static void timer_arm(struct lapic *l)
{
	uint64_t at = TIMER_NEVER;

	if (!(l->lvt[LVT_TIMER] & LVT_MASK)) {
		if (l->counting)
			at = l->zero_ns;
		else if (l->tsc_deadline && l->host.tsc_to_ns)
			at = l->host.tsc_to_ns(l->host.arg, l->tsc_deadline);
	}
	timer_set(l->timers, &l->timer, at);
}

/* Do what is due at @now_ns. */
static void timer_expire(struct lapic *l, uint64_t now_ns)
{
	if (l->tsc_deadline) {
		if (l->host.tsc && l->host.tsc(l->host.arg) >= l->tsc_deadline) {
			l->tsc_deadline = 0;
			lapic_lvt_event(l, LVT_TIMER);
		}
	} else if (l->counting && now_ns >= l->zero_ns) {
		if (timer_mode(l) == TIMER_PERIODIC) {
			uint64_t interval = interrupt_interval_ns(l);

			l->zero_ns += ((now_ns - l->zero_ns) / interval + 1) * interval;
		} else {
			l->counting = false;
		}
		lapic_lvt_event(l, LVT_TIMER);
	}
}

static void timer_fire(void *arg, uint64_t now_ns)
{
	struct lapic *l = arg;

	timer_expire(l, now_ns);
	/* The host's idea of when the TSC gets there may have been a little early: then once more.
	 */
	timer_arm(l);
}

static uint32_t count_at(const struct lapic *l, uint64_t now_ns)
{
	uint64_t left, unit = divider(l) * NS_PER_COUNT;

	if (!l->counting || now_ns >= l->zero_ns)
		return 0;
	left = l->zero_ns - now_ns;
	/* Several periods may lie before the next interrupt; see the top of the file. */
	left = (left - 1) % period_ns(l) + 1;
	return (uint32_t)((left + unit - 1) / unit);
}

uint32_t lapic_timer_current(struct lapic *l)
{
	uint64_t now = timers_now(l->timers);

	timer_expire(l, now);
	timer_arm(l);
	return count_at(l, now);
}

void lapic_timer_write_initial(struct lapic *l, uint32_t val)
{
	uint64_t now = timers_now(l->timers);

	if (timer_mode(l) == TIMER_DEADLINE)
		return;
	timer_expire(l, now);
	l->initial = val;
	l->counting = val != 0;
	if (l->counting)
		l->zero_ns = now + period_ns(l);
	timer_arm(l);
}

void lapic_timer_write_divide(struct lapic *l, uint32_t val)
{
	uint64_t now = timers_now(l->timers);
	uint32_t count;

	timer_expire(l, now);
	count = count_at(l, now);
	l->divide = val & 0xb;
	/* What is left is counted at the new rate. */
	if (l->counting)
		l->zero_ns = now + count * divider(l) * NS_PER_COUNT;
	timer_arm(l);
}

void lapic_timer_write_lvt(struct lapic *l, uint32_t lvt)
{
	uint32_t was = timer_mode(l), is = lvt & TIMER_MODE;

	timer_expire(l, timers_now(l->timers));
	l->lvt[LVT_TIMER] = lvt;
	/* "Transitions between TSC-deadline mode and other timer modes also disarm the timer." */
	if (was != is && (was == TIMER_DEADLINE || is == TIMER_DEADLINE)) {
		l->counting = false;
		l->initial = 0;
		l->tsc_deadline = 0;
	}
	timer_arm(l);
}

void lapic_set_tsc_deadline(struct lapic *l, uint64_t tsc)
{
	/* "In other timer modes, the IA32_TSC_DEADLINE MSR reads zero and writes are ignored." */
	if (timer_mode(l) != TIMER_DEADLINE)
		return;
	timer_expire(l, timers_now(l->timers));
	l->tsc_deadline = tsc;
	/* A deadline in the past fires at once, here, not after a detour through the I/O thread. */
	timer_expire(l, timers_now(l->timers));
	timer_arm(l);
}

uint64_t lapic_tsc_deadline(const struct lapic *l)
{
	return timer_mode(l) == TIMER_DEADLINE ? l->tsc_deadline : 0;
}

void lapic_tsc_changed(struct lapic *l)
{
	timer_expire(l, timers_now(l->timers));
	timer_arm(l);
}

void lapic_timer_init(struct lapic *l)
{
	timer_init(&l->timer, timer_fire, l);
}

void lapic_timer_reset(struct lapic *l)
{
	timer_cancel(l->timers, &l->timer);
	l->initial = l->divide = 0;
	l->counting = false;
	l->zero_ns = l->tsc_deadline = 0;
}
