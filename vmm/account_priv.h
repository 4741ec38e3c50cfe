/* SPDX-License-Identifier: MIT */
/* What account.c collects and account_print.c shows; nobody else includes this. */
#ifndef RINGSIDE_VMM_ACCOUNT_PRIV_H
#define RINGSIDE_VMM_ACCOUNT_PRIV_H

#include "vmm/account.h"
#include "vmm/hist.h"
#include "vmm/sites.h"

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
	struct sites sites;
	uint64_t inner[256];    /* events injected by vector: exceptions and software interrupts */
	uint64_t external[256]; /* by vector: from an interrupt controller */
	struct account_times times;
	uint64_t handoff_switches;
	uint64_t mmio;      /* accesses to no RAM: an instruction can have several */
	uint64_t lookahead; /* exits without a trap of their own */
	struct model_counts *model;
};

/* Add all of @from to @to.  Returns 0, or -ENOMEM with some costs missing. */
int account_merge(struct account *to, const struct account *from);
/* The same of @from's counters only, which its vCPU may be writing: not of the sites and the model.
 */
int account_merge_counts(struct account *to, const struct account *from);
/* Causes with exits, most frequent first, into @out; returns how many. */
size_t account_sorted(const struct account *a, uint16_t out[CAUSE_COUNT]);

/* account_sites.c */
/* Which vCPU had which exits, if there are several; @sum is the account of all. */
void account_vcpus_print(const struct vm *vm, const struct account *sum, FILE *f);
/* Counts by the names of their causes. */
struct json_object *account_counts_json(const struct account *a);
/* The busiest symbols with their causes; nothing if the image has no symbols. */
void account_sites_print(const struct vm *vm, const struct account *a, FILE *f);
/* All of them: "symbol" (or null), "count", "causes". */
struct json_object *account_sites_json(const struct vm *vm, const struct account *a);

#endif
