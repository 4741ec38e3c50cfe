/* SPDX-License-Identifier: MIT */
/* The scheduler's calls: the way of a vCPU through its states. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/sched/policy.h"

static uint64_t bit(unsigned pcpu)
{
	return UINT64_C(1) << pcpu;
}

struct sched *sched_new(const struct sched_policy *policy, const struct sched_config *config)
{
	uint64_t slice_ns = config->slice_ns ? config->slice_ns : SCHED_SLICE_NS;
	struct sched *s;

	if (!config->pcpus || config->pcpus > SCHED_MAX_PCPUS || slice_ns < SCHED_SLICE_MIN_NS ||
	    slice_ns > SCHED_SLICE_MAX_NS) {
		errno = EINVAL;
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->policy = policy ? policy : sched_policies[0];
	s->slice_ns = slice_ns;
	s->pcpus = config->pcpus;
	s->all = s->idle = UINT64_MAX >> (64 - config->pcpus);
	s->refill_ns = SCHED_NEVER;
	if (s->policy->init)
		s->policy->init(s, config->seed);
	return s;
}

void sched_free(struct sched *s)
{
	assert(!s || !s->first);
	free(s);
}

int sched_group_init(struct sched_group *g, uint32_t weight, uint32_t cap_percent)
{
	if (!weight || weight > SCHED_WEIGHT_MAX)
		return -EINVAL;
	*g = (struct sched_group){ .weight = weight, .cap = cap_percent, .period_ns = SCHED_NEVER };
	return 0;
}

void sched_entity_init(struct sched_entity *e, struct sched_group *g, void *owner)
{
	memset(e, 0, sizeof(*e));
	e->group = g;
	e->owner = owner;
	e->hard = e->soft = SCHED_ALL_PCPUS;
}

void sched_advance(struct sched *s, uint64_t now)
{
	if (!s->started)
		s->now = now;
	s->started = true;
	if (now > s->now) {
		for (unsigned p = 0; p < s->pcpus; p++) {
			struct sched_entity *e = s->pcpu[p].running;

			if (!e) {
				s->pcpu[p].idle_ns += now - s->now;
				continue;
			}
			s->pcpu[p].busy_ns += now - s->now;
			e->group->ran_ns += now - s->now;
			if (s->policy->charge)
				s->policy->charge(s, e, now - s->now);
		}
		s->now = now;
	}
	sched_cap_refill(s);
}

double sched_weight(const struct sched_entity *e)
{
	return (double)e->group->weight / (e->group->runnable ? e->group->runnable : 1);
}

void sched_recount(struct sched *s, struct sched_entity *e)
{
	bool counts = e->state == SCHED_RUNNING || (e->state == SCHED_READY && !e->held);

	if (counts == e->counted)
		return;
	e->counted = counts;
	s->stale = true;
	if (counts) {
		e->group->runnable++;
		if (s->policy->join)
			s->policy->join(s, e);
	} else {
		e->group->runnable--;
		if (s->policy->leave)
			s->policy->leave(s, e);
	}
}

void sched_changed(struct sched *s)
{
	if (s->stale && s->policy->changed)
		s->policy->changed(s);
	s->stale = false;
}

int sched_add(struct sched *s, struct sched_entity *e, uint64_t now)
{
	if (!(e->hard & s->all))
		return -EINVAL;
	sched_advance(s, now);
	e->since_ns = s->now;
	sched_transition(s, e, SCHED_OUT, SCHED_BLOCKED);
	e->pcpu = (uint8_t)__builtin_ctzll(e->hard & s->all);
	e->dispatched = e->skip = e->held = false;
	memset(&e->u, 0, sizeof(e->u));
	e->all_next = NULL;
	e->all_prev = s->last;
	if (s->last)
		s->last->all_next = e;
	else
		s->first = e;
	s->last = e;
	if (e->group->cap)
		sched_cap_begin(s, e->group);
	return 0;
}

/* @e leaves the pCPU it runs on, for @to; that pCPU is on its way to sched_pick(). */
static void take_off(struct sched *s, struct sched_entity *e, enum sched_state to)
{
	sched_transition(s, e, SCHED_RUNNING, to);
	s->pcpu[e->pcpu].running = NULL;
	s->idle |= bit(e->pcpu);
}

