/* SPDX-License-Identifier: MIT */
/* What can be asked of the scheduler: policies by name, counts. */
#include <string.h>

#include "vmm/sched/policy.h"

const struct sched_policy *const sched_policies[] = {
	&sched_fair, &sched_rr, &sched_lottery, &sched_stride, NULL,
};

const struct sched_policy *sched_policy_find(const char *name)
{
	for (const struct sched_policy *const *p = sched_policies; *p; p++) {
		if (!strcmp((*p)->name, name))
			return *p;
	}
	return NULL;
}

const char *sched_policy_name(const struct sched_policy *p)
{
	return p->name;
}

const char *sched_policy_summary(const struct sched_policy *p)
{
	return p->summary;
}

const struct sched_policy *sched_policy_of(const struct sched *s)
{
	return s->policy;
}

uint64_t sched_slice_ns(const struct sched *s)
{
	return s->slice_ns;
}

const char *sched_state_name(enum sched_state state)
{
	static const char *const name[SCHED_STATES] = {
		[SCHED_OUT] = "out",
		[SCHED_BLOCKED] = "blocked",
		[SCHED_READY] = "ready",
		[SCHED_RUNNING] = "running",
	};

	return name[state];
}

struct sched_entity *sched_first(const struct sched *s)
{
	return s->first;
}

void sched_pcpu_stats(const struct sched *s, unsigned pcpu, uint64_t now,
		      struct sched_pcpu_stats *out)
{
	const struct sched_pcpu *p = &s->pcpu[pcpu];
	uint64_t more = s->started && now > s->now ? now - s->now : 0;

	*out = (struct sched_pcpu_stats){
		.running = p->running,
		.queued = p->queued,
		.picks = p->picks,
		.busy_ns = p->busy_ns + (p->running ? more : 0),
		.idle_ns = p->idle_ns + (p->running ? 0 : more),
	};
}
