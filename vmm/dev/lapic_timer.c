/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer: one-shot, periodic and TSC-deadline.
 * Source: SDM Vol. 3A, "APIC Timer" (10.5.4).
 *
 * Nothing ticks.  The count is computed (lapic_count.c) from the clock when it is read, and a
 * vtimer is armed only while an interrupt can come of it (so a masked timer costs nothing).  Every
 * entry point first calls timer_expire(), which does what is due; whether the vtimer or the guest
 * gets there first makes no difference.
 *
 * Interrupts that would have come while we were late are merged into one, as they merge in the IRR
 * bit of hardware.
 */
#include "vmm/dev/lapic_priv.h"

static uint32_t timer_mode(const struct lapic *l)
{
	return l->lvt[LVT_TIMER] & TIMER_MODE;
}

/* Arm the vtimer for the next event, if that event would do anything. */
static void timer_arm(struct lapic *l)
{
	uint64_t at = TIMER_NEVER;

	if (!(l->lvt[LVT_TIMER] & LVT_MASK)) {
		if (l->count.counting)
			at = l->count.zero_ns;
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
	} else if (count_expire(&l->count, timer_mode(l) == TIMER_PERIODIC, now_ns)) {
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

uint32_t lapic_timer_current(struct lapic *l)
{
	uint64_t now = timers_now(l->timers);

	timer_expire(l, now);
	timer_arm(l);
	return count_at(&l->count, now);
}

void lapic_timer_write_initial(struct lapic *l, uint32_t val)
{
	uint64_t now = timers_now(l->timers);

	if (timer_mode(l) == TIMER_DEADLINE)
		return;
	timer_expire(l, now);
	count_start(&l->count, val, now);
	timer_arm(l);
}

void lapic_timer_write_divide(struct lapic *l, uint32_t val)
{
	uint64_t now = timers_now(l->timers);

	timer_expire(l, now);
	count_set_divide(&l->count, val, now);
	timer_arm(l);
}

void lapic_timer_write_lvt(struct lapic *l, uint32_t lvt)
{
	uint32_t was = timer_mode(l), is = lvt & TIMER_MODE;

	timer_expire(l, timers_now(l->timers));
	l->lvt[LVT_TIMER] = lvt;
	/* "Transitions between TSC-deadline mode and other timer modes also disarm the timer." */
	if (was != is && (was == TIMER_DEADLINE || is == TIMER_DEADLINE)) {
		l->count.counting = false;
		l->count.initial = 0;
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
	l->count = (struct lapic_count){ 0 };
	l->tsc_deadline = 0;
}
