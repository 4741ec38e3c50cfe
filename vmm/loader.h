/* SPDX-License-Identifier: MIT */
/* Loads a Multiboot 1 ELF32 kernel and its modules into guest RAM, through libelf. */
#ifndef RINGSIDE_VMM_LOADER_H
#define RINGSIDE_VMM_LOADER_H

#include "vmm/types.h"

struct vm;
struct symbols;

struct boot_module {
	const char *path;
	const char *cmdline; /* may be NULL: the path's base name is passed */
};

struct boot_info {
	uint32_t entry;    /* physical (paging is off) address of the first instruction */
	uint32_t info_gpa; /* Multiboot information block, goes into EBX */
	uint32_t magic;    /* 0x2badb002, goes into EAX */
};

/*
 * Load @image with @cmdline (may be NULL) and @nmods modules into @vm's RAM.
 * Segments go to their physical addresses; an entry that is a virtual address is translated
 * through the segment that holds it.  *@syms gets the image's symbols (NULL if stripped).
 * Returns 0; or negative errno with one sentence in @err that names the file and what to do about
 * it: not an ELF, wrong class, wrong machine, no Multiboot header in the first 8 KiB, header
 * checksum wrong, unsupported mandatory flags, segment outside RAM or overlapping another, file
 * truncated, entry outside every segment, modules that do not fit.  Nothing was started.
 * Source: Multiboot Specification 0.6.96, sections 3.1-3.3; System V ABI, i386 supplement.
 */
int loader_load(struct vm *vm, const char *image, const char *cmdline,
		const struct boot_module *mods, size_t nmods, struct boot_info *out,
		struct symbols **syms, char *err, size_t err_size);

#endif
