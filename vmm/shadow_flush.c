/* SPDX-License-Identifier: MIT */
/*
 * The shadow MMU: what a flush does to the mappings of a space.  The guest's tables are compared
 * with what is remembered of them; what that means for a mapping, shadow_view.c says.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/mmu_priv.h"
#include "vmm/shadow_priv.h"

/* Unmap the pages of @c whose page-table entries say something else now. */
static int chunk_compare(struct shadow_mmu *m, struct space *sp, struct chunk *c)
{
	unsigned len = shadow_entry_len(sp);
	size_t bytes = (size_t)CHUNK_PAGES * len;
	const uint8_t *now = vm_ptr(m->vm, c->pt_gpa, bytes);
	int err = 0;

	if (now && !memcmp(now, c->snapshot, bytes))
		return 0;
	for (unsigned i = 0; i < CHUNK_PAGES && !err; i++) {
		uint64_t entry = mmu_entry_read(m->vm, c->pt_gpa + (gpa_t)i * len, len), then = 0;

		if (!memcmp(c->snapshot + i * len, &entry, len))
			continue;
		memcpy(&then, c->snapshot + i * len, len);
		if (c->map[i] && !view_keeps(then, entry)) {
			m->st.stale++;
			err = shadow_unmap(m, c->map[i]);
		}
		/* Not mapped: any value will do, and this one compares equal next time. */
		memcpy(c->snapshot + i * len, &entry, len);
	}
	return err;
}

/*: 225. What a flush does
 * The guest may change its tables at will, and nobody notices: until it flushes, an old translation
 * is what a TLB may give as well. At a load of CR3 the entries that each mapping was made from are
 * compared with what they are now, and what differs is unmapped.
 */
int shadow_space_validate(struct shadow_mmu *m, struct space *sp)
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
			uint64_t pde = mmu_entry_read(m->vm, c->pde_gpa, shadow_entry_len(sp));

			if (moved || !view_keeps(c->pde, pde))
				err = shadow_chunk_drop(m, sp, index);
			else if (!c->large)
				err = chunk_compare(m, sp, c);
			c->pde = pde;
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

/* Unmap what @sp has in @r. */
static void space_unmap(struct shadow_mmu *m, struct space *sp, struct view_range r)
{
	uint64_t at = r.from & ~(PAGE_SIZE - 1), end = (uint64_t)r.from + r.len, next;

	for (; at < end && at <= UINT32_MAX; at = next) {
		unsigned index = (unsigned)(at >> CHUNK_SHIFT);
		struct chunk *c = sp->chunk[index];
		uint32_t i;

		next = ((uint64_t)index + 1) << CHUNK_SHIFT;
		if (!c)
			continue;
		if (at << (64 - CHUNK_SHIFT) == 0 && next <= end) {
			shadow_chunk_drop(m, sp, index);
			continue;
		}
		i = c->map[at >> PAGE_SHIFT & (CHUNK_PAGES - 1)];
		if (i)
			shadow_unmap(m, i);
		next = at + PAGE_SIZE;
	}
}

void mmu_flush_page(struct vcpu *v, gva_t gva)
{
	struct shadow_mmu *m = shadow_of(v);
	struct view cur;

	if (!m || !shadow_space(v))
		return;
	pthread_mutex_lock(&v->vm->mmu_lock);
	cur = shadow_view(shadow_space(v));
	for (struct space *sp = m->spaces; sp; sp = sp->next) {
		uint32_t large = sp->mode & MODE_PAE ? LARGE_PAE : LARGE_32;
		unsigned first = (gva & ~(large - 1)) >> CHUNK_SHIFT;
		const struct chunk *c = sp->chunk[gva >> CHUNK_SHIFT];
		struct view w = shadow_view(sp);
		bool some = false;

		if (sp->v != v)
			continue;
		if (c && !c->large && c->map[gva >> PAGE_SHIFT & (CHUNK_PAGES - 1)])
			space_unmap(m, sp, view_invlpg(&w, &cur, gva, PAGE_SIZE));
		/* Any part of a large page, whichever the address is in. */
		for (unsigned i = first; i < first + (large >> CHUNK_SHIFT); i++)
			some |= sp->chunk[i] && sp->chunk[i]->large;
		if (some)
			space_unmap(m, sp, view_invlpg(&w, &cur, gva, large));
	}
	pthread_mutex_unlock(&v->vm->mmu_lock);
}
