/* SPDX-License-Identifier: MIT */
/*
 * The user half of an address space: what is where, and how pages come and go.
 *
 * A process begins with no page at all, only with a list of areas.  Each page is made when it is
 * first touched, in space_fault(): from the program's file, or full of zeroes ("demand zero").
 * fork() copies no page either.  It lets parent and child share them all, read-only, and
 * copies one when one of the two first writes to it ("copy on write").
 */
#include "os.h"
#include "x86.h"

bool space_init(struct space *s)
{
	memset(s, 0, sizeof(*s));
	s->dir = (uint32_t *)frame_alloc();
	if (!s->dir)
		return false;
	/* The kernel's tables are shared: its half is the same everywhere, and never changes. */
	memcpy(s->dir, kernel_dir, PAGE_SIZE);
	s->area[AREA_STACK] = (struct area){
		.start = USER_END - STACK_SIZE,
		.end = USER_END,
		.writable = true,
	};
	s->area[AREA_HEAP].writable = true; /* elf_load() knows where it begins */
	s->areas = AREA_PROGRAM;
	return true;
}

static void drop_page(uint32_t *pte, uint32_t va)
{
	frame_release(*pte & PTE_ADDR);
	*pte = 0;
	invlpg(va);
}

void space_free(struct space *s)
{
	for (uint32_t d = USER_BASE >> 22; d < USER_END >> 22; d++) {
		uint32_t *table = (uint32_t *)(s->dir[d] & PTE_ADDR);
		if (!(s->dir[d] & PTE_P))
			continue;
		for (unsigned i = 0; i < 1024; i++)
			if (table[i] & PTE_P)
				frame_release(table[i] & PTE_ADDR);
		frame_release((uint32_t)table);
	}
	frame_release((uint32_t)s->dir);
	s->dir = NULL;
}

bool space_fork(struct space *child, struct space *parent)
{
	uint32_t *dir = (uint32_t *)frame_alloc();
	if (!dir)
		return false;
	*child = *parent;
	child->dir = dir;
	memcpy(dir, kernel_dir, PAGE_SIZE);
	for (uint32_t va = USER_BASE; va < USER_END; va += PAGE_SIZE) {
		uint32_t *from = page_entry(parent->dir, va, false), *to;
		if (!from) {
			va |= 0x3ff000; /* no table: on to the next, 4 MiB on */
			continue;
		}
		if (!(*from & PTE_P))
			continue;
		to = page_entry(dir, va, true);
		if (!to) {
			space_free(child);
			return false;
		}
		if (*from & PTE_W)
			*from = (*from & ~PTE_W) | PTE_COW;
		*to = *from;
		frame_share(*from & PTE_ADDR);
	}
	/* The parent's TLB still says that it may write. */
	paging_use(parent->dir);
	return true;
}

static const struct area *area_of(const struct space *s, uint32_t va)
{
	for (unsigned i = 0; i < s->areas; i++)
		if (va >= s->area[i].start && va < s->area[i].end)
			return &s->area[i];
	return NULL;
}

/* The first touch of a page. */
static const char *make_page(const struct area *a, uint32_t *pte, uint32_t va)
{
	uint32_t offset = page_down(va) - a->start, frame = frame_alloc();
	if (!frame)
		return "out of memory";
	if (offset < a->file_size) {
		uint32_t n = a->file_size - offset;
		memcpy((void *)frame, a->file + offset, n < PAGE_SIZE ? n : PAGE_SIZE);
	}
	*pte = frame | PTE_P | PTE_U | (a->writable ? PTE_W : 0);
	return NULL;
}

/* The first write to a page that was shared by fork(). */
static const char *copy_page(uint32_t *pte, uint32_t va)
{
	uint32_t old = *pte & PTE_ADDR, copy;
	if (frame_is_shared(old)) {
		copy = frame_alloc();
		if (!copy)
			return "out of memory";
		memcpy((void *)copy, (void *)old, PAGE_SIZE);
		frame_release(old);
		*pte = copy | PTE_P | PTE_U | PTE_W;
	} else { /* the others have made their copies, or have ended: it is ours alone */
		*pte = old | PTE_P | PTE_U | PTE_W;
	}
	invlpg(va);
	return NULL;
}

const char *space_fault(struct space *s, uint32_t va, bool write)
{
	const struct area *a = area_of(s, va);
	uint32_t *pte;
	if (!a)
		return va >= USER_BASE && va < USER_END ? "nothing is there" : "not yours";
	if (write && !a->writable)
		return "read-only";
	pte = page_entry(s->dir, va, true);
	if (!pte)
		return "out of memory";
	if (!(*pte & PTE_P))
		return make_page(a, pte, va);
	if (write && (*pte & PTE_COW))
		return copy_page(pte, va);
	return "a fault without a reason"; /* the page is there and allows this */
}

bool space_allows(const struct space *s, uint32_t va, uint32_t len, bool write)
{
	while (len) {
		const struct area *a = area_of(s, va);
		if (!a || (write && !a->writable))
			return false;
		/* Compare lengths, not ends: an end could be beyond 4 GiB, and wrap. */
		if (len <= a->end - va)
			return true;
		len -= a->end - va;
		va = a->end;
	}
	return true;
}

uint32_t space_brk(struct space *s, uint32_t to)
{
	struct area *heap = &s->area[AREA_HEAP];
	if (to < heap->start || to > HEAP_END)
		return s->brk;
	for (uint32_t va = page_up(to); va < heap->end; va += PAGE_SIZE) {
		uint32_t *pte = page_entry(s->dir, va, false);
		if (pte && (*pte & PTE_P))
			drop_page(pte, va);
	}
	heap->end = page_up(to);
	s->brk = to;
	return to;
}
