/* SPDX-License-Identifier: MIT */
/* Part E: the scheduler on the simulator, event by event, and with guests. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/grade/item.h"
#include "tests/sched_sim.h"
#include "vmm/sched/policy.h"

/* Who keeps the times wrong loses points for that, in part 1, and not again. */
static struct sim *new_sim(const char *policy, unsigned pcpus, uint64_t slice_ns)
{
	struct sim *sim = sim_new(policy, pcpus, slice_ns);

	sim->no_times = true;
	return sim;
}

/* Run time by the common code's account and not by sched_time(), which is the student's. */
static double group_ms(const struct sched_group *g)
{
	return (double)g->ran_ns / MS;
}

/* @got ms, where @due are due, give or take @slack. */
static void near(double got, double due, double slack, const char *who)
{
	if (got < due - slack || got > due + slack)
		LOSE("%s: expected %.0f ms of run time, give or take %.0f, got %.1f", who, due,
		     slack, got);
}

/* ---- 1. states ---- */

/* A scheduler with one pCPU and a vCPU, BLOCKED since 1000. */
static struct sched *one(struct sched_entity *e, struct sched_group *g)
{
	struct sched_config config = { .pcpus = 1 };
	struct sched *s = sched_new(sched_policy_find("rr"), &config);

	sched_group_init(g, 100, 0);
	sched_entity_init(e, g, NULL);
	s->started = true;
	s->now = 1000;
	e->state = SCHED_BLOCKED;
	e->since_ns = 1000;
	return s;
}

static void step(struct sched *s, struct sched_entity *e, enum sched_state to, uint64_t now)
{
	enum sched_state from = e->state;

	s->now = now;
	NOTE("at %u ns: %s -> %s", (unsigned)now, sched_state_name(from), sched_state_name(to));
	sched_transition(s, e, from, to);
	s->pcpu[0].running = to == SCHED_RUNNING ? e : NULL;
	WANT(e->state, to, "state after %s -> %s", sched_state_name(from), sched_state_name(to));
}

ITEM(state_changes)
{
	struct sched_group g;
	struct sched_entity e;
	struct sched *s = one(&e, &g);

	WANT(sched_time(&e, SCHED_BLOCKED, 1500), 500, "500 ns after it blocked, time in BLOCKED");
	WANT(sched_time(&e, SCHED_READY, 1500), 0, "time in READY of who never was");
	step(s, &e, SCHED_READY, 3000);
	step(s, &e, SCHED_RUNNING, 3700);
	WANT(sched_time(&e, SCHED_RUNNING, 3750), 50, "50 ns after it was picked, time RUNNING");
	step(s, &e, SCHED_READY, 4000);
	step(s, &e, SCHED_RUNNING, 4010);
	step(s, &e, SCHED_BLOCKED, 4500);
	WANT(sched_time(&e, SCHED_BLOCKED, 5000), 2500, "time in BLOCKED");
	WANT(sched_time(&e, SCHED_READY, 5000), 710, "time in READY");
	WANT(sched_time(&e, SCHED_RUNNING, 5000), 790, "time RUNNING");
	WANT(sched_time(&e, SCHED_BLOCKED, 100), 2000, "time in BLOCKED, asked with an old clock");
}

/* What a child that makes a step that must not be does. */
static void refused(enum sched_state is, enum sched_state from, enum sched_state to, bool on_pcpu,
		    bool held, const char *what)
{
	struct sched_group g;
	struct sched_entity e;
	struct sched *s = one(&e, &g);
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		close(2); /* what assert() says is as it should be */
		signal(SIGABRT, SIG_DFL);
		e.state = is;
		e.held = held;
		s->pcpu[0].running = on_pcpu ? &e : NULL;
		sched_transition(s, &e, from, to);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		LOSE("%s: expected abort() by an assertion, got %s", what,
		     WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "no complaint");
	sched_free(s);
}

ITEM(state_bugs)
{
	/* The arrows of the diagram. */
	static const bool arrow[SCHED_STATES][SCHED_STATES] = {
		[SCHED_OUT] = { [SCHED_BLOCKED] = true },
		[SCHED_BLOCKED] = { [SCHED_READY] = true, [SCHED_OUT] = true },
		[SCHED_READY] = { [SCHED_RUNNING] = true, [SCHED_OUT] = true },
		[SCHED_RUNNING] = { [SCHED_READY] = true,
				    [SCHED_BLOCKED] = true,
				    [SCHED_OUT] = true },
	};
	char what[80];

	for (enum sched_state from = SCHED_OUT; from < SCHED_STATES; from++) {
		for (enum sched_state to = SCHED_OUT; to < SCHED_STATES; to++) {
			if (arrow[from][to])
				continue;
			snprintf(what, sizeof(what), "%s -> %s", sched_state_name(from),
				 sched_state_name(to));
			refused(from, from, to, from == SCHED_RUNNING, false, what);
		}
	}
	refused(SCHED_BLOCKED, SCHED_READY, SCHED_RUNNING, false, false,
		"ready -> running of a vCPU that is blocked");
	refused(SCHED_RUNNING, SCHED_RUNNING, SCHED_READY, false, false,
		"running -> ready of a vCPU that its pCPU does not run");
	refused(SCHED_READY, SCHED_READY, SCHED_RUNNING, true, false,
		"ready -> running of a vCPU that its pCPU runs already");
	refused(SCHED_READY, SCHED_READY, SCHED_RUNNING, false, true,
		"ready -> running of a vCPU that is held");
}

