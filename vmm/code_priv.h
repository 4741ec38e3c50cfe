/* SPDX-License-Identifier: MIT */
/* Shadow code pages: what code.c, code_scan.c and code_step.c share.  All under vm->mmu_lock. */
#ifndef RINGSIDE_VMM_CODE_PRIV_H
#define RINGSIDE_VMM_CODE_PRIV_H

#include "decoder/scan.h"
#include "vmm/code.h"

#define NO_SLOT UINT32_MAX

/* What is known of one guest page that is, was or will be executed. */
struct code_page {
	gpa_t gpa;
	gva_t gva;           /* where the copy is mapped */
	uint32_t slot;       /* of the copy, NO_SLOT: none */
	uint8_t bits;        /* 16 or 32: how it was scanned */
	bool mapped;         /* the copy is mapped executable at gva */
	bool dirty;          /* to be scanned again before the guest runs */
	uint16_t refetched;  /* times it was executed again after a drop */
	uint16_t writes;     /* emulated since the last drop */
	scan_bitmap entries; /* where control is known to arrive */
	struct scan_result res;
	struct code_page *next_dirty;
};

struct code_step {
	gva_t gva;
	gpa_t gpa;
	bool used;
};

struct code {
	struct vm *vm;
	struct code_page **page; /* by gfn */
	size_t pages;            /* of RAM */
	unsigned known;          /* code_page objects */
	uint32_t free_slot[CODE_PAGES];
	unsigned free_slots;
	struct code_page *dirty;
	/* Pages mapped as they are for a single step: two of code, and one that is written. */
	struct code_step step[VM_VCPUS_MAX][3];
	uint8_t bits[VM_VCPUS_MAX]; /* of the code segment each vCPU runs in */
	bool patch_tsc;
	uint64_t *image_hash; /* by gfn: of pages with code as loaded, else 0 */
	struct code_stats st;
};

/* ---- code.c ---- */

/* The copy in @slot, in the VMM and as engine->map() knows it. */
uint8_t *code_slot_ptr(const struct code *c, uint32_t slot);
gpa_t code_slot_offset(uint32_t slot);
/* What is known of the page of @gpa, or NULL. */
struct code_page *code_page_find(const struct code *c, gpa_t gpa);
/* The same, made if need be.  NULL: out of memory or not RAM; the caller can do without. */
struct code_page *code_page_get(struct code *c, gpa_t gpa);
/* To be scanned again before the guest runs. */
void code_mark_dirty(struct code *c, struct code_page *p);
/* The physical address of code at linear address @gva, without touching the guest's tables. */
int code_where(struct vcpu *v, gva_t gva, gpa_t *gpa);
/* The guest may write the page again; its copy is gone, its entries are kept. */
int code_page_drop(struct code *c, struct vcpu *v, struct code_page *p);
/* Does the instruction at EIP lie in @p, or run on into it? */
bool code_writes_itself(struct vcpu *v, const struct code_page *p);
/* Is the vCPU in its user view, which runs what the guest wrote, unpatched? */
bool code_user_view(const struct vcpu *v);

/* ---- code_scan.c ---- */

/* Scan @p from its entries and fill its copy. */
void code_page_scan(struct code *c, struct vcpu *v, struct code_page *p);
/* Scan every dirty page.  0 or negative errno. */
int code_rescan(struct code *c, struct vcpu *v);

#endif
