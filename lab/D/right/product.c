/* SPDX-License-Identifier: MIT */
/* The product's own. */
#include "vmm/mmu_walk.c"
#include "vmm/shadow_view.c"
