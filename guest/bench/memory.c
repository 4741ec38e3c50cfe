/* SPDX-License-Identifier: MIT */
/*
 * Frames, page tables, address spaces and the page-fault handler: as little as a kernel with
 * demand-zero pages and copy on write can do with.
 * Source: SDM Vol. 3A, "32-Bit Paging" (4.3).
 */
#include "bench.h"

#define FRAMES_FROM 0x400000u
#define FRAMES      2048u      /* to 12 MiB */
#define MAPPED_TO   0x1000000u /* the kernel maps that as it is */
#define CR0_WP      0x00010000u
#define CR0_PG      0x80000000u

extern char kernel_data[], user_start[], user_end[];

static uint32_t kernel_dir[1024] __attribute__((aligned(4096)));
static uint32_t kernel_table[5][1024] __attribute__((aligned(4096)));
static uint32_t free_frame[FRAMES], free_frames;
static uint8_t users[FRAMES]; /* address spaces that a frame is in */
static uint32_t dirs[DIRS_MAX], dir_next, dir_count = 1;

uint32_t switch_now, switch_next;
enum fault_policy fault_policy;
struct space *current;

/* ---- frames ---- */

static uint8_t *users_of(uint32_t frame)
{
	return &users[((frame & PTE_ADDR) - FRAMES_FROM) / PAGE_SIZE];
}

uint32_t frame_alloc(void)
{
	uint32_t frame;

	if (!free_frames) {
		print("out of frames\n");
		machine_exit(1);
	}
	frame = free_frame[--free_frames];
	*users_of(frame) = 1;
	return frame;
}

void frame_free(uint32_t frame)
{
	if (--*users_of(frame) == 0)
		free_frame[free_frames++] = frame & PTE_ADDR;
}

/* ---- the kernel's own tables ---- */

void memory_init(void)
{
	for (uint32_t pa = 0; pa < MAPPED_TO; pa += PAGE_SIZE) {
		bool text = pa >= 0x100000 && pa < (uint32_t)kernel_data;
		bool user = pa >= (uint32_t)user_start && pa < (uint32_t)user_end;

		kernel_table[pa >> 22][pa >> 12 & 1023] = pa | PTE_P | (text ? 0 : PTE_W) |
							  (user ? PTE_U : 0);
	}
	for (unsigned i = 0; i < 4; i++)
		kernel_dir[i] = (uint32_t)kernel_table[i] | PTE_P | PTE_W | PTE_U;
	kernel_dir[0xfee00000u >> 22] = (uint32_t)kernel_table[4] | PTE_P | PTE_W;
	kernel_table[4][0xfee00000u >> 12 & 1023] = 0xfee00000u | PTE_P | PTE_W | PTE_PCD;
	WRITE_CR(3, kernel_dir);
	WRITE_CR(0, READ_CR(0) | CR0_PG | CR0_WP);

	/* From low to high, so that consecutive pages get consecutive frames at first. */
	for (uint32_t i = FRAMES; i-- > 0;)
		free_frame[free_frames++] = FRAMES_FROM + i * PAGE_SIZE;
	for (unsigned i = 0; i < DIRS_MAX; i++)
		dirs[i] = frame_alloc();
}

/* ---- address spaces ---- */

void space_rotate(unsigned n)
{
	dir_count = n;
}

/* Directory and table, with nothing of the user's in it. */
static void space_tables(struct space *s, uint32_t dir)
{
	s->dir = (uint32_t *)dir;
	s->table = (uint32_t *)frame_alloc();
	memcpy(s->dir, kernel_dir, PAGE_SIZE);
	memset(s->table, 0, PAGE_SIZE);
	s->dir[USER_BASE >> 22] = (uint32_t)s->table | PTE_P | PTE_W | PTE_U;
}

void space_init(struct space *s)
{
	uint32_t stack = frame_alloc();

	space_tables(s, frame_alloc());
	space_map(s, USER_STACK, stack, PTE_W);
	*(uint32_t *)(stack + USER_ESP % PAGE_SIZE) = (uint32_t)user_leave;
}

void space_free(struct space *s)
{
	for (unsigned i = 0; i < 1024; i++)
		if (s->table[i] & PTE_P)
			frame_free(s->table[i]);
	frame_free((uint32_t)s->table);
}

void space_use(const struct space *s)
{
	WRITE_CR(3, s->dir);
}

void space_map(struct space *s, uint32_t va, uint32_t frame, uint32_t flags)
{
	*space_pte(s, va) = frame | PTE_P | PTE_U | flags;
}

void space_unmap(struct space *s, uint32_t va, unsigned pages)
{
	for (; pages--; va += PAGE_SIZE) {
		frame_free(*space_pte(s, va));
		*space_pte(s, va) = 0;
	}
	space_use(s);
}

void space_fork(struct space *child, struct space *parent)
{
	space_tables(child, dirs[dir_next++ % dir_count]);
	for (unsigned i = 0; i < 1024; i++) {
		uint32_t pte = parent->table[i];

		if (!(pte & PTE_P))
			continue;
		if (pte & PTE_W)
			pte = (pte & ~PTE_W) | PTE_COW;
		parent->table[i] = child->table[i] = pte;
		++*users_of(pte);
	}
}

void page_fault(uint32_t cr2, uint32_t error, uint32_t *eip)
{
	uint32_t *pte = space_pte(current, cr2), old = *pte, frame;

	if (fault_policy == FAULT_SKIP) {
		*eip += SKIP_LEN;
		return;
	}
	if (cr2 >> 22 != USER_BASE >> 22 || ((old & PTE_P) && !(old & PTE_COW))) {
		print("page fault at %x, error %x, eip %x\n", cr2, error, *eip);
		machine_exit(1);
	}
	if (!(old & PTE_P)) { /* demand zero */
		frame = frame_alloc();
		memset((void *)frame, 0, PAGE_SIZE);
		*pte = frame | PTE_P | PTE_W | PTE_U;
		return; /* nothing was cached: no flush */
	}
	if (*users_of(old) > 1) { /* copy on write */
		frame = frame_alloc();
		memcpy((void *)frame, (void *)(old & PTE_ADDR), PAGE_SIZE);
		frame_free(old);
	} else { /* the others are gone */
		frame = old & PTE_ADDR;
	}
	*pte = frame | PTE_P | PTE_W | PTE_U;
	invlpg(cr2);
}
