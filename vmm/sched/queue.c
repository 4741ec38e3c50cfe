/* SPDX-License-Identifier: MIT */
/* The queues of the pCPUs: who waits where, and which pCPU should come and look. */
#include "vmm/sched/policy.h"

void sched_enqueue(struct sched *s, struct sched_entity *e, unsigned pcpu)
{
	struct sched_pcpu *p = &s->pcpu[pcpu];

	e->pcpu = (uint8_t)pcpu;
	e->next = NULL;
	e->prev = p->tail;
	if (p->tail)
		p->tail->next = e;
	else
		p->head = e;
	p->tail = e;
	p->queued++;
}

void sched_dequeue(struct sched *s, struct sched_entity *e)
{
	struct sched_pcpu *p = &s->pcpu[e->pcpu];

	if (e->prev)
		e->prev->next = e->next;
	else
		p->head = e->next;
	if (e->next)
		e->next->prev = e->prev;
	else
		p->tail = e->prev;
	e->next = e->prev = NULL;
	p->queued--;
}

struct sched_entity *sched_candidate(const struct sched *s, unsigned pcpu,
				     const struct sched_entity *prev)
{
	unsigned q = prev ? prev->pcpu : pcpu;
	struct sched_entity *e = prev ? prev->next : s->pcpu[q].head;

	for (;;) {
		for (; e; e = e->next) {
			if (sched_may_run(s, e, pcpu))
				return e;
		}
		q = q + 1 < s->pcpus ? q + 1 : 0;
		if (q == pcpu)
			return NULL;
		e = s->pcpu[q].head;
	}
}

void sched_kick(struct sched *s, unsigned pcpu)
{
	uint64_t bit = UINT64_C(1) << pcpu;

	if (!(s->kicked & bit)) {
		s->kicked |= bit;
		s->untold |= bit;
	}
}

/* The best of @mask (not empty) for @e: where it was, where it had rather be, any. */
static unsigned prefer(const struct sched_entity *e, uint64_t mask)
{
	if (mask & e->soft)
		mask &= e->soft;
	if (mask >> e->pcpu & 1)
		return e->pcpu;
	return (unsigned)__builtin_ctzll(mask);
}

/* Of the pCPUs in @mask the one whose vCPU should yield to @e first, or -1. */
static int victim(const struct sched *s, const struct sched_entity *e, uint64_t mask)
{
	int best = -1;

	if (!s->policy->preempts)
		return -1;
	for (; mask; mask &= mask - 1) {
		int p = __builtin_ctzll(mask);
		const struct sched_entity *r = s->pcpu[p].running;

		if (r && s->policy->preempts(s, e, r) &&
		    (best < 0 || s->policy->preempts(s, s->pcpu[best].running, r)))
			best = p;
	}
	return best;
}

static unsigned shortest(const struct sched *s, const struct sched_entity *e, uint64_t mask)
{
	unsigned best = prefer(e, mask);

	for (mask &= mask & e->soft ? e->soft : mask; mask; mask &= mask - 1) {
		unsigned p = (unsigned)__builtin_ctzll(mask);

		if (s->pcpu[p].queued < s->pcpu[best].queued)
			best = p;
	}
	return best;
}

void sched_place(struct sched *s, struct sched_entity *e)
{
	uint64_t may = e->hard & s->all;
	uint64_t idle = may & s->idle & ~s->kicked;
	int p = -1;

	sched_changed(s);
	if (!e->held) {
		if (idle)
			p = (int)prefer(e, idle);
		else
			p = victim(s, e, may & ~s->kicked);
	}
	if (p >= 0)
		sched_kick(s, (unsigned)p);
	sched_enqueue(s, e, p >= 0 ? (unsigned)p : shortest(s, e, may));
}

void sched_settle(struct sched *s)
{
	uint64_t idle = s->idle;

	sched_changed(s);
	/* A pCPU for each that waits; those that come anyway are as good as any. */
	for (unsigned q = 0; idle && q < s->pcpus; q++) {
		for (const struct sched_entity *e = s->pcpu[q].head; idle && e; e = e->next) {
			uint64_t may = idle & e->hard;
			unsigned p;

			if (e->held || !may)
				continue;
			p = prefer(e, may & s->kicked ? may & s->kicked : may);
			idle &= ~(UINT64_C(1) << p);
			sched_kick(s, p);
		}
	}
}
