/* SPDX-License-Identifier: MIT */
/* Part D: a solution, step by step as the handout has it.  right/product.c is the product's own. */
#include <errno.h>

#include "vmm/engine.h"
#include "vmm/mmu_priv.h"
#include "vmm/shadow_view.h"

enum mmu_found mmu_find_32(struct vcpu *v, gva_t gva, struct mmu_leaf *l)
{
	l->entry_len = 4;
	l->pde_gpa = (v->sh.cr3 & 0xfffff000) + 4 * (gva >> 22);
	l->pde = mmu_entry_read(v->vm, l->pde_gpa, 4);
	if (!(l->pde & ENTRY_P))
		return MMU_ABSENT;
	if ((l->pde & ENTRY_PS) && (v->sh.cr4 & CR4_PSE)) {
		l->page_len = LARGE_32;
		l->pte_gpa = 0;
		l->pte = 0;
		if (l->pde & PSE_RSVD)
			return MMU_RESERVED;
		l->gpa = (l->pde & 0xffc00000) + (gva & 0x3fffff);
		l->gpa |= (l->pde & PSE_HIGH) >> 13 << 32;
		return MMU_FOUND;
	}
	l->page_len = PAGE_SIZE;
	l->pte_gpa = (l->pde & 0xfffff000) + 4 * (gva >> 12 & 0x3ff);
	l->pte = mmu_entry_read(v->vm, l->pte_gpa, 4);
	if (!(l->pte & ENTRY_P))
		return MMU_ABSENT;
	l->gpa = (l->pte & 0xfffff000) + (gva & 0xfff);
	return MMU_FOUND;
}

void mmu_rights(const struct vcpu *v, struct mmu_leaf *l)
{
	uint64_t leaf = l->page_len == PAGE_SIZE ? l->pte : l->pde;

	l->writable = (l->pde & ENTRY_RW) && (leaf & ENTRY_RW);
	l->user = (l->pde & ENTRY_US) && (leaf & ENTRY_US);
	l->nx = mmu_has_nx(v) && ((l->pde & ENTRY_NX) || (leaf & ENTRY_NX));
	l->dirty = leaf & ENTRY_D;
	l->global = (v->sh.cr4 & CR4_PGE) && (leaf & ENTRY_G);
}

/* Returns 0, or the bits of the error code that say why not, and -EFAULT. */
static int judge(struct vcpu *v, gva_t gva, unsigned access, struct mmu_leaf *l, uint32_t *pfec)
{
	bool user = access & PF_USER, write = access & PF_WRITE, fetch = access & PF_FETCH;
	bool wp = v->sh.cr0 & CR0_WP;

	*pfec = access & (PF_USER | PF_WRITE);
	if (fetch && mmu_has_nx(v))
		*pfec |= PF_FETCH;
	switch (mmu_find(v, gva, l)) {
	case MMU_ABSENT: return -EFAULT;
	case MMU_RESERVED: *pfec |= PF_PRESENT | PF_RSVD; return -EFAULT;
	case MMU_FOUND: break;
	}
	*pfec |= PF_PRESENT;
	if (user && !l->user)
		return -EFAULT;
	if (fetch && l->nx)
		return -EFAULT;
	if (write && !l->writable && (user || wp))
		return -EFAULT;
	return 0;
}

int mmu_check(struct vcpu *v, gva_t gva, unsigned access, uint32_t *pfec)
{
	struct mmu_leaf l;

	return judge(v, gva, access, &l, pfec);
}

int mmu_walk(struct vcpu *v, gva_t gva, unsigned access, struct mmu_leaf *leaf, uint32_t *pfec)
{
	uint64_t bits = ENTRY_A | (access & PF_WRITE ? ENTRY_D : 0);
	struct mmu_leaf *l = leaf;

again:
	if (judge(v, gva, access, l, pfec))
		return -EFAULT;
	if (l->page_len != PAGE_SIZE) {
		if (!mmu_entry_set(v->vm, l->pde_gpa, &l->pde, bits, l->entry_len))
			goto again;
		l->dirty = l->pde & ENTRY_D;
		return 0;
	}
	if (!mmu_entry_set(v->vm, l->pde_gpa, &l->pde, ENTRY_A, l->entry_len))
		goto again;
	if (!mmu_entry_set(v->vm, l->pte_gpa, &l->pte, bits, l->entry_len))
		goto again;
	if (l->pte_gpa == l->pde_gpa)
		l->pde = l->pte;
	l->dirty = l->pte & ENTRY_D;
	return 0;
}

bool view_is_user(const struct vcpu *v)
{
	return (v->sh.cr0 & CR0_PG) && v->sh.cpl == 3;
}

unsigned view_prot(const struct view *w, const struct mmu_leaf *leaf)
{
	unsigned prot = MAP_R;

	if (w->user && !leaf->user)
		return 0;
	if (leaf->dirty && (leaf->writable || (!w->user && !w->wp)))
		prot |= MAP_W;
	if (w->user && !leaf->nx)
		prot |= MAP_X;
	return prot;
}

bool view_may_prefill(const struct mmu_leaf *leaf)
{
	if (leaf->page_len == PAGE_SIZE && !(leaf->pte & ENTRY_A))
		return false;
	return leaf->pde & ENTRY_A;
}

bool view_keeps(uint64_t then, uint64_t now)
{
	return then == now;
}

struct view_range view_invlpg(const struct view *w, const struct view *cur, gva_t gva,
			      uint32_t page_len)
{
	struct view_range r = { .from = gva & ~(page_len - 1), .len = page_len };

	if (w->root != cur->root)
		r.len = 0;
	return r;
}
