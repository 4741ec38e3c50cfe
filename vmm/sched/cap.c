/* SPDX-License-Identifier: MIT */
/*
 * Caps and pauses: what holds back vCPUs that are READY.
 *
 * A capped group has a budget of run time for each period.  A vCPU is granted its slice out of the
 * budget when it is picked and gives back what it did not use, so that the ends of the slices of
 * siblings on other pCPUs never move.  What was overrun is paid in the next period.
 */
#include "vmm/sched/policy.h"

/* Less is not worth a dispatch; it is kept for the next period. */
#define GRANT_MIN_NS 100000

static int64_t quota_ns(const struct sched_group *g)
{
	return (int64_t)(SCHED_CAP_PERIOD_NS / 100 * g->cap);
}

static bool throttled(const struct sched_group *g)
{
	return g->cap && g->budget_ns < GRANT_MIN_NS;
}

bool sched_holds(const struct sched_group *g)
{
	return g->paused || throttled(g);
}

static void set_held(struct sched *s, struct sched_entity *e, bool held)
{
	if (e->held == held)
		return;
	e->held = held;
	if (held)
		e->held_since_ns = s->now;
	else
		e->held_ns += s->now - e->held_since_ns;
	if (held && !e->group->paused)
		e->group->throttled++;
	sched_recount(s, e);
}

void sched_hold_or_release(struct sched *s, struct sched_group *g)
{
	bool hold = sched_holds(g);
	struct sched_entity *e;

	sched_for_each (s, e) {
		if (e->group != g || e->state != SCHED_READY || e->held == hold)
			continue;
		set_held(s, e, hold);
		if (!hold) { /* as if it woke: perhaps somebody should make way */
			sched_dequeue(s, e);
			sched_place(s, e);
		}
	}
}

void sched_cap_begin(struct sched *s, struct sched_group *g)
{
	if (g->period_ns == SCHED_NEVER) {
		g->period_ns = s->now;
		g->budget_ns = quota_ns(g);
	}
	if (s->refill_ns > g->period_ns + SCHED_CAP_PERIOD_NS)
		s->refill_ns = g->period_ns + SCHED_CAP_PERIOD_NS;
}

static void refill(struct sched *s, struct sched_group *g)
{
	uint64_t periods = (s->now - g->period_ns) / SCHED_CAP_PERIOD_NS;
	int64_t most = quota_ns(g) + GRANT_MIN_NS;

	g->period_ns += periods * SCHED_CAP_PERIOD_NS;
	/* Enough periods forgive any debt; the product cannot overflow before that. */
	if (periods > 1000000)
		g->budget_ns = most;
	else
		g->budget_ns += (int64_t)periods * quota_ns(g);
	if (g->budget_ns > most)
		g->budget_ns = most;
	sched_hold_or_release(s, g);
}

void sched_cap_refill(struct sched *s)
{
	struct sched_entity *e;

	if (s->now < s->refill_ns)
		return;
	s->refill_ns = SCHED_NEVER;
	sched_for_each (s, e) {
		struct sched_group *g = e->group;

		if (!g->cap)
			continue;
		if (s->now - g->period_ns >= SCHED_CAP_PERIOD_NS)
			refill(s, g);
		if (s->refill_ns > g->period_ns + SCHED_CAP_PERIOD_NS)
			s->refill_ns = g->period_ns + SCHED_CAP_PERIOD_NS;
	}
}

uint64_t sched_cap_grant(struct sched *s, struct sched_entity *e, uint64_t slice_ns)
{
	struct sched_group *g = e->group;

	if (!g->cap)
		return slice_ns;
	e->granted_ns = g->budget_ns < (int64_t)slice_ns ? (uint64_t)g->budget_ns : slice_ns;
	g->budget_ns -= (int64_t)e->granted_ns;
	if (throttled(g))
		sched_hold_or_release(s, g);
	return e->granted_ns;
}

void sched_cap_settle(struct sched *s, struct sched_entity *e)
{
	struct sched_group *g = e->group;

	if (g->cap) {
		g->budget_ns += (int64_t)e->granted_ns - (int64_t)(s->now - e->since_ns);
		sched_hold_or_release(s, g);
	}
	e->granted_ns = 0;
}

uint64_t sched_cap_release_ns(const struct sched_entity *e)
{
	if (!e->held || e->group->paused || !e->group->cap)
		return SCHED_NEVER;
	return e->group->period_ns + SCHED_CAP_PERIOD_NS;
}

void sched_set_cap(struct sched *s, struct sched_group *g, uint32_t cap_percent, uint64_t now)
{
	struct sched_entity *e;

	sched_advance(s, now);
	g->cap = cap_percent;
	g->period_ns = SCHED_NEVER;
	if (g->cap)
		sched_cap_begin(s, g);
	sched_for_each (s, e) {
		if (e->group != g || e->state != SCHED_RUNNING)
			continue;
		/* What it ran so far is free; from here on it pays, and asks for a grant. */
		e->granted_ns = s->now - e->since_ns;
		sched_kick(s, e->pcpu);
	}
	sched_hold_or_release(s, g);
	sched_settle(s);
}

static void set_paused(struct sched *s, struct sched_group *g, bool paused, uint64_t now)
{
	struct sched_entity *e;

	sched_advance(s, now);
	g->paused = paused;
	sched_for_each (s, e) {
		if (e->group == g && e->state == SCHED_RUNNING && paused)
			sched_kick(s, e->pcpu);
	}
	sched_hold_or_release(s, g);
	sched_settle(s);
}

void sched_pause(struct sched *s, struct sched_group *g, uint64_t now)
{
	set_paused(s, g, true, now);
}

void sched_resume(struct sched *s, struct sched_group *g, uint64_t now)
{
	set_paused(s, g, false, now);
}
