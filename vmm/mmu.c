/* SPDX-License-Identifier: MIT */
/*
 * The guest's own paging: 32-bit tables with 4 KiB and 4 MiB pages, PAE tables with 4 KiB and
 * 2 MiB pages.
 *
 * A walk goes down as the CPU does: at each level an entry that is not present ends it, then one
 * with a reserved bit set; only the leaf asks what all levels together allow.  Every entry is read
 * once, because other vCPUs may write it meanwhile.  A and D are set when nothing can fault any
 * more, by compare-and-swap with the value the walk has judged: if somebody changed the entry, the
 * whole walk is done again.  It ends, since each repetition takes a store by another vCPU between
 * two of our instructions.
 *
 * Choices where the manual leaves one.  The CPU may set A in a page directory although the walk
 * faults further down, we do not.  A table outside RAM reads as not present, where a PC would
 * read all ones from the empty bus and find reserved bits or a page at the top of memory.
 * Source: Intel SDM Vol. 3A, "Paging" (4).
 */
#include <errno.h>

#include "vmm/code.h"
#include "vmm/emu/emulate.h"
#include "vmm/mem.h"
#include "vmm/mmu.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/* Bits of an entry; SDM Vol. 3A, tables 4-4 to 4-6 and 4-8 to 4-11. */
#define ENTRY_P  0x001ull
#define ENTRY_RW 0x002ull
#define ENTRY_US 0x004ull
#define ENTRY_A  0x020ull
#define ENTRY_D  0x040ull
#define ENTRY_PS 0x080ull /* of a PDE; in a PTE the bit is PAT */
#define ENTRY_G  0x100ull
#define ENTRY_NX (1ull << 63)

#define EFER_NXE (1ull << 11)

#define LARGE_32  (4u << 20)
#define LARGE_PAE (2u << 20)

/* Bits @lo to @hi. */
#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

#define PAE_ADDR BITS(CPUID_PHYS_BITS - 1, 12)
#define PAE_HIGH BITS(62, CPUID_PHYS_BITS) /* reserved in every PAE entry */

/*
 * A 4 MiB PDE has physical bits M-1 to 32 in bits M-20 to 13, and bits 21 to M-19 are reserved;
 * M is the lesser of 40 and MAXPHYADDR (PSE-36; table 4-4).
 */
#define PSE_BITS (CPUID_PHYS_BITS < 40 ? CPUID_PHYS_BITS : 40)
#define PSE_HIGH BITS(PSE_BITS - 20, 13)
#define PSE_RSVD BITS(21, PSE_BITS - 19)

/* PDPTE: table 4-8.  Bit 63 too, whatever EFER.NXE says. */
#define PDPTE_RSVD (BITS(63, CPUID_PHYS_BITS) | BITS(8, 5) | BITS(2, 1))

enum found { FOUND, ABSENT, RESERVED };

static bool is_pae(const struct vcpu *v)
{
	return v->sh.cr4 & CR4_PAE;
}

/* EFER.NXE counts only where entries have a bit 63. */
static bool has_nx(const struct vcpu *v)
{
	return is_pae(v) && (v->sh.efer & EFER_NXE);
}

/* One entry of @len (4 or 8) bytes, read once; tables are aligned, so entries are too. */
static uint64_t entry_read(struct vm *vm, gpa_t gpa, unsigned len)
{
	const void *hva = vm_ptr(vm, gpa, len);

	if (!hva)
		return 0;
	if (len == 8)
		return __atomic_load_n((const uint64_t *)hva, __ATOMIC_ACQUIRE);
	return __atomic_load_n((const uint32_t *)hva, __ATOMIC_ACQUIRE);
}

/*
 * Set @bits in the entry at @gpa if it still is *@val; *@val becomes what it is then.
 * Returns false if it is not.
 */