void sched_remove(struct sched *s, struct sched_entity *e, uint64_t now)
{
	enum sched_state was = e->state;

	sched_advance(s, now);
	for (unsigned p = 0; p < s->pcpus; p++) {
		if (s->pcpu[p].boost == e)
			s->pcpu[p].boost = NULL;
	}
	if (was == SCHED_READY) {
		sched_dequeue(s, e);
		if (e->held)
			e->held_ns += s->now - e->held_since_ns;
		e->held = false;
	}
	if (was == SCHED_RUNNING) {
		sched_kick(s, e->pcpu);
		sched_cap_settle(s, e);
		take_off(s, e, SCHED_OUT);
	} else {
		sched_transition(s, e, was, SCHED_OUT);
	}
	sched_recount(s, e);
	if (e->all_prev)
		e->all_prev->all_next = e->all_next;
	else
		s->first = e->all_next;
	if (e->all_next)
		e->all_next->all_prev = e->all_prev;
	else
		s->last = e->all_prev;
	sched_settle(s);
}

/* @e has become READY: hold it back, or count it in; it is in no queue yet. */
static void now_ready(struct sched *s, struct sched_entity *e)
{
	e->ready_ns = s->now;
	e->order = s->order++;
	e->held = sched_holds(e->group);
	if (e->held) {
		e->held_since_ns = s->now;
		e->group->throttled += !e->group->paused;
	}
	sched_recount(s, e);
}

bool sched_wake(struct sched *s, struct sched_entity *e, uint64_t now)
{
	sched_advance(s, now);
	if (e->state != SCHED_BLOCKED)
		return false;
	sched_transition(s, e, SCHED_BLOCKED, SCHED_READY);
	e->stats.wakes++;
	e->woken = true;
	now_ready(s, e);
	sched_place(s, e);
	sched_settle(s);
	return true;
}

void sched_block(struct sched *s, struct sched_entity *e, uint64_t now)
{
	sched_advance(s, now);
	sched_cap_settle(s, e);
	take_off(s, e, SCHED_BLOCKED);
	e->stats.blocks++;
	sched_recount(s, e);
	s->kicked |= bit(e->pcpu);
	sched_settle(s);
}

static void put(struct sched *s, struct sched_entity *e, enum sched_why why)
{
	unsigned pcpu = e->pcpu;

	sched_cap_settle(s, e);
	take_off(s, e, SCHED_READY);
	e->stats.puts[why]++;
	e->skip = why == SCHED_SPIN || why == SCHED_VOLUNTARY;
	s->kicked |= bit(pcpu);
	now_ready(s, e);
	if (e->hard >> pcpu & 1)
		sched_enqueue(s, e, pcpu);
	else
		sched_place(s, e);
}

void sched_put(struct sched *s, struct sched_entity *e, enum sched_why why, uint64_t now)
{
	sched_advance(s, now);
	put(s, e, why);
	sched_settle(s);
}

/* May @to be given @pcpu out of turn, for @from's sake? */
static bool may_boost(const struct sched_entity *from, const struct sched_entity *to, unsigned pcpu)
{
	return to != from && to->group == from->group && to->state == SCHED_READY && !to->held &&
	       (to->hard >> pcpu & 1);
}

bool sched_yield_to(struct sched *s, struct sched_entity *from, struct sched_entity *to,
		    uint64_t now)
{
	unsigned pcpu = from->pcpu;
	struct sched_entity *e;

	sched_advance(s, now);
	put(s, from, SCHED_SPIN);
	if (!to) {
		sched_for_each (s, e) {
			if (may_boost(from, e, pcpu) && (!to || e->ready_ns < to->ready_ns))
				to = e;
		}
	}
	/* What is left of the slice may be nothing: then it is anybody's turn. */
	if (to && may_boost(from, to, pcpu) && from->end_ns > s->now) {
		s->pcpu[pcpu].boost = to;
		s->pcpu[pcpu].boost_end_ns = from->end_ns;
	} else {
		to = NULL;
	}
	sched_settle(s);
	return to;
}

