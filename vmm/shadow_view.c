/* SPDX-License-Identifier: MIT */
/* The shadow MMU: what a view maps, and what a flush takes away. */
#include "vmm/engine.h"
#include "vmm/mmu_priv.h"
#include "vmm/shadow_view.h"

bool view_is_user(const struct vcpu *v)
{
	return (v->sh.cr0 & CR0_PG) && v->sh.cpl == 3;
}

unsigned view_prot(const struct view *w, const struct mmu_leaf *leaf)
{
	bool write = leaf->writable || (!w->user && !w->wp);

	if (w->user && !leaf->user)
		return 0;
	return MAP_R | (write && leaf->dirty ? MAP_W : 0) | (w->user && !leaf->nx ? MAP_X : 0);
}

bool view_may_prefill(const struct mmu_leaf *leaf)
{
	return (leaf->pde & ENTRY_A) && (leaf->page_len != PAGE_SIZE || (leaf->pte & ENTRY_A));
}

/*
 * Any difference counts.  Some need not: but a guest that clears A or D wants to see them set
 * again, and one that sets bits for itself seldom does it without changing what is mapped.
 */
bool view_keeps(uint64_t then, uint64_t now)
{
	return then == now;
}

/* Other address spaces of the vCPU are compared when they are switched to: view_keeps(). */
struct view_range view_invlpg(const struct view *w, const struct view *cur, gva_t gva,
			      uint32_t page_len)
{
	if (w->root != cur->root)
		return (struct view_range){ 0 };
	return (struct view_range){ .from = gva & ~(page_len - 1), .len = page_len };
}
