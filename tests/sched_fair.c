/* SPDX-License-Identifier: MIT */
/* How fair the scheduler is, how soon it wakes, and that it wastes nothing: on the simulator. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sched_sim.h"

static const char *const weights_name[] = { "1:1", "1:2", "1:2:4", "1:2:4..64", "one heavy" };

static unsigned weight_of(unsigned pattern, unsigned i, unsigned n)
{
	switch (pattern) {
	case 0: return 100;
	case 1: return 100u << (i % 2);
	case 2: return 100u << (i % 3);
	case 3: return 10u << (i % 7);
	default: return i == n - 1 ? 10000 : 100;
	}
}

/* @n hogs for a second; every 100 ms all are within a slice of what is due. */
static void hogs_get_their_due(unsigned n, unsigned pcpus, unsigned pattern)
{
	struct sim *sim = sim_new("fair", pcpus, 0);
	double weight[SIM_VCPUS], rate[SIM_VCPUS];

	for (unsigned i = 0; i < n; i++) {
		weight[i] = weight_of(pattern, i, n);
		sim_add(sim, sim_group(sim, (unsigned)weight[i], 0), sim_hog, 0, 0);
	}
	sim_ideal(weight, n, pcpus, rate);
	for (unsigned step = 1; step <= 10; step++) {
		sim_run(sim, 100 * MS);
		for (unsigned i = 0; i < n; i++) {
			double due = rate[i] * 100 * MS * step;
			double error = (double)sim_ran(sim, &sim->vcpu[i]) - due;

			cr_assert(error <= 10.0 * MS + 1 && error >= -10.0 * MS - 1,
				  "%u vCPUs %s on %u pCPUs: after %u ms vCPU %u is off by %.3f ms",
				  n, weights_name[pattern], pcpus, step * 100, i, error / MS);
		}
	}
	sim_free(sim);
}

static const unsigned vcpu_counts[] = { 2, 3, 4, 7, 16, 17, 48, 65, 129, 256 };
static const unsigned pcpu_counts[] = { 1, 2, 3, 4, 8, 16, 63, 64 };
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static void matrix(unsigned pattern)
{
	for (unsigned i = 0; i < COUNT(vcpu_counts); i++) {
		for (unsigned j = 0; j < COUNT(pcpu_counts); j++)
			hogs_get_their_due(vcpu_counts[i], pcpu_counts[j], pattern);
	}
}

/* Apart, so that Criterion runs them at the same time. */
Test(sched_fair, equal_weights_are_fair_to_a_slice)
{
	matrix(0);
}
Test(sched_fair, one_to_two_is_fair_to_a_slice)
{
	matrix(1);
}
Test(sched_fair, one_to_four_is_fair_to_a_slice)
{
	matrix(2);
}
Test(sched_fair, one_to_sixty_four_is_fair_to_a_slice)
{
	matrix(3);
}
Test(sched_fair, one_that_wants_more_than_a_pcpu_is_fair_to_a_slice)
{
	matrix(4);
}

Test(sched_fair, a_vm_counts_once_however_many_vcpus_it_has)
{
	struct sim *sim = sim_new("fair", 2, 0);
	struct sched_group *four = sim_group(sim, 100, 0), *two = sim_group(sim, 100, 0);

	for (unsigned i = 0; i < 4; i++)
		sim_add(sim, four, sim_hog, 0, 0);
	for (unsigned i = 0; i < 2; i++)
		sim_add(sim, two, sim_hog, 0, 0);
	sim_run(sim, 1000 * MS);
	for (unsigned i = 0; i < 6; i++) {
		int64_t due = i < 4 ? 250 * MS : 500 * MS;
		int64_t error = (int64_t)sim_ran(sim, &sim->vcpu[i]) - due;

		cr_expect(llabs(error) <= (int64_t)(10 * MS), "vCPU %u: %ld ns", i, (long)error);
	}
	cr_expect_eq(four->ran_ns + two->ran_ns, 2000 * MS);
	sim_free(sim);
}

Test(sched_fair, fair_with_other_slices_and_slow_kicks)
{
	for (uint64_t slice = MS; slice <= 30 * MS; slice *= 3) {
		struct sim *sim = sim_new("fair", 3, slice);
		double weight[7], rate[7];

		sim->kick_ns = 50000;
		sim->quiet = true;
		for (unsigned i = 0; i < 7; i++) {
			weight[i] = weight_of(2, i, 7);
			sim_add(sim, sim_group(sim, (unsigned)weight[i], 0), sim_hog, 0, 0);
		}
		sim_ideal(weight, 7, 3, rate);
		sim_run(sim, 1000 * MS);
		for (unsigned i = 0; i < 7; i++) {
			double error = (double)sim_ran(sim, &sim->vcpu[i]) - rate[i] * 1000 * MS;

			cr_expect_lt(error, (double)(slice + 150000));
			cr_expect_gt(error, -(double)(slice + 150000));
		}
		sim_free(sim);
	}
}

