/* SPDX-License-Identifier: MIT */
#include "vmm/elf_sections.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/multiboot.h"
#include "vmm/symbols.h"

#define ELF_SECTIONS_MAX 4096
/* What a hostile table can make us copy is bounded: 128 MiB at worst, for a file of 16 MiB. */
#define SYMBOLS_MAX  (1u << 20)
#define RANGES_MAX   256 /* sections that tell code from data */
#define NAME_MAX_LEN 128u

bool elf_inside(const struct elf_image *img, uint64_t off, uint64_t count, uint64_t entry)
{
	return off <= img->size && count * entry <= img->size - off;
}

/* Section @i if its contents lie in the file. */
static bool get_section(const struct elf_image *img, size_t i, GElf_Shdr *sh)
{
	Elf_Scn *scn = elf_getscn(img->elf, i);
	return scn && gelf_getshdr(scn, sh) && sh->sh_type != SHT_NOBITS &&
	       elf_inside(img, sh->sh_offset, sh->sh_size, 1);
}

void elf_load_sections(const struct elf_image *img, struct layout *layout, uint8_t *ram,
		       uint64_t from, struct mb_info *info)
{
	const GElf_Ehdr *eh = &img->eh;
	unsigned tables = 0;
	uint32_t gpa;

	if (!eh->e_shnum || eh->e_shnum > ELF_SECTIONS_MAX || eh->e_shstrndx >= eh->e_shnum)
		return;
	if (layout_place(layout, from, (uint64_t)eh->e_shnum * sizeof(Elf32_Shdr), 16, &gpa))
		return;
	memcpy(ram + gpa, img->bytes + eh->e_shoff, eh->e_shnum * sizeof(Elf32_Shdr));
	for (size_t i = 0; i < eh->e_shnum; i++) {
		uint32_t at;
		GElf_Shdr sh;
		if (!get_section(img, i, &sh) || sh.sh_addr || !sh.sh_size ||
		    (sh.sh_type != SHT_SYMTAB && sh.sh_type != SHT_STRTAB))
			continue;
		if (++tables > ELF_TABLES_MAX || layout_place(layout, from, sh.sh_size, 16, &at))
			return;
		memcpy(ram + at, img->bytes + sh.sh_offset, sh.sh_size);
		memcpy(ram + gpa + i * sizeof(Elf32_Shdr) + offsetof(Elf32_Shdr, sh_addr), &at,
		       sizeof(at));
	}
	info->shnum = eh->e_shnum;
	info->shentsize = sizeof(Elf32_Shdr);
	info->shdr_gpa = gpa;
	info->shndx = eh->e_shstrndx;
}

/* Functions, and the labels of hand-written assembly in code sections. */
static bool is_code(const struct elf_image *img, const GElf_Sym *sym)
{
	GElf_Shdr sh;
	Elf_Scn *scn;

	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx >= SHN_LORESERVE)
		return false;
	if (GELF_ST_TYPE(sym->st_info) == STT_FUNC)
		return true;
	scn = elf_getscn(img->elf, sym->st_shndx);
	return GELF_ST_TYPE(sym->st_info) == STT_NOTYPE && scn && gelf_getshdr(scn, &sh) &&
	       sh.sh_flags & SHF_EXECINSTR;
}

/* A symbol table that is damaged costs the names in reports, not the boot: skip what is wrong. */
static int read_symbol_table(const struct elf_image *img, const GElf_Shdr *sh, Elf_Scn *scn,
			     struct symbols *syms)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	const char *names;
	GElf_Shdr str;
	int ret = 0;

	if (!data || sh->sh_link >= img->eh.e_shnum || !get_section(img, sh->sh_link, &str) ||
	    str.sh_type != SHT_STRTAB)
		return 0;
	names = (const char *)img->bytes + str.sh_offset;
	for (size_t i = 0; i < sh->sh_size / sizeof(Elf32_Sym) && i < SYMBOLS_MAX && !ret; i++) {
		char name[NAME_MAX_LEN];
		uint64_t room;
		GElf_Sym sym;
		if (!gelf_getsym(data, (int)i, &sym))
			break;
		if (sym.st_name >= str.sh_size || !is_code(img, &sym))
			continue;
		room = str.sh_size - sym.st_name;
		snprintf(name, sizeof(name), "%.*s",
			 room < sizeof(name) ? (int)room : (int)sizeof(name), names + sym.st_name);
		if (!*name)
			continue;
		ret = symbols_add(syms, (uint32_t)sym.st_value, (uint32_t)sym.st_size, name);
		if (!ret && GELF_ST_TYPE(sym.st_info) == STT_FUNC)
			symbols_set_function(syms);
	}
	return ret;
}

/* Where what is linked at @addr was loaded: by the program header that holds it. */
static uint32_t load_address(const struct elf_image *img, uint64_t addr)
{
	GElf_Phdr ph;

	for (size_t i = 0; i < img->eh.e_phnum; i++)
		if (gelf_getphdr(img->elf, (int)i, &ph) && ph.p_type == PT_LOAD &&
		    addr >= ph.p_vaddr && addr - ph.p_vaddr < ph.p_memsz)
			return (uint32_t)(addr - ph.p_vaddr + ph.p_paddr);
	return (uint32_t)addr;
}

int elf_read_symbols(const struct elf_image *img, struct symbols **out)
{
	struct symbols *syms = symbols_new();
	int ret = syms ? 0 : -ENOMEM;
	unsigned ranges = 0, tables = 0;

	for (size_t i = 1; i < img->eh.e_shnum && !ret; i++) {
		GElf_Shdr sh;
		if (!get_section(img, i, &sh))
			continue;
		if (sh.sh_flags & SHF_ALLOC && sh.sh_size && ranges++ < RANGES_MAX)
			ret = symbols_add_range(syms, (uint32_t)sh.sh_addr, (uint32_t)sh.sh_size,
						load_address(img, sh.sh_addr),
						sh.sh_flags & SHF_EXECINSTR ? SYMBOLS_CODE
									    : SYMBOLS_DATA);
		/* An image has at most one: System V ABI, "Sections", SHT_SYMTAB. */
		if (ret || tables || sh.sh_type != SHT_SYMTAB || sh.sh_entsize != sizeof(Elf32_Sym))
			continue;
		tables++;
		ret = read_symbol_table(img, &sh, elf_getscn(img->elf, i), syms);
	}
	if (ret || (!symbols_count(syms) && !ranges)) {
		symbols_free(syms);
		return ret;
	}
	symbols_finish(syms);
	*out = syms;
	return 0;
}
