/* SPDX-License-Identifier: MIT */
/*
 * Weighted fair queueing in virtual time.
 *
 * An ideal machine would serve all at once, each at its rate: its share by weight, but nobody can
 * use more than one pCPU, and what that leaves is shared by the others (water-filling: Chandra et
 * al., "Surplus Fair Scheduling", OSDI 2000, on weights that cannot be honoured).  The ideal
 * machine's clock is the virtual time V; an entity's own clock, vtime, goes on by ran / rate while
 * it runs.  So its lag, what it is owed, is rate * (V - vtime).
 *
 * Next is, of those that are owed something (vtime <= V: eligible), the one whose debt will be
 * first to reach a slice if it goes on waiting: with the earliest virtual deadline vtime + slice /
 * rate. Stoica et al., "A Proportional Share Resource Allocation Algorithm for Real-Time,
 * Time-Shared Systems" (EEVDF), RTSS 1996: no lag is ever beyond a slice.  The idea of virtual
 * time: Demers, Keshav and Shenker, "Analysis and Simulation of a Fair Queueing Algorithm", SIGCOMM
 * 1989.
 *
 * Who sleeps is owed its share for that, but never more than a slice: enough to be first when it
 * wakes, not enough to keep others waiting.
 */
#include "vmm/sched/policy.h"

static double lag(const struct sched *s, const struct sched_entity *e)
{
	return e->u.fair.rate * (s->u.fair.vtime - e->u.fair.vtime);
}

static double deadline(const struct sched *s, const struct sched_entity *e)
{
	return e->u.fair.vtime + (double)s->slice_ns / e->u.fair.rate;
}

/* Rates for all that can run: no more than 1 each, pCPUs in all. */
static double water_fill(struct sched *s)
{
	unsigned runnable = 0, whole, before;
	double weights, total, unit;
	struct sched_entity *e;

	sched_for_each(s, e) runnable += e->counted;
	total = runnable < s->pcpus ? runnable : s->pcpus;
	unit = 0; /* rate for a unit of weight; nobody is at 1 yet */
	for (whole = 0;; whole = before) {
		before = 0;
		weights = 0;
		sched_for_each(s, e)
		{
			if (!e->counted)
				continue;
			if (sched_weight(e) * unit >= 1)
				before++;
			else
				weights += sched_weight(e);
		}
		if (unit > 0 && before == whole)
			break;
		if (weights <= 0)
			break;
		unit = (total - before) / weights;
	}
	return unit;
}

static void fair_changed(struct sched *s)
{
	double unit = water_fill(s), owed = 0, rates = 0, v = s->u.fair.vtime;
	struct sched_entity *e;

	sched_for_each(s, e)
	{
		double due, rate;

		if (!e->counted)
			continue;
		due = lag(s, e);
		rate = sched_weight(e) * unit;
		e->u.fair.rate = rate < 1 ? rate : 1;
		e->u.fair.vtime = v - due / e->u.fair.rate;
		owed += due;
		rates += e->u.fair.rate;
	}
	/* Nobody is owed what nobody got: the debts of all are none. */
	s->u.fair.rates = rates;
	if (rates > 0)
		s->u.fair.vtime = v - owed / rates;
}

static void fair_join(struct sched *s, struct sched_entity *e)
{
	double earliest;

	if (!(e->u.fair.rate > 0)) { /* new */
		e->u.fair.rate = 1;
		e->u.fair.vtime = s->u.fair.vtime;
		return;
	}
	earliest = s->u.fair.vtime - (double)s->slice_ns / e->u.fair.rate;
	if (e->u.fair.vtime < earliest)
		e->u.fair.vtime = earliest;
}

static void fair_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns)
{
	e->u.fair.vtime += (double)ran_ns / e->u.fair.rate;
	s->u.fair.vtime += (double)ran_ns / s->u.fair.rates;
}

static bool before(const struct sched *s, const struct sched_entity *a,
		   const struct sched_entity *b)
{
	bool a_owed = lag(s, a) >= -1, b_owed = lag(s, b) >= -1; /* but for rounding */

	if (a_owed != b_owed)
		return a_owed;
	if (a_owed)
		return deadline(s, a) < deadline(s, b) - 1;
	return a->u.fair.vtime < b->u.fair.vtime - 1;
}

static bool fair_preempts(const struct sched *s, const struct sched_entity *woken,
			  const struct sched_entity *running)
{
	return before(s, woken, running);
}

static struct sched_entity *fair_pick(struct sched *s, unsigned pcpu)
{
	struct sched_entity *e, *best = NULL;

	sched_for_each_candidate(s, pcpu, e)
	{
		if (!best || before(s, e, best))
			best = e;
	}
	return best;
}

const struct sched_policy sched_fair = {
	.name = "fair",
	.summary = "weighted fair queueing in virtual time (the default)",
	.pick = fair_pick,
	.join = fair_join,
	.changed = fair_changed,
	.charge = fair_charge,
	.preempts = fair_preempts,
};
