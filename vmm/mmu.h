/* SPDX-License-Identifier: MIT */
/*
 * The guest's own paging: walking its tables as the CPU would.  What the walk finds is mapped into
 * worlds by the shadow MMU (shadow.h).
 */
#ifndef RINGSIDE_VMM_MMU_H
#define RINGSIDE_VMM_MMU_H

#include "vmm/types.h"

struct vcpu;

/* Where a translation came from, and what it allows. */
struct mmu_leaf {
	gpa_t gpa;                              /* of the byte asked for */
	uint32_t page_len;                      /* 4 KiB, 2 MiB or 4 MiB */
	bool writable, user, nx, dirty, global; /* of all levels together; CR0.WP is not applied */
	gpa_t pde_gpa;                          /* the page-directory entry ... */
	uint64_t pde;                           /* ... as it is after this walk (A, D set) */
	gpa_t pte_gpa;                          /* the page-table entry; 0 for a large page */
	uint64_t pte;
	unsigned entry_len; /* 4, or 8 with PAE */
};

/*
 * Walk for an access of kind @access (PF_WRITE | PF_USER | PF_FETCH): checks present, U/S, R/W with
 * CR0.WP, NX, reserved bits; sets A, and D on a write, with locked updates.  CR0.PG must be set.
 * Returns 0 and *@leaf; or -EFAULT with *@pfec set to the #PF error code for the guest.
 * Table entries outside RAM read as not present.  vCPU thread only.
 * Source: Intel SDM Vol. 3A, "32-Bit Paging" (4.3), "PAE Paging" (4.4), "Access Rights" (4.6),
 * "Page-Fault Exceptions" (4.7), "Accessed and Dirty Flags" (4.8).
 */
int mmu_walk(struct vcpu *v, gva_t gva, unsigned access, struct mmu_leaf *leaf, uint32_t *pfec);

/* The same verdict without setting A or D: would the access be allowed now? */
int mmu_check(struct vcpu *v, gva_t gva, unsigned access, uint32_t *pfec);

/*
 * The same translation without checks of rights and without setting A or D.  0, or -ENOENT if there
 * is none (not present, or a reserved bit set).
 */
int mmu_peek(struct vcpu *v, gva_t gva, struct mmu_leaf *leaf);

/*
 * The guest loaded CR3 or changed CR0.PG/WP, CR4.PSE/PAE/PGE or EFER.NXE: all translations
 * (@gva_only == false), or that of one page (INVLPG), must be looked at again before they are used.
 * With PAE, mmu_load_pdptes() must have succeeded before.
 */
void mmu_flush(struct vcpu *v);
void mmu_flush_page(struct vcpu *v, gva_t gva);

/*
 * PAE: load the four PDPTE registers from @cr3 (MOV to CR3, and MOV to CR0/CR4 as the manual
 * lists). Returns EMU_OK, or EMU_FAULT #GP(0) if one has a reserved bit set; nothing is changed
 * then. Source: SDM Vol. 3A, "PDPTE Registers" (4.4.1).
 */
int mmu_load_pdptes(struct vcpu *v, uint32_t cr3);

#endif