/* An I/O-bound vCPU against @hogs: at most two slices, and nearly always at once. */
static void sleeper_wakes_soon(unsigned hogs, unsigned pcpus, unsigned weight, uint64_t run,
			       uint64_t block)
{
	struct sim *sim = sim_new("fair", pcpus, 0);
	struct sim_vcpu *io;
	uint64_t least = UINT64_MAX, most = 0;

	for (unsigned i = 0; i < hogs; i++)
		sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0);
	io = sim_add(sim, sim_group(sim, weight, 0), sim_periodic, run, block);
	sim_run(sim, 100 * MS);
	/* Its first turn came like anybody's: only now is it known to be a sleeper. */
	memset(&io->e.stats.wake_latency, 0, sizeof(io->e.stats.wake_latency));
	sim_run(sim, 2000 * MS);
	cr_expect_gt(io->e.stats.wakes, 50);
	cr_expect_leq(io->e.stats.wake_latency.max, 20 * MS, "%u hogs on %u pCPUs: %lu ns", hogs,
		      pcpus, (unsigned long)io->e.stats.wake_latency.max);
	cr_expect_leq(hist_percentile(&io->e.stats.wake_latency, 0.9), 1, "%u hogs on %u pCPUs",
		      hogs, pcpus);
	/* What the sleeper leaves is the hogs' alone, in equal parts. */
	for (unsigned i = 0; i < hogs; i++) {
		uint64_t ran = sim_ran(sim, &sim->vcpu[i]);

		least = ran < least ? ran : least;
		most = ran > most ? ran : most;
	}
	cr_expect_leq(most - least, 20 * MS, "%u hogs on %u pCPUs", hogs, pcpus);
	sim_free(sim);
}

Test(sched_fair, a_sleeper_runs_as_soon_as_it_wakes)
{
	for (unsigned pcpus = 1; pcpus <= 8; pcpus *= 2) {
		sleeper_wakes_soon(pcpus, pcpus, 100, MS / 5, 5 * MS);
		sleeper_wakes_soon(pcpus + 1, pcpus, 100, MS / 5, 10 * MS);
		sleeper_wakes_soon(4 * pcpus, pcpus, 100, MS / 10, 17 * MS);
		sleeper_wakes_soon(3 * pcpus, pcpus, 400, MS, 20 * MS);
	}
}

Test(sched_fair, sleepers_cannot_have_more_than_their_share)
{
	/* They run 9 of 10 ms when they can: each is as good as a hog, but wakes all the time. */
	struct sim *sim = sim_new("fair", 1, 0);
	struct sim_vcpu *hog = sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0);

	for (unsigned i = 0; i < 3; i++)
		sim_add(sim, sim_group(sim, 100, 0), sim_periodic, 9 * MS, MS);
	sim_run(sim, 1000 * MS);
	cr_expect_geq(sim_ran(sim, hog), 240 * MS);
	cr_expect_leq(hog->max_wait_ns, 80 * MS);
	sim_free(sim);
}

Test(sched_fair, a_long_sleep_saves_no_more_than_a_slice)
{
	struct sim *sim = sim_new("fair", 1, 0);
	struct sim_vcpu *hog = sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0), *late;
	uint64_t before;

	late = sim_add(sim, sim_group(sim, 100, 0), sim_once, MS, 0);
	sim_run(sim, 5000 * MS);
	cr_assert_eq(late->e.state, SCHED_BLOCKED);
	late->script = sim_hog;
	late->left_ns = HOG;
	before = sim_ran(sim, hog);
	sim_wake(sim, late);
	sim_run(sim, 100 * MS);
	cr_expect_geq(sim_ran(sim, hog) - before, 40 * MS);
	cr_expect_leq(hog->max_wait_ns, 20 * MS);
	sim_free(sim);
}

