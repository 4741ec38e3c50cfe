/* SPDX-License-Identifier: MIT */
/* The shadow MMU: spaces, their mappings, and what a flush does to them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/code.h"
#include "vmm/engine.h"
#include "vmm/mem.h"
#include "vmm/shadow.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define CHUNK_SHIFT 21 /* a chunk is 2 MiB: one PAE page table, half of a 2-level one */
#define CHUNKS      (1u << (32 - CHUNK_SHIFT))
#define CHUNK_PAGES 512u
#define PREFILL     16u    /* neighbours looked at on a fault */
#define PREFILL_BIG 64u    /* of a large page */
#define SPACE_PAGES 40000u /* mappings of one world: the host allows 65,530, and splits some */
#define NONE        0u     /* index of no mapping */

/* One page mapped in the world of a space. */
struct mapping {
	uint32_t next, prev; /* of the same guest page: the reverse map; prev NONE: head */
	uint32_t gfn;
	uint32_t gva; /* page address */
	struct space *sp;
	uint8_t prot; /* MAP_* */
	bool copy;    /* a shadow code page's copy, not the page itself */
};

/* 2 MiB of a space: its mappings and the table entries they were made from. */
struct chunk {
	gpa_t pde_gpa;
	uint64_t pde;
	gpa_t pt_gpa; /* of the entry of the chunk's first page */
	bool large;   /* there is no page table: the directory entry maps a large page */
	unsigned pages;
	uint32_t map[CHUNK_PAGES];         /* indices of struct mapping */
	uint8_t snapshot[CHUNK_PAGES * 8]; /* page-table entries, as they were at the fill */
};

struct space {
	struct space *next; /* of the VM */
	struct vcpu *v;
	struct engine *engine;
	uint32_t root; /* CR3, without its flag bits */
	uint32_t mode; /* the bits that change what entries mean, MODE_* */
	bool user;     /* user view */
	uint32_t gen;  /* v->tlb_gen at the last validation */
	uint64_t last_used;
	uint64_t pdpte[4];
	unsigned pages;
	bool behind; /* changed by another vCPU, world not told yet */
	struct chunk *chunk[CHUNKS];
	uint16_t used[CHUNKS]; /* indices of the chunks that exist */
	unsigned used_count;
};

#define MODE_PG  1u
#define MODE_PAE 2u
#define MODE_PSE 4u
#define MODE_NXE 8u
#define MODE_WP  16u

struct shadow_mmu {
	struct vm *vm;
	struct space *spaces;
	struct mapping *pool;
	uint32_t pool_len, pool_room, pool_free; /* free list through next */
	uint32_t *head;                          /* by gfn: first mapping of the page */
	uint64_t clock;
	struct space *current[VM_VCPUS_MAX];
	struct shadow_stats st;
	uint8_t fpu[65536];
};

static struct shadow_mmu *mmu_of(const struct vcpu *v)
{
	return v->vm->shadow;
}

static struct space *space_of(const struct vcpu *v)
{
	return mmu_of(v)->current[v->id];
}

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

/* Take mapping @i out of the books (not out of the world). */
static void mapping_forget(struct shadow_mmu *m, uint32_t i)
{
	struct mapping *p = &m->pool[i];
	struct chunk *c = p->sp->chunk[p->gva >> CHUNK_SHIFT];

	if (p->prev)
		m->pool[p->prev].next = p->next;
	else
		m->head[p->gfn] = p->next;
	if (p->next)
		m->pool[p->next].prev = p->prev;
	c->map[p->gva >> PAGE_SHIFT & (CHUNK_PAGES - 1)] = NONE;
	c->pages--;
	p->sp->pages--;
	p->next = m->pool_free;
	m->pool_free = i;
}

static int mapping_unmap(struct shadow_mmu *m, uint32_t i)
{
	struct space *sp = m->pool[i].sp;
	gva_t gva = m->pool[i].gva;

	mapping_forget(m, i);
	sp->behind = true;
	return sp->engine->ops->unmap(sp->engine, gva, PAGE_SIZE);
}

