/* SPDX-License-Identifier: MIT */
/* Part D: what tests.c has for tests_guests.c. */
#ifndef RINGSIDE_LAB_D_TESTS_H
#define RINGSIDE_LAB_D_TESTS_H

#include <stdint.h>

/* Lose the item unless mmu_walk() works for a page that may be read. */
void need_walk(void);
/* "0x5 PRESENT USER"; valid for four calls. */
const char *code_text(uint32_t code);

#endif
