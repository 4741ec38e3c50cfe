/* SPDX-License-Identifier: MIT */
/*
 * The guest's own paging: what its tables say.  mmu_walk.c has 32-bit tables and the rules for an
 * access, mmu_pae.c PAE tables.
 *
 * A table outside RAM reads as not present, where a PC would read all ones from the empty bus and
 * find reserved bits or a page at the top of memory.
 */
#include <errno.h>

#include "vmm/code.h"
#include "vmm/mmu_priv.h"

bool mmu_entry_set(struct vm *vm, gpa_t gpa, uint64_t *val, uint64_t bits, unsigned len)
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

enum mmu_found mmu_find(struct vcpu *v, gva_t gva, struct mmu_leaf *l)
{
	enum mmu_found f = mmu_is_pae(v) ? mmu_find_pae(v, gva, l) : mmu_find_32(v, gva, l);

	if (f == MMU_FOUND)
		mmu_rights(v, l);
	return f;
}

/* Entries with reserved bits translate nothing, so they are "none" here. */
int mmu_peek(struct vcpu *v, gva_t gva, struct mmu_leaf *leaf)
{
	struct mmu_leaf l;

	if (mmu_find(v, gva, &l) != MMU_FOUND)
		return -ENOENT;
	*leaf = l;
	return 0;
}
