/* SPDX-License-Identifier: MIT */
/* Measurements of page faults, address spaces, fresh code, and the compute loop. */
#include "bench.h"

#define SWITCH_PAGES 64u
#define FORK_PAGES   256u /* 1 MiB */
#define CHILD_WRITES 8u
#define MMAP_PAGES   64u
#define WORDS        16384u    /* of the compute loop: 64 KiB */
#define CODE_AREA    0xc00000u /* 12 MiB, not among the frames; each page is used once */

/* For the two of a switch, a parent, the compute loop, and all else. */
static struct space spaces[2], parent, computing, plain;

/* Run in @s from now on.  Made when first used, with @pages pages from USER_BASE on. */
static void use(struct space *s, unsigned pages)
{
	if (!s->dir) {
		space_init(s);
		for (unsigned i = 0; i < pages; i++)
			space_map(s, USER_BASE + i * PAGE_SIZE, frame_alloc(), PTE_W);
	}
	space_use(s);
	current = s;
}

void use_plain(void)
{
	use(&plain, 0);
}

/* ---- page faults ---- */

static uint64_t bench_pf_demand(unsigned n)
{
	uint64_t cycles;

	use_plain();
	fault_policy = FAULT_DEMAND;
	cycles = TIME(run_user(user_write_pages, USER_BASE, n));
	space_unmap(current, USER_BASE, n);
	return cycles;
}

static uint64_t bench_pf_skip_user(unsigned n)
{
	use_plain();
	fault_policy = FAULT_SKIP;
	return TIME(run_user(user_skip_faults, USER_BASE + 0x200000, n));
}

static void skip_faults(unsigned n)
{
	while (n--)
		__asm__ volatile(SKIP_INSN : : "c"(USER_BASE + 0x200000) : "eax", "memory");
}

static uint64_t bench_pf_skip_kernel(unsigned n)
{
	use_plain();
	fault_policy = FAULT_SKIP;
	return TIME(skip_faults(n));
}

/* ---- mmap and munmap: an operation is the whole batch of pages ---- */

static void map_batch(void)
{
	for (unsigned i = 0; i < MMAP_PAGES; i++)
		space_map(current, USER_BASE + i * PAGE_SIZE, frame_alloc(), PTE_W);
	run_user(user_write_pages, USER_BASE, MMAP_PAGES);
}

static uint64_t bench_mmap(unsigned n)
{
	uint64_t cycles = 0;

	use_plain();
	while (n--) {
		cycles += TIME(map_batch());
		space_unmap(current, USER_BASE, MMAP_PAGES);
	}
	return cycles;
}

static void unmap_batch(void)
{
	for (uint32_t va = USER_BASE; va < USER_BASE + MMAP_PAGES * PAGE_SIZE; va += PAGE_SIZE) {
		frame_free(*space_pte(current, va));
		*space_pte(current, va) = 0;
		invlpg(va);
	}
}

static uint64_t bench_munmap(unsigned n)
{
	uint64_t cycles = 0;

	use_plain();
	while (n--) {
		map_batch();
		cycles += TIME(unmap_batch());
	}
	return cycles;
}

/* ---- context switches ---- */

static void switch_setup(void)
{
	use(&spaces[1], SWITCH_PAGES);
	use(&spaces[0], SWITCH_PAGES);
	/* One stack for both: the user program goes on with it after the switch. */
	*space_pte(&spaces[1], USER_STACK) = *space_pte(&spaces[0], USER_STACK);
	switch_now = (uint32_t)spaces[0].dir;
	switch_next = (uint32_t)spaces[1].dir;
}

static void switch_kernel(unsigned n)
{
	for (; n >= 2; n -= 2)
		for (unsigned s = 0; s < 2; s++) {
			space_use(&spaces[s]);
			for (uint32_t i = 0; i < SWITCH_PAGES; i++)
				++*(volatile uint32_t *)(USER_BASE + i * PAGE_SIZE);
		}
}

static uint64_t bench_switch_kernel(unsigned n)
{
	switch_setup();
	return TIME(switch_kernel(n));
}

static uint64_t bench_switch_user(unsigned n)
{
	switch_setup();
	return TIME(run_user(user_switch, n, SWITCH_PAGES));
}

