/* SPDX-License-Identifier: MIT */
/* The shadow MMU: the mappings of a space, and how they are made. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/code.h"
#include "vmm/mem.h"
#include "vmm/shadow_priv.h"

#define PREFILL     16u    /* neighbours looked at on a fault */
#define PREFILL_BIG 64u    /* of a large page */
#define SPACE_PAGES 40000u /* mappings of one world: the host allows 65,530, and splits some */

/* ---- mappings ---- */

static uint32_t mapping_new(struct shadow_mmu *m)
{
	uint32_t i = m->pool_free;

	if (i) {
		m->pool_free = m->pool[i].next;
		return i;
	}
	if (m->pool_len == m->pool_room) {
		uint32_t room = m->pool_room ? 2 * m->pool_room : 1024;
		struct mapping *grown = reallocarray(m->pool, room, sizeof(*grown));

		if (!grown)
			return NONE;
		m->pool = grown;
		m->pool_room = room;
		if (!m->pool_len)
			m->pool_len = 1; /* index 0 is NONE */
	}
	return m->pool_len++;
}

/*
 * Where the list of mappings of guest page @gfn begins.  NULL for a window (region.h): none of its
 * pages ever becomes code, so nobody asks who maps one.
 */
static uint32_t *list_of(struct shadow_mmu *m, uint32_t gfn)
{
	return gfn < m->vm->ram_len >> PAGE_SHIFT ? &m->head[gfn] : NULL;
}

/* Take mapping @i out of the books (not out of the world). */
static void mapping_forget(struct shadow_mmu *m, uint32_t i)
{
	struct mapping *p = &m->pool[i];
	struct chunk *c = p->sp->chunk[p->gva >> CHUNK_SHIFT];
	uint32_t *list = list_of(m, p->gfn);

	if (p->prev)
		m->pool[p->prev].next = p->next;
	else if (list)
		*list = p->next;
	if (p->next)
		m->pool[p->next].prev = p->prev;
	c->map[p->gva >> PAGE_SHIFT & (CHUNK_PAGES - 1)] = NONE;
	c->pages--;
	p->sp->pages--;
	p->next = m->pool_free;
	m->pool_free = i;
}

int shadow_unmap(struct shadow_mmu *m, uint32_t i)
{
	struct space *sp = m->pool[i].sp;
	gva_t gva = m->pool[i].gva;

	mapping_forget(m, i);
	sp->behind = true;
	return sp->engine->ops->unmap(sp->engine, gva, PAGE_SIZE);
}

void shadow_chunk_clear(struct shadow_mmu *m, struct chunk *c)
{
	for (unsigned i = 0; i < CHUNK_PAGES && c->pages; i++)
		if (c->map[i])
			mapping_forget(m, c->map[i]);
}

/* Empty the space, world included. */
int shadow_space_clear(struct shadow_mmu *m, struct space *sp)
{
	for (unsigned i = 0; i < sp->used_count; i++) {
		shadow_chunk_clear(m, sp->chunk[sp->used[i]]);
		free(sp->chunk[sp->used[i]]);
		sp->chunk[sp->used[i]] = NULL;
	}
	sp->used_count = 0;
	sp->pages = 0;
	sp->engine->ram_mapped = false;
	return sp->engine->ops->invalidate(sp->engine);
}

static struct chunk *chunk_get(struct space *sp, gva_t gva)
{
	uint16_t i = (uint16_t)(gva >> CHUNK_SHIFT);

	if (!sp->chunk[i]) {
		sp->chunk[i] = calloc(1, sizeof(struct chunk));
		if (!sp->chunk[i])
			return NULL;
		sp->used[sp->used_count++] = i;
	}
	return sp->chunk[i];
}

int shadow_chunk_drop(struct shadow_mmu *m, struct space *sp, unsigned index)
{
	struct chunk *c = sp->chunk[index];

	m->st.stale += c->pages;
	shadow_chunk_clear(m, c);
	return sp->engine->ops->unmap(sp->engine, (gva_t)index << CHUNK_SHIFT, 1u << CHUNK_SHIFT);
}

