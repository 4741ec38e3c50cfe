/* SPDX-License-Identifier: MIT */
/*
 * The inside of the scheduler: what a policy is, and what it may use.  States, queues, affinity,
 * caps, groups, kicks and the account are common code; a policy says only who is next.  See
 * docs/scheduler.md, "How to write a policy".
 */
#ifndef RINGSIDE_VMM_SCHED_POLICY_H
#define RINGSIDE_VMM_SCHED_POLICY_H

#include "vmm/sched/sched.h"

struct sched_policy {
	const char *name;
	const char *summary; /* a line for --help */
	/*
	 * Whom @pcpu runs next: one of sched_candidate()'s, or NULL if there is none.  Work
	 * conservation is the policy's: NULL only if there is no candidate.
	 */
	struct sched_entity *(*pick)(struct sched *s, unsigned pcpu);

	/* All of these may be NULL. */
	void (*init)(struct sched *s, uint64_t seed);
	/* @e can run again (woken, released), or no longer (blocked, held, removed). */
	void (*join)(struct sched *s, struct sched_entity *e);
	void (*leave)(struct sched *s, struct sched_entity *e);
	/* After joins, leaves and changes of weight: sched_weight() of many may be another now. */
	void (*changed)(struct sched *s);
	/* @e, RUNNING, used @ran_ns more. */
	void (*charge)(struct sched *s, struct sched_entity *e, uint64_t ran_ns);
	/* For how long, at most sched.slice_ns, @e, just picked, may run.  NULL: a slice. */
	uint64_t (*slice)(struct sched *s, const struct sched_entity *e);
	/* Should @woken have the pCPU of @running at once?  NULL: it waits for its turn. */
	bool (*preempts)(const struct sched *s, const struct sched_entity *woken,
			 const struct sched_entity *running);
};

extern const struct sched_policy sched_fair, sched_rr, sched_lottery, sched_stride;

struct sched_pcpu {
	struct sched_entity *head, *tail; /* READY here, oldest first, held ones too */
	unsigned queued;
	struct sched_entity *running;
	struct sched_entity *boost; /* a directed yield: next, out of turn, until boost_end_ns */
	uint64_t boost_end_ns;
	uint64_t picks, busy_ns, idle_ns;
};

/* Of the fair policy: pCPUs, and vCPUs that run on them and nowhere else. */
struct fair_domain {
	uint64_t mask;
	unsigned runnable;
	double vtime; /* of the ideal machine, ns */
	double rates; /* of all that can run, together */
};

struct sched {
	const struct sched_policy *policy;
	uint64_t slice_ns;
	uint64_t now; /* of the last call */
	bool started; /* there was one */
	unsigned pcpus;
	uint64_t order;     /* of becoming READY */
	uint64_t all;       /* a bit for each pCPU */
	uint64_t idle;      /* nobody RUNNING there */
	uint64_t kicked;    /* will come and pick: was told, or is on its way from put to pick */
	uint64_t untold;    /* of those: for sched_take_kicks() */
	uint64_t refill_ns; /* when the next cap period of any group begins; SCHED_NEVER */
	bool stale;         /* joins or leaves since policy->changed() */
	bool see_skipped;   /* sched_candidate() shows those that yielded, too */
	struct sched_entity *first, *last; /* all */
	struct sched_pcpu pcpu[SCHED_MAX_PCPUS];
	union { /* the policy's */
		struct {
			struct fair_domain domain[SCHED_MAX_PCPUS];
			uint8_t of[SCHED_MAX_PCPUS]; /* which domain a pCPU is in */
		} fair;
		struct {
			double pass; /* of the last one picked */
		} stride;
		struct {
			uint64_t state;
		} lottery;
		double own[8]; /* of a policy that is not one of these (the lab) */
	} u;
};

/* Is @e READY and free to run on @pcpu now? */
static inline bool sched_may_run(const struct sched *s, const struct sched_entity *e, unsigned pcpu)
{
	return e->state == SCHED_READY && !e->held && (e->hard >> pcpu & 1) &&
	       (s->see_skipped || !e->skip);
}

/*
 * Those that @pcpu may run: first of its own queue, oldest first, then of the other pCPUs' queues.
 * @prev NULL starts; NULL ends.  Whether one is local: e->pcpu == pcpu.
 */
struct sched_entity *sched_candidate(const struct sched *s, unsigned pcpu,
				     const struct sched_entity *prev);
#define sched_for_each_candidate(s, pcpu, e) \
	for ((e) = sched_candidate(s, pcpu, NULL); (e); (e) = sched_candidate(s, pcpu, e))

/* What @e counts while it can run: its group's weight shared among those of it that can. */
double sched_weight(const struct sched_entity *e);

/* ---- between the files of the common code, not for policies ---- */

/*
 * states.c: check @e's way from @from to @to against the diagram in sched.h, and that who is
 * RUNNING is so on its pCPU, with assert(); go it; add the time since the last step to the state it
 * leaves.
 */
void sched_transition(struct sched *s, struct sched_entity *e, enum sched_state from,
		      enum sched_state to);
/* The clock moves on: charge who runs, begin new cap periods. */
void sched_advance(struct sched *s, uint64_t now);
/* Tell the policy of joins and leaves, before it compares anybody. */
void sched_changed(struct sched *s);
/* End of a call: tell the policy what changed, and idle pCPUs that there is work. */
void sched_settle(struct sched *s);
/* @e counts as runnable or not, according to state and held. */
void sched_recount(struct sched *s, struct sched_entity *e);

/* queue.c */
void sched_enqueue(struct sched *s, struct sched_entity *e, unsigned pcpu);
void sched_dequeue(struct sched *s, struct sched_entity *e);
/* Make @pcpu come and pick. */
void sched_kick(struct sched *s, unsigned pcpu);
/* Where @e, just woken or without a place, waits; kicks that pCPU if @e should run at once. */
void sched_place(struct sched *s, struct sched_entity *e);

/* cap.c */
/* Must @g's READY entities wait, for its pause or its cap?  And: make it so. */
bool sched_holds(const struct sched_group *g);
void sched_hold_or_release(struct sched *s, struct sched_group *g);
void sched_cap_begin(struct sched *s, struct sched_group *g);
void sched_cap_refill(struct sched *s);
/* How long @e may run, at most @slice_ns, taken from its group's budget; and what it used of it. */
uint64_t sched_cap_grant(struct sched *s, struct sched_entity *e, uint64_t slice_ns);
void sched_cap_settle(struct sched *s, struct sched_entity *e);
/* When the cap lets @e run again; SCHED_NEVER if it is not the cap that holds it. */
uint64_t sched_cap_release_ns(const struct sched_entity *e);

#endif