/* ---- fork and exit ---- */

static void fork_and_exit(void)
{
	struct space child;

	space_fork(&child, &parent);
	current = &child;
	space_use(&child); /* flushes the parent's TLB entries as well */
	run_user(user_write_pages, USER_BASE, CHILD_WRITES);
	current = &parent;
	space_use(&parent);
	space_free(&child);
	/* The parent writes to half of what is now its own again. */
	run_user(user_write_pages, USER_BASE, CHILD_WRITES / 2);
}

/* @dirs: how many page directories the children use in turn. */
static uint64_t fork_and_exit_times(unsigned n, unsigned dirs)
{
	fault_policy = FAULT_DEMAND;
	use(&parent, FORK_PAGES);
	space_rotate(dirs);
	run_user(user_write_pages, USER_BASE, FORK_PAGES);
	return TIME(while (n--) fork_and_exit());
}

static uint64_t bench_fork_exit(unsigned n)
{
	return fork_and_exit_times(n, 1);
}

static uint64_t bench_fork_exit_cold(unsigned n)
{
	return fork_and_exit_times(n, DIRS_MAX);
}

/* ---- fresh code ---- */

/* Code no one has executed: a page full of this kernel's own, but that its first byte returns. */
static uint32_t fresh_code(unsigned n)
{
	static uint32_t next = CODE_AREA;
	uint32_t first = next;

	for (; n--; next += PAGE_SIZE) {
		memcpy((void *)next, (void *)0x101000, PAGE_SIZE);
		*(uint8_t *)next = 0xc3; /* ret */
	}
	return first;
}

static uint64_t bench_code_kernel(unsigned n)
{
	uint32_t va = fresh_code(n);

	use_plain();
	return TIME(for (unsigned i = 0; i < n; i++)((void (*)(void))(va + i * PAGE_SIZE))());
}

static uint64_t bench_code_user(unsigned n)
{
	uint32_t from = fresh_code(n), to = USER_BASE + 0x300000;
	uint64_t cycles;

	use_plain();
	for (unsigned i = 0; i < n; i++)
		space_map(current, to + i * PAGE_SIZE, from + i * PAGE_SIZE, 0);
	cycles = TIME(run_user(user_call, to, n));
	for (unsigned i = 0; i < n; i++)
		*space_pte(current, to + i * PAGE_SIZE) = 0;
	space_use(current);
	return cycles;
}

/* ---- the compute loop: an operation is one pass over the buffer ---- */

static void compute_setup(void)
{
	use(&computing, WORDS * 4 / PAGE_SIZE);
	memset((void *)USER_BASE, 0, WORDS * 4);
	run_user(user_compute, WORDS, 1);
}

static uint64_t bench_compute_kernel(unsigned n)
{
	compute_setup();
	return TIME(compute((uint32_t *)USER_BASE, WORDS, n));
}

static uint64_t bench_compute_user(unsigned n)
{
	compute_setup();
	/* Timed at ring 3: the way there and back is not what is measured. */
	run_user(user_compute, WORDS, n);
	return *(volatile uint64_t *)USER_STACK;
}

const struct bench paging_benches[] = {
	{ "pf_demand", bench_pf_demand, 16, 101 },
	{ "pf_skip_user", bench_pf_skip_user, 32, 101 },
	{ "pf_skip_kernel", bench_pf_skip_kernel, 32, 101 },
	{ "mmap64", bench_mmap, 1, 51 },
	{ "munmap64", bench_munmap, 1, 51 },
	{ "switch_kernel", bench_switch_kernel, 8, 101 },
	{ "switch_user", bench_switch_user, 8, 101 },
	{ "fork_exit", bench_fork_exit, 1, 51 },
	{ "fork_exit_cold", bench_fork_exit_cold, 1, 51 },
	{ "code_kernel", bench_code_kernel, 8, 41 },
	{ "code_user", bench_code_user, 8, 41 },
	{ "compute_kernel", bench_compute_kernel, 10, 301 },
	{ "compute_user", bench_compute_user, 10, 301 },
	{ NULL, NULL, 0, 0 },
};
