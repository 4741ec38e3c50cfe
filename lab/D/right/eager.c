/* SPDX-License-Identifier: MIT */
/*
 * Tables of what is needed, no goto; flushes more than it must, keeps more than the product does,
 * and sets A in a directory entry even if the walk fails below it, as the manual allows.
 */
#include <errno.h>
#include <string.h>

#include "vmm/engine.h"
#include "vmm/mmu_priv.h"
#include "vmm/shadow_view.h"

enum mmu_found mmu_find_32(struct vcpu *v, gva_t gva, struct mmu_leaf *l)
{
	const gpa_t frame = ~(gpa_t)(PAGE_SIZE - 1);

	memset(l, 0, sizeof(*l));
	l->entry_len = 4;
	l->pde_gpa = (v->sh.cr3 & frame) | (gva >> 20 & 0xffc);
	l->pde = mmu_entry_read(v->vm, l->pde_gpa, 4);
	if (!(l->pde & ENTRY_P))
		return MMU_ABSENT;
	if ((v->sh.cr4 & CR4_PSE) && (l->pde & ENTRY_PS)) {
		gpa_t high = l->pde >> 13 & 0xf;

		l->page_len = LARGE_32;
		l->gpa = high << 32 | (l->pde >> 22 << 22) | (gva & (LARGE_32 - 1));
		return l->pde & PSE_RSVD ? MMU_RESERVED : MMU_FOUND;
	}
	l->page_len = PAGE_SIZE;
	l->pte_gpa = (l->pde & frame) | (gva >> 10 & 0xffc);
	l->pte = mmu_entry_read(v->vm, l->pte_gpa, 4);
	l->gpa = (l->pte & frame) | (gva & ~frame);
	return l->pte & ENTRY_P ? MMU_FOUND : MMU_ABSENT;
}

static uint64_t *leaf_entry(struct mmu_leaf *l)
{
	return l->page_len > PAGE_SIZE ? &l->pde : &l->pte;
}

void mmu_rights(const struct vcpu *v, struct mmu_leaf *l)
{
	uint64_t flip = ENTRY_RW | ENTRY_US; /* with these clear in either, it is forbidden */
	uint64_t no = (l->pde ^ flip) | (*leaf_entry(l) ^ flip);

	l->writable = !(no & ENTRY_RW);
	l->user = !(no & ENTRY_US);
	l->nx = (no & ENTRY_NX) && mmu_has_nx(v);
	l->dirty = *leaf_entry(l) & ENTRY_D;
	l->global = (*leaf_entry(l) & ENTRY_G) && (v->sh.cr4 & CR4_PGE);
}

static bool refused(struct vcpu *v, const struct mmu_leaf *l, unsigned access)
{
	bool needs_user = access & PF_USER;
	bool needs_rw = (access & PF_WRITE) && (needs_user || (v->sh.cr0 & CR0_WP));
	bool needs_x = access & PF_FETCH;

	return (needs_user && !l->user) || (needs_rw && !l->writable) || (needs_x && l->nx);
}

static int look(struct vcpu *v, gva_t gva, unsigned access, struct mmu_leaf *l, uint32_t *pfec)
{
	uint32_t why = PF_PRESENT;

	switch (mmu_find(v, gva, l)) {
	case MMU_FOUND:
		if (!refused(v, l, access))
			return 0;
		break;
	case MMU_RESERVED: why |= PF_RSVD; break;
	case MMU_ABSENT: why = 0; break;
	}
	why |= access & (PF_WRITE | PF_USER | PF_FETCH);
	*pfec = mmu_has_nx(v) ? why : why & ~PF_FETCH;
	return -EFAULT;
}

int mmu_check(struct vcpu *v, gva_t gva, unsigned access, uint32_t *pfec)
{
	struct mmu_leaf l;

	return look(v, gva, access, &l, pfec);
}

int mmu_walk(struct vcpu *v, gva_t gva, unsigned access, struct mmu_leaf *leaf, uint32_t *pfec)
{
	struct mmu_leaf l = { 0 };
	bool same;

	for (;;) {
		int err = look(v, gva, access, &l, pfec);

		same = l.page_len == PAGE_SIZE && l.pte_gpa == l.pde_gpa;
		if (err && !(*pfec & PF_PRESENT) && l.entry_len == 4 && (l.pde & ENTRY_P) && !same)
			mmu_entry_set(v->vm, l.pde_gpa, &l.pde, ENTRY_A, l.entry_len);
		if (err)
			return err;
		if (l.page_len == PAGE_SIZE && !same &&
		    !mmu_entry_set(v->vm, l.pde_gpa, &l.pde, ENTRY_A, l.entry_len))
			continue;
		if (mmu_entry_set(v->vm, l.page_len > PAGE_SIZE ? l.pde_gpa : l.pte_gpa,
				  leaf_entry(&l), ENTRY_A | (access & PF_WRITE ? ENTRY_D : 0),
				  l.entry_len))
			break;
	}
	if (same)
		l.pde = l.pte;
	mmu_rights(v, &l);
	*leaf = l;
	return 0;
}

bool view_is_user(const struct vcpu *v)
{
	return v->sh.cpl > 2 && (v->sh.cr0 & CR0_PG);
}

unsigned view_prot(const struct view *w, const struct mmu_leaf *leaf)
{
	if (!w->user)
		return leaf->dirty && (leaf->writable || !w->wp) ? MAP_R | MAP_W : MAP_R;
	if (!leaf->user)
		return 0;
	return MAP_R | (leaf->nx ? 0 : MAP_X) | (leaf->dirty && leaf->writable ? MAP_W : 0);
}

bool view_may_prefill(const struct mmu_leaf *leaf)
{
	uint64_t all = leaf->page_len > PAGE_SIZE ? leaf->pde : leaf->pde & leaf->pte;

	return all & ENTRY_A;
}

/* Only what was mapped counts: software's bits do not, and new rights are found by a fault. */
bool view_keeps(uint64_t then, uint64_t now)
{
	uint64_t gains = ENTRY_RW | ENTRY_US | ENTRY_A | ENTRY_D, ignored = 0xe18 | ENTRY_G;

	if (then & ~now & gains)
		return false;
	return ((then ^ now) & ~(gains | ignored)) == 0;
}

struct view_range view_invlpg(const struct view *w, const struct view *cur, gva_t gva,
			      uint32_t page_len)
{
	(void)w, (void)cur;
	gva &= ~(LARGE_32 - 1);
	return (struct view_range){ .from = gva, .len = page_len > LARGE_32 ? 0 : LARGE_32 };
}
