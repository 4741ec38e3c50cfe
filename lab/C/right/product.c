/* SPDX-License-Identifier: MIT */
/* Part C: the product's own modules. */
#include "vmm/dev/lapic_irqs.c"

#include "vmm/dev/lapic_count.c"

#include "vmm/deliver.c"

#include "vmm/emu/frame.c"
