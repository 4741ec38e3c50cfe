/* SPDX-License-Identifier: MIT */
/* A small good Multiboot ELF kernel made in memory, to be loaded or spoilt by the loader's tests.
 */
#ifndef RINGSIDE_TESTS_BOOT_IMAGE_H
#define RINGSIDE_TESTS_BOOT_IMAGE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/loader.h"
#include "vmm/vm.h"

#define TEST_RAM   (4u << 20)
#define JUNK       0xcc /* RAM before a load: zeroes afterwards were written */
#define TEXT_PADDR 0x100000u
#define DATA_PADDR 0x102000u
#define TEXT_LEN   0x1800u
#define DATA_LEN   0x100u
#define DATA_MEM   0x900u

#define OFF_PH     0x34u
#define OFF_MB     0x200u
#define OFF_TEXT   0x1000u
#define OFF_DATA   (OFF_TEXT + TEXT_LEN)
#define OFF_STRTAB (OFF_DATA + DATA_LEN)
#define OFF_SYMTAB (OFF_STRTAB + 0x40u)
#define OFF_SH     (OFF_SYMTAB + 4 * sizeof(Elf32_Sym))
#define OFF_END    (OFF_SH + 4 * sizeof(Elf32_Shdr))
#define IMAGE_LEN  0x3000u

struct test_image {
	_Alignas(16) uint8_t b[IMAGE_LEN];
	size_t len;
	Elf32_Ehdr *eh;
	Elf32_Phdr *ph; /* text, data, note, and five of no type */
	Elf32_Shdr *sh; /* null, text, symtab, strtab */
	uint32_t *mb;   /* magic, flags, checksum */
};

void image_make(struct test_image *im);

/* A file in memory with @len bytes; its path goes to @path.  Returns the descriptor. */
int image_file(const void *bytes, size_t len, char path[64]);

/* A machine to load it into, and what came out of the last load.  RAM is filled with JUNK. */
struct test_boot {
	struct vm vm;
	struct boot_info info;
	struct symbols *syms;
	char sentence[600];
	char path[64]; /* of the image */
};
extern struct test_boot tb;

void boot_up(void);
void boot_down(void);
int boot_load(const struct test_image *im, const char *cmdline, const struct boot_module *mods,
	      size_t nmods);
int boot_load_path(const char *path, const struct boot_module *mods, size_t nmods);

#endif
