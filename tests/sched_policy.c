/* SPDX-License-Identifier: MIT */
/* Every scheduling policy: churn, starvation, shares, and what each says of itself. */
#include <criterion/criterion.h>

#include "tests/sched_sim.h"
#include "vmm/sched/policy.h"

/* Everything at once; the simulator checks after each event. */
static void churn(const char *policy, unsigned pcpus, unsigned seed)
{
	struct sim *sim = sim_new(policy, pcpus, 0);
	uint64_t all = UINT64_MAX >> (64 - pcpus), sum = 0, busy = 0;
	struct sched_pcpu_stats st;

	sim->rng += seed;
	for (unsigned i = 0; i < 8; i++)
		sim_group(sim, 50 + 100 * i, i == 3 ? 130 : 0);
	for (unsigned step = 0; step < 250; step++) {
		struct sched_group *g = &sim->group[sim_random(sim, 8)];
		struct sim_vcpu *v = NULL;

		if (sim->vcpus)
			v = &sim->vcpu[sim_random(sim, sim->vcpus)];
		switch (v && !v->gone ? sim_random(sim, 8) : 0) {
		case 0:
			if (sim->vcpus < 60)
				sim_add(sim, g, sim_random(sim, 3) ? sim_erratic : sim_spinner,
					MS + sim_random(sim, 9 * MS), 5 * MS);
			break;
		case 1: sim_remove(sim, v); break;
		case 2: sim_pin(sim, v, (1 + sim_random(sim, all)) & all); break;
		case 3: sim_pin(sim, v, SCHED_ALL_PCPUS); break;
		case 4:
			sched_set_weight(sim->s, g, 1 + (uint32_t)sim_random(sim, 999), sim->now);
			break;
		case 5:
			sched_set_cap(sim->s, g, (uint32_t)sim_random(sim, 3) * 70, sim->now);
			break;
		case 6: sched_pause(sim->s, g, sim->now); break;
		case 7:
			for (unsigned i = 0; i < 8; i++)
				sched_resume(sim->s, &sim->group[i], sim->now);
			break;
		}
		sim_tell(sim);
		sim_run(sim, sim_random(sim, 20 * MS));
	}
	for (unsigned i = 0; i < sim->vcpus; i++)
		sum += sim_ran(sim, &sim->vcpu[i]);
	for (unsigned p = 0; p < pcpus; p++) {
		sched_pcpu_stats(sim->s, p, sim->now, &st);
		busy += st.busy_ns;
		cr_expect_eq(st.busy_ns + st.idle_ns, sim->now);
	}
	cr_expect_eq(sum, busy, "run times do not add up: %lu and %lu", (unsigned long)sum,
		     (unsigned long)busy);
	for (unsigned i = 0; i < sim->vcpus; i++) {
		if (!sim->vcpu[i].gone)
			sim_remove(sim, &sim->vcpu[i]);
	}
	for (unsigned i = 0; i < 8; i++)
		cr_expect_eq(sim->group[i].runnable, 0);
	sim_free(sim);
}

Test(sched_policy, every_policy_stands_churn)
{
	for (unsigned i = 0; sched_policies[i]; i++) {
		churn(sched_policy_name(sched_policies[i]), 1, 1);
		churn(sched_policy_name(sched_policies[i]), 3, 2);
		churn(sched_policy_name(sched_policies[i]), 7, 3);
	}
}

Test(sched_policy, no_policy_starves_anybody)
{
	for (unsigned i = 0; sched_policies[i]; i++) {
		struct sim *sim = sim_new(sched_policy_name(sched_policies[i]), 2, 0);

		for (unsigned v = 0; v < 9; v++)
			sim_add(sim, sim_group(sim, 100u << (v % 3), 0),
				v % 4 == 3 ? sim_erratic : sim_hog, 2 * MS, 10 * MS);
		sim_run(sim, 10000 * MS);
		for (unsigned v = 0; v < 9; v++) {
			/* A ticket in 15 of two draws each slice: 200 draws lost are 1 in 10^6. */
			cr_expect_leq(sim->vcpu[v].max_wait_ns, 1000 * MS, "%s: vCPU %u: %lu ns",
				      sched_policy_name(sched_policies[i]), v,
				      (unsigned long)sim->vcpu[v].max_wait_ns);
			cr_expect_gt(sim_ran(sim, &sim->vcpu[v]), 100 * MS);
		}
		sim_free(sim);
	}
}

/* Four hogs 1:2:4:1 on one pCPU for @ms; nobody is off by more than @error of the whole. */
static void shares(const char *policy, unsigned ms, bool weighted, double error)
{
	static const unsigned weight[4] = { 100, 200, 400, 100 };
	struct sim *sim = sim_new(policy, 1, 0);

	for (unsigned i = 0; i < 4; i++)
		sim_add(sim, sim_group(sim, weight[i], 0), sim_hog, 0, 0);
	sim_run(sim, ms * MS);
	for (unsigned i = 0; i < 4; i++) {
		double got = (double)sim_ran(sim, &sim->vcpu[i]) / (ms * (double)MS);
		double due = weighted ? weight[i] / 800.0 : 0.25;

		cr_expect(got - due <= error && due - got <= error, "%s: vCPU %u: %.4f for %.4f",
			  policy, i, got, due);
	}
	sim_free(sim);
}

Test(sched_policy, each_policy_shares_as_it_says)
{
	shares("fair", 1000, true, 0.01);
	shares("stride", 1000, true, 0.02);
	shares("rr", 1000, false, 0.01);
	/* 10000 draws, p = 1/2: three standard deviations are 0.015. */
	shares("lottery", 100000, true, 0.015);
}

Test(sched_policy, round_robin_goes_round)
{
	struct sim *sim = sim_new("rr", 1, 0);

	for (unsigned i = 0; i < 5; i++)
		sim_add(sim, sim_group(sim, 100 + i, 0), sim_hog, 0, 0);
	for (unsigned slice = 0; slice < 20; slice++) {
		sim_run(sim, 10 * MS);
		cr_expect_eq(sim->vcpu[slice % 5].e.stats.dispatches, slice / 5 + 1);
	}
	sim_free(sim);
}

Test(sched_policy, the_lottery_is_the_same_for_the_same_seed)
{
	uint64_t ran[2][3];

	for (unsigned round = 0; round < 2; round++) {
		struct sim *sim = sim_new("lottery", 2, 0);

		for (unsigned i = 0; i < 3; i++)
			sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0);
		sim_run(sim, 500 * MS);
		for (unsigned i = 0; i < 3; i++)
			ran[round][i] = sim_ran(sim, &sim->vcpu[i]);
		sim_free(sim);
	}
	for (unsigned i = 0; i < 3; i++)
		cr_expect_eq(ran[0][i], ran[1][i]);
}