Test(sched_fair, weights_changed_on_the_way_hold_from_then_on)
{
	struct sim *sim = sim_new("fair", 1, 0);
	struct sched_group *g = sim_group(sim, 100, 0);
	struct sim_vcpu *a = sim_add(sim, g, sim_hog, 0, 0);
	struct sim_vcpu *b = sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0);
	uint64_t a1, b1;

	sim_run(sim, 500 * MS);
	a1 = sim_ran(sim, a);
	b1 = sim_ran(sim, b);
	cr_expect_leq(llabs((int64_t)(a1 - b1)), 20 * MS);
	cr_assert_eq(sched_set_weight(sim->s, g, 300, sim->now), 0);
	sim_tell(sim);
	sim_run(sim, 1000 * MS);
	cr_expect_leq(llabs((int64_t)(sim_ran(sim, a) - a1 - 750 * MS)), 20 * MS);
	cr_expect_leq(llabs((int64_t)(sim_ran(sim, b) - b1 - 250 * MS)), 20 * MS);
	sim_free(sim);
}

Test(sched_fair, what_is_pinned_shares_its_pcpu_by_weight_and_stays_there)
{
	/* On pCPU 0 1:2 hogs and a sleeper, on 1 and 2 three hogs that may use both. */
	struct sim *sim = sim_new("fair", 3, 0);
	struct sim_vcpu *pinned[3];

	for (unsigned i = 0; i < 3; i++) {
		pinned[i] = sim_add(sim, sim_group(sim, i == 1 ? 200 : 100, 0),
				    i == 2 ? sim_periodic : sim_hog, MS / 5, 20 * MS);
		sim_pin(sim, pinned[i], 1);
	}
	for (unsigned i = 0; i < 3; i++)
		sim_pin(sim, sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0), 6);
	sim_run(sim, 3000 * MS);
	cr_expect_leq(llabs((int64_t)(2 * sim_ran(sim, pinned[0]) - sim_ran(sim, pinned[1]))),
		      40 * MS);
	cr_expect_leq(pinned[2]->e.stats.wake_latency.max, 20 * MS);
	for (unsigned i = 3; i < 6; i++)
		cr_expect_leq(llabs((int64_t)(sim_ran(sim, &sim->vcpu[i]) - 2000 * MS)), 10 * MS);
	sim_free(sim);
}

Test(sched_fair, affinity_that_overlaps_starves_nobody)
{
	struct sim *sim = sim_new("fair", 4, 0);

	for (unsigned i = 0; i < 12; i++) {
		struct sim_vcpu *v = sim_add(sim, sim_group(sim, weight_of(2, i, 12), 0),
					     i % 3 ? sim_hog : sim_erratic, 3 * MS, 8 * MS);

		sim_pin(sim, v, i < 6 ? 1 : 3u << (i % 3));
	}
	sim_run(sim, 3000 * MS);
	for (unsigned i = 0; i < 12; i++) {
		cr_expect_leq(sim->vcpu[i].max_wait_ns, 600 * MS, "vCPU %u waits %lu ns", i,
			      (unsigned long)sim->vcpu[i].max_wait_ns);
		cr_expect_gt(sim_ran(sim, &sim->vcpu[i]), 10 * MS);
	}
	sim_free(sim);
}

Test(sched_fair, equal_hogs_that_fit_stay_where_they_are)
{
	struct sim *sim = sim_new("fair", 4, 0);
	uint64_t migrations = 0;

	for (unsigned i = 0; i < 8; i++)
		sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0);
	sim_run(sim, 1000 * MS);
	for (unsigned i = 0; i < 8; i++)
		migrations += sim->vcpu[i].e.stats.migrations;
	cr_expect_leq(migrations, 20);
	sim_free(sim);
}

/* Equal shares of a group may round to just off a whole pCPU: 6 times (100 / 6), and so on. */
Test(sched_fair, rates_are_found_for_any_two_vms)
{
	for (unsigned pcpus = 1; pcpus <= 8; pcpus++)
		for (unsigned k = 0; k < 64; k++) {
			unsigned first = k / 8 + 1, all = first + k % 8 + 1;
			struct sched_config c = { .pcpus = pcpus };
			struct sched *s = sched_new(NULL, &c);
			struct sched_entity e[16];
			struct sched_group g[2];
			uint64_t now = 1000;

			cr_assert_not_null(s);
			sched_group_init(&g[0], 100, 0);
			sched_group_init(&g[1], 100, 0);
			for (unsigned i = 0; i < all; i++) {
				sched_entity_init(&e[i], &g[i >= first], &e[i]);
				cr_assert_eq(sched_add(s, &e[i], now++), 0);
			}
			for (unsigned i = 0; i < all; i++)
				cr_expect(sched_wake(s, &e[i], now++));
			for (unsigned i = 0; i < all; i++)
				sched_remove(s, &e[i], now++);
			sched_free(s);
		}
}
