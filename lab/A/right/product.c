/* SPDX-License-Identifier: MIT */
/* Part A: the product's own modules. */
#include "decoder/trapped.c"

#include "vmm/emu/attempt.c"

#include "vmm/emu/flags.c"

#include "vmm/emu/inout.c"

#include "vmm/emu/crread.c"
