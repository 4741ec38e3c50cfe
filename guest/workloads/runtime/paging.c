/* SPDX-License-Identifier: MIT */
/*
 * Address spaces.  Source: SDM Vol. 3A, "32-Bit Paging" (4.3).
 */
#include "workload.h"

#define DEVICES 0xfec00000u /* I/O APIC, and in the same 4 MiB the local APIC */

/* workload.ld */
extern uint8_t user_code[], user_code_end[], user_data[], user_data_end[];

struct space kernel_space;
static uint32_t low[1024] __attribute__((aligned(4096)));

static bool is_user(uint32_t va)
{
	return (va >= (uint32_t)user_code && va < (uint32_t)user_code_end) ||
	       (va >= (uint32_t)user_data && va < (uint32_t)user_data_end);
}

void space_init(struct space *s)
{
	s->dir[0] = (uint32_t)low | PTE_P | PTE_W | PTE_U;
	s->dir[WINDOW >> 22] = (uint32_t)s->window | PTE_P | PTE_W | PTE_U;
	s->dir[DEVICES >> 22] = DEVICES | PTE_P | PTE_W | PDE_PS;
}

void paging_start(void)
{
	for (uint32_t i = 0; i < 1024; i++)
		low[i] = i * PAGE_SIZE | PTE_P | PTE_W | (is_user(i * PAGE_SIZE) ? PTE_U : 0);
	space_init(&kernel_space);
	WRITE_CR(4, READ_CR(4) | 0x10);
	WRITE_CR(3, kernel_space.dir);
	WRITE_CR(0, READ_CR(0) | 0x80010000u);
}
