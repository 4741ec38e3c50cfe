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

struct space *space_new(void)
{
	struct space *s = (struct space *)frame_alloc();
	if (!s)
		return NULL;
	s->dir = (uint32_t *)frame_alloc();
	if (!s->dir) {
		frame_release((uint32_t)s);
		return NULL;
	}
	s->lock = (struct lock){ .rank = RANK_SPACE, .name = "space" };
	s->users = 1;
	/* The kernel's tables are shared: its half is the same everywhere, and never changes. */
	memcpy(s->dir, kernel_dir, PAGE_SIZE);
	s->area[AREA_STACK] = (struct area){
		.start = USER_END - STACK_SIZE,
		.end = USER_END,
		.writable = true,
	};
	s->area[AREA_HEAP].writable = true; /* elf_load() knows where it begins */
	s->areas = AREA_PROGRAM;
	return s;
}

void space_join(struct space *s)
{
	__atomic_add_fetch(&s->users, 1, __ATOMIC_SEQ_CST);
}

void space_leave(struct space *s)
{
	if (__atomic_sub_fetch(&s->users, 1, __ATOMIC_SEQ_CST))
		return;
	if (s->cpus)
		panic("an address space without users is in use, processors %x", s->cpus);
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
	frame_release((uint32_t)s);
}

void space_use(struct space *s)
{
	struct cpu *c = this_cpu();
	struct space *before = c->space;
	uint32_t bit = 1u << c->number;
	if (before == s)
		return;
	if (s) /* before CR3: flush.c */
		__atomic_fetch_or(&s->cpus, bit, __ATOMIC_SEQ_CST);
	paging_use(s ? s->dir : kernel_dir);
	c->space = s;
	if (before)
		__atomic_fetch_and(&before->cpus, ~bit, __ATOMIC_SEQ_CST);
}

/* Let the child have the pages too, and from now on nobody may write to them. */
static bool share_pages(uint32_t *dir, uint32_t *parent_dir)
{
	for (uint32_t va = USER_BASE; va < USER_END; va += PAGE_SIZE) {
		uint32_t *from = page_entry(parent_dir, va, false), *to;
		if (!from) {
			va |= 0x3ff000; /* no table: on to the next, 4 MiB on */
			continue;
		}
		if (!(*from & PTE_P))
			continue;
		to = page_entry(dir, va, true);
		if (!to)
			return false;
		if (*from & PTE_W)
			*from = (*from & ~PTE_W) | PTE_COW;
		*to = *from;
		frame_share(*from & PTE_ADDR);
	}
	return true;
}

struct space *space_fork(struct space *parent)
{
	struct space *child = space_new();
	bool good;
	if (!child)
		return NULL;
	lock_take(&parent->lock);
	memcpy(child->area, parent->area, sizeof(child->area));
	child->areas = parent->areas;
	child->brk = parent->brk;
	good = share_pages(child->dir, parent->dir);
	/* The TLBs still say that the parent, and its threads, may write. */
	flush_space(parent, USER_BASE, (USER_END - USER_BASE) / PAGE_SIZE);
	lock_drop(&parent->lock);
	if (good)
		return child;
	space_leave(child);
	return NULL;
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
static const char *copy_page(struct space *s, uint32_t *pte, uint32_t va)
{
	uint32_t old = *pte & PTE_ADDR, copy;
	if (frame_is_shared(old)) {
		copy = frame_alloc();
		if (!copy)
			return "out of memory";
		memcpy((void *)copy, (void *)old, PAGE_SIZE);
		*pte = copy | PTE_P | PTE_U | PTE_W;
		/* Our other threads would go on reading the old one. */
		flush_space(s, va, 1);
		frame_release(old);
	} else { /* the others have made their copies, or have ended: it is ours alone */
		*pte = old | PTE_P | PTE_U | PTE_W;
		invlpg(va);
	}
	return NULL;
}

static const char *fault_locked(struct space *s, uint32_t va, bool write)
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
		return copy_page(s, pte, va);
	/* The page is there and allows this: another thread on another processor was faster. */
	invlpg(va);
	return NULL;
}

const char *space_fault(struct space *s, uint32_t va, bool write)
{
	const char *reason;
	lock_take(&s->lock);
	reason = fault_locked(s, va, write);
	lock_drop(&s->lock);
	return reason;
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

/*
 * Take the pages in [from, to) away.  Three steps: make them absent, but note where they are; see
 * to it that no TLB has them any more; then, and only then, let others have the frames.
 */
static void drop_pages(struct space *s, uint32_t from, uint32_t to)
{
	for (uint32_t va = from; va < to; va += PAGE_SIZE) {
		uint32_t *pte = page_entry(s->dir, va, false);
		if (pte && (*pte & PTE_P))
			*pte = (*pte & PTE_ADDR) | PTE_DROPPED;
	}
	if (from < to)
		flush_space(s, from, (to - from) / PAGE_SIZE);
	for (uint32_t va = from; va < to; va += PAGE_SIZE) {
		uint32_t *pte = page_entry(s->dir, va, false);
		if (!pte || !(*pte & PTE_DROPPED))
			continue;
		frame_release(*pte & PTE_ADDR);
		*pte = 0;
	}
}

static uint32_t brk_locked(struct space *s, uint32_t to)
{
	struct area *heap = &s->area[AREA_HEAP];
	if (to < heap->start || to > HEAP_END)
		return s->brk;
	drop_pages(s, page_up(to), heap->end);
	heap->end = page_up(to);
	s->brk = to;
	return to;
}

uint32_t space_brk(struct space *s, uint32_t to)
{
	lock_take(&s->lock);
	to = brk_locked(s, to);
	lock_drop(&s->lock);
	return to;
}

void space_renew(struct space *s, uint32_t va)
{
	lock_take(&s->lock);
	drop_pages(s, page_down(va), page_down(va) + PAGE_SIZE);
	lock_drop(&s->lock);
}

const uint32_t *space_word(struct space *s, uint32_t va)
{
	const uint32_t *pte = page_entry(s->dir, va, false);
	if (!pte || !(*pte & PTE_P))
		return NULL;
	return (const uint32_t *)((*pte & PTE_ADDR) + va % PAGE_SIZE);
}
