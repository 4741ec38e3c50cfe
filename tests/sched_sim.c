/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sched_sim.h"

struct sim *sim_new(const char *policy, unsigned pcpus, uint64_t slice_ns)
{
	struct sched_config config = { .pcpus = pcpus, .slice_ns = slice_ns, .seed = 42 };
	const struct sched_policy *p = policy ? sched_policy_find(policy) : NULL;
	struct sim *sim = calloc(1, sizeof(*sim));

	cr_assert(sim && (p || !policy));
	sim->s = sched_new(p, &config);
	cr_assert_not_null(sim->s);
	sim->pcpus = pcpus;
	sim->slice_ns = sched_slice_ns(sim->s);
	sim->rng = 88172645463325252u;
	for (unsigned i = 0; i < pcpus; i++)
		sim->pcpu[i].at_ns = sim->pcpu[i].told_ns = SCHED_NEVER;
	return sim;
}

void sim_free(struct sim *sim)
{
	for (unsigned i = 0; i < sim->vcpus; i++) {
		if (!sim->vcpu[i].gone)
			sched_remove(sim->s, &sim->vcpu[i].e, sim->now);
	}
	sched_free(sim->s);
	free(sim);
}

/* xorshift64: the same every time. */
uint64_t sim_random(struct sim *sim, uint64_t below)
{
	sim->rng ^= sim->rng << 13;
	sim->rng ^= sim->rng >> 7;
	sim->rng ^= sim->rng << 17;
	return sim->rng % below;
}

void sim_tell(struct sim *sim)
{
	for (uint64_t m = sched_take_kicks(sim->s); m; m &= m - 1) {
		unsigned p = (unsigned)__builtin_ctzll(m);

		if (sim->pcpu[p].told_ns > sim->now + sim->kick_ns)
			sim->pcpu[p].told_ns = sim->now + sim->kick_ns;
	}
}

struct sched_group *sim_group(struct sim *sim, unsigned weight, unsigned cap)
{
	cr_assert_lt(sim->groups, SIM_GROUPS);
	cr_assert_eq(sched_group_init(&sim->group[sim->groups], weight, cap), 0);
	return &sim->group[sim->groups++];
}

static void next_act(struct sim *sim, struct sim_vcpu *v)
{
	v->act = v->script(sim, v);
	v->left_ns = v->act.run_ns;
}

struct sim_vcpu *sim_add(struct sim *sim, struct sched_group *g, sim_script script, uint64_t a,
			 uint64_t b)
{
	struct sim_vcpu *v = &sim->vcpu[sim->vcpus++];

	cr_assert_leq(sim->vcpus, SIM_VCPUS);
	v->script = script;
	v->a = a;
	v->b = b;
	v->wake_ns = SCHED_NEVER;
	sched_entity_init(&v->e, g, v);
	cr_assert_eq(sched_add(sim->s, &v->e, sim->now), 0);
	next_act(sim, v);
	sim_wake(sim, v);
	return v;
}

void sim_pin(struct sim *sim, struct sim_vcpu *v, uint64_t hard)
{
	cr_assert_eq(sched_set_affinity(sim->s, &v->e, hard, SCHED_ALL_PCPUS, sim->now), 0);
	sim_tell(sim);
}

void sim_remove(struct sim *sim, struct sim_vcpu *v)
{
	if (v->e.state == SCHED_RUNNING)
		sim->pcpu[v->e.pcpu].running = NULL;
	sched_remove(sim->s, &v->e, sim->now);
	v->gone = true;
	v->wake_ns = SCHED_NEVER;
	sim_tell(sim);
}

void sim_wake(struct sim *sim, struct sim_vcpu *v)
{
	v->wake_ns = SCHED_NEVER;
	cr_assert(sched_wake(sim->s, &v->e, sim->now));
	sim_tell(sim);
}

uint64_t sim_ran(const struct sim *sim, const struct sim_vcpu *v)
{
	return sched_time(&v->e, SCHED_RUNNING, sim->now);
}

/* The vCPU of @p stops: what it did since it was picked, and why it stops. */
static void stop(struct sim *sim, unsigned p, bool slice_end)
{
	struct sim_vcpu *v = sim->pcpu[p].running;

	if (v->left_ns != HOG)
		v->left_ns -= sim->now - sim->pcpu[p].since_ns;
	sim->pcpu[p].running = NULL;
	if (v->left_ns) {
		sched_put(sim->s, &v->e, slice_end ? SCHED_SLICE_END : SCHED_PREEMPTED, sim->now);
		return;
	}
	switch (v->act.then) {
	case SIM_BLOCK:
		sched_block(sim->s, &v->e, sim->now);
		v->wake_ns = v->act.block_ns == HOG ? SCHED_NEVER : sim->now + v->act.block_ns;
		break;
	case SIM_SPIN: sched_put(sim->s, &v->e, SCHED_SPIN, sim->now); break;
	case SIM_YIELD: sched_put(sim->s, &v->e, SCHED_VOLUNTARY, sim->now); break;
	case SIM_YIELD_TO:
		sched_yield_to(sim->s, &v->e, v->act.to ? &v->act.to->e : NULL, sim->now);
		break;
	}
	next_act(sim, v);
}

/* The policy's first duty. */
static void nobody_to_run(const struct sim *sim, unsigned p)
{
	const struct sched_entity *e;

	sched_for_each (sim->s, e) {
		cr_assert(e->state != SCHED_READY || e->held || !(e->hard >> p & 1),
			  "pick() found nobody for pCPU %u, but a vCPU waits that may run there",
			  p);
	}
}

