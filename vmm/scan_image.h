/* SPDX-License-Identifier: MIT */
/*
 * The static audit behind `ringside scan`: which sensitive instructions does the code of an ELF
 * kernel contain, and where?  Nothing is run.
 *
 * A linear sweep of the executable sections that starts anew at every symbol.  Code and data cannot
 * be told apart for certain: data between functions may be counted as instructions (tables of
 * pointers seldom, text often), and code reached only in the middle of another instruction, or
 * 16-bit code in a 32-bit image, is not seen as what it is.
 */
#ifndef RINGSIDE_VMM_SCAN_IMAGE_H
#define RINGSIDE_VMM_SCAN_IMAGE_H

#include "vmm/elf_sections.h"
#include "vmm/types.h"

struct scan_region {
	const char *name;     /* of the section; "" for a segment */
	const uint8_t *bytes; /* in image_scan.img */
	uint32_t gva;         /* where it is linked to run */
	uint32_t size;        /* bytes */
};

/* What was found of one row of the table of sensitive instructions. */
struct scan_row {
	uint64_t count;
	uint32_t *gva; /* the first @places of them, in order of region and address */
	size_t places, room;
};

struct image_scan {
	struct elf_image img;
	struct symbols *symbols; /* NULL: it has none */
	struct scan_region *region;
	size_t regions;
	uint64_t bytes;        /* in all regions */
	uint64_t instructions; /* sensitive or not */
	uint64_t not_code;     /* bytes that are no instruction */
	struct scan_row *row;  /* parallel to sensitive_table() */
	size_t rows;
};

/*
 * Read the ELF32 i386 executable at @path and find its code: executable sections, or executable
 * segments where there are no such sections.  Does not trust anything in the file.
 * Returns 0, or negative errno with one sentence in @err: -ENOMEM if the host has no memory, any
 * other for a fault of the file.  image_scan_close() in any case.
 * Source: System V ABI, "Object Files" (4); its Intel386 supplement, 4.1.
 */
int image_scan_open(struct image_scan *s, const char *path, char *err, size_t err_size);

/*
 * Sweep all regions.  Of each row that need not trap at ring 3 (column patch) at most @places_max
 * places are kept.  @progress, which may be NULL, is called about every MiB.
 * Returns 0 or -ENOMEM.
 */
int image_scan_sweep(struct image_scan *s, size_t places_max,
		     void (*progress)(uint64_t done, uint64_t total));

/* The name of the symbol or section that holds @gva, and *@off bytes from its start; or NULL. */
const char *image_scan_name(const struct image_scan *s, uint32_t gva, uint32_t *off);

void image_scan_close(struct image_scan *s);

#endif
