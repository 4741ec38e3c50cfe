/* SPDX-License-Identifier: MIT */
/*
 * Walking the guest's tables as the CPU would: 32-bit tables with 4 KiB and 4 MiB pages, what the
 * entries allow together, and A and D.
 *
 * A walk goes down as the CPU does: at each level an entry that is not present ends it, then one
 * with a reserved bit set; only the leaf asks what all levels together allow.  Every entry is read
 * once, because other vCPUs may write it meanwhile.  A and D are set when nothing can fault any
 * more, by compare-and-swap with the value the walk has judged: if somebody changed the entry, the
 * whole walk is done again.  It ends, since each repetition takes a store by another vCPU between
 * two of our instructions.
 *
 * A choice where the manual leaves one: the CPU may set A in a page directory although the walk
 * faults further down, we do not.
 * Source: Intel SDM Vol. 3A, "Paging" (4).
 */
#include <errno.h>

#include "vmm/mmu_priv.h"

/* Bits of a linear address. */
#define PDE_INDEX(gva) ((gva) >> 22)
#define PTE_INDEX(gva) ((gva) >> PAGE_SHIFT & 1023)

enum mmu_found mmu_find_32(struct vcpu *v, gva_t gva, struct mmu_leaf *l)
{
	l->entry_len = 4;
	l->pde_gpa = (v->sh.cr3 & BITS(31, 12)) + PDE_INDEX(gva) * 4;
	l->pde = mmu_entry_read(v->vm, l->pde_gpa, 4);
	if (!(l->pde & ENTRY_P))
		return MMU_ABSENT;
	if ((l->pde & ENTRY_PS) && (v->sh.cr4 & CR4_PSE)) {
		l->page_len = LARGE_32;
		l->pte_gpa = l->pte = 0;
		l->gpa = (l->pde & PSE_HIGH) << (32 - 13) | (l->pde & BITS(31, 22)) |
			 gva % LARGE_32;
		return l->pde & PSE_RSVD ? MMU_RESERVED : MMU_FOUND;
	}
	l->page_len = PAGE_SIZE;
	l->pte_gpa = (l->pde & BITS(31, 12)) + PTE_INDEX(gva) * 4;
	l->pte = mmu_entry_read(v->vm, l->pte_gpa, 4);
	if (!(l->pte & ENTRY_P))
		return MMU_ABSENT;
	/* No bit is reserved: bit 7 is PAT, which we have. */
	l->gpa = (l->pte & BITS(31, 12)) | gva % PAGE_SIZE;
	return MMU_FOUND;
}

void mmu_rights(const struct vcpu *v, struct mmu_leaf *l)
{
	uint64_t leaf = l->page_len == PAGE_SIZE ? l->pte : l->pde;
	uint64_t all = l->pde & leaf, any = l->pde | leaf;

	l->writable = all & ENTRY_RW;
	l->user = all & ENTRY_US;
	l->nx = mmu_has_nx(v) && (any & ENTRY_NX);
	l->dirty = leaf & ENTRY_D;
	l->global = (leaf & ENTRY_G) && (v->sh.cr4 & CR4_PGE);
}

/* SDM Vol. 3A, "Determination of Access Rights" (4.6.1); there is no SMEP, SMAP or PKU. */
static bool allowed(const struct vcpu *v, const struct mmu_leaf *l, unsigned access)
{
	if ((access & PF_USER) && !l->user)
		return false;
	if ((access & PF_FETCH) && l->nx)
		return false;
	if (!(access & PF_WRITE) || l->writable)
		return true;
	return !(access & PF_USER) && !(v->sh.cr0 & CR0_WP);
}

/*
 * mmu_find() and the checks.  Returns 0, or -EFAULT with the error code of SDM Vol. 3A, 4.7: W/R
 * and U/S are the access's; I/D is told only where pages can be no-execute; P says that all entries
 * were present.
 */
static int find_checked(struct vcpu *v, gva_t gva, unsigned access, struct mmu_leaf *l,
			uint32_t *pfec)
{
	uint32_t code = access & (PF_WRITE | PF_USER | (mmu_has_nx(v) ? PF_FETCH : 0));

	switch (mmu_find(v, gva, l)) {
	case MMU_ABSENT: break;
	case MMU_RESERVED: code |= PF_PRESENT | PF_RSVD; break;
	case MMU_FOUND:
		if (allowed(v, l, access))
			return 0;
		code |= PF_PRESENT;
		break;
	}
	*pfec = code;
	return -EFAULT;
}

/*
 * Set A at both levels, and D at the leaf on a write.  Returns false if an entry is no longer what
 * the walk saw: another vCPU wrote it, or it is both levels at once (a directory that maps itself)
 * and the first update was ours.
 */
static bool mark(struct vm *vm, struct mmu_leaf *l, bool write)
{
	uint64_t bits = ENTRY_A | (write ? ENTRY_D : 0);

	if (l->page_len != PAGE_SIZE) {
		if (!mmu_entry_set(vm, l->pde_gpa, &l->pde, bits, l->entry_len))
			return false;
		l->dirty = l->pde & ENTRY_D;
		return true;
	}
	if (!mmu_entry_set(vm, l->pde_gpa, &l->pde, ENTRY_A, l->entry_len) ||
	    !mmu_entry_set(vm, l->pte_gpa, &l->pte, bits, l->entry_len))
		return false;
	if (l->pte_gpa == l->pde_gpa)
		l->pde = l->pte;
	l->dirty = l->pte & ENTRY_D;
	return true;
}

/*: 210. Walking the guest's tables
 * The guest's page tables are data in its RAM. They are walked as the CPU would, with the same
 * permissions, the same error codes, and the accessed and dirty bits set as a CPU sets them.
 */
int mmu_walk(struct vcpu *v, gva_t gva, unsigned access, struct mmu_leaf *leaf, uint32_t *pfec)
{
	struct mmu_leaf l;
	int r;

	do {
		r = find_checked(v, gva, access, &l, pfec);
		if (r < 0)
			return r;
	} while (!mark(v->vm, &l, access & PF_WRITE));
	*leaf = l;
	return 0;
}

int mmu_check(struct vcpu *v, gva_t gva, unsigned access, uint32_t *pfec)
{
	struct mmu_leaf l;

	return find_checked(v, gva, access, &l, pfec);
}
