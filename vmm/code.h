/* SPDX-License-Identifier: MIT */
/*
 * Shadow code pages: how sensitive instructions that do not trap at ring 3 are made to trap.
 *
 * A page of guest code is never executed itself.  It is mapped without execute permission; the
 * first instruction fetch faults, the page is scanned (decoder/scan.h), and a private copy in which
 * the first byte of every such instruction is a hlt is mapped read + execute instead.  Guest
 * physical memory is never modified: the VMM always fetches and decodes the original bytes.  A
 * write to the page faults; the copy is dropped or brought up to date.
 *
 * Copies live in the RAM memfd behind the guest's RAM, where no guest physical address reaches.
 * One instance a VM.  Each function takes vm->mmu_lock; those with a vCPU are for its thread.
 */
#ifndef RINGSIDE_VMM_CODE_H
#define RINGSIDE_VMM_CODE_H

#include "vmm/types.h"
#include "vmm/vm.h"

struct vm;
struct vcpu;
struct code;

/* Copies at most; when all are in use everything is flushed. */
#define CODE_PAGES (VM_COPIES_LEN / PAGE_SIZE)

struct code_stats {
	uint64_t scans, rescans, drops, flushes; /* pages */
	uint64_t scan_ns;                        /* time in the scanner, all scans */
	uint64_t writes;                         /* to code pages, emulated */
	uint64_t steps;                          /* original instructions single-stepped */
	uint32_t pages;                          /* shadowed now; the rest is the sum over these */
	uint64_t patches;                        /* instructions */
	uint64_t verified, assumed, unverified;  /* bytes; scan.h */
};

/* Returns NULL if out of memory. */
struct code *code_new(struct vm *vm);
void code_free(struct code *c);

/*
 * An instruction fetch at linear address @gva, backed by RAM at @gpa, found no execute permission:
 * scan the page with that entry and map the copy.  Returns 0 or negative errno.
 */
int code_fetch_fault(struct vcpu *v, gva_t gva, gpa_t gpa);

/* Is the page of @gpa executed from a copy, i.e. not writable by the guest? */
bool code_shadowed(const struct code *c, gpa_t gpa);

enum code_write {
	CODE_WRITE_EMULATE, /* keep the copy; emulate the instruction, mem_write() tells us */
	CODE_WRITE_DROPPED, /* the page is writable now; restart the instruction */
	CODE_WRITE_STEP,    /* as code_step_original(): the next run is to be one step */
};
/* What to do about a guest write to a shadowed page.  Returns enum code_write or negative errno. */
int code_write_fault(struct vcpu *v, gva_t gva, gpa_t gpa);

/*
 * The same after CODE_WRITE_EMULATE, for an instruction that the emulator does not know.  Returns
 * CODE_WRITE_DROPPED, CODE_WRITE_STEP or negative errno.
 */
int code_write_natively(struct vcpu *v, gva_t gva, gpa_t gpa);

/* The VMM wrote guest RAM [gpa, gpa + len): bring copies up to date.  Called by vmm/mem.c. */
void code_written(struct code *c, gpa_t gpa, size_t len);

/*
 * Before every run: rescan what changed, and make sure that the place where the guest continues is
 * an instruction the scanner knows.  Returns 0 or negative errno.
 */
int code_before_run(struct vcpu *v);

/*
 * The instruction at EIP traps only because of its patch or a neighbour's, and cannot be emulated:
 * let the next run (which must be ENGINE_STEP) execute the original bytes; code_step_done() puts
 * the copies back.  Only for instructions that are not sensitive.
 */
int code_step_original(struct vcpu *v);
int code_step_done(struct vcpu *v);

/*
 * Would the instruction at EIP trap, by a patch or by itself?  Only where that is known without
 * fetching it: in a page executed from a copy.
 */
bool code_at_patch(struct vcpu *v);

/* Can a trap at linear address @gva be the doing of a patch?  If there are several vCPUs, yes. */
bool code_patched(struct vcpu *v, gva_t gva);

/* Paging is off: map all of RAM in @v's world, writable but for the pages executed from copies. */
int code_map_flat(struct vcpu *v);
/* The same for the page of @gpa alone, unless it is executed from a copy by now. */
int code_remap_flat(struct vcpu *v, gpa_t gpa);

/* Patch rdtsc too, from now on (a TSC offset was set, or --tsc=trap). */
void code_patch_tsc(struct code *c);

/* Function symbols are entries of pages that still hold what was loaded.  Call once after loading.
 */
void code_use_symbols(struct vm *vm);

void code_get_stats(const struct code *c, struct code_stats *out);

#endif
