/* SPDX-License-Identifier: MIT */
/*
 * Windows of the guest-physical address space behind which is a file of the host instead of RAM:
 * the shared memory of assigned devices.
 *
 * The guest accesses the file's pages natively.  The VMM never maps them: whoever shares the file
 * may shrink it at any time, and an access past its end is a SIGBUS.  What the VMM reads or writes
 * there on the guest's behalf (an exception frame, `sgdt`) goes through the MMIO bus with pread()
 * and pwrite(); nothing is ever executed from there, and page tables there read as not present.
 */
#ifndef RINGSIDE_VMM_REGION_H
#define RINGSIDE_VMM_REGION_H

#include "vmm/types.h"

struct vm;

#define REGIONS_MAX 8

struct vm_region {
	struct vm *vm;
	gpa_t gpa;        /* multiple of PAGE_SIZE, not below the end of RAM */
	uint64_t len;     /* bytes, whole pages, within the first 4 GiB */
	int fd;           /* open for reading and writing; byte 0 is at @gpa */
	unsigned device;  /* number of the assigned device, for messages */
	const char *file; /* as the user named it */
};

/*
 * Add a window to r->vm, before the guest runs.  The engine may map it, and the MMIO bus serves it.
 * Returns 0, or -EEXIST if there is something at these addresses, -ENOSPC if there are too many.
 * Neither copies nor closes the descriptor.
 */
int region_add(const struct vm_region *r);
/* The window that holds the page of @gpa, or NULL.  Any thread. */
const struct vm_region *region_at(const struct vm *vm, gpa_t gpa);
/*
 * The host has no page for an address in @r: end the VM with a sentence that says why.  Returns
 * -EIO.  Any thread.
 */
int region_lost(const struct vm_region *r);

#endif
