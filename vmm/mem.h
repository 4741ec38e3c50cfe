/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as the VMM sees it: RAM by physical address, and accesses by linear and by
 * segmented address on behalf of a vCPU.  Guest RAM may change under our hands (other vCPUs and a
 * breached world write it): everything is copied once, and checked on the copy.
 */
#ifndef RINGSIDE_VMM_MEM_H
#define RINGSIDE_VMM_MEM_H

#include "vmm/types.h"

struct vm;
struct vcpu;

/*
 * Host address of guest RAM [gpa, gpa + len), or NULL if any of it is not RAM.
 * Never dereference it for values that are checked and used twice: copy first.
 */
void *vm_ptr(struct vm *vm, gpa_t gpa, size_t len);

/*
 * Translate @gva for an access of kind @access (PF_WRITE | PF_USER | PF_FETCH).  With paging off
 * the identity.  Out: *@gpa.  Returns 0, or -EFAULT with *@pfec set to the #PF error code.
 * Sets A, and D on a write, as the access itself would: to look without touching, see mmu.h.
 * vCPU thread only.  Source: Intel SDM Vol. 3A, "Paging" (4).
 */
int mmu_translate(struct vcpu *v, gva_t gva, unsigned access, gpa_t *gpa, uint32_t *pfec);

/* PF_USER if the vCPL is 3, else 0: the privilege of the guest's explicit accesses. */
unsigned mem_user(const struct vcpu *v);

/*
 * Read or write @len bytes (1..4096) at linear address @gva with privileges @access (PF_USER or 0;
 * PF_WRITE is implied by write, PF_FETCH may be given for reads of code).  RAM is copied; anything
 * else goes to the MMIO bus in naturally sized pieces.  Addresses wrap at 4 GiB.
 * Returns 0; EMU_FAULT with v->fault set to a #PF, in which case nothing was written (a write that
 * crosses pages translates both first).
 */
int mem_read(struct vcpu *v, gva_t gva, void *buf, size_t len, unsigned access);
int mem_write(struct vcpu *v, gva_t gva, const void *buf, size_t len, unsigned access);
/* Check that a write of @len (1..4096) bytes would succeed; neither writes nor sets A or D.  Same
 * returns. */
int mem_probe_write(struct vcpu *v, gva_t gva, size_t len, unsigned access);
/* The same for a read. */
int mem_probe_read(struct vcpu *v, gva_t gva, size_t len, unsigned access);

/*
 * The same by physical address, which cannot fault.  [gpa, gpa + len) lies within one page.
 */
void mem_phys_read(struct vcpu *v, gpa_t gpa, uint8_t *buf, size_t len);
void mem_phys_write(struct vcpu *v, gpa_t gpa, const uint8_t *buf, size_t len);

/*
 * Replace the @len (1, 2, 4 or 8) bytes at @gva by @val if they still are @old: what a LOCK prefix
 * asks for.  One host atomic operation where they are aligned RAM; a plain write elsewhere (devices
 * have no atomic cycles, and a split lock may be refused by the host).
 * Returns 0; -EAGAIN if they no longer are @old, nothing written; EMU_FAULT with v->fault set.
 */
int mem_cas(struct vcpu *v, gva_t gva, uint64_t old, uint64_t val, size_t len, unsigned access);

/*
 * Through segment @seg at offset @off, with the segment's type, limit (expand-down too), null and
 * presence checks: #GP(0), or #SS(0) for SS.  PF_USER is taken from the vCPL.
 * Source: Intel SDM Vol. 3A, "Limit Checking" (5.3), "Type Checking" (5.4).
 * Returns 0, EMU_FAULT with v->fault set.
 */
int seg_linear(struct vcpu *v, enum seg seg, uint32_t off, size_t len, bool write, gva_t *gva);
int seg_read(struct vcpu *v, enum seg seg, uint32_t off, void *buf, size_t len);
int seg_write(struct vcpu *v, enum seg seg, uint32_t off, const void *buf, size_t len);

/*
 * Fetch code at CS:@eip into @buf, up to @max bytes, stopping at the segment limit and at the first
 * page that is not accessible.  Returns the number of bytes.  v->fault says what the guest gets if
 * the instruction needs more than that (or if it is 0): #PF of the next page, or #GP(0) past the
 * segment limit or past @max.  A is set in every page fetched from, as by the CPU's prefetch.
 */
int code_fetch(struct vcpu *v, uint32_t eip, uint8_t *buf, size_t max);

#endif