static void chunk_clear(struct shadow_mmu *m, struct chunk *c)
{
	for (unsigned i = 0; i < CHUNK_PAGES && c->pages; i++)
		if (c->map[i])
			mapping_forget(m, c->map[i]);
}

/* Empty the space, world included. */
static int space_clear(struct shadow_mmu *m, struct space *sp)
{
	for (unsigned i = 0; i < sp->used_count; i++) {
		chunk_clear(m, sp->chunk[sp->used[i]]);
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

/* ---- the guest's tables against what is remembered of them ---- */

static uint64_t read_entry(const struct vm *vm, gpa_t gpa, unsigned len)
{
	const void *p = vm_ptr((struct vm *)vm, gpa, len);

	if (!p)
		return 0;
	return len == 8 ? __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED)
			: __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
}

static unsigned entry_len(const struct space *sp)
{
	return sp->mode & MODE_PAE ? 8 : 4;
}

/* Unmap the whole chunk from the world. */
static int chunk_drop(struct shadow_mmu *m, struct space *sp, unsigned index)
{
	struct chunk *c = sp->chunk[index];

	m->st.stale += c->pages;
	chunk_clear(m, c);
	return sp->engine->ops->unmap(sp->engine, (gva_t)index << CHUNK_SHIFT, 1u << CHUNK_SHIFT);
}

/* Unmap the pages of @c whose page-table entries are not what they were. */
static int chunk_compare(struct shadow_mmu *m, struct space *sp, struct chunk *c)
{
	unsigned len = entry_len(sp);
	size_t bytes = (size_t)CHUNK_PAGES * len;
	const uint8_t *now = vm_ptr(m->vm, c->pt_gpa, bytes);
	int err = 0;

	if (now && !memcmp(now, c->snapshot, bytes))
		return 0;
	for (unsigned i = 0; i < CHUNK_PAGES && !err; i++) {
		uint64_t entry = read_entry(m->vm, c->pt_gpa + (gpa_t)i * len, len);

		if (!memcmp(c->snapshot + i * len, &entry, len))
			continue;
		if (c->map[i]) {
			m->st.stale++;
			err = mapping_unmap(m, c->map[i]);
		}
		/* Not mapped: any value will do, and this one compares equal next time. */
		memcpy(c->snapshot + i * len, &entry, len);
	}
	return err;
}

static int space_validate(struct shadow_mmu *m, struct space *sp)
{
	unsigned kept = 0;
	int err = 0;

	m->st.validated++;
	for (unsigned i = 0; i < sp->used_count; i++) {
		unsigned index = sp->used[i];
		struct chunk *c = sp->chunk[index];
		bool moved = (sp->mode & MODE_PAE) &&
			     sp->pdpte[index >> 9] != sp->v->sh.pdpte[index >> 9];

		if (!err && c->pages) {
			if (moved || read_entry(m->vm, c->pde_gpa, entry_len(sp)) != c->pde)
				err = chunk_drop(m, sp, index);
			else if (!c->large)
				err = chunk_compare(m, sp, c);
		}
		if (!c->pages && !err) {
			free(c);
			sp->chunk[index] = NULL;
			continue;
		}
		sp->used[kept++] = (uint16_t)index;
	}
	sp->used_count = kept;
	memcpy(sp->pdpte, sp->v->sh.pdpte, sizeof(sp->pdpte));
	sp->gen = sp->v->tlb_gen;
	return err;
}

void mmu_flush(struct vcpu *v)
{
	v->tlb_gen++;
}

void mmu_flush_page(struct vcpu *v, gva_t gva)
{
	struct shadow_mmu *m = mmu_of(v);
	struct space *cur = m ? space_of(v) : NULL;

	if (!cur)
		return;
	pthread_mutex_lock(&v->vm->mmu_lock);
	/* Both views of the address space; others are compared when they are switched to. */
	for (struct space *sp = m->spaces; sp; sp = sp->next) {
		unsigned index = gva >> CHUNK_SHIFT, n = sp->mode & MODE_PAE ? 1 : 2;
		struct chunk *c = sp->chunk[index];
		uint32_t i;

		if (sp->v != v || sp->root != cur->root)
			continue;
		i = c && !c->large ? c->map[gva >> PAGE_SHIFT & (CHUNK_PAGES - 1)] : NONE;
		if (i)
			mapping_unmap(m, i);
		/* A large page: every part of it, whichever the address is in. */
		for (index &= ~(n - 1); n--; index++)
			if (sp->chunk[index] && sp->chunk[index]->large)
				chunk_drop(m, sp, index);
	}
	pthread_mutex_unlock(&v->vm->mmu_lock);
}

/* ---- filling ---- */

/* Map @n pages from @gva on, backed by the RAM memfd from @offset on, and remember each. */
static int map_run(struct shadow_mmu *m, struct space *sp, gva_t gva, gpa_t offset, uint32_t gfn,
		   unsigned n, unsigned prot, bool copy)
{
	struct chunk *c = sp->chunk[gva >> CHUNK_SHIFT];

	for (unsigned k = 0; k < n; k++) {
		gva_t at = gva + k * PAGE_SIZE;
		uint32_t *slot = &c->map[at >> PAGE_SHIFT & (CHUNK_PAGES - 1)];
		uint32_t i;

		if (*slot)
			mapping_forget(m, *slot); /* replaced by the mmap below */
		i = mapping_new(m);
		if (!i)
			return vm_host_fail(m->vm, "out of memory for the shadow MMU");
		m->pool[i] = (struct mapping){ .next = m->head[gfn + k],
					       .gfn = gfn + k,
					       .gva = at,
					       .sp = sp,
					       .prot = (uint8_t)prot,
					       .copy = copy };
		if (m->head[gfn + k])
			m->pool[m->head[gfn + k]].prev = i;
		m->head[gfn + k] = i;
		*slot = i;
		c->pages++;
		sp->pages++;
		m->st.pages++;
	}
	return sp->engine->ops->map(sp->engine, gva, offset, (uint64_t)n * PAGE_SIZE, prot);
}

/* What a page with these properties may be used for in this space without another fault. */
static unsigned page_prot(const struct shadow_mmu *m, const struct space *sp,
			  const struct mmu_leaf *leaf)
{
	bool write = leaf->writable || (!sp->user && !(sp->mode & MODE_WP));
	unsigned prot = MAP_R;

	/* Read-only until the first write, which sets D; and while the page is code in a copy. */
	if (write && leaf->dirty && !code_shadowed(m->vm->code, leaf->gpa))
		prot |= MAP_W;
	/* Kernel code is only ever executed from copies. */
	if (sp->user && !leaf->nx)
		prot |= MAP_X;
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
	unsigned len = entry_len(sp), i = gva >> PAGE_SHIFT & (CHUNK_PAGES - 1);

	if (!c->large)
		memcpy(c->snapshot + i * len, &leaf->pte, len);
}

/* Remember the entries behind @leaf in the chunk of @gva; empties it if they do not go together. */
static struct chunk *note_entries(struct shadow_mmu *m, struct space *sp, gva_t gva,
				  const struct mmu_leaf *leaf)
{
	unsigned i = gva >> PAGE_SHIFT & (CHUNK_PAGES - 1);
	struct chunk *c = chunk_get(sp, gva);
	bool large = is_large(leaf);
	gpa_t pt = large ? 0 : leaf->pte_gpa - (gpa_t)i * entry_len(sp);

	if (!c)
		return NULL;
	if (c->pages && (c->pde_gpa != leaf->pde_gpa || c->pde != leaf->pde || c->pt_gpa != pt ||
			 c->large != large)) {
		/* The directory entry changed without a flush: start afresh. */
		if (chunk_drop(m, sp, gva >> CHUNK_SHIFT))
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

/* May @gva be filled together with a neighbour?  It must need no change of the guest's tables. */
static bool fill_neighbour(struct shadow_mmu *m, struct space *sp, gva_t gva,
			   const struct mmu_leaf *first, struct mmu_leaf *leaf)
{
	const struct chunk *c = sp->chunk[gva >> CHUNK_SHIFT];

	if (c->map[gva >> PAGE_SHIFT & (CHUNK_PAGES - 1)] || gva < sp->engine->low_limit ||
	    mmu_peek(sp->v, gva, leaf))
		return false;
	if (leaf->pde_gpa != first->pde_gpa || leaf->pde != first->pde ||
	    is_large(leaf) != is_large(first))
		return false;
	if (!is_large(leaf) && !(leaf->pte & 1u << 5)) /* A is set by an access, not by us */
		return false;
	return (!sp->user || leaf->user) &&
	       vm_ptr(m->vm, leaf->gpa & ~(gpa_t)(PAGE_SIZE - 1), PAGE_SIZE);
}

/* A space that comes near the host's limit of mappings is emptied and filled anew. */
static int make_room(struct shadow_mmu *m, struct space *sp)
{
	if (sp->pages < SPACE_PAGES)
		return 0;
	m->st.flushed++;
	return space_clear(m, sp);
}

static int shadow_fill_locked(struct vcpu *v, gva_t gva, const struct mmu_leaf *leaf,
			      unsigned access)
{
	struct shadow_mmu *m = mmu_of(v);
	struct space *sp = space_of(v);
	unsigned limit = is_large(leaf) ? PREFILL_BIG : PREFILL, prot, n = 1;
	gpa_t gpa = leaf->gpa & ~(gpa_t)(PAGE_SIZE - 1);
	struct mmu_leaf near;
	gva_t page = gva & ~(PAGE_SIZE - 1);
	struct chunk *c;
	int err;

	(void)access;
	err = make_room(m, sp);
	if (err)
		return err;
	c = note_entries(m, sp, page, leaf);
	if (!c)
		return vm_host_fail(v->vm, "out of memory for the shadow MMU");
	m->st.fills++;
	prot = page_prot(m, sp, leaf);
	/* A run of neighbours with consecutive frames and equal rights becomes one host mapping. */
	for (unsigned k = 1; k <= limit; k++) {
		gva_t at = page + k * PAGE_SIZE;
		bool more = at >> CHUNK_SHIFT == page >> CHUNK_SHIFT && k < limit &&
			    fill_neighbour(m, sp, at, leaf, &near);
		gpa_t next = more ? near.gpa & ~(gpa_t)(PAGE_SIZE - 1) : 0;

		if (more && next == gpa + (gpa_t)n * PAGE_SIZE && page_prot(m, sp, &near) == prot) {
			note_pte(sp, c, at, &near);
			n++;
			continue;
		}
		err = map_run(m, sp, at - n * PAGE_SIZE, gpa, (uint32_t)(gpa >> PAGE_SHIFT), n,
			      prot, false);
		if (err || !more)
			return err;
		note_pte(sp, c, at, &near);
		gpa = next;
		prot = page_prot(m, sp, &near);
		n = 1;
	}
	return 0;
}

int shadow_fill(struct vcpu *v, gva_t gva, const struct mmu_leaf *leaf, unsigned access)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = shadow_fill_locked(v, gva, leaf, access);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}

/* ---- code pages ---- */

/* In a space without paging all of RAM is mapped as it is, and not in the books. */
static bool is_flat(const struct space *sp)
{
	return !(sp->mode & MODE_PG) && sp->engine->ram_mapped;
}

static int map_flat(struct shadow_mmu *m, gpa_t gpa, gpa_t offset, unsigned prot)
{
	int err = 0;

	gpa &= ~(gpa_t)(PAGE_SIZE - 1);
	for (struct space *sp = m->spaces; sp && !err; sp = sp->next)
		if (is_flat(sp) && gpa >= sp->engine->low_limit) {
			sp->behind = true;
			err = sp->engine->ops->map(sp->engine, (gva_t)gpa, offset, PAGE_SIZE, prot);
		}
	return err;
}

/*
 * Other vCPUs may be running in the worlds that changed: have it done before going on.  Our own are
 * told before they run.
 */
static int sync_others(struct shadow_mmu *m, const struct vcpu *self)
{
	int err = 0;

	for (struct space *sp = m->spaces; sp && !err; sp = sp->next) {
		if (sp->behind && sp->v != self)
			err = sp->engine->ops->sync(sp->engine);
		sp->behind = false;
	}
	return err;
}

/* Unmap the mappings of @gpa that are copies, or else those that are writable. */
static int unmap_each(struct shadow_mmu *m, gpa_t gpa, bool copies, const struct vcpu *only)
{
	uint32_t next;
	int err = 0;

	for (uint32_t i = m->head[gpa >> PAGE_SHIFT]; i && !err; i = next) {
		const struct mapping *p = &m->pool[i];

		next = p->next;
		if ((copies ? p->copy : p->prot & MAP_W) && (!only || p->sp->v == only))
			err = mapping_unmap(m, i);
	}
	return err;
}

int shadow_protect(struct vcpu *v, gpa_t gpa)
{
	struct shadow_mmu *m = mmu_of(v);
	int err = unmap_each(m, gpa, false, NULL);

	if (!err)
		err = map_flat(m, gpa, gpa & ~(gpa_t)(PAGE_SIZE - 1), MAP_R);
	return err ? err : sync_others(m, v);
}

int shadow_drop_copies(struct vcpu *v, gpa_t gpa, bool writable)
{
	struct shadow_mmu *m = mmu_of(v);
	int err = unmap_each(m, gpa, true, NULL);

	if (!err)
		err = map_flat(m, gpa, gpa & ~(gpa_t)(PAGE_SIZE - 1),
			       MAP_R | (writable ? MAP_W : 0));
	return err ? err : sync_others(m, v);
}

int shadow_drop_own_copy(struct vcpu *v, gpa_t gpa)
{
	struct shadow_mmu *m = mmu_of(v);
	int err = unmap_each(m, gpa, true, v);

	if (!err && is_flat(space_of(v)) && gpa >= v->engine->low_limit)
		err = v->engine->ops->map(v->engine, (gva_t)gpa, gpa, PAGE_SIZE, MAP_R);
	return err;
}

int shadow_map_copy(struct vcpu *v, gva_t gva, gpa_t gpa, gpa_t copy)
{
	struct shadow_mmu *m = mmu_of(v);
	struct space *sp = space_of(v);
	gva_t page = gva & ~(PAGE_SIZE - 1);
	struct mmu_leaf leaf;
	int err;

	if (!(sp->mode & MODE_PG))
		return sp->engine->ops->map(sp->engine, page, copy, PAGE_SIZE, MAP_R | MAP_X);
	/* Changed since the walk by another vCPU: the next fetch faults again. */
	if (mmu_peek(v, page, &leaf) || (leaf.gpa ^ gpa) >> PAGE_SHIFT)
		return 0;
	err = make_room(m, sp);
	if (err)
		return err;
	if (!note_entries(m, sp, page, &leaf))
		return vm_host_fail(v->vm, "out of memory for the shadow MMU");
	return map_run(m, sp, page, copy, (uint32_t)(gpa >> PAGE_SHIFT), 1, MAP_R | MAP_X, true);
}

int shadow_map_once(struct vcpu *v, gva_t gva, gpa_t offset, unsigned prot)
{
	struct engine *e = space_of(v)->engine;

	return e->ops->map(e, gva & ~(PAGE_SIZE - 1), offset, PAGE_SIZE, prot);
}

int shadow_end_once(struct vcpu *v, gva_t gva, gpa_t gpa, gpa_t copy)
{
	struct shadow_mmu *m = mmu_of(v);
	struct space *sp = space_of(v);
	struct chunk *c = sp->chunk[gva >> CHUNK_SHIFT];
	uint32_t i = c ? c->map[gva >> PAGE_SHIFT & (CHUNK_PAGES - 1)] : NONE;

	gva &= ~(PAGE_SIZE - 1);
	if (!(sp->mode & MODE_PG) && !copy)
		return 0; /* shadow_drop_copies() has mapped the page as it was */
	if (!(sp->mode & MODE_PG) ||
	    (copy && i && m->pool[i].copy && m->pool[i].gfn == gpa >> PAGE_SHIFT))
		return sp->engine->ops->map(sp->engine, gva, copy, PAGE_SIZE, MAP_R | MAP_X);
	/* No copy belongs there: whatever does comes back with the next fault. */
	return i ? mapping_unmap(m, i) : sp->engine->ops->unmap(sp->engine, gva, PAGE_SIZE);
}

/* ---- spaces ---- */

static uint32_t current_mode(const struct vcpu *v)
{
	uint32_t mode = 0;

	if (!(v->sh.cr0 & CR0_PG))
		return 0;
	mode |= MODE_PG;
	mode |= v->sh.cr4 & CR4_PAE ? MODE_PAE : 0;
	mode |= v->sh.cr4 & CR4_PSE ? MODE_PSE : 0;
	mode |= v->sh.efer & 1u << 11 ? MODE_NXE : 0;
	mode |= v->sh.cr0 & CR0_WP ? MODE_WP : 0;
	return mode;
}

static uint32_t current_root(const struct vcpu *v, uint32_t mode)
{
	if (!(mode & MODE_PG))
		return 0;
	return v->sh.cr3 & (mode & MODE_PAE ? 0xffffffe0u : 0xfffff000u);
}

static struct space *space_new(struct shadow_mmu *m, struct vcpu *v, struct engine *e)
{
	struct space *sp = calloc(1, sizeof(*sp));

	if (!sp)
		return NULL;
	sp->v = v;
	sp->engine = e;
	sp->next = m->spaces;
	m->spaces = sp;
	m->st.spaces++;
	return sp;
}

static int shadow_attach_locked(struct vcpu *v)
{
	struct vm *vm = v->vm;
	struct shadow_mmu *m = vm->shadow;

	if (!m) {
		m = calloc(1, sizeof(*m));
		if (!m)
			return -ENOMEM;
		m->vm = vm;
		vm->shadow = m;
	}
	if (!m->head)
		m->head = calloc(vm->ram_len >> PAGE_SHIFT, sizeof(*m->head));
	if (!m->head)
		return -ENOMEM;
	if (!m->current[v->id]) {
		m->current[v->id] = space_new(m, v, v->engine);
		if (!m->current[v->id])
			return -ENOMEM;
		m->current[v->id]->gen = v->tlb_gen;
	}
	return 0;
}

int shadow_attach(struct vcpu *v)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = shadow_attach_locked(v);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}

void shadow_free(struct vcpu *v)
{
	struct shadow_mmu *m = v->vm->shadow;

	if (!m || !m->current[v->id]) { /* it never ran */
		if (v->engine)
			v->engine->ops->destroy(v->engine);
		v->engine = NULL;
		return;
	}
	for (struct space **pp = &m->spaces; *pp;) {
		struct space *sp = *pp;

		if (sp->v != v) {
			pp = &sp->next;
			continue;
		}
		*pp = sp->next;
		for (unsigned i = 0; i < sp->used_count; i++) {
			chunk_clear(m, sp->chunk[sp->used[i]]);
			free(sp->chunk[sp->used[i]]);
		}
		sp->engine->ops->destroy(sp->engine);
		free(sp);
	}
	v->engine = NULL;
	m->current[v->id] = NULL;
	if (!m->spaces) { /* the statistics stay for the account: vm_destroy() */
		free(m->pool);
		free(m->head);
		m->pool = NULL;
		m->head = NULL;
		m->pool_len = m->pool_room = m->pool_free = 0;
	}
}

/* The least recently used space of @v that is not the current one, emptied; or a new one. */
static struct space *space_take(struct shadow_mmu *m, struct vcpu *v)
{
	unsigned limit = v->vm->worlds ? v->vm->worlds : SHADOW_SPACES_DEFAULT, own = 0;
	struct space *lru = NULL, *sp;
	struct engine *e = NULL;

	for (sp = m->spaces; sp; sp = sp->next) {
		if (sp->v != v)
			continue;
		own++;
		if (sp != m->current[v->id] && (!lru || sp->last_used < lru->last_used))
			lru = sp;
	}
	if (own < limit || !lru) {
		if (v->vm->engine_ops->create(v, &e))
			return NULL;
		m->st.created++;
		sp = space_new(m, v, e);
		if (!sp) {
			e->ops->destroy(e);
			vm_host_fail(v->vm, "out of memory for the shadow MMU");
		}
		return sp;
	}
	m->st.evicted++;
	return space_clear(m, lru) ? NULL : lru;
}

static struct space *space_find(struct shadow_mmu *m, const struct vcpu *v, uint32_t root,
				uint32_t mode, bool user)
{
	for (struct space *sp = m->spaces; sp; sp = sp->next)
		if (sp->v == v && sp->root == root && sp->mode == mode && sp->user == user)
			return sp;
	return NULL;
}

/* FPU, SSE and AVX registers live in the world that ran last: take them along. */
static int move_fpu(struct shadow_mmu *m, struct engine *from, struct engine *to)
{
	long len = from->ops->get_fpu(from, m->fpu, sizeof(m->fpu));

	if (len <= 0 || (size_t)len > sizeof(m->fpu)) /* it never ran */
		return 0;
	return to->ops->set_fpu(to, m->fpu, (size_t)len);
}

static int shadow_select_locked(struct vcpu *v)
{
	struct shadow_mmu *m = mmu_of(v);
	struct space *cur = space_of(v), *sp = cur;
	uint32_t mode = current_mode(v), root = current_root(v, mode);
	bool user = (mode & MODE_PG) && v->sh.cpl == 3;
	int err;

	if (cur->root != root || cur->mode != mode || cur->user != user) {
		sp = space_find(m, v, root, mode, user);
		if (!sp) {
			/* The first space, made without paging, is free for any use when paging is
			 * on. */
			sp = space_take(m, v);
			if (!sp)
				return -EIO;
			sp->root = root;
			sp->mode = mode;
			sp->user = user;
			sp->gen = v->tlb_gen;
			memcpy(sp->pdpte, v->sh.pdpte, sizeof(sp->pdpte));
		}
		err = move_fpu(m, cur->engine, sp->engine);
		if (err)
			return vm_host_fail(v->vm, "cannot move the FPU state to another world");
		/* A world without paging maps all of RAM: too much once pages have other rights. */
		if (is_flat(cur) && (mode & MODE_PG)) {
			err = space_clear(m, cur);
			if (err)
				return err;
		}
		m->current[v->id] = sp;
		__atomic_store_n(&v->engine, sp->engine, __ATOMIC_SEQ_CST);
		m->st.switches++;
	}
	sp->last_used = ++m->clock;
	if (sp->gen != v->tlb_gen)
		return space_validate(m, sp);
	return 0;
}

int shadow_select(struct vcpu *v)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = shadow_select_locked(v);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}

void shadow_get_stats(const struct vm *vm, struct shadow_stats *out)
{
	memset(out, 0, sizeof(*out));
	if (vm->shadow)
		*out = ((const struct shadow_mmu *)vm->shadow)->st;
}