/* ---- 2. round robin ---- */

ITEM(rr_turns)
{
	struct sim *sim = new_sim("rr", 1, 0);
	struct sim_vcpu *v[3];

	for (unsigned i = 0; i < 3; i++)
		v[i] = sim_add(sim, sim_group(sim, 100u * (i + 1), 0), sim_hog, 0, 0);
	sim_run(sim, MS);
	for (unsigned turn = 0; turn < 12; turn++) {
		unsigned due = turn % 3;

		for (unsigned i = 0; i < 3; i++) {
			if (sim->pcpu[0].running == v[i] && i != due)
				LOSE("slice %u: expected vCPU %u, got vCPU %u", turn, due, i);
		}
		sim_run(sim, sim->slice_ns);
	}
	sim_run(sim, 1000 * MS - sim->now);
	for (unsigned i = 0; i < 3; i++)
		near(group_ms(v[i]->e.group), 1000.0 / 3, 10, "each of 3 on one pCPU");
}

ITEM(rr_pcpus)
{
	static const unsigned n[] = { 3, 5, 7 }, pcpus[] = { 2, 3, 4 };

	for (unsigned k = 0; k < 3; k++) {
		struct sim *sim = new_sim("rr", pcpus[k], 0);
		char who[64];

		for (unsigned i = 0; i < n[k]; i++)
			sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0);
		sim_run(sim, 1000 * MS);
		for (unsigned i = 0; i < n[k]; i++) {
			snprintf(who, sizeof(who), "vCPU %u of %u on %u pCPUs, after a second", i,
				 n[k], pcpus[k]);
			near(group_ms(&sim->group[i]), 1000.0 * pcpus[k] / n[k], 50, who);
		}
	}
}

/* Who yielded is passed over once; who may not run on a pCPU is not picked there. */
ITEM(rr_yields)
{
	struct sim *sim = new_sim("rr", 1, 0);
	struct sched_group *g = sim_group(sim, 100, 0), *h = sim_group(sim, 100, 0);

	sim_add(sim, g, sim_spinner, 100000, 0);
	sim_add(sim, h, sim_hog, 0, 0);
	sim_run(sim, 1000 * MS);
	if (group_ms(g) > 20)
		LOSE("a vCPU that spins 0.1 ms and yields, against one that works: expected less "
		     "than 20 ms of a second for it, got %.0f",
		     group_ms(g));
	sim_free(sim);

	sim = new_sim("rr", 2, 0);
	g = sim_group(sim, 100, 0);
	sim_pin(sim, sim_add(sim, g, sim_hog, 0, 0), 1);
	sim_pin(sim, sim_add(sim, g, sim_hog, 0, 0), 1);
	sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0);
	sim_run(sim, 1000 * MS);
	near(group_ms(g), 1000, 30, "two vCPUs that may run on the first of two pCPUs only");
}

/* ---- 3. fair shares ---- */

/* @n hogs, a VM each, for a second; what each gets is within @slack ms of what is due. */
static void shares(const char *policy, unsigned n, const double *weight, unsigned pcpus,
		   double slack)
{
	struct sim *sim = new_sim(policy, pcpus, 0);
	double rate[16];
	char who[80];

	for (unsigned i = 0; i < n; i++)
		sim_add(sim, sim_group(sim, (unsigned)weight[i], 0), sim_hog, 0, 0);
	sim_ideal(weight, n, pcpus, rate);
	sim_run(sim, 1000 * MS);
	for (unsigned i = 0; i < n; i++) {
		snprintf(who, sizeof(who), "vCPU %u of %u, weight %.0f, %u pCPU%s, after a second",
			 i, n, weight[i], pcpus, pcpus == 1 ? "" : "s");
		near(group_ms(&sim->group[i]), rate[i] * 1000, slack, who);
	}
	sim_free(sim);
}

ITEM(fair_weights)
{
	shares("fair", 2, (double[]){ 100, 100 }, 1, 20);
	shares("fair", 3, (double[]){ 100, 200, 400 }, 1, 20);
	shares("fair", 2, (double[]){ 1000, 10 }, 1, 25);
	shares("fair", 8, (double[]){ 10, 20, 40, 80, 10, 20, 40, 80 }, 1, 30);
}

ITEM(fair_groups)
{
	struct sim *sim = new_sim("fair", 1, 0);
	struct sched_group *three = sim_group(sim, 100, 0), *alone = sim_group(sim, 100, 0);

	for (unsigned i = 0; i < 3; i++)
		sim_add(sim, three, sim_hog, 0, 0);
	sim_add(sim, alone, sim_hog, 0, 0);
	sim_run(sim, 1000 * MS);
	near(group_ms(three), 500, 20, "a VM of 3 vCPUs beside an equal one of 1");
}