static struct sched_entity *choose(struct sched *s, unsigned pcpu)
{
	struct sched_entity *e = s->policy->pick(s, pcpu);

	if (e)
		return e;
	s->see_skipped = true;
	e = s->policy->pick(s, pcpu);
	s->see_skipped = false;
	return e;
}

/*: 280. Who is next
 * READY to RUNNING. Common to all policies: affinity, caps, directed yields. The policy says only
 * whom.
 */
struct sched_entity *sched_pick(struct sched *s, unsigned pcpu, uint64_t now)
{
	struct sched_pcpu *p = &s->pcpu[pcpu];
	uint64_t end_ns;
	struct sched_entity *e, *o;

	assert(pcpu < s->pcpus && !p->running);
	sched_advance(s, now);
	sched_settle(s);
	s->kicked &= ~bit(pcpu);
	s->untold &= ~bit(pcpu);
	e = p->boost;
	p->boost = NULL;
	end_ns = s->now + s->slice_ns;
	if (e && e->state == SCHED_READY && !e->held && (e->hard >> pcpu & 1) &&
	    p->boost_end_ns > s->now) {
		e->stats.boosts++;
		end_ns = p->boost_end_ns < end_ns ? p->boost_end_ns : end_ns;
	} else {
		e = choose(s, pcpu);
		if (e && s->policy->slice)
			end_ns = s->now + s->policy->slice(s, e);
	}
	if (!e)
		return NULL;
	if (e->dispatched && e->pcpu != pcpu) {
		e->stats.migrations++;
		e->stats.steals += !p->queued;
	}
	sched_dequeue(s, e);
	e->pcpu = (uint8_t)pcpu;
	e->skip = false;
	for (o = p->head; o; o = o->next)
		o->skip = false; /* it was passed over once */
	sched_transition(s, e, SCHED_READY, SCHED_RUNNING);
	p->running = e;
	p->picks++;
	s->idle &= ~bit(pcpu);
	if (e->woken)
		hist_add(&e->stats.wake_latency, s->now - e->ready_ns);
	e->woken = false;
	e->dispatched = true;
	e->stats.dispatches++;
	e->end_ns = s->now + sched_cap_grant(s, e, end_ns - s->now);
	sched_settle(s);
	return e;
}

uint64_t sched_next_event(struct sched *s, unsigned pcpu, uint64_t now)
{
	uint64_t at = SCHED_NEVER;
	struct sched_entity *e;

	sched_advance(s, now);
	sched_settle(s);
	if (s->pcpu[pcpu].running)
		return s->pcpu[pcpu].running->end_ns;
	sched_for_each (s, e) {
		uint64_t t = e->hard >> pcpu & 1 ? sched_cap_release_ns(e) : SCHED_NEVER;

		at = t < at ? t : at;
	}
	return at;
}

uint64_t sched_take_kicks(struct sched *s)
{
	uint64_t untold = s->untold;

	s->untold = 0;
	return untold;
}

int sched_set_weight(struct sched *s, struct sched_group *g, uint32_t weight, uint64_t now)
{
	if (!weight || weight > SCHED_WEIGHT_MAX)
		return -EINVAL;
	sched_advance(s, now);
	g->weight = weight;
	s->stale = true;
	sched_settle(s);
	return 0;
}

int sched_set_affinity(struct sched *s, struct sched_entity *e, uint64_t hard, uint64_t soft,
		       uint64_t now)
{
	if (!(hard & s->all))
		return -EINVAL;
	sched_advance(s, now);
	e->hard = hard;
	e->soft = soft;
	if (e->state == SCHED_RUNNING && !(hard >> e->pcpu & 1))
		sched_kick(s, e->pcpu);
	if (e->state == SCHED_READY) {
		sched_dequeue(s, e);
		sched_place(s, e);
	}
	s->stale = true;
	sched_settle(s);
	return 0;
}