/* ---- filling ---- */

/* Map @n pages from @gva on to what engine->map() knows as @gpa, and remember each. */
int shadow_map_run(struct shadow_mmu *m, struct space *sp, gva_t gva, gpa_t gpa, uint32_t gfn,
		   unsigned n, unsigned prot, bool copy)
{
	struct chunk *c = sp->chunk[gva >> CHUNK_SHIFT];

	for (unsigned k = 0; k < n; k++) {
		gva_t at = gva + k * PAGE_SIZE;
		uint32_t *slot = &c->map[at >> PAGE_SHIFT & (CHUNK_PAGES - 1)];
		uint32_t *list = list_of(m, gfn + k);
		uint32_t i;

		if (*slot)
			mapping_forget(m, *slot); /* replaced by the mmap below */
		i = mapping_new(m);
		if (!i)
			return vm_host_fail(m->vm, "out of memory for the shadow MMU");
		m->pool[i] = (struct mapping){ .next = list ? *list : NONE,
					       .gfn = gfn + k,
					       .gva = at,
					       .sp = sp,
					       .prot = (uint8_t)prot,
					       .copy = copy };
		if (m->pool[i].next)
			m->pool[m->pool[i].next].prev = i;
		if (list)
			*list = i;
		*slot = i;
		c->pages++;
		sp->pages++;
		m->st.pages++;
	}
	return sp->engine->ops->map(sp->engine, gva, gpa, (uint64_t)n * PAGE_SIZE, prot);
}

/* What the page of @leaf may be used for in this space without another fault. */
static unsigned page_prot(const struct shadow_mmu *m, const struct space *sp,
			  const struct mmu_leaf *leaf)
{
	struct view w = shadow_view(sp);
	unsigned prot = view_prot(&w, leaf);

	/* While the page is code in a copy, writes must be seen. */
	if ((prot & MAP_W) && code_shadowed(m->vm->code, leaf->gpa))
		prot &= ~(unsigned)MAP_W;
	/* Nothing is executed from a window. */
	if ((prot & MAP_X) && region_at(m->vm, leaf->gpa))
		prot &= ~(unsigned)MAP_X;
	return prot;
}

/* A page table may lie at physical address 0, so pte_gpa does not tell. */
static bool is_large(const struct mmu_leaf *leaf)
{
	return leaf->page_len != PAGE_SIZE;
}

/* Remember the page-table entry of @gva, in a chunk that has it already from a neighbour. */
static void note_pte(const struct space *sp, struct chunk *c, gva_t gva,
		     const struct mmu_leaf *leaf)
{
	unsigned len = shadow_entry_len(sp), i = gva >> PAGE_SHIFT & (CHUNK_PAGES - 1);

	if (!c->large)
		memcpy(c->snapshot + i * len, &leaf->pte, len);
}

/* Remember the entries behind @leaf in the chunk of @gva; empties it if they do not go together. */
struct chunk *shadow_note(struct shadow_mmu *m, struct space *sp, gva_t gva,
			  const struct mmu_leaf *leaf)
{
	unsigned i = gva >> PAGE_SHIFT & (CHUNK_PAGES - 1);
	struct chunk *c = chunk_get(sp, gva);
	bool large = is_large(leaf);
	gpa_t pt = large ? 0 : leaf->pte_gpa - (gpa_t)i * shadow_entry_len(sp);

	if (!c)
		return NULL;
	if (c->pages && (c->pde_gpa != leaf->pde_gpa || c->pde != leaf->pde || c->pt_gpa != pt ||
			 c->large != large)) {
		/* The directory entry changed without a flush: start afresh. */
		if (shadow_chunk_drop(m, sp, gva >> CHUNK_SHIFT))
			return NULL;
	}
	if (!c->pages)
		memset(c->snapshot, 0, sizeof(c->snapshot));
	c->pde_gpa = leaf->pde_gpa;
	c->pde = leaf->pde;
	c->pt_gpa = pt;
	c->large = large;
	note_pte(sp, c, gva, leaf);
	return c;
}