ITEM(fair_pcpus)
{
	shares("fair", 5, (double[]){ 100, 100, 100, 100, 100 }, 2, 50);
	shares("fair", 7, (double[]){ 100, 200, 100, 200, 100, 200, 100 }, 3, 50);
	shares("fair", 10, (double[]){ 10, 20, 30, 10, 20, 30, 10, 20, 30, 40 }, 4, 50);
}

ITEM(fair_newcomer)
{
	struct sim *sim = new_sim("fair", 1, 0);
	struct sched_group *old = sim_group(sim, 100, 0), *young = sim_group(sim, 100, 0);
	double before;

	sim_add(sim, old, sim_hog, 0, 0);
	sim_run(sim, 5000 * MS);
	sim_add(sim, young, sim_hog, 0, 0);
	before = group_ms(old);
	sim_run(sim, 200 * MS);
	near(group_ms(old) - before, 100, 30,
	     "a vCPU that ran for 5 s, in the 200 ms after another was added");
	near(group_ms(young), 100, 30, "the one that was added, in those 200 ms");
}

ITEM(fair_sleeper)
{
	struct sim *sim = new_sim("fair", 1, 0);
	struct sched_group *g[3];
	struct sim_vcpu *sleeper;
	double before;

	for (unsigned i = 0; i < 3; i++)
		g[i] = sim_group(sim, 100, 0);
	sim_add(sim, g[0], sim_hog, 0, 0);
	sim_add(sim, g[1], sim_hog, 0, 0);
	sleeper = sim_add(sim, g[2], sim_once, 10 * MS, 0);
	sim_run(sim, 4000 * MS);
	if (sleeper->e.state != SCHED_BLOCKED)
		LOSE("one of 3 equal vCPUs: expected that it has run for 10 ms in 4 s, got %.0f",
		     group_ms(g[2]));
	sleeper->script = sim_hog;
	sleeper->act.run_ns = sleeper->left_ns = HOG;
	sim_wake(sim, sleeper);
	before = group_ms(g[0]) + group_ms(g[1]);
	sim_run(sim, 300 * MS);
	near(group_ms(g[0]) + group_ms(g[1]) - before, 200, 40,
	     "two vCPUs together, in the 300 ms after a third woke that had slept for 4 s");
}

/* Naps are not worth more than waiting. */
ITEM(fair_debt)
{
	struct sim *sim = new_sim("fair", 1, 0);
	struct sched_group *hog = sim_group(sim, 100, 0), *naps = sim_group(sim, 100, 0);

	sim_add(sim, hog, sim_hog, 0, 0);
	sim_add(sim, naps, sim_periodic, 9 * MS, 100000);
	sim_run(sim, 2000 * MS);
	if (group_ms(naps) > 1100)
		LOSE("a vCPU that naps 0.1 ms after each 9 ms of work, beside one that never does: "
		     "expected at most half of 2 s for it, got %.0f ms",
		     group_ms(naps));
	if (group_ms(naps) < 700)
		LOSE("a vCPU that naps 0.1 ms after each 9 ms of work, beside one that never does: "
		     "expected not much less than half of 2 s for it, got %.0f ms",
		     group_ms(naps));
}

/* One that does little runs as soon as it wakes. */
ITEM(fair_wakeup)
{
	struct sim *sim = new_sim("fair", 2, 0);
	struct sched_entity *e;
	struct sim_vcpu *io;
	double late;

	for (unsigned i = 0; i < 4; i++)
		sim_add(sim, sim_group(sim, 100, 0), sim_hog, 0, 0);
	io = sim_add(sim, sim_group(sim, 100, 0), sim_periodic, 200000, 5 * MS);
	sim_run(sim, 200 * MS);
	memset(&io->e.stats.wake_latency, 0, sizeof(io->e.stats.wake_latency));
	sim_run(sim, 1000 * MS);
	late = hist_percentile(&io->e.stats.wake_latency, 0.9);
	if (io->e.stats.wakes < 100 || late > 1000)
		LOSE("a vCPU that works 0.2 ms in 5 among 4 hogs on 2 pCPUs: expected that it runs "
		     "within 1 us of nearly every wake-up, got %.0f us (%u wake-ups)",
		     late / 1000, (unsigned)io->e.stats.wakes);
	sched_for_each (sim->s, e) {
		if (sim->s->policy->preempts(sim->s, e, e))
			LOSE("preempts(): expected that no vCPU preempts itself");
	}
	sim_free(sim);
}

/* ---- with guests ---- */

static void boot(const char *policy)
{
	lab_quick(2);
	shares(policy, 2, (double[]){ 100, 100 }, 1, 1000); /* does it pick at all? */
	lab_quick(0);
	lab_boot("minios",
		 ARGS("--smp", "4", "--pcpus", "2", "--sched", policy, "--slice", "2", "--append",
		      "smp-stress=1"),
		 5, 33, "ok nobody sees a page", NULL);
}

ITEM(boot_rr)
{
	boot("rr");
}

ITEM(boot_fair)
{
	boot("fair");
}
