/* SPDX-License-Identifier: MIT */
/* Part B: the product's own modules. */
#include "decoder/descend.c"
#include "vmm/emu/store.c"
