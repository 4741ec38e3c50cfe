/* SPDX-License-Identifier: MIT */
/* The scheduler's common code: states, affinity, caps, stealing, yields, pauses. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/sched_sim.h"
#include "vmm/sched/policy.h"

static struct sched *one_cpu(struct sched_group *g, struct sched_entity *e)
{
	struct sched *s = sched_new(NULL, &(struct sched_config){ .pcpus = 1 });

	cr_assert_not_null(s);
	cr_assert_eq(sched_group_init(g, SCHED_WEIGHT, 0), 0);
	sched_entity_init(e, g, NULL);
	return s;
}

Test(sched, numbers_out_of_range_are_refused)
{
	struct sched_config bad[] = { { .pcpus = 0 },
				      { .pcpus = SCHED_MAX_PCPUS + 1 },
				      { .pcpus = 1, .slice_ns = SCHED_SLICE_MIN_NS - 1 },
				      { .pcpus = 1, .slice_ns = SCHED_SLICE_MAX_NS + 1 } };
	struct sched_group g;
	struct sched_entity e;
	struct sched *s;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		errno = 0;
		cr_expect_null(sched_new(NULL, &bad[i]));
		cr_expect_eq(errno, EINVAL);
	}
	cr_expect_eq(sched_group_init(&g, 0, 0), -EINVAL);
	cr_expect_eq(sched_group_init(&g, SCHED_WEIGHT_MAX + 1, 0), -EINVAL);
	s = one_cpu(&g, &e);
	e.hard = 2; /* there is no pCPU 1 */
	cr_expect_eq(sched_add(s, &e, 0), -EINVAL);
	e.hard = 1;
	cr_expect_eq(sched_add(s, &e, 0), 0);
	cr_expect_eq(sched_set_affinity(s, &e, 2, 2, 0), -EINVAL);
	cr_expect_eq(sched_set_weight(s, &g, 0, 0), -EINVAL);
	sched_remove(s, &e, 0);
	sched_free(s);
}

Test(sched, policies_are_found_by_name)
{
	unsigned n = 0;

	for (; sched_policies[n]; n++)
		cr_expect_eq(sched_policy_find(sched_policy_name(sched_policies[n])),
			     sched_policies[n]);
	cr_expect_eq(n, 4);
	cr_expect_str_eq(sched_policy_name(sched_policies[0]), "fair");
	cr_expect_null(sched_policy_find("unfair"));
}

Test(sched, time_is_kept_for_each_state)
{
	struct sched_group g;
	struct sched_entity e;
	struct sched *s = one_cpu(&g, &e);
	struct sched_pcpu_stats st;

	cr_assert_eq(sched_add(s, &e, 1000), 0);
	cr_assert(sched_wake(s, &e, 1010));
	cr_assert_eq(sched_take_kicks(s), 1);
	cr_assert_eq(sched_take_kicks(s), 0);
	cr_assert_not(sched_wake(s, &e, 1020), "awake already");
	cr_assert_eq(sched_pick(s, 0, 1030), &e);
	cr_assert_eq(sched_next_event(s, 0, 1030), 1030 + SCHED_SLICE_NS);
	sched_put(s, &e, SCHED_PREEMPTED, 1070);
	cr_assert_eq(sched_pick(s, 0, 1150), &e);
	sched_block(s, &e, 1310);
	cr_assert_null(sched_pick(s, 0, 1320));
	cr_expect_eq(sched_time(&e, SCHED_BLOCKED, 1400), 10 + 90);
	cr_expect_eq(sched_time(&e, SCHED_READY, 1400), 20 + 80);
	cr_expect_eq(sched_time(&e, SCHED_RUNNING, 1400), 40 + 160);
	cr_expect_eq(e.stats.dispatches, 2);
	cr_expect_eq(e.stats.puts[SCHED_PREEMPTED], 1);
	cr_expect_eq(e.stats.wake_latency.count, 1, "the second pick was no wake-up");
	cr_expect_eq(e.stats.wake_latency.max, 20);
	sched_pcpu_stats(s, 0, 1400, &st);
	cr_expect_eq(st.busy_ns, 200);
	cr_expect_eq(st.idle_ns, 200);
	sched_remove(s, &e, 1400);
	cr_expect_null(sched_first(s));
	sched_free(s);
}

