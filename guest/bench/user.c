/* SPDX-License-Identifier: MIT */
/* What runs at ring 3.  It sees only the pages of .user and .compute, its own, and its stack. */
#include "bench.h"

USER void user_leave(void)
{
	__asm__ volatile("int %0" : : "i"(VEC_LEAVE));
	__builtin_unreachable();
}

USER void user_null_calls(uint32_t n, uint32_t unused)
{
	(void)unused;
	while (n--)
		__asm__ volatile("int %0" : : "i"(VEC_NULL) : "memory");
}

USER void user_write_pages(uint32_t va, uint32_t n)
{
	for (; n--; va += PAGE_SIZE)
		*(volatile uint32_t *)va = va;
}

USER void user_skip_faults(uint32_t va, uint32_t n)
{
	while (n--)
		__asm__ volatile(SKIP_INSN : : "c"(va) : "eax", "memory");
}

/* @n times: touch @pages pages, then have the kernel change to the other address space. */
USER void user_switch(uint32_t n, uint32_t pages)
{
	while (n--) {
		for (uint32_t i = 0; i < pages; i++)
			++*(volatile uint32_t *)(USER_BASE + i * PAGE_SIZE);
		__asm__ volatile("int %0" : : "i"(VEC_SWITCH) : "memory");
	}
}

/* Leaves the cycles it took at the low end of the stack's page. */
USER void user_compute(uint32_t words, uint32_t rounds)
{
	uint64_t t0 = rdtsc();

	compute((uint32_t *)USER_BASE, words, rounds);
	*(volatile uint64_t *)USER_STACK = rdtsc() - t0;
}

/* Call the first byte of each of @n pages. */
USER void user_call(uint32_t va, uint32_t n)
{
	for (; n--; va += PAGE_SIZE)
		__asm__ volatile("call *%0" : : "r"(va) : "memory");
}
