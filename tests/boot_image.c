/* SPDX-License-Identifier: MIT */
#include "tests/boot_image.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/multiboot.h"
#include "vmm/symbols.h"

struct test_boot tb;

void image_make(struct test_image *im)
{
	static const char names[] = "\0start\0main\0";
	Elf32_Sym *sym;

	memset(im, 0, sizeof(*im));
	im->len = OFF_END;
	im->eh = (void *)im->b;
	im->ph = (void *)(im->b + OFF_PH);
	im->sh = (void *)(im->b + OFF_SH);
	im->mb = (void *)(im->b + OFF_MB);
	memcpy(im->eh->e_ident, ELFMAG, SELFMAG);
	im->eh->e_ident[EI_CLASS] = ELFCLASS32;
	im->eh->e_ident[EI_DATA] = ELFDATA2LSB;
	im->eh->e_ident[EI_VERSION] = EV_CURRENT;
	im->eh->e_type = ET_EXEC;
	im->eh->e_machine = EM_386;
	im->eh->e_version = EV_CURRENT;
	im->eh->e_entry = TEXT_PADDR + 0x10;
	im->eh->e_ehsize = sizeof(Elf32_Ehdr);
	im->eh->e_phoff = OFF_PH;
	im->eh->e_phentsize = sizeof(Elf32_Phdr);
	im->eh->e_phnum = 8;
	im->eh->e_shoff = OFF_SH;
	im->eh->e_shentsize = sizeof(Elf32_Shdr);
	im->eh->e_shnum = 4;
	im->eh->e_shstrndx = 3;
	im->ph[0] = (Elf32_Phdr){ PT_LOAD,  OFF_TEXT, TEXT_PADDR,  TEXT_PADDR,
				  TEXT_LEN, TEXT_LEN, PF_R | PF_X, 0x1000 };
	im->ph[1] = (Elf32_Phdr){ PT_LOAD,  OFF_DATA, DATA_PADDR,  DATA_PADDR,
				  DATA_LEN, DATA_MEM, PF_R | PF_W, 0x1000 };
	im->ph[2] = (Elf32_Phdr){ .p_type = PT_NOTE, .p_paddr = 0xffffff00, .p_memsz = 0x1000 };
	im->mb[0] = MB_HEADER_MAGIC;
	im->mb[1] = 3;
	im->mb[2] = 0u - MB_HEADER_MAGIC - 3;
	for (unsigned i = 0; i < TEXT_LEN + DATA_LEN; i++)
		im->b[OFF_TEXT + i] = (uint8_t)(i * 7 + 1);
	memcpy(im->b + OFF_STRTAB, names, sizeof(names));
	sym = (void *)(im->b + OFF_SYMTAB);
	sym[1] = (Elf32_Sym){ .st_name = 1, .st_value = TEXT_PADDR + 0x10, .st_shndx = 1 };
	sym[2] = (Elf32_Sym){ .st_name = 7,
			      .st_value = TEXT_PADDR + 0x40,
			      .st_size = 0x20,
			      .st_info = ELF32_ST_INFO(STB_GLOBAL, STT_FUNC),
			      .st_shndx = 1 };
	im->sh[1] = (Elf32_Shdr){ .sh_type = SHT_PROGBITS,
				  .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
				  .sh_addr = TEXT_PADDR,
				  .sh_offset = OFF_TEXT,
				  .sh_size = TEXT_LEN };
	im->sh[2] = (Elf32_Shdr){ .sh_type = SHT_SYMTAB,
				  .sh_offset = OFF_SYMTAB,
				  .sh_size = 3 * sizeof(Elf32_Sym),
				  .sh_link = 3,
				  .sh_entsize = sizeof(Elf32_Sym) };
	im->sh[3] = (Elf32_Shdr){ .sh_type = SHT_STRTAB,
				  .sh_offset = OFF_STRTAB,
				  .sh_size = sizeof(names) };
}

int image_file(const void *bytes, size_t len, char path[64])
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

void boot_up(void)
{
	cr_assert_eq(vm_init(&tb.vm, TEST_RAM), 0, "%s", tb.vm.death);
	memset(tb.vm.ram, JUNK, TEST_RAM);
}

void boot_down(void)
{
	symbols_free(tb.syms);
	vm_destroy(&tb.vm);
}

static int load_from(const char *path, const char *cmdline, const struct boot_module *mods,
		     size_t nmods)
{
	symbols_free(tb.syms);
	tb.sentence[0] = 0;
	return loader_load(&tb.vm, path, cmdline, mods, nmods, &tb.info, &tb.syms, tb.sentence,
			   sizeof(tb.sentence));
}

int boot_load(const struct test_image *im, const char *cmdline, const struct boot_module *mods,
	      size_t nmods)
{
	int ret, fd = image_file(im->b, im->len, tb.path);
	ret = load_from(tb.path, cmdline, mods, nmods);
	close(fd);
	return ret;
}

int boot_load_path(const char *path, const struct boot_module *mods, size_t nmods)
{
	return load_from(path, NULL, mods, nmods);
}
