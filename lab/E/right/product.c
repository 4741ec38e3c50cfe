/* SPDX-License-Identifier: MIT */
/* Part E: the product's own modules. */
#include "vmm/sched/states.c"

#include "vmm/sched/rr.c"

#include "vmm/sched/fair.c"

#include "vmm/sched/fair_rates.c"
