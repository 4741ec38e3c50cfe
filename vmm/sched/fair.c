/* SPDX-License-Identifier: MIT */
/*
 * Weighted fair queueing in virtual time.
 *
 * An ideal machine would serve all at once, each at its rate (fair_rates.c).  Its clock is the
 * virtual time V; an entity's own clock, vtime, goes on by ran / rate while it runs.  So its lag,
 * what it is owed, is rate * (V - vtime).
 *
 * Next is, of those that are owed something (vtime <= V: eligible), the one whose debt will be
 * first to reach a slice if it goes on waiting: with the earliest virtual deadline vtime + slice /
 * rate. Stoica et al., "A Proportional Share Resource Allocation Algorithm for Real-Time,
 * Time-Shared Systems" (EEVDF), RTSS 1996: on one processor no lag is ever beyond a slice.  The
 * idea of virtual time: Demers, Keshav and Shenker, "Analysis and Simulation of a Fair Queueing
 * Algorithm", SIGCOMM 1989.  On several processors two things keep it so: all look at all queues,
 * and a slice is cut short when somebody waiting is about to have waited too long.
 *
 * Who sleeps is owed its share for that, but never more than a slice: enough to be first when it
 * wakes, not enough to keep others waiting.
 */
#include "vmm/sched/fair.h"

static const struct fair_domain *domain(const struct sched *s, const struct sched_entity *e)
{
	return &s->u.fair.domain[e->u.fair.domain];
}

double fair_lag(const struct sched *s, const struct sched_entity *e)
{
	return e->u.fair.rate * (domain(s, e)->vtime - e->u.fair.vtime);
}

static bool eligible(const struct sched *s, const struct sched_entity *e)
{
	return fair_lag(s, e) >= -1; /* ns: rounding */
}

/* How long until @e, if it waits, is owed a slice; V goes as fast as the clock on the wall. */
static double patience(const struct sched *s, const struct sched_entity *e)
{
	return e->u.fair.vtime + (double)s->slice_ns / e->u.fair.rate - domain(s, e)->vtime;
}

static void fair_join(struct sched *s, struct sched_entity *e)
{
	if (fair_lag(s, e) > (double)s->slice_ns)
		e->u.fair.vtime = domain(s, e)->vtime - (double)s->slice_ns / e->u.fair.rate;
}

static void fair_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns)
{
	struct fair_domain *d = &s->u.fair.domain[e->u.fair.domain];

	e->u.fair.vtime += (double)ran_ns / e->u.fair.rate;
	d->vtime += (double)ran_ns / d->rates;
}

/* Is @a to run before @b?  Equal, but for rounding: no. */
static bool fair_before(const struct sched *s, const struct sched_entity *a,
			const struct sched_entity *b)
{
	if (eligible(s, a) != eligible(s, b))
		return eligible(s, a);
	if (eligible(s, a))
		return patience(s, a) < patience(s, b) - 1;
	return a->u.fair.vtime < b->u.fair.vtime - 1;
}

/*: 290. Fair shares
 * Virtual time: of those that are owed something, the one whose debt would be first to reach a
 * slice runs next.
 */
static struct sched_entity *fair_pick(struct sched *s, unsigned pcpu)
{
	struct sched_entity *e, *best = NULL, *local = NULL;

	sched_for_each_candidate (s, pcpu, e) {
		if (!best || fair_before(s, e, best))
			best = e;
		if (e->pcpu == pcpu && (!local || fair_before(s, e, local)))
			local = e;
	}
	/* Caches: rather our own, if it is not much later, and the other can wait for a slice. */
	if (local && eligible(s, local) && patience(s, best) > (double)s->slice_ns &&
	    patience(s, local) - patience(s, best) < (double)s->slice_ns)
		return local;
	return best;
}

/* Up to when the one that waits with the least patience has none left; half a slice at least. */
static uint64_t fair_slice(struct sched *s, const struct sched_entity *e)
{
	double ns = (double)s->slice_ns;
	const struct sched_entity *o;

	sched_for_each (s, o) {
		if (o != e && o->state == SCHED_READY && !o->held &&
		    o->u.fair.domain == e->u.fair.domain && patience(s, o) < ns)
			ns = patience(s, o);
	}
	return ns > (double)(s->slice_ns / 2) ? (uint64_t)ns : s->slice_ns / 2;
}

const struct sched_policy sched_fair = {
	.name = "fair",
	.summary = "weighted fair queueing in virtual time (the default)",
	.pick = fair_pick,
	.slice = fair_slice,
	.join = fair_join,
	.changed = fair_changed,
	.charge = fair_charge,
	.preempts = fair_before,
};
