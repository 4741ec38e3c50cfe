/* SPDX-License-Identifier: MIT */
/*
 * The sections of an ELF image: a copy for the guest, and symbols for our own reports.  Nothing
 * here is needed to run the image, so what is damaged is skipped.  Used by loader.c, which has
 * checked the ELF header and that the section headers lie in the file.
 */
#ifndef RINGSIDE_VMM_ELF_SECTIONS_H
#define RINGSIDE_VMM_ELF_SECTIONS_H

#include <gelf.h>

#include "vmm/types.h"

struct layout;
struct mb_info;
struct symbols;

#define ELF_TABLES_MAX 128 /* symbol and string tables loaded for the guest */

struct elf_image {
	uint8_t *bytes; /* the whole file */
	size_t size;
	Elf *elf; /* libelf's handle on them */
	GElf_Ehdr eh;
};

/* Do @count (below 2^32) entries of @entry (below 2^16) bytes at @off lie in the file? */
bool elf_inside(const struct elf_image *img, uint64_t off, uint64_t count, uint64_t entry);

/*
 * Load the section headers, and the symbol and string tables that have no address yet, into the
 * RAM at @ram where @layout has room from @from on, and tell so in @info (Multiboot 3.3, flag 5:
 * "all sections are loaded, and the physical address fields refer to where they are").  It is a
 * convenience: without room for it, @info is left as it is.
 */
void elf_load_sections(const struct elf_image *img, struct layout *layout, uint8_t *ram,
		       uint64_t from, struct mb_info *info);

/* The image's code symbols.  Returns 0 and *@out (untouched if there are none), or -ENOMEM. */
int elf_read_symbols(const struct elf_image *img, struct symbols **out);

#endif
