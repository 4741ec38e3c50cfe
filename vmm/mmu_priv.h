/* SPDX-License-Identifier: MIT */
/*
 * The guest's own paging, from inside: the bits of an entry, and what mmu.c, mmu_walk.c and
 * mmu_pae.c share.
 *
 * Source: Intel SDM Vol. 3A, "Paging" (4), tables 4-4 to 4-6 and 4-8 to 4-11.
 */
#ifndef RINGSIDE_VMM_MMU_PRIV_H
#define RINGSIDE_VMM_MMU_PRIV_H

#include "vmm/emu/emulate.h" /* CPUID_PHYS_BITS */
#include "vmm/mem.h"
#include "vmm/mmu.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define ENTRY_P  0x001ull
#define ENTRY_RW 0x002ull
#define ENTRY_US 0x004ull
#define ENTRY_A  0x020ull
#define ENTRY_D  0x040ull
#define ENTRY_PS 0x080ull /* of a PDE; in a PTE the bit is PAT */
#define ENTRY_G  0x100ull
#define ENTRY_NX (1ull << 63) /* PAE only */

#define EFER_NXE (1ull << 11)

#define LARGE_32  (4u << 20) /* bytes of a large page */
#define LARGE_PAE (2u << 20)

/* Bits @lo to @hi. */
#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

/*
 * A 4 MiB PDE has physical bits M-1 to 32 in bits M-20 to 13, and bits 21 to M-19 are reserved;
 * M is the lesser of 40 and MAXPHYADDR (PSE-36; table 4-4).
 */
#define PSE_BITS (CPUID_PHYS_BITS < 40 ? CPUID_PHYS_BITS : 40)
#define PSE_HIGH BITS(PSE_BITS - 20, 13)
#define PSE_RSVD BITS(21, PSE_BITS - 19)

/* What the entries for an address say. */
enum mmu_found {
	MMU_FOUND,    /* a page */
	MMU_ABSENT,   /* one of them is not present */
	MMU_RESERVED, /* all those read are present, and the last one has a reserved bit set */
};

static inline bool mmu_is_pae(const struct vcpu *v)
{
	return v->sh.cr4 & CR4_PAE;
}

/* May pages be no-execute?  EFER.NXE counts only where entries have a bit 63. */
static inline bool mmu_has_nx(const struct vcpu *v)
{
	return mmu_is_pae(v) && (v->sh.efer & EFER_NXE);
}

/*
 * The entry of @len (4 or 8) bytes at @gpa; 0, that is, not present, if there is no RAM.  Read it
 * once and judge what was read: another vCPU may write it meanwhile.  (Tables are aligned, so
 * entries are, too.)
 */
static inline uint64_t mmu_entry_read(struct vm *vm, gpa_t gpa, unsigned len)
{
	const void *hva = vm_ptr(vm, gpa, len);

	if (!hva)
		return 0;
	if (len == 8)
		return __atomic_load_n((const uint64_t *)hva, __ATOMIC_ACQUIRE);
	return __atomic_load_n((const uint32_t *)hva, __ATOMIC_ACQUIRE);
}

/* ---- mmu.c ---- */

/*
 * Set @bits in the entry at @gpa, if it still is *@val, which becomes what it is then.  Returns
 * false, with nothing changed, if it is not: somebody wrote it since it was read.
 */
bool mmu_entry_set(struct vm *vm, gpa_t gpa, uint64_t *val, uint64_t bits, unsigned len);

/* Look up @gva in the tables of the mode that the vCPU is in, and mmu_rights() of what is found. */
enum mmu_found mmu_find(struct vcpu *v, gva_t gva, struct mmu_leaf *l);

/* ---- mmu_walk.c; and mmu_walk() and mmu_check(), which mmu.h declares ---- */

/*
 * Look up @gva in 32-bit tables (SDM Vol. 3A, "32-Bit Paging", 4.3), starting at CR3; CR4.PSE says
 * if there are 4 MiB pages.  Nothing is judged but presence and reserved bits, nothing is written.
 * Fills @l, but for the rights: entry_len, pde_gpa and pde; if the directory entry is present, also
 * page_len, and pte_gpa and pte (0 for a large page); if a page is found, also gpa.
 */
enum mmu_found mmu_find_32(struct vcpu *v, gva_t gva, struct mmu_leaf *l);

/*
 * From the entries in @l: writable, user, nx, dirty, global.  With 32-bit and with PAE tables.
 * SDM Vol. 3A, "Determination of Access Rights" (4.6.1), "Global Pages" (4.10.2.4).
 */
void mmu_rights(const struct vcpu *v, struct mmu_leaf *l);

/* ---- mmu_pae.c ---- */

/* The same as mmu_find_32() in PAE tables, starting at the PDPTE registers (4.4). */
enum mmu_found mmu_find_pae(struct vcpu *v, gva_t gva, struct mmu_leaf *l);

#endif