static bool entry_set(struct vm *vm, gpa_t gpa, uint64_t *val, uint64_t bits, unsigned len)
{
	uint64_t old8 = *val, want = *val | bits;
	uint32_t old4 = (uint32_t)old8;
	void *hva;
	bool done;

	if (want == *val)
		return true;
	hva = vm_ptr(vm, gpa, len);
	if (!hva) /* it was read as not present: nobody gets here */
		return false;
	if (len == 8)
		done = __atomic_compare_exchange_n((uint64_t *)hva, &old8, want, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	else
		done = __atomic_compare_exchange_n((uint32_t *)hva, &old4, (uint32_t)want, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	if (!done)
		return false;
	*val = want;
	/* A page may be table and code at once. */
	if (code_shadowed(vm->code, gpa))
		code_written(vm->code, gpa, len);
	return true;
}

/* Reserved bits of a PAE entry that is no PDPTE, apart from those below bit 36. */
static uint64_t pae_rsvd(const struct vcpu *v)
{
	return PAE_HIGH | (has_nx(v) ? 0 : ENTRY_NX);
}

/* The page of 2 or 4 MiB that @l->pde maps. */
static enum found find_large(const struct vcpu *v, gva_t gva, struct mmu_leaf *l)
{
	uint64_t pde = l->pde;

	l->pte_gpa = l->pte = 0;
	if (is_pae(v)) {
		l->page_len = LARGE_PAE;
		l->gpa = (pde & PAE_ADDR & ~(uint64_t)(LARGE_PAE - 1)) | gva % LARGE_PAE;
		return pde & (pae_rsvd(v) | BITS(20, 13)) ? RESERVED : FOUND;
	}
	l->page_len = LARGE_32;
	l->gpa = (pde & PSE_HIGH) << (32 - 13) | (pde & BITS(31, 22)) | gva % LARGE_32;
	return pde & PSE_RSVD ? RESERVED : FOUND;
}

/* The PTE below @l->pde.  In 32-bit tables every bit has a meaning; bit 7 is PAT, which we have. */
static enum found find_small(struct vcpu *v, gva_t gva, struct mmu_leaf *l)
{
	uint64_t addr = is_pae(v) ? PAE_ADDR : BITS(31, 12);
	unsigned index = gva >> PAGE_SHIFT & (is_pae(v) ? 511 : 1023);

	l->page_len = PAGE_SIZE;
	l->pte_gpa = (l->pde & addr) + index * l->entry_len;
	l->pte = entry_read(v->vm, l->pte_gpa, l->entry_len);
	if (!(l->pte & ENTRY_P))
		return ABSENT;
	l->gpa = (l->pte & addr) | gva % PAGE_SIZE;
	return is_pae(v) && (l->pte & pae_rsvd(v)) ? RESERVED : FOUND;
}

/* Everything a walk finds, without judging the access. */
static enum found find(struct vcpu *v, gva_t gva, struct mmu_leaf *l)
{
	uint64_t leaf, all, any;
	enum found f;
	bool large;

	if (is_pae(v)) {
		/* Reserved bits were checked when the register was loaded. */
		uint64_t pdpte = v->sh.pdpte[gva >> 30];

		if (!(pdpte & ENTRY_P))
			return ABSENT;
		l->entry_len = 8;
		l->pde_gpa = (pdpte & PAE_ADDR) + (gva >> 21 & 511) * 8;
	} else {
		l->entry_len = 4;
		l->pde_gpa = (v->sh.cr3 & BITS(31, 12)) + (gva >> 22) * 4;
	}
	l->pde = entry_read(v->vm, l->pde_gpa, l->entry_len);
	if (!(l->pde & ENTRY_P))
		return ABSENT;
	/* CR4.PSE has no say in PAE tables. */
	large = (l->pde & ENTRY_PS) && (is_pae(v) || (v->sh.cr4 & CR4_PSE));
	if (!large && is_pae(v) && (l->pde & pae_rsvd(v)))
		return RESERVED;
	f = large ? find_large(v, gva, l) : find_small(v, gva, l);
	if (f != FOUND)
		return f;
	leaf = large ? l->pde : l->pte;
	all = l->pde & leaf;
	any = l->pde | leaf;
	l->writable = all & ENTRY_RW;
	l->user = all & ENTRY_US;
	l->nx = has_nx(v) && (any & ENTRY_NX);
	l->dirty = leaf & ENTRY_D;
	l->global = (leaf & ENTRY_G) && (v->sh.cr4 & CR4_PGE);
	return FOUND;
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
 * find() and the checks.  Returns 0, or -EFAULT with the error code of SDM Vol. 3A, 4.7: W/R and
 * U/S are the access's; I/D is told only where pages can be no-execute; P says that all entries
 * were present.
 */
static int find_checked(struct vcpu *v, gva_t gva, unsigned access, struct mmu_leaf *l,
			uint32_t *pfec)
{
	uint32_t code = access & (PF_WRITE | PF_USER | (has_nx(v) ? PF_FETCH : 0));

	switch (find(v, gva, l)) {
	case ABSENT: break;
	case RESERVED: code |= PF_PRESENT | PF_RSVD; break;
	case FOUND:
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
		if (!entry_set(vm, l->pde_gpa, &l->pde, bits, l->entry_len))
			return false;
		l->dirty = l->pde & ENTRY_D;
		return true;
	}
	if (!entry_set(vm, l->pde_gpa, &l->pde, ENTRY_A, l->entry_len) ||
	    !entry_set(vm, l->pte_gpa, &l->pte, bits, l->entry_len))
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

/* Entries with reserved bits translate nothing, so they are "none" here. */
int mmu_peek(struct vcpu *v, gva_t gva, struct mmu_leaf *leaf)
{
	struct mmu_leaf l;

	if (find(v, gva, &l) != FOUND)
		return -ENOENT;
	*leaf = l;
	return 0;
}

int mmu_load_pdptes(struct vcpu *v, uint32_t cr3)
{
	gpa_t table = cr3 & ~0x1fu;
	uint64_t pdpte[4];

	for (unsigned i = 0; i < 4; i++) {
		pdpte[i] = entry_read(v->vm, table + i * 8, 8);
		if ((pdpte[i] & ENTRY_P) && (pdpte[i] & PDPTE_RSVD))
			return vcpu_gp(v, 0);
	}
	for (unsigned i = 0; i < 4; i++)
		v->sh.pdpte[i] = pdpte[i];
	return EMU_OK;
}
