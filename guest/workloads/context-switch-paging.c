/* SPDX-License-Identifier: MIT */
/*
 * A task at ring 3 gives way to the other: INT, another kernel stack, TSS.ESP0, CR3, IRET.  Each
 * has an address space, and in it a page of its own at the same place.
 */
#include "runtime/workload.h"

static struct space space[2];
static uint32_t page[2][1024] __attribute__((aligned(4096)));

static uint32_t context_switch(uint32_t n)
{
	uint32_t *const own[2] = { (uint32_t *)WINDOW, (uint32_t *)WINDOW };
	uint32_t cr3[2];

	page[1][0] = 1000000;
	for (unsigned i = 0; i < 2; i++) {
		space_init(&space[i]);
		space[i].window[0] = (uint32_t)page[i] | PTE_P | PTE_W | PTE_U;
		cr3[i] = (uint32_t)space[i].dir;
	}
	return switches(n, own, cr3);
}

const struct workload workload = { "context-switch-paging", 10000, true, context_switch };
