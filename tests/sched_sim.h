/* SPDX-License-Identifier: MIT */
/*
 * A machine for the scheduler to run on: pCPUs and scripted vCPUs in virtual time.  It calls
 * vmm/sched/ as the dispatcher does, event by event, the same way every time; after each event it
 * checks what must always hold: nobody runs where it may not or while held back, each pCPU has one
 * vCPU, no pCPU is idle while somebody could run on it, all time is accounted for.
 */
#ifndef RINGSIDE_TESTS_SCHED_SIM_H
#define RINGSIDE_TESTS_SCHED_SIM_H

#include "vmm/sched/sched.h"

#define SIM_VCPUS  300u
#define SIM_GROUPS 300u
#define MS         1000000ull
#define HOG        UINT64_MAX

struct sim;
struct sim_vcpu;

/* What a vCPU does next: run for @run_ns (HOG: for ever), and then: */
struct sim_act {
	uint64_t run_ns;
	enum { SIM_BLOCK, SIM_SPIN, SIM_YIELD, SIM_YIELD_TO } then;
	uint64_t block_ns;   /* SIM_BLOCK: asleep for so long; HOG: until sim_wake() */
	struct sim_vcpu *to; /* SIM_YIELD_TO */
};
typedef struct sim_act (*sim_script)(struct sim *sim, struct sim_vcpu *v);

struct sim_vcpu {
	struct sched_entity e;
	sim_script script;
	uint64_t a, b; /* for the script */
	struct sim_vcpu *other;
	struct sim_act act;
	uint64_t left_ns;     /* of act.run_ns */
	uint64_t wake_ns;     /* BLOCKED: until then */
	uint64_t max_wait_ns; /* the longest it was READY at a stretch, held times not counted */
	bool gone;
};

struct sim {
	struct sched *s;
	uint64_t now, slice_ns, rng;
	uint64_t kick_ns; /* from a kick to its effect */
	uint64_t events;
	unsigned pcpus, vcpus, groups;
	bool quiet;    /* do not check work conservation: kicks take time */
	bool no_times; /* nor the time in each state: what is under test is something else */
	struct {
		struct sim_vcpu *running;
		uint64_t since_ns, at_ns, told_ns;
	} pcpu[SCHED_MAX_PCPUS];
	struct sim_vcpu vcpu[SIM_VCPUS];
	struct sched_group group[SIM_GROUPS];
};

/* @policy NULL: the default. */
struct sim *sim_new(const char *policy, unsigned pcpus, uint64_t slice_ns);
void sim_free(struct sim *sim);
struct sched_group *sim_group(struct sim *sim, unsigned weight, unsigned cap);
/* A vCPU that is awake from now on. */
struct sim_vcpu *sim_add(struct sim *sim, struct sched_group *g, sim_script script, uint64_t a,
			 uint64_t b);
void sim_pin(struct sim *sim, struct sim_vcpu *v, uint64_t hard);
void sim_remove(struct sim *sim, struct sim_vcpu *v);
void sim_wake(struct sim *sim, struct sim_vcpu *v);
/* After calls on sim->s that the functions here do not make: tell the pCPUs. */
void sim_tell(struct sim *sim);
/* Go on for @ns. */
void sim_run(struct sim *sim, uint64_t ns);

/* Run time so far. */
uint64_t sim_ran(const struct sim *sim, const struct sim_vcpu *v);
uint64_t sim_random(struct sim *sim, uint64_t below);
/* Of @n with @weight each, sharing @pcpus, none more than one: the part of a pCPU that is due. */
void sim_ideal(const double *weight, unsigned n, unsigned pcpus, double *rate);

/* Scripts. */
struct sim_act sim_hog(struct sim *sim, struct sim_vcpu *v);
struct sim_act sim_periodic(struct sim *sim, struct sim_vcpu *v); /* run a, block b */
struct sim_act sim_erratic(struct sim *sim, struct sim_vcpu *v);  /* up to 2a, up to 2b */
struct sim_act sim_once(struct sim *sim, struct sim_vcpu *v);     /* run a, block until woken */
struct sim_act sim_spinner(struct sim *sim, struct sim_vcpu *v);  /* run a, SCHED_SPIN */
struct sim_act sim_yielder(struct sim *sim, struct sim_vcpu *v);  /* run a, yield to other */

#endif
