/* SPDX-License-Identifier: MIT */
/*
 * The rules of the shadow MMU: which view of an address space the vCPU runs in, what a view may map
 * of a page, and what of it a flush takes away.  Pure functions of what they are given: the books
 * (shadow_map.c), the worlds (shadow.c) and copies of code (shadow_code.c) are other people's.
 *
 * A view maps less than the guest's tables allow whenever the VMM wants to hear of an access: an
 * access that the view does not allow is a fault, and the fault a walk (mmu_walk()).
 *
 * With every mapping the page-table entries that it was made from are remembered, as they were
 * after the walk.
 */
#ifndef RINGSIDE_VMM_SHADOW_VIEW_H
#define RINGSIDE_VMM_SHADOW_VIEW_H

#include "vmm/mmu.h"
#include "vmm/types.h"

struct vcpu;

struct view {
	uint32_t root; /* CR3 without its flag bits: the address space */
	bool user;     /* what code at CPL 3 sees; else the kernel's view, CPL 0-2 */
	bool wp;       /* CR0.WP */
};

/* Does @v, as it is now, run in the user view?  Without paging there is the kernel's only. */
bool view_is_user(const struct vcpu *v);

/*
 * What @w may map a page with, whose entries say @leaf: MAP_R, MAP_W, MAP_X (engine.h) together; 0
 * for a page that is not to be seen in @w.
 *   - Never more than the guest's tables allow to who runs in the view: SDM Vol. 3A,
 *     "Determination of Access Rights" (4.6.1).
 *   - A page whose D bit is clear is not writable yet: the first write must be seen, since it sets
 *     D ("Accessed and Dirty Flags", 4.8).
 *   - The kernel view has no MAP_X: kernel code is executed from patched copies (shadow_code.c).
 */
unsigned view_prot(const struct view *w, const struct mmu_leaf *leaf);

/*
 * May a page that nobody asked for be mapped, because its neighbour was?  @leaf is what mmu_peek()
 * found: nothing was set in its entries, and no access to a page that is mapped will set it.
 */
bool view_may_prefill(const struct mmu_leaf *leaf);

/*
 * The guest flushed all translations, by loading CR3 for example.  Asked for an entry of a page
 * directory or a page table that something was mapped with: it was @then, it is @now.  May what was
 * mapped stay?  Where nothing has changed it should: a flush that empties the view costs a fault
 * for each page that is used afterwards.
 */
bool view_keeps(uint64_t then, uint64_t now);

/* @len bytes from @from on; @len 0: none. */
struct view_range {
	gva_t from;
	uint32_t len;
};

/*
 * The guest flushed the page of @gva (INVLPG) while it ran in @cur.  @w is a view of the same vCPU,
 * maybe @cur itself, in which something is mapped of a page at @gva of @page_len bytes: 4 KiB, or 2
 * or 4 MiB.  What of @w must be unmapped?  More than that is allowed.
 * Source: SDM Vol. 3A, "Operations that Invalidate TLBs and Paging-Structure Caches" (4.10.4.1).
 */
struct view_range view_invlpg(const struct view *w, const struct view *cur, gva_t gva,
			      uint32_t page_len);

#endif
