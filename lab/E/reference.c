/* SPDX-License-Identifier: MIT */
/* Part E: a solution, as simple as will do.  right/product.c is the product's own. */
#include <assert.h>

#include "vmm/sched/policy.h"

void sched_transition(struct sched *s, struct sched_entity *e, enum sched_state from,
		      enum sched_state to)
{
	bool may = false;

	switch (from) {
	case SCHED_OUT: may = to == SCHED_BLOCKED; break;
	case SCHED_BLOCKED: may = to == SCHED_READY || to == SCHED_OUT; break;
	case SCHED_READY: may = to == SCHED_RUNNING || to == SCHED_OUT; break;
	case SCHED_RUNNING: may = to != SCHED_RUNNING; break;
	case SCHED_STATES: break;
	}
	assert(may);
	assert(e->state == from);
	assert((from == SCHED_RUNNING) == (s->pcpu[e->pcpu].running == e));
	assert(to != SCHED_RUNNING || !e->held);
	e->time_ns[from] += s->now - e->since_ns;
	e->since_ns = s->now;
	e->state = to;
}

uint64_t sched_time(const struct sched_entity *e, enum sched_state state, uint64_t now)
{
	if (e->state != state || now < e->since_ns)
		return e->time_ns[state];
	return e->time_ns[state] + now - e->since_ns;
}

static struct sched_entity *rr_pick(struct sched *s, unsigned pcpu)
{
	struct sched_entity *e, *best = NULL;

	sched_for_each_candidate (s, pcpu, e) {
		if (!best || e->order < best->order)
			best = e;
	}
	return best;
}

const struct sched_policy sched_rr = {
	.name = "rr",
	.summary = "round robin: a slice each, in turn, whatever the weight",
	.pick = rr_pick,
};

#define VTIME(e) ((e)->u.own[0]) /* ns of service for a unit of weight */
#define HERE(s)  ((s)->u.own[0]) /* of the last one picked, never back */

static void fair_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns)
{
	(void)s;
	VTIME(e) += (double)ran_ns / sched_weight(e);
}

static void fair_join(struct sched *s, struct sched_entity *e)
{
	double least = HERE(s) - (double)s->slice_ns / sched_weight(e);

	if (VTIME(e) < least)
		VTIME(e) = least;
}

static bool fair_preempts(const struct sched *s, const struct sched_entity *woken,
			  const struct sched_entity *running)
{
	(void)s;
	return VTIME(woken) < VTIME(running);
}

static struct sched_entity *fair_pick(struct sched *s, unsigned pcpu)
{
	struct sched_entity *e, *best = NULL;

	sched_for_each_candidate (s, pcpu, e) {
		if (!best || VTIME(e) < VTIME(best))
			best = e;
	}
	if (best && VTIME(best) > HERE(s))
		HERE(s) = VTIME(best);
	return best;
}

const struct sched_policy sched_fair = {
	.name = "fair",
	.summary = "weighted fair shares in virtual time (the default)",
	.pick = fair_pick,
	.join = fair_join,
	.charge = fair_charge,
	.preempts = fair_preempts,
};
