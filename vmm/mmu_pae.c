/* SPDX-License-Identifier: MIT */
/*
 * PAE tables: four PDPTE registers, page directories with 2 MiB pages, page tables; entries of 8
 * bytes.
 * Source: Intel SDM Vol. 3A, "PAE Paging" (4.4).
 */
#include "vmm/mmu_priv.h"

#define PAE_ADDR BITS(CPUID_PHYS_BITS - 1, 12)
#define PAE_HIGH BITS(62, CPUID_PHYS_BITS) /* reserved in every PAE entry */

/* PDPTE: table 4-8.  Bit 63 too, whatever EFER.NXE says. */
#define PDPTE_RSVD (BITS(63, CPUID_PHYS_BITS) | BITS(8, 5) | BITS(2, 1))

/* Reserved bits of an entry that is no PDPTE, apart from those below bit 36. */
static uint64_t pae_rsvd(const struct vcpu *v)
{
	return PAE_HIGH | (mmu_has_nx(v) ? 0 : ENTRY_NX);
}

enum mmu_found mmu_find_pae(struct vcpu *v, gva_t gva, struct mmu_leaf *l)
{
	/* Reserved bits were checked when the register was loaded. */
	uint64_t pdpte = v->sh.pdpte[gva >> 30], rsvd = pae_rsvd(v);

	if (!(pdpte & ENTRY_P))
		return MMU_ABSENT;
	l->entry_len = 8;
	l->pde_gpa = (pdpte & PAE_ADDR) + (gva >> 21 & 511) * 8;
	l->pde = mmu_entry_read(v->vm, l->pde_gpa, 8);
	if (!(l->pde & ENTRY_P))
		return MMU_ABSENT;
	l->pte_gpa = l->pte = 0;
	if (l->pde & ENTRY_PS) { /* CR4.PSE has no say here */
		l->page_len = LARGE_PAE;
		l->gpa = (l->pde & PAE_ADDR & ~(uint64_t)(LARGE_PAE - 1)) | gva % LARGE_PAE;
		return l->pde & (rsvd | BITS(20, 13)) ? MMU_RESERVED : MMU_FOUND;
	}
	if (l->pde & rsvd)
		return MMU_RESERVED;
	l->page_len = PAGE_SIZE;
	l->pte_gpa = (l->pde & PAE_ADDR) + (gva >> PAGE_SHIFT & 511) * 8;
	l->pte = mmu_entry_read(v->vm, l->pte_gpa, 8);
	if (!(l->pte & ENTRY_P))
		return MMU_ABSENT;
	l->gpa = (l->pte & PAE_ADDR) | gva % PAGE_SIZE;
	return l->pte & rsvd ? MMU_RESERVED : MMU_FOUND;
}

int mmu_load_pdptes(struct vcpu *v, uint32_t cr3)
{
	gpa_t table = cr3 & ~0x1fu;
	uint64_t pdpte[4];

	for (unsigned i = 0; i < 4; i++) {
		pdpte[i] = mmu_entry_read(v->vm, table + i * 8, 8);
		if ((pdpte[i] & ENTRY_P) && (pdpte[i] & PDPTE_RSVD))
			return vcpu_gp(v, 0);
	}
	for (unsigned i = 0; i < 4; i++)
		v->sh.pdpte[i] = pdpte[i];
	return EMU_OK;
}
