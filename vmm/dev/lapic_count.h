/* SPDX-License-Identifier: MIT */
/*
 * The counter of a local APIC's timer: arithmetic on times, no clock of its own.
 * Source: SDM Vol. 3A, "APIC Timer" (10.5.4), figure 10-10.
 *
 * Nothing ticks.  A count that was started goes down by one every divisor * LAPIC_NS_PER_COUNT
 * nanoseconds and reaches zero after its period, the initial count times that; so all there is to
 * keep is when it reaches zero, and the count at any time follows.
 *
 * A guest could ask for an interrupt every nanosecond, and the host would do nothing else.  So in
 * periodic mode a period below LAPIC_MIN_PERIOD_NS gives an interrupt only every n-th time round,
 * with the smallest n that respects it (count_interval_ns()): the counter stays true and in phase.
 */
#ifndef RINGSIDE_VMM_DEV_LAPIC_COUNT_H
#define RINGSIDE_VMM_DEV_LAPIC_COUNT_H

#include "vmm/dev/devices.h"

#define LAPIC_NS_PER_COUNT (1000000000u / LAPIC_TIMER_HZ) /* with divisor 1 */

struct lapic_count {
	uint32_t initial; /* the initial count register */
	uint32_t divide;  /* the divide configuration register: bits 3, 1 and 0 */
	bool counting;    /* false: the current count is zero and stays so */
	uint64_t zero_ns; /* while counting: when it reaches zero, with an interrupt */
};

/* From one interrupt to the next in periodic mode, of a counter with period @period_ns (> 0). */
static inline uint64_t count_interval_ns(uint64_t period_ns)
{
	if (period_ns >= LAPIC_MIN_PERIOD_NS)
		return period_ns;
	return (LAPIC_MIN_PERIOD_NS + period_ns - 1) / period_ns * period_ns;
}

/* What the divide configuration register @divide divides by: 1 to 128 (figure 10-10). */
uint32_t count_divisor(uint32_t divide);

/* The initial count register is written: counting starts over from @initial, or stops if it is 0.
 */
void count_start(struct lapic_count *c, uint32_t initial, uint64_t now_ns);

/*
 * The current count register at @now_ns.  A count that has begun is shown until it is over, so the
 * last one is 1; zero only if @c is not counting, or is due.  In periodic mode, several times round
 * may lie before the interrupt at @c->zero_ns: it counts down in each.
 */
uint32_t count_at(const struct lapic_count *c, uint64_t now_ns);

/*
 * Is an interrupt due at @now_ns?  If so, a one-shot counter stops; a periodic one goes on, in
 * phase, to the first interrupt after @now_ns.  Several that are due at once are one, as in IRR.
 */
bool count_expire(struct lapic_count *c, bool periodic, uint64_t now_ns);

/*
 * The divide configuration register is written; only bits 3, 1 and 0 exist.  What is left of the
 * count (count_at()) is counted at the new rate.  Not called while an interrupt is due.
 */
void count_set_divide(struct lapic_count *c, uint32_t divide, uint64_t now_ns);

#endif