/*
 * What a neighbour at @gva may be mapped with, together with @first: it must need no change of the
 * guest's tables.  0 if not at all.
 */
static unsigned neighbour_prot(struct shadow_mmu *m, struct space *sp, gva_t gva,
			       const struct mmu_leaf *first, struct mmu_leaf *leaf)
{
	const struct chunk *c = sp->chunk[gva >> CHUNK_SHIFT];
	const struct vm_region *r;

	if (c->map[gva >> PAGE_SHIFT & (CHUNK_PAGES - 1)] || gva < sp->engine->low_limit ||
	    mmu_peek(sp->v, gva, leaf))
		return 0;
	if (leaf->pde_gpa != first->pde_gpa || leaf->pde != first->pde ||
	    is_large(leaf) != is_large(first) || !view_may_prefill(leaf))
		return 0;
	/* One run is all RAM or all in one window: they may be adjacent. */
	r = region_at(m->vm, leaf->gpa);
	if (r != region_at(m->vm, first->gpa) ||
	    (!r && !vm_ptr(m->vm, leaf->gpa & ~(gpa_t)(PAGE_SIZE - 1), PAGE_SIZE)))
		return 0;
	return page_prot(m, sp, leaf);
}

/* A space that comes near the host's limit of mappings is emptied and filled anew. */
int shadow_make_room(struct shadow_mmu *m, struct space *sp)
{
	if (sp->pages < SPACE_PAGES)
		return 0;
	m->st.flushed++;
	return shadow_space_clear(m, sp);
}

/*: 220. Filling the shadow
 * The world's mappings are a software TLB: the answer of the walk becomes an mmap() in the world.
 * Neighbours come along, for a trap costs more than a mapping. A page that is not dirty yet is
 * mapped read-only, so that its first write is seen.
 */
static int shadow_fill_locked(struct vcpu *v, gva_t gva, const struct mmu_leaf *leaf)
{
	struct shadow_mmu *m = shadow_of(v);
	struct space *sp = shadow_space(v);
	unsigned limit = is_large(leaf) ? PREFILL_BIG : PREFILL, prot, n = 1;
	gpa_t gpa = leaf->gpa & ~(gpa_t)(PAGE_SIZE - 1);
	struct mmu_leaf near;
	gva_t page = gva & ~(PAGE_SIZE - 1);
	struct chunk *c;
	int err;

	err = shadow_make_room(m, sp);
	if (err)
		return err;
	c = shadow_note(m, sp, page, leaf);
	if (!c)
		return vm_host_fail(v->vm, "out of memory for the shadow MMU");
	m->st.fills++;
	prot = page_prot(m, sp, leaf);
	if (!prot)
		return vm_host_fail(
			v->vm,
			"the %s view maps nothing of page %#x, which the guest's tables allow",
			sp->user ? "user" : "kernel", gva);
	/* A run of neighbours with consecutive frames and equal rights becomes one host mapping. */
	for (unsigned k = 1; k <= limit; k++) {
		gva_t at = page + k * PAGE_SIZE;
		unsigned more = at >> CHUNK_SHIFT == page >> CHUNK_SHIFT && k < limit
					? neighbour_prot(m, sp, at, leaf, &near)
					: 0;
		gpa_t next = more ? near.gpa & ~(gpa_t)(PAGE_SIZE - 1) : 0;

		if (more == prot && next == gpa + (gpa_t)n * PAGE_SIZE) {
			note_pte(sp, c, at, &near);
			n++;
			continue;
		}
		err = shadow_map_run(m, sp, at - n * PAGE_SIZE, gpa, (uint32_t)(gpa >> PAGE_SHIFT),
				     n, prot, false);
		if (err || !more)
			return err;
		note_pte(sp, c, at, &near);
		gpa = next;
		prot = more;
		n = 1;
	}
	return 0;
}

int shadow_fill(struct vcpu *v, gva_t gva, const struct mmu_leaf *leaf)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = shadow_fill_locked(v, gva, leaf);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}
