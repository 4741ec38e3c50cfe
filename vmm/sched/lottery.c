/* SPDX-License-Identifier: MIT */
/*
 * Lottery: each has as many tickets as it weighs, a draw decides who runs next.  Fair on average,
 * no history, nobody starves; over n slices the error grows as the square root of n.  All that may
 * run here take part, wherever they wait: so the tickets count for the machine, not for a queue.
 *
 * Waldspurger and Weihl, "Lottery Scheduling: Flexible Proportional-Share Resource Management",
 * OSDI 1994.
 */
#include "vmm/sched/policy.h"

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016. */
static double draw(struct sched *s)
{
	uint64_t x = s->u.lottery.state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	s->u.lottery.state = x;
	return (double)(x * UINT64_C(2685821657736338717) >> 11) / (double)(UINT64_C(1) << 53);
}

static void lottery_init(struct sched *s, uint64_t seed)
{
	s->u.lottery.state = seed ? seed : 1; /* 0 is the one state it never leaves */
}

static struct sched_entity *lottery_pick(struct sched *s, unsigned pcpu)
{
	struct sched_entity *e, *last = NULL;
	double tickets = 0, winner;

	sched_for_each_candidate (s, pcpu, e)
		tickets += sched_weight(e);
	winner = tickets > 0 ? draw(s) * tickets : 0;
	sched_for_each_candidate (s, pcpu, e) {
		last = e;
		winner -= sched_weight(e);
		if (winner < 0)
			break;
	}
	return last;
}

const struct sched_policy sched_lottery = {
	.name = "lottery",
	.summary = "a draw for each slice, with as many tickets as the weight",
	.pick = lottery_pick,
	.init = lottery_init,
};
