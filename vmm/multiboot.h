/* SPDX-License-Identifier: MIT */
/*
 * The Multiboot 1 side of booting, free of ELF: finding the header in an image, deciding where in
 * guest RAM things go, and writing the information block.
 * Source: Multiboot Specification 0.6.96.
 */
#ifndef RINGSIDE_VMM_MULTIBOOT_H
#define RINGSIDE_VMM_MULTIBOOT_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/types.h"

#define MB_HEADER_MAGIC 0x1badb002u
#define MB_BOOT_MAGIC   0x2badb002u /* in EAX when the kernel starts */
#define MB_SEARCH       8192u       /* the header lies within the first so many bytes */

/* A PC's memory below 1 MiB: RAM up to LOW_END, then firmware data, devices and firmware. */
#define LOW_END      0x9fc00u
#define LOW_RESERVED 0xa0000u
#define ROM_BASE     0xf0000u
#define HIGH_BASE    0x100000u

/* What is where in guest RAM.  Room for segments, modules, sections and the information block. */
#define LAYOUT_MAX 384
struct layout {
	uint64_t ram_len;
	struct {
		uint64_t base, len;
	} taken[LAYOUT_MAX];
	size_t count;
};

/* Start with what no loader may use: LOW_END..HIGH_BASE. */
void layout_init(struct layout *l, uint64_t ram_len);
/* Does [base, base + len) touch something taken?  Returns its index, or -1. */
int layout_hit(const struct layout *l, uint64_t base, uint64_t len);
/* Mark as taken.  Returns 0 or -ENOSPC when the table is full. */
int layout_take(struct layout *l, uint64_t base, uint64_t len);
/*
 * Find and take the first free @len bytes at or above @from, aligned to @align (a power of two).
 * Returns 0 and *@base, or -ENOSPC.
 */
int layout_place(struct layout *l, uint64_t from, uint64_t len, uint64_t align, uint32_t *base);

/*
 * Look for a header in the @size bytes of @image.  Returns 0 if there is one that Ringside can
 * honour; or -ENOEXEC with a phrase in @err that fits behind the name of the file.
 */
int multiboot_check_header(const uint8_t *image, size_t size, char *err, size_t err_size);

/* A module as it lies in guest RAM, [start, end), and its command line. */
struct mb_module {
	uint32_t start, end;
	const char *cmdline;
};

struct mb_info {
	const char *cmdline;
	const struct mb_module *mods;
	size_t nmods;
	/* ELF section headers, loaded at @shdr_gpa; @shnum 0: not told. */
	uint32_t shnum, shentsize, shdr_gpa, shndx;
};

/*
 * Write the information block of @in into the @ram_len bytes of RAM at @ram, at a place free in
 * @l.  Returns 0 and *@gpa, -ENOSPC when there is no room, or -ENOMEM.
 */
int multiboot_write_info(struct layout *l, uint8_t *ram, const struct mb_info *in, uint32_t *gpa);

#endif
