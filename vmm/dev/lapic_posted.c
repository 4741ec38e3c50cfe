/* SPDX-License-Identifier: MIT */
/*
 * Posting interrupts to a local APIC without the device lock.  As in the hardware's descriptor, who
 * posts sets the request bit and then the outstanding bit, and notifies only if it was clear; who
 * takes clears the outstanding bit before it looks at the requests.  So a post either is seen by
 * the taker that is at it, or notifies again. Source: SDM Vol. 3C, "Posted-Interrupt Processing"
 * (29.6).
 */
#include "vmm/dev/lapic_priv.h"

bool lapic_post(struct lapic *l, uint8_t vector, uint64_t times, uint64_t now_ns)
{
	struct posted *p = &l->posted;
	uint64_t bit = 1ull << (vector % 64);

	uint64_t none = 0;

	if (!times)
		return false;
	atomic_compare_exchange_strong(&p->since_ns[vector], &none, now_ns);
	if (atomic_fetch_or(&p->pir[vector / 64], bit) & bit)
		atomic_fetch_add(&p->coalesced[vector], (uint32_t)times);
	else if (times > 1)
		atomic_fetch_add(&p->coalesced[vector], (uint32_t)(times - 1));
	return !atomic_exchange(&p->outstanding, true);
}

bool lapic_posted_outstanding(const struct lapic *l)
{
	return atomic_load(&l->posted.outstanding);
}

/*
 * One request: into the IRR like any edge.  A post that is coming in just now may find its time
 * taken already, or its count not: then it is "now", or counted with the next.
 */
static void take(struct lapic *l, uint8_t vector)
{
	struct posted *p = &l->posted;
	uint32_t more = atomic_exchange(&p->coalesced[vector], 0);
	uint64_t since = atomic_exchange(&p->since_ns[vector], 0);

	if (!lapic_enabled(l))
		return;
	if (vector < 16) {
		lapic_error(l, ESR_RECV_VECTOR);
		return;
	}
	if (l->stats)
		irq_stats_raised_many(l->stats, vector, IRQ_PATH_ASSIGNED, 1ull + more,
				      since ? since : timers_now(l->timers));
	irqs_accept(&l->irqs, vector, false);
}

void lapic_posted_take(struct lapic *l)
{
	struct posted *p = &l->posted;

	if (!atomic_exchange(&p->outstanding, false))
		return;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t set = atomic_exchange(&p->pir[i], 0);

		while (set) {
			take(l, (uint8_t)(i * 64 + (unsigned)__builtin_ctzll(set)));
			set &= set - 1;
		}
	}
}

void lapic_posted_settle(struct lapic *l)
{
	lapic_posted_take(l);
	for (unsigned vector = 0; vector < 256 && l->stats; vector++) {
		uint32_t more = atomic_exchange(&l->posted.coalesced[vector], 0);

		if (more)
			irq_stats_coalesced(l->stats, (uint8_t)vector, IRQ_PATH_ASSIGNED, more);
	}
}
