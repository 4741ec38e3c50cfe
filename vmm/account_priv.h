/* SPDX-License-Identifier: MIT */
/* What account.c collects and account_print.c shows; nobody else includes this. */
#ifndef RINGSIDE_VMM_ACCOUNT_PRIV_H
#define RINGSIDE_VMM_ACCOUNT_PRIV_H

#include "vmm/account.h"
#include "vmm/hist.h"

enum account_cost { COST_HANDOFF, COST_HANDLING, COSTS };

/* One cause.  A guest meets a few dozen of the hundreds, so histograms are made on first use. */
struct tally {
	uint64_t count;
	/*
	 * [COSTS]; NULL until the first exit (and if memory ran out: then only the counts are
	 * known). An exit whose hand-off the engine could not see (0) is not in its histogram.
	 */
	struct hist *hist;
};

struct account_times {
	uint64_t guest_ns, handoff_ns, handling_ns, blocked_ns, ready_ns;
};

struct account {
	struct tally tally[CAUSE_COUNT];
	uint64_t inner[256];    /* events injected by vector: exceptions and software interrupts */
	uint64_t external[256]; /* by vector: from an interrupt controller */
	struct account_times times;
	uint64_t handoff_switches;
	uint64_t lookahead; /* exits without a trap of their own */
};

/* Add all of @from to @to.  Returns 0, or -ENOMEM with some costs missing. */
int account_merge(struct account *to, const struct account *from);
/* Causes with exits, most frequent first, into @out; returns how many. */
size_t account_sorted(const struct account *a, uint16_t out[CAUSE_COUNT]);

#endif
