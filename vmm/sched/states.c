/* SPDX-License-Identifier: MIT */
/* The states of a vCPU: which may follow which, and the time spent in each. */
#include <assert.h>

#include "vmm/sched/policy.h"

void sched_transition(struct sched *s, struct sched_entity *e, enum sched_state from,
		      enum sched_state to)
{
	static const uint8_t may[SCHED_STATES] = {
		[SCHED_OUT] = 1 << SCHED_BLOCKED,
		[SCHED_BLOCKED] = 1 << SCHED_READY | 1 << SCHED_OUT,
		[SCHED_READY] = 1 << SCHED_RUNNING | 1 << SCHED_OUT,
		[SCHED_RUNNING] = 1 << SCHED_READY | 1 << SCHED_BLOCKED | 1 << SCHED_OUT,
	};

	(void)may, (void)from; /* NDEBUG */
	assert(e->state == from);
	assert(may[from] >> to & 1);
	assert((from == SCHED_RUNNING) == (s->pcpu[e->pcpu].running == e));
	assert(!(to == SCHED_RUNNING && e->held));
	e->time_ns[e->state] += s->now - e->since_ns;
	e->since_ns = s->now;
	e->state = to;
}

uint64_t sched_time(const struct sched_entity *e, enum sched_state state, uint64_t now)
{
	uint64_t ns = e->time_ns[state];

	if (e->state == state && now > e->since_ns)
		ns += now - e->since_ns;
	return ns;
}
