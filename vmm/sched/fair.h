/* SPDX-License-Identifier: MIT */
/* The two halves of the fair policy: fair.c chooses, fair_rates.c says what is due to each. */
#ifndef RINGSIDE_VMM_SCHED_FAIR_H
#define RINGSIDE_VMM_SCHED_FAIR_H

#include "vmm/sched/policy.h"

/* What the ideal machine owes @e, ns of run time; negative: it is ahead. */
double fair_lag(const struct sched *s, const struct sched_entity *e);
/* Who can run, or how much it counts, is another now: new rates, the same lags. */
void fair_changed(struct sched *s);

#endif
