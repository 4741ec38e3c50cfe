/* SPDX-License-Identifier: MIT */
/*
 * Part D: shadow page tables.
 *
 * This file takes the place of vmm/mmu_walk.c and vmm/shadow_view.c.  What is around it stays:
 *   vmm/mmu.h           what a walk is for, and what it finds (struct mmu_leaf); read it first
 *   vmm/mmu_priv.h      the bits of an entry, reading one, setting bits in one; then this
 *   vmm/mmu.c           mmu_find(), which calls mmu_find_32() and mmu_rights(); mmu_entry_set()
 *   vmm/exits.c         on_page_fault(): from the fault in the world to mmu_walk() and back
 *   vmm/shadow_view.h   the rules that you write in the second half
 *   vmm/shadow_map.c    shadow_fill(): what calls view_prot() and view_may_prefill()
 *   vmm/shadow_flush.c  CR3 loads and INVLPG: what calls view_keeps() and view_invlpg()
 *
 * The headers say for each function what it must do; the handout, why.
 */
#include <errno.h>

#include "vmm/engine.h"
#include "vmm/mmu_priv.h"
#include "vmm/shadow_view.h"

/* ---- 1. The walk ---- */

/*
 * Go down the two levels of 32-bit tables for @gva:
 *
 *	31       22 21       12 11         0
 *	+----------+-----------+-----------+
 *	| PDE no.  |  PTE no.  |  offset   |	a PDE with PS clear, or CR4.PSE clear: 4 KiB pages
 *	+----------+-----------+-----------+
 *	| PDE no.  |        offset         |	PS and CR4.PSE set: a 4 MiB page
 *	+----------+-----------------------+
 *
 * The directory is at CR3 (v->sh.cr3), bits 31:12.  Bits 31:12 of an entry say where the table or
 * the page is.  With a 4 MiB page it is bits 31:22, and PSE_HIGH has bits 35:32 of the address,
 * shifted down to bit 13; if a bit of PSE_RSVD is set the entry is not valid.  No other bit of a
 * 32-bit entry is reserved.
 *
 * Read each entry once with mmu_entry_read(v->vm, gpa, 4), keep it in @l, and use that.
 */
enum mmu_found mmu_find_32(struct vcpu *v, gva_t gva, struct mmu_leaf *l)
{
	(void)v, (void)gva, (void)l;
	/* TODO */
	return MMU_ABSENT;
}

/*
 * What do the entries in @l (l->pde; and l->pte, unless the page is large: l->page_len) allow
 * together?  Which of these counts if one level has it, which only if both have it, and which only
 * the leaf, that is, the entry that maps the page?  A page is global only if CR4.PGE is set, and
 * not executable only if mmu_has_nx(v).
 */
void mmu_rights(const struct vcpu *v, struct mmu_leaf *l)
{
	(void)v;
	l->writable = l->user = l->nx = l->dirty = l->global = false;
	/* TODO */
}

/*
 * May an access of kind @access be done at @gva now?  Use mmu_find(), which also does PAE tables.
 * @access has PF_USER if it is user code's; PF_WRITE for a write, PF_FETCH for an instruction
 * fetch, else it is a read.  CR0.WP (v->sh.cr0 & CR0_WP) matters to one case.
 *
 * Returns 0; or -EFAULT with the error code that the guest's page-fault handler gets in *@pfec:
 *	PF_PRESENT	every entry read was present: the fault is for the rights, or reserved bits
 *	PF_WRITE	it was a write
 *	PF_USER		it was user code
 *	PF_RSVD		a reserved bit was set (then PF_PRESENT is, too)
 *	PF_FETCH	it was a fetch; told only if mmu_has_nx(v)
 * Nothing in the guest's tables changes.
 */
int mmu_check(struct vcpu *v, gva_t gva, unsigned access, uint32_t *pfec)
{
	(void)v, (void)gva, (void)access;
	/* TODO */
	*pfec = 0;
	return -EFAULT;
}

/*
 * The same for an access that is going to be done.  So if it may be, set A in the entries of both
 * levels, and D in the leaf if it is a write: with mmu_entry_set(), only when nothing can fail any
 * more.  If that returns false the entry is not what you have judged: begin again at the top.
 * *@leaf is what was found; its pde, pte and dirty as they are now, with A and D set.
 *
 * A directory may have an entry that leads to itself, so that one entry is both levels at once.
 * Does it work, and are both l->pde and l->pte right then?
 */
/*: 210. Walking the guest's tables
 * The guest's page tables are data in its RAM. They are walked as the CPU would, with the same
 * permissions, the same error codes, and the accessed and dirty bits set as a CPU sets them. This
 * is yours: part D.
 */
int mmu_walk(struct vcpu *v, gva_t gva, unsigned access, struct mmu_leaf *leaf, uint32_t *pfec)
{
	(void)v, (void)gva, (void)access, (void)leaf;
	/* TODO */
	*pfec = 0;
	return -EFAULT;
}

/* ---- 2. The views ---- */

/* Kernel or user?  v->sh.cpl is the guest's own privilege level, v->sh.cr0 its CR0. */
bool view_is_user(const struct vcpu *v)
{
	(void)v;
	/* TODO */
	return false;
}

/* MAP_R, MAP_W, MAP_X: which of them may the world of @w have for the page of @leaf? */
unsigned view_prot(const struct view *w, const struct mmu_leaf *leaf)
{
	(void)w, (void)leaf;
	/* TODO */
	return 0;
}

/* What must be set in leaf->pde and leaf->pte, so that an access needs to set nothing more? */
bool view_may_prefill(const struct mmu_leaf *leaf)
{
	(void)leaf;
	/* TODO */
	return false;
}

/* ---- 3. Flushes ---- */

/* After a load of CR3: the entry was @then, it is @now.  May what was mapped stay? */
bool view_keeps(uint64_t then, uint64_t now)
{
	(void)then, (void)now;
	/* TODO */
	return false;
}

/*
 * After INVLPG of @gva, executed in @cur (the kernel's view, of course: user code may not): what of
 * @w goes, of the page of @page_len bytes that @gva is in?  Asked for each view of the vCPU.
 */
struct view_range view_invlpg(const struct view *w, const struct view *cur, gva_t gva,
			      uint32_t page_len)
{
	(void)w, (void)cur, (void)gva, (void)page_len;
	/* TODO */
	return (struct view_range){ .from = 0, .len = 0 };
}