static void call_back(struct sim *sim, unsigned p)
{
	struct sched_entity *e;

	if (sim->pcpu[p].running)
		stop(sim, p, sim->pcpu[p].at_ns <= sim->now);
	sim->pcpu[p].told_ns = SCHED_NEVER;
	e = sched_pick(sim->s, p, sim->now);
	if (e) {
		struct sim_vcpu *v = e->owner;

		cr_assert(e->state == SCHED_RUNNING && e->pcpu == p && (e->hard >> p & 1));
		cr_assert(!e->held && !e->group->paused);
		sim->pcpu[p].running = v;
		sim->pcpu[p].since_ns = sim->now;
		if (sim->now - e->ready_ns > v->max_wait_ns)
			v->max_wait_ns = sim->now - e->ready_ns;
	} else {
		nobody_to_run(sim, p);
	}
	sim->pcpu[p].at_ns = sched_next_event(sim->s, p, sim->now);
	cr_assert_gt(sim->pcpu[p].at_ns, sim->now, "an event in the past");
	sim_tell(sim);
}

/* When @p must be looked at. */
static uint64_t due(const struct sim *sim, unsigned p)
{
	const struct sim_vcpu *v = sim->pcpu[p].running;
	uint64_t t = sim->pcpu[p].at_ns;

	if (sim->pcpu[p].told_ns < t)
		t = sim->pcpu[p].told_ns;
	if (v && v->left_ns != HOG && sim->pcpu[p].since_ns + v->left_ns < t)
		t = sim->pcpu[p].since_ns + v->left_ns;
	return t;
}

static void check(const struct sim *sim)
{
	struct sched_pcpu_stats st;
	uint64_t idle = 0;
	struct sched_entity *e;

	for (unsigned p = 0; p < sim->pcpus; p++) {
		const struct sim_vcpu *v = sim->pcpu[p].running;

		if (!v && sim->pcpu[p].told_ns > sim->now)
			idle |= UINT64_C(1) << p;
		sched_pcpu_stats(sim->s, p, sim->now, &st);
		cr_assert(st.running == (v ? &v->e : NULL));
	}
	sched_for_each (sim->s, e) {
		uint64_t sum = 0;

		for (int i = SCHED_BLOCKED; i < SCHED_STATES; i++)
			sum += sched_time(e, i, sim->now);
		cr_assert(sum <= sim->now || sim->no_times, "its states take longer than time");
		if (e->state == SCHED_RUNNING)
			cr_assert(&sim->pcpu[e->pcpu].running->e == e);
		if (e->state == SCHED_READY && !e->held && !sim->quiet)
			cr_assert(!(e->hard & idle), "a pCPU is idle while a vCPU waits");
	}
}

void sim_run(struct sim *sim, uint64_t ns)
{
	uint64_t until = sim->now + ns;

	for (;;) {
		uint64_t t = until;
		unsigned p, calls = 0;

		for (p = 0; p < sim->pcpus; p++)
			t = due(sim, p) < t ? due(sim, p) : t;
		for (unsigned i = 0; i < sim->vcpus; i++)
			t = sim->vcpu[i].wake_ns < t ? sim->vcpu[i].wake_ns : t;
		cr_assert_geq(t, sim->now);
		sim->now = t;
		for (unsigned i = 0; i < sim->vcpus; i++) {
			if (sim->vcpu[i].wake_ns == t && !sim->vcpu[i].gone)
				sim_wake(sim, &sim->vcpu[i]);
		}
		for (p = 0; p < sim->pcpus;) {
			if (due(sim, p) <= t) {
				call_back(sim, p);
				sim->events++;
				cr_assert_lt(++calls, 10000, "pCPUs tell each other for ever");
				p = 0; /* it may have told another */
			} else {
				p++;
			}
		}
		check(sim);
		if (t == until)
			break;
	}
}

void sim_ideal(const double *weight, unsigned n, unsigned pcpus, double *rate)
{
	double low = 0, high = 1e6, total = n < pcpus ? n : pcpus;

	/* The level at which the water is @total, by bisection. */
	for (int round = 0; round < 200; round++) {
		double mid = (low + high) / 2, sum = 0;

		for (unsigned i = 0; i < n; i++)
			sum += mid * weight[i] < 1 ? mid * weight[i] : 1;
		if (sum < total)
			low = mid;
		else
			high = mid;
	}
	for (unsigned i = 0; i < n; i++)
		rate[i] = high * weight[i] < 1 ? high * weight[i] : 1;
}

struct sim_act sim_hog(struct sim *sim, struct sim_vcpu *v)
{
	(void)sim, (void)v;
	return (struct sim_act){ .run_ns = HOG };
}

struct sim_act sim_periodic(struct sim *sim, struct sim_vcpu *v)
{
	(void)sim;
	return (struct sim_act){ .run_ns = v->a, .then = SIM_BLOCK, .block_ns = v->b };
}

struct sim_act sim_erratic(struct sim *sim, struct sim_vcpu *v)
{
	return (struct sim_act){ .run_ns = 1 + sim_random(sim, 2 * v->a),
				 .then = SIM_BLOCK,
				 .block_ns = 1 + sim_random(sim, 2 * v->b) };
}

struct sim_act sim_once(struct sim *sim, struct sim_vcpu *v)
{
	(void)sim;
	return (struct sim_act){ .run_ns = v->a, .then = SIM_BLOCK, .block_ns = HOG };
}

struct sim_act sim_spinner(struct sim *sim, struct sim_vcpu *v)
{
	(void)sim;
	return (struct sim_act){ .run_ns = v->a, .then = SIM_SPIN };
}

struct sim_act sim_yielder(struct sim *sim, struct sim_vcpu *v)
{
	(void)sim;
	return (struct sim_act){ .run_ns = v->a, .then = SIM_YIELD_TO, .to = v->other };
}
