/* SPDX-License-Identifier: MIT */
/*
 * The rates of the ideal machine.  Each has its share by weight, but nobody can use more than one
 * pCPU, and what that leaves is shared by the others (water-filling: Chandra, Adler, Goyal and
 * Shenoy, "Surplus Fair Scheduling", OSDI 2000, on weights that cannot be honoured).
 *
 * Hard affinity may split the machine: pCPUs and vCPUs that have nothing to do with each other are
 * domains, each with its own virtual time.  Inside a domain the ideal takes no notice of affinity;
 * if it cannot be reached, lags stop at some slices.
 */
#include "vmm/sched/fair.h"

/* Domains of all that can run; each has the number of its first pCPU. */
static void split(struct sched *s)
{
	uint64_t part[SCHED_MAX_PCPUS];
	unsigned parts = 0;
	struct sched_entity *e;

	sched_for_each (s, e) {
		uint64_t mask = e->hard & s->all;

		if (!e->counted)
			continue;
		for (unsigned i = 0; i < parts;) {
			if (part[i] & mask) {
				mask |= part[i];
				part[i] = part[--parts];
				i = 0; /* what did not meet the smaller mask may meet this one */
			} else {
				i++;
			}
		}
		part[parts++] = mask;
	}
	for (unsigned i = 0; i < parts; i++) {
		unsigned first = (unsigned)__builtin_ctzll(part[i]);

		s->u.fair.domain[first].mask = part[i];
		s->u.fair.domain[first].runnable = 0;
		for (uint64_t m = part[i]; m; m &= m - 1)
			s->u.fair.of[__builtin_ctzll(m)] = (uint8_t)first;
	}
	sched_for_each (s, e) {
		if (!e->counted)
			continue;
		e->u.fair.domain = s->u.fair.of[__builtin_ctzll(e->hard & s->all)];
		s->u.fair.domain[e->u.fair.domain].runnable++;
	}
}

/* The rate for a unit of weight in domain @id. */
static double water_fill(const struct sched *s, unsigned id)
{
	const struct fair_domain *d = &s->u.fair.domain[id];
	unsigned pcpus = (unsigned)__builtin_popcountll(d->mask), whole = 0;
	double unit = 0;

	for (;;) {
		unsigned more = 0; /* who would have a whole pCPU at least */
		double weights = 0;
		const struct sched_entity *e;

		sched_for_each (s, e) {
			if (!e->counted || e->u.fair.domain != id)
				continue;
			if (unit * sched_weight(e) >= 1)
				more++;
			else
				weights += sched_weight(e);
		}
		/* Rounding may make one fall back below a whole pCPU: then this is as near as it
		 * gets. */
		if (weights <= 0 || (unit > 0 && more <= whole))
			return unit;
		whole = more;
		unit = ((d->runnable < pcpus ? d->runnable : pcpus) - whole) / weights;
	}
}

/* Beyond this no feasible lag comes, but through newcomers' credits; see above. */
#define LAG_SLICES 4

static double clamp(double value, double most)
{
	return value > most ? most : value < -most ? -most : value;
}

void fair_changed(struct sched *s)
{
	double owed[SCHED_MAX_PCPUS] = { 0 }, unit[SCHED_MAX_PCPUS] = { 0 };
	struct sched_entity *e;

	sched_for_each (s, e) {
		if (e->counted) /* rate 0: new */
			e->u.fair.due = clamp(fair_lag(s, e), (double)s->slice_ns * LAG_SLICES);
	}
	split(s);
	for (unsigned id = 0; id < s->pcpus; id++)
		s->u.fair.domain[id].rates = 0;
	sched_for_each (s, e) {
		struct fair_domain *d = &s->u.fair.domain[e->u.fair.domain];
		double rate;

		if (!e->counted)
			continue;
		if (!(unit[e->u.fair.domain] > 0))
			unit[e->u.fair.domain] = water_fill(s, e->u.fair.domain);
		rate = unit[e->u.fair.domain] * sched_weight(e);
		e->u.fair.rate = rate < 1 ? rate : 1;
		e->u.fair.vtime = d->vtime - e->u.fair.due / e->u.fair.rate;
		owed[e->u.fair.domain] += e->u.fair.due;
		d->rates += e->u.fair.rate;
	}
	/* What one is owed others had: all debts together are none. */
	for (unsigned id = 0; id < s->pcpus; id++) {
		struct fair_domain *d = &s->u.fair.domain[id];

		if (d->rates > 0)
			d->vtime -= owed[id] / d->rates;
	}
}