/* The diagram in sched.h, edge by edge. */
static void transition(enum sched_state from, enum sched_state to)
{
	struct sched_group g;
	struct sched_entity e;
	struct sched *s = one_cpu(&g, &e);

	if (from != SCHED_OUT)
		sched_add(s, &e, 0);
	if (from == SCHED_READY || from == SCHED_RUNNING)
		sched_wake(s, &e, 0);
	if (from == SCHED_RUNNING)
		sched_pick(s, 0, 0);
	cr_assert_eq(e.state, from);
	sched_transition(s, &e, from, to);
	cr_assert_eq(e.state, to);
	free(s);
}

#define LEGAL(from, to)                               \
	Test(sched, goes_from_##from##_to_##to)       \
	{                                             \
		transition(SCHED_##from, SCHED_##to); \
	}
#define ILLEGAL(from, to)                                                \
	Test(sched, never_goes_from_##from##_to_##to, .signal = SIGABRT) \
	{                                                                \
		transition(SCHED_##from, SCHED_##to);                    \
	}
LEGAL(OUT, BLOCKED)
LEGAL(BLOCKED, READY)
LEGAL(BLOCKED, OUT)
LEGAL(READY, RUNNING)
LEGAL(READY, OUT)
LEGAL(RUNNING, READY)
LEGAL(RUNNING, BLOCKED)
LEGAL(RUNNING, OUT)
ILLEGAL(OUT, READY)
ILLEGAL(OUT, RUNNING)
ILLEGAL(BLOCKED, RUNNING)
ILLEGAL(READY, BLOCKED)
ILLEGAL(READY, READY)
ILLEGAL(RUNNING, RUNNING)

Test(sched, blocking_what_does_not_run_is_a_bug, .signal = SIGABRT)
{
	struct sched_group g;
	struct sched_entity e;
	struct sched *s = one_cpu(&g, &e);

	sched_add(s, &e, 0);
	sched_wake(s, &e, 0);
	sched_block(s, &e, 0);
}

Test(sched, picking_for_a_busy_pcpu_is_a_bug, .signal = SIGABRT)
{
	struct sched_group g;
	struct sched_entity e;
	struct sched *s = one_cpu(&g, &e);

	sched_add(s, &e, 0);
	sched_wake(s, &e, 0);
	sched_pick(s, 0, 0);
	sched_pick(s, 0, 0);
}

Test(sched, a_wake_up_tells_one_idle_pcpu_and_prefers_where_it_was)
{
	struct sched *s = sched_new(NULL, &(struct sched_config){ .pcpus = 4 });
	struct sched_group g;
	struct sched_entity e, f;

	sched_group_init(&g, 100, 0);
	sched_entity_init(&e, &g, NULL);
	sched_entity_init(&f, &g, NULL);
	sched_add(s, &e, 0);
	sched_add(s, &f, 0);
	sched_set_affinity(s, &e, 0xf, 1u << 2, 0); /* soft: rather pCPU 2 */
	sched_wake(s, &e, 0);
	cr_assert_eq(sched_take_kicks(s), 1u << 2);
	sched_set_affinity(s, &f, 0xf, 1u << 2, 0);
	sched_wake(s, &f, 0);
	cr_assert_neq(sched_take_kicks(s), 1u << 2, "that one is spoken for");
	cr_assert_eq(sched_pick(s, 2, 10), &e);
	sched_set_affinity(s, &e, 0xf, 0xf, 10);
	sched_block(s, &e, 20);
	sched_remove(s, &f, 20);
	while (sched_pick(s, 2, 20))
		;
	sched_take_kicks(s);
	sched_wake(s, &e, 30);
	cr_expect_eq(sched_take_kicks(s), 1u << 2, "where its caches are");
	sched_remove(s, &e, 30);
	sched_free(s);
}

Test(sched, caps_hold_in_every_period)
{
	/* 25 % of a pCPU, 150 % for one with four vCPUs, one that goes over midway to 50 %. */
	static const unsigned caps[] = { 25, 150, 50 };
	struct sim *sim = sim_new(NULL, 8, 0);
	struct sched_group *g[3];
	uint64_t ran[3] = { 0 };

	for (unsigned i = 0; i < 3; i++)
		g[i] = sim_group(sim, 100, i == 2 ? 0 : caps[i]);
	sim_add(sim, g[0], sim_hog, 0, 0);
	for (unsigned i = 0; i < 4; i++)
		sim_add(sim, g[1], sim_hog, 0, 0);
	sim_add(sim, g[2], sim_hog, 0, 0);
	sim_run(sim, 150 * MS);
	cr_assert_eq(g[2]->ran_ns, 150 * MS);
	sched_set_cap(sim->s, g[2], 50, sim->now);
	sim_tell(sim);
	sim_run(sim, 50 * MS);
	for (unsigned i = 0; i < 3; i++)
		ran[i] = g[i]->ran_ns;
	for (unsigned period = 0; period < 20; period++) {
		sim_run(sim, 100 * MS);
		for (unsigned i = 0; i < 3; i++) {
			int64_t got = (int64_t)(g[i]->ran_ns - ran[i]);

			cr_expect(llabs(got - (int64_t)(caps[i] * MS)) <= (int64_t)(10 * MS),
				  "cap %u %%: %ld ns in period %u", caps[i], (long)got, period);
			ran[i] = g[i]->ran_ns;
		}
	}
	cr_expect_leq(llabs((int64_t)(g[0]->ran_ns - 550 * MS)), 10 * MS);
	cr_expect_gt(g[0]->throttled, 15);
	cr_expect_gt(sim->vcpu[0].e.held_ns, 1500 * MS);
	sim_free(sim);
}

Test(sched, a_cap_leaves_the_rest_to_others_and_is_lifted)
{
	struct sim *sim = sim_new(NULL, 1, 0);
	struct sched_group *g = sim_group(sim, 10000, 10);
	struct sim_vcpu *capped = sim_add(sim, g, sim_hog, 0, 0);
	struct sim_vcpu *other = sim_add(sim, sim_group(sim, 1, 0), sim_hog, 0, 0);

	sim_run(sim, 1000 * MS);
	cr_expect_leq(llabs((int64_t)(sim_ran(sim, capped) - 100 * MS)), 10 * MS);
	cr_expect_eq(sim_ran(sim, capped) + sim_ran(sim, other), 1000 * MS);
	sched_set_cap(sim->s, g, 0, sim->now);
	sim_tell(sim);
	sim_run(sim, 1000 * MS);
	cr_expect_gt(sim_ran(sim, capped), 1050 * MS);
	sim_free(sim);
}

Test(sched, an_overrun_is_paid_in_the_next_periods)
{
	struct sched_group g;
	struct sched_entity e;
	struct sched *s = one_cpu(&g, &e);

	g.cap = 10;
	sched_add(s, &e, 0);
	sched_wake(s, &e, 0);
	cr_assert_eq(sched_pick(s, 0, 0), &e);
	cr_assert_eq(sched_next_event(s, 0, 0), 10 * MS);
	sched_put(s, &e, SCHED_SLICE_END, 35 * MS); /* stopped late: 25 ms too many */
	cr_assert(e.held);
	cr_assert_null(sched_pick(s, 0, 35 * MS));
	cr_assert_eq(sched_next_event(s, 0, 35 * MS), 100 * MS);
	cr_assert_null(sched_pick(s, 0, 100 * MS), "15 ms are still to pay");
	cr_assert_null(sched_pick(s, 0, 200 * MS), "5 ms");
	cr_assert_eq(sched_pick(s, 0, 300 * MS), &e);
	cr_assert_eq(sched_next_event(s, 0, 300 * MS), 305 * MS);
	sched_remove(s, &e, 300 * MS);
	sched_free(s);
}

Test(sched, a_paused_vm_waits_and_goes_on)
{
	struct sim *sim = sim_new(NULL, 2, 0);
	struct sched_group *g = sim_group(sim, 100, 0);
	struct sim_vcpu *hog = sim_add(sim, g, sim_hog, 0, 0);
	struct sim_vcpu *io = sim_add(sim, g, sim_periodic, MS, 3 * MS);
	uint64_t ran;

	sim_run(sim, 101 * MS);
	sched_pause(sim->s, g, sim->now);
	sim_tell(sim);
	ran = sim_ran(sim, hog) + sim_ran(sim, io);
	sim_run(sim, 100 * MS);
	cr_expect_eq(sim_ran(sim, hog) + sim_ran(sim, io), ran);
	cr_expect_eq(io->e.state, SCHED_READY, "it woke, and waits");
	cr_expect(io->e.held && hog->e.held);
	sched_resume(sim->s, g, sim->now);
	sim_tell(sim);
	sim_run(sim, 100 * MS);
	cr_expect_eq(sim_ran(sim, hog), 201 * MS);
	cr_expect_eq(hog->e.held_ns, 100 * MS);
	cr_expect_gt(io->e.stats.wakes, 40);
	sim_free(sim);
}

Test(sched, an_idle_pcpu_steals)
{
	struct sim *sim = sim_new("rr", 2, 0);
	struct sched_group *g = sim_group(sim, 100, 0);
	struct sim_vcpu *hog, *done, *next;

	hog = sim_add(sim, g, sim_hog, 0, 0);         /* on pCPU 0 */
	done = sim_add(sim, g, sim_once, 15 * MS, 0); /* on pCPU 1 */
	sim_run(sim, 0);
	next = sim_add(sim, g, sim_hog, 0, 0); /* in pCPU 0's queue */
	sim_run(sim, MS);
	cr_assert(hog->e.pcpu == 0 && done->e.pcpu == 1 && next->e.pcpu == 0);
	sim_run(sim, 100 * MS);
	cr_expect_eq(sim_ran(sim, hog) + sim_ran(sim, done) + sim_ran(sim, next), 202 * MS,
		     "nobody idled");
	cr_expect_geq(hog->e.stats.steals + next->e.stats.steals, 1);
	sim_free(sim);
}

Test(sched, affinity_changed_while_running_takes_it_away_at_once)
{
	struct sim *sim = sim_new(NULL, 2, 0);
	struct sim_vcpu *a = sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0);

	sim_run(sim, 5 * MS);
	for (unsigned i = 0; i < 10; i++) {
		unsigned to = !a->e.pcpu;

		sim_pin(sim, a, 1u << to);
		sim_run(sim, MS); /* the simulator checks where it runs */
		cr_assert_eq(a->e.pcpu, to);
	}
	cr_expect_eq(sim_ran(sim, a), 15 * MS);
	sim_free(sim);
}

Test(sched, a_spinner_lets_others_first)
{
	/* Without the yield it would be picked again: it is owed more. */
	struct sim *sim = sim_new(NULL, 1, 0);
	struct sched_group *g = sim_group(sim, 100, 0);
	struct sim_vcpu *spin = sim_add(sim, g, sim_spinner, MS / 10, 0);
	struct sim_vcpu *work = sim_add(sim, g, sim_hog, 0, 0);

	sim_run(sim, 1000 * MS);
	cr_expect_lt(sim_ran(sim, spin), 20 * MS);
	cr_expect_gt(sim_ran(sim, work), 980 * MS);
	cr_expect_gt(spin->e.stats.puts[SCHED_SPIN], 50);
	cr_expect_leq(spin->max_wait_ns, 20 * MS);
	sim_free(sim);
}

Test(sched, spinners_alone_still_run)
{
	struct sim *sim = sim_new(NULL, 2, 0);
	struct sched_group *g = sim_group(sim, 100, 0);

	for (unsigned i = 0; i < 3; i++)
		sim_add(sim, g, sim_spinner, MS, 0);
	sim_run(sim, 100 * MS);
	cr_expect_eq(g->ran_ns, 200 * MS);
	sim_free(sim);
}

static void yield_goes_to_the_sibling(bool named)
{
	/* The holder is the last of ten that wait; the spinner brings it forward. */
	struct sim *sim = sim_new("rr", 1, 0);
	struct sched_group *g = sim_group(sim, 100, 0);
	struct sim_vcpu *spin, *holder;

	spin = sim_add(sim, g, sim_yielder, MS, 0);
	for (unsigned i = 0; i < 8; i++)
		sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0);
	holder = sim_add(sim, g, sim_hog, 0, 0);
	spin->act.to = named ? holder : NULL;
	sim_run(sim, 5 * MS);
	cr_expect_eq(sim_ran(sim, spin), MS);
	cr_expect_eq(sim_ran(sim, holder), 4 * MS);
	sim_run(sim, 5 * MS);
	cr_expect_eq(sim_ran(sim, holder), 9 * MS, "what was left of the slice");
	cr_expect_eq(holder->e.stats.boosts, 1);
	sim_run(sim, 20 * MS);
	cr_expect_eq(sim_ran(sim, holder), 9 * MS, "and no more");
	sim_free(sim);
}

Test(sched, a_directed_yield_goes_to_the_sibling)
{
	yield_goes_to_the_sibling(true);
	yield_goes_to_the_sibling(false);
}

Test(sched, a_directed_yield_needs_a_sibling_that_waits)
{
	struct sched_group g, other;
	struct sched_entity e, f, stranger;
	struct sched *s = one_cpu(&g, &e);

	sched_group_init(&other, 100, 0);
	sched_entity_init(&f, &g, NULL);
	sched_entity_init(&stranger, &other, NULL);
	sched_add(s, &e, 0);
	sched_add(s, &f, 0);
	sched_add(s, &stranger, 0);
	sched_wake(s, &e, 0);
	cr_assert_eq(sched_pick(s, 0, 0), &e);
	sched_wake(s, &stranger, 0);
	cr_expect_not(sched_yield_to(s, &e, &f, 1), "blocked");
	cr_assert_eq(sched_pick(s, 0, 1), &stranger);
	sched_block(s, &stranger, 2);
	cr_assert_eq(sched_pick(s, 0, 2), &e);
	sched_wake(s, &stranger, 3);
	cr_expect_not(sched_yield_to(s, &e, &stranger, 3), "of another VM");
	cr_expect_eq(e.state, SCHED_READY);
	sched_remove(s, &e, 4);
	sched_remove(s, &f, 4);
	sched_remove(s, &stranger, 4);
	sched_free(s);
}

Test(sched, yielding_to_and_fro_gains_a_vm_nothing)
{
	struct sim *sim = sim_new(NULL, 1, 0);
	struct sched_group *pair = sim_group(sim, 100, 0);
	struct sim_vcpu *a = sim_add(sim, pair, sim_yielder, MS, 0);
	struct sim_vcpu *b = sim_add(sim, pair, sim_yielder, MS, 0);
	struct sim_vcpu *hog = sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0);

	a->act.to = a->other = b;
	b->act.to = b->other = a;
	sim_run(sim, 1000 * MS);
	cr_expect_geq(sim_ran(sim, hog), 480 * MS);
	cr_expect_leq(hog->max_wait_ns, 30 * MS);
	cr_expect_gt(a->e.stats.boosts + b->e.stats.boosts, 50);
	sim_free(sim);
}
