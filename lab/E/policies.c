/* SPDX-License-Identifier: MIT */
/*
 * Part E: which vCPU runs next.
 *
 * This file takes the place of vmm/sched/states.c, rr.c and fair.c.  What is around it stays:
 *   vmm/sched/sched.h	   the calls of the scheduler, and the diagram of states; read it first
 *   vmm/sched/policy.h	   what a policy is, and what it may use; then this
 *   vmm/sched/sched.c	   the calls; see when it calls the functions that you write
 *   vmm/sched/queue.c	   one queue of READY vCPUs for each pCPU
 *   vmm/sched/dispatch.c  the threads, clocks and locks, so that there are none here
 *
 * One lock is held around every call.  Do not block, allocate or sleep; all times are in ns.
 */
#include <assert.h>

#include "vmm/sched/policy.h"

/* ---- 1. The states ---- */

/*
 * @e goes from state @from to state @to, now (@s->now).
 *
 * With assert(), that is, abort(), refuse what must not happen:
 *   - @e is not in state @from;
 *   - the diagram in sched.h has no arrow from @from to @to;
 *   - @e is RUNNING and its pCPU (@e->pcpu) does not say so (@s->pcpu[...].running), or the
 * reverse;
 *   - @e is to become RUNNING while it is held (@e->held).
 * Otherwise the time since @e->since_ns is added to @e->time_ns[] of the state that it leaves.
 */
void sched_transition(struct sched *s, struct sched_entity *e, enum sched_state from,
		      enum sched_state to)
{
	(void)s, (void)from;
	/* TODO: the checks */
	/* TODO: the time */
	e->state = to;
}

/* The time that @e spent in @state up to @now: what is in the account, and the stretch since. */
uint64_t sched_time(const struct sched_entity *e, enum sched_state state, uint64_t now)
{
	(void)e, (void)state, (void)now;
	/* TODO */
	return 0;
}

/* ---- 2. Round robin ---- */

/*
 * Who runs on @pcpu next: of those that may, the one that has been READY longest.  The numbers
 * @e->order are given out in the order of becoming READY.
 *
 * Use sched_for_each_candidate(): it shows those that are READY, not held, allowed on @pcpu, and
 * did not just yield.  Look at all of them, not only at this pCPU's own queue: what happens to 3
 * vCPUs on 2 pCPUs otherwise?
 */
static struct sched_entity *rr_pick(struct sched *s, unsigned pcpu)
{
	(void)s, (void)pcpu;
	/* TODO */
	return NULL;
}

const struct sched_policy sched_rr = {
	.name = "rr",
	.summary = "round robin: a slice each, in turn, whatever the weight",
	.pick = rr_pick,
};

/* ---- 3. Fair shares in virtual time ---- */

/*
 * Each vCPU has a clock of its own, its virtual time: it goes on while the vCPU runs, the slower
 * the more the vCPU counts (sched_weight()).  The one whose clock is furthest behind runs next.  So
 * over time the clocks go alike, and the shares are as the weights.
 *
 * @e->u.own[] is yours for each vCPU (4 doubles, zero when it is added), @s->u.own[] for the whole
 * scheduler (8 doubles).  Name what you use.
 */
#define VTIME(e) ((e)->u.own[0]) /* ns of service for a unit of weight */

/* @e, RUNNING, used @ran_ns more. */
static void fair_charge(struct sched *s, struct sched_entity *e, uint64_t ran_ns)
{
	(void)s, (void)e, (void)ran_ns;
	/* TODO */
}

/*
 * @e can run again: it is new, or it slept, or was held back.  Its clock stood still meanwhile, and
 * the others' did not.  If it just went on from there it would run until it has caught up: for
 * an hour, if it slept so long.  So: how far are the others?  Who slept may be behind that by
 * what a slice costs it at most.  But who is *ahead* stays there: otherwise a nap would be worth
 * more than waiting for one's turn.
 */
static void fair_join(struct sched *s, struct sched_entity *e)
{
	(void)s, (void)e;
	/* TODO */
}

/* Should @woken have the pCPU of @running at once?  Two must never preempt each other. */
static bool fair_preempts(const struct sched *s, const struct sched_entity *woken,
			  const struct sched_entity *running)
{
	(void)s, (void)woken, (void)running;
	/* TODO */
	return false;
}

/*: 290. Fair shares
 * Virtual time: the one whose clock is furthest behind runs next.  This is yours: part E.
 */
static struct sched_entity *fair_pick(struct sched *s, unsigned pcpu)
{
	(void)s, (void)pcpu;
	/* TODO */
	return NULL;
}

const struct sched_policy sched_fair = {
	.name = "fair",
	.summary = "weighted fair shares in virtual time (the default)",
	.pick = fair_pick,
	.join = fair_join,
	.charge = fair_charge,
	.preempts = fair_preempts,
};
