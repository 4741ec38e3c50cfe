/* SPDX-License-Identifier: MIT */
/*
 * The shadow MMU: what of the guest's address spaces is mapped in which world.
 *
 * A *space* is one view of one guest address space on one vCPU: kernel (all present pages) or user
 * (pages with U=1 only).  Each has a world of its own, so the host's MMU keeps guest user code away
 * from the guest kernel although both run at ring 3.  A space is a software TLB of the guest's page
 * tables: filled on faults, forgotten when the architecture says that a TLB forgets.
 *
 * Coherence needs no write-protection of page tables.  With every mapping the space remembers the
 * table entries it was made from.  The guest may change entries at will; until it flushes (MOV CR3,
 * INVLPG ...) a stale translation is what a TLB may give as well.  At a flush the remembered
 * entries are compared with the present ones, a page table at a time, and what differs is unmapped.
 * So a space survives being switched away from, and page-table writes cost nothing.
 *
 * Each function takes vm->mmu_lock unless it says otherwise; those with a vCPU are for its thread.
 */
#ifndef RINGSIDE_VMM_SHADOW_H
#define RINGSIDE_VMM_SHADOW_H

#include "vmm/mmu.h"
#include "vmm/types.h"

struct vm;
struct vcpu;
struct engine;
struct shadow_mmu;

#define SHADOW_SPACES_DEFAULT 16u
#define SHADOW_SPACES_MAX     256u

struct shadow_stats {
	uint64_t switches;  /* to another space */
	uint64_t created;   /* worlds started for spaces */
	uint64_t evicted;   /* spaces whose world was given to another */
	uint64_t fills;     /* faults that ended in a mapping */
	uint64_t pages;     /* mapped by them, neighbours included */
	uint64_t validated; /* spaces compared with the guest's tables after a flush */
	uint64_t stale;     /* pages unmapped by that */
	uint64_t flushed;   /* spaces emptied at the limit of host mappings */
	unsigned spaces;    /* that exist now */
};

/* Adopt v->engine as the world of the first space.  Idempotent.  0 or -ENOMEM. */
int shadow_attach(struct vcpu *v);
/* Destroy every engine of @v and what belongs to them.  The statistics stay until vm_destroy(). */
void shadow_free(struct vcpu *v);

/*
 * Before every run: make v->engine the world of the space that CR0, CR3, CR4, EFER and the vCPL ask
 * for, brought up to date with the guest's tables.  Returns 0 or negative errno.
 */
int shadow_select(struct vcpu *v);

/* Map the page of @gva as @leaf, found by mmu_walk(), allows; neighbours too. */
int shadow_fill(struct vcpu *v, gva_t gva, const struct mmu_leaf *leaf);

/* ---- for code.c: pages of code and their copies ---- */

/* All under vm->mmu_lock, on behalf of @v. */

/* No world may write the page of @gpa any more: it is about to be executed from a copy. */
int shadow_protect(struct vcpu *v, gpa_t gpa);
/*
 * Map the copy at @copy (offset in the RAM memfd) of the page of @gpa, read + execute, at @gva in
 * the current space.
 */
int shadow_map_copy(struct vcpu *v, gva_t gva, gpa_t gpa, gpa_t copy);
/* Unmap the copies of the page of @gpa in all worlds; @writable: the guest may write it again. */
int shadow_drop_copies(struct vcpu *v, gpa_t gpa, bool writable);
/* The same in @v's worlds only; the page stays protected. */
int shadow_drop_own_copy(struct vcpu *v, gpa_t gpa);
/* Map original or copy for one single step, leaving the books alone. */
int shadow_map_once(struct vcpu *v, gva_t gva, gpa_t offset, unsigned prot);
/* Undo that: what the books say for @gva, which may be the copy of the page of @gpa, if @copy. */
int shadow_end_once(struct vcpu *v, gva_t gva, gpa_t gpa, gpa_t copy);

/* CPU time of all engines of the VM, also of those that are gone, ns.  Any thread. */
uint64_t shadow_cpu_ns(struct vm *vm);

void shadow_get_stats(const struct vm *vm, struct shadow_stats *out);

#endif
