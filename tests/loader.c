/* SPDX-License-Identifier: MIT */
/*
 * The loader: good images land where they should.  The bad ones are in loader_bad.c.
 * Sources: Multiboot Specification 0.6.96; System V ABI, "Object Files".
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/boot_image.h"
#include "vmm/multiboot.h"
#include "vmm/symbols.h"

static uint32_t ram32(uint32_t gpa)
{
	uint32_t v;
	cr_assert_leq(gpa, tb.vm.ram_len - 4, "gpa %#x is outside RAM", gpa);
	memcpy(&v, tb.vm.ram + gpa, 4);
	return v;
}

static uint64_t ram64(uint32_t gpa)
{
	return ram32(gpa) | (uint64_t)ram32(gpa + 4) << 32;
}

static const char *ram_string(uint32_t gpa)
{
	cr_assert_lt(gpa, tb.vm.ram_len);
	cr_assert(memchr(tb.vm.ram + gpa, 0, tb.vm.ram_len - gpa));
	return (const char *)tb.vm.ram + gpa;
}

TestSuite(loader, .init = boot_up, .fini = boot_down, .timeout = 60);

Test(loader, segments_go_to_physical_addresses_and_bss_is_zeroed)
{
	struct test_image im;
	image_make(&im);
	im.ph[0].p_vaddr += 0xc0000000;
	im.ph[1].p_vaddr += 0xc0000000;
	im.eh->e_entry += 0xc0000000;
	cr_assert_eq(boot_load(&im, NULL, NULL, 0), 0, "%s", tb.sentence);
	cr_assert_eq(memcmp(tb.vm.ram + TEXT_PADDR, im.b + OFF_TEXT, TEXT_LEN), 0);
	cr_assert_eq(memcmp(tb.vm.ram + DATA_PADDR, im.b + OFF_DATA, DATA_LEN), 0);
	for (unsigned i = DATA_LEN; i < DATA_MEM; i++)
		cr_assert_eq(tb.vm.ram[DATA_PADDR + i], 0, "bss byte %#x", i);
	cr_assert_eq(tb.vm.ram[TEXT_PADDR + TEXT_LEN], JUNK, "wrote behind a segment");
	cr_assert_eq(tb.vm.ram[TEXT_PADDR - 1], JUNK, "wrote before a segment");
	cr_assert_eq(tb.info.magic, 0x2badb002);
}

Test(loader, virtual_entry_is_translated_through_its_segment)
{
	struct test_image im;
	image_make(&im);
	im.ph[0].p_vaddr = 0xc0100000;
	im.ph[1].p_vaddr = 0xd0000000;
	im.eh->e_entry = 0xd0000024;
	cr_assert_eq(boot_load(&im, NULL, NULL, 0), 0, "%s", tb.sentence);
	cr_assert_eq(tb.info.entry, DATA_PADDR + 0x24);
}

Test(loader, entry_that_is_already_physical_is_kept)
{
	struct test_image im;
	image_make(&im);
	im.ph[0].p_vaddr = 0xc0100000;
	im.ph[1].p_vaddr = 0xc0102000;
	cr_assert_eq(boot_load(&im, NULL, NULL, 0), 0, "%s", tb.sentence);
	cr_assert_eq(tb.info.entry, TEXT_PADDR + 0x10);
}

/* Spec 3.3: the fields of the block, by offset. */
Test(loader, information_block_says_what_the_specification_wants)
{
	struct test_image im;
	uint32_t b, at, end;
	char want[128];
	uint64_t ram_at_1m = 0;
	image_make(&im);
	cr_assert_eq(boot_load(&im, "root=none quiet", NULL, 0), 0, "%s", tb.sentence);
	b = tb.info.info_gpa;
	cr_assert_eq(ram32(b) & 0x24d, 0x24d, "flags %#x", ram32(b));
	cr_assert_eq(ram32(b) & ~0x26du, 0, "flags %#x promise what is not there", ram32(b));
	cr_assert_eq(ram32(b + 4), 639);
	cr_assert_eq(ram32(b + 8), (TEST_RAM - (1u << 20)) / 1024);
	snprintf(want, sizeof(want), "%s root=none quiet", tb.path);
	cr_assert_str_eq(ram_string(ram32(b + 16)), want);
	cr_assert_eq(ram32(b + 20), 0, "no modules were given");
	cr_assert_str_eq(ram_string(ram32(b + 64)), "Ringside");
	at = ram32(b + 48);
	end = at + ram32(b + 44);
	cr_assert_lt(at, end);
	for (uint64_t top = 0; at < end; at += ram32(at) + 4) {
		uint64_t base = ram64(at + 4), len = ram64(at + 12);
		uint32_t type = ram32(at + 20);
		cr_assert_geq(base, top, "regions overlap at %#lx", (unsigned long)base);
		top = base + len;
		if (base == 0)
			cr_assert(len == 0x9fc00 && type == 1);
		else if (base < 0x100000)
			cr_assert_eq(type, 2);
		else if (base == 0x100000 && type == 1)
			ram_at_1m = len;
	}
	cr_assert_eq(at, end);
	cr_assert_eq(ram_at_1m, TEST_RAM - (1u << 20));
}

/* Spec 3.3, flag 5: the headers, with addresses of where the tables are. */
Test(loader, section_headers_point_at_loaded_tables)
{
	struct test_image im;
	Elf32_Shdr sh[4];
	Elf32_Sym sym;
	image_make(&im);
	cr_assert_eq(boot_load(&im, NULL, NULL, 0), 0, "%s", tb.sentence);
	cr_assert(ram32(tb.info.info_gpa) & 0x20);
	cr_assert_eq(ram32(tb.info.info_gpa + 28), 4);
	cr_assert_eq(ram32(tb.info.info_gpa + 32), sizeof(Elf32_Shdr));
	cr_assert_eq(ram32(tb.info.info_gpa + 40), 3);
	memcpy(sh, tb.vm.ram + ram32(tb.info.info_gpa + 36), sizeof(sh));
	cr_assert_eq(sh[1].sh_addr, TEXT_PADDR, "an allocated section keeps its address");
	cr_assert_neq(sh[2].sh_addr, 0);
	memcpy(&sym, tb.vm.ram + sh[2].sh_addr + 2 * sizeof(sym), sizeof(sym));
	cr_assert_str_eq(ram_string(sh[3].sh_addr + sym.st_name), "main");
}

Test(loader, sections_are_left_out_where_there_is_no_room)
{
	struct test_image im;
	image_make(&im);
	im.ph[1].p_memsz = TEST_RAM - DATA_PADDR - 64; /* 64 bytes of RAM are left */
	cr_assert_eq(boot_load(&im, NULL, NULL, 0), 0, "%s", tb.sentence);
	cr_assert_eq(ram32(tb.info.info_gpa) & 0x20, 0);
}

/* Spec 3.1.2, flag 0: page-aligned.  And behind the kernel, its bss included. */
Test(loader, modules_lie_on_pages_behind_the_kernel)
{
	static const char first[5000] = "the first", second[] = "second";
	char p1[64], p2[64], p3[64];
	int f1 = image_file(first, sizeof(first), p1);
	int f2 = image_file("", 0, p2);
	int f3 = image_file(second, sizeof(second), p3);
	struct boot_module mods[] = { { p1, "one args" }, { p2, NULL }, { p3, "" } };
	struct test_image im;
	uint32_t m, start[3], end[3];

	image_make(&im);
	im.ph[1].p_memsz = 0x2345;
	cr_assert_eq(boot_load(&im, NULL, mods, 3), 0, "%s", tb.sentence);
	cr_assert_eq(ram32(tb.info.info_gpa + 20), 3);
	m = ram32(tb.info.info_gpa + 24);
	for (unsigned i = 0; i < 3; i++) {
		start[i] = ram32(m + 16 * i);
		end[i] = ram32(m + 16 * i + 4);
		cr_assert_eq(start[i] % 4096, 0);
		cr_assert_geq(start[i], DATA_PADDR + 0x2345);
	}
	cr_assert_eq(end[0] - start[0], sizeof(first));
	cr_assert_eq(end[1], start[1]);
	cr_assert_eq(end[2] - start[2], sizeof(second));
	cr_assert_geq(start[2], end[0]);
	cr_assert_eq(memcmp(tb.vm.ram + start[0], first, sizeof(first)), 0);
	cr_assert_eq(memcmp(tb.vm.ram + start[2], second, sizeof(second)), 0);
	cr_assert_str_eq(ram_string(ram32(m + 8)), "one args");
	cr_assert_str_eq(ram_string(ram32(m + 16 + 8)), strrchr(p2, '/') + 1, "the base name");
	cr_assert_str_eq(ram_string(ram32(m + 32 + 8)), "");
	close(f1);
	close(f2);
	close(f3);
}

/* A kernel that lies where the block usually goes. */
Test(loader, information_block_avoids_a_low_kernel)
{
	struct test_image im;
	image_make(&im);
	im.ph[0].p_paddr = 0x8000;
	im.ph[1].p_paddr = 0x9800;
	im.ph[1].p_memsz = 0x9f000 - 0x9800;
	cr_assert_eq(boot_load(&im, "x", NULL, 0), 0, "%s", tb.sentence);
	cr_assert_geq(tb.info.info_gpa, 0x9f000);
	cr_assert_eq(memcmp(tb.vm.ram + 0x8000, im.b + OFF_TEXT, TEXT_LEN), 0);
	im.ph[1].p_memsz = 0x9fc00 - 0x9800;
	cr_assert_eq(boot_load(&im, "x", NULL, 0), 0, "%s", tb.sentence);
	cr_assert_geq(tb.info.info_gpa, 0x100000, "low memory is full");
}

Test(loader, header_may_begin_anywhere_in_8k_on_4_bytes)
{
	struct test_image im;
	image_make(&im);
	memcpy(im.b + MB_SEARCH - 12, im.mb, 12);
	im.mb[0] = 0;
	cr_assert_eq(boot_load(&im, NULL, NULL, 0), 0, "%s", tb.sentence);
	/* A magic with a wrong sum is no header; the real one may come behind it. */
	im.mb[0] = MB_HEADER_MAGIC;
	im.mb[2]++;
	cr_assert_eq(boot_load(&im, NULL, NULL, 0), 0, "%s", tb.sentence);
}

Test(loader, empty_segments_and_other_headers_are_ignored)
{
	struct test_image im;
	image_make(&im);
	im.ph[3] = (Elf32_Phdr){ .p_type = PT_LOAD, .p_paddr = TEXT_PADDR };
	im.ph[4] = (Elf32_Phdr){ .p_type = 0x6474e551, .p_offset = 0xffffffff }; /* GNU_STACK */
	cr_assert_eq(boot_load(&im, NULL, NULL, 0), 0, "%s", tb.sentence);
}

Test(loader, symbols_are_kept_for_reports)
{
	struct test_image im;
	uint32_t off, addr;
	image_make(&im);
	cr_assert_eq(boot_load(&im, NULL, NULL, 0), 0, "%s", tb.sentence);
	cr_assert_not_null(tb.syms);
	cr_assert_str_eq(symbols_find(tb.syms, TEXT_PADDR + 0x45, &off), "main");
	cr_assert_eq(off, 5);
	cr_assert_str_eq(symbols_find(tb.syms, TEXT_PADDR + 0x20, &off), "start", "a label");
	cr_assert_eq(symbols_lookup(tb.syms, "main", &addr), 0);
	cr_assert_eq(addr, TEXT_PADDR + 0x40);
}

Test(loader, stripped_image_loads_without_symbols)
{
	struct test_image im;
	image_make(&im);
	im.eh->e_shnum = im.eh->e_shoff = im.eh->e_shstrndx = 0;
	im.len = OFF_STRTAB;
	cr_assert_eq(boot_load(&im, NULL, NULL, 0), 0, "%s", tb.sentence);
	cr_assert_null(tb.syms);
}

Test(loader, minios_loads)
{
	const char *guests = getenv("GUESTS");
	char path[512];
	uint32_t start = 0;
	cr_assert_not_null(guests, "set GUESTS to the directory of the guest images");
	snprintf(path, sizeof(path), "%s/minios.elf", guests);
	cr_assert_eq(loader_load(&tb.vm, path, "demo", NULL, 0, &tb.info, &tb.syms, tb.sentence,
				 sizeof(tb.sentence)),
		     0, "%s", tb.sentence);
	cr_assert_eq(symbols_lookup(tb.syms, "start", &start), 0);
	cr_assert_eq(tb.info.entry, start);
}

/* ---- symbols ---- */

Test(symbols, innermost_that_holds_the_address_is_found)
{
	struct symbols *s = symbols_new();
	uint32_t off = 0;
	cr_assert_eq(symbols_add(s, 0x2000, 0x10, "small"), 0);
	cr_assert_eq(symbols_add(s, 0x1000, 0x2000, "outer"), 0);
	cr_assert_eq(symbols_add(s, 0x1100, 0x20, "inner"), 0);
	cr_assert_eq(symbols_add(s, 0x1100, 0, "alias"), 0);
	cr_assert_eq(symbols_add(s, 0x4000, 0, "label"), 0);
	symbols_finish(s);
	cr_expect_str_eq(symbols_find(s, 0x110f, &off), "inner");
	cr_expect_eq(off, 0xf);
	cr_expect_str_eq(symbols_find(s, 0x2015, &off), "outer", "behind small, still in outer");
	cr_expect_eq(off, 0x1015);
	cr_expect_str_eq(symbols_find(s, 0x2fff, &off), "outer");
	cr_expect_null(symbols_find(s, 0x3000, &off), "sizes end");
	cr_expect_null(symbols_find(s, 0xfff, &off));
	cr_expect_str_eq(symbols_find(s, 0xffffffff, &off), "label", "without size: to the end");
	cr_expect_eq(symbols_count(s), 5);
	cr_expect_str_eq(symbols_get(s, 0, NULL, NULL), "outer", "in order of address");
	cr_expect_null(symbols_get(s, 5, NULL, NULL));
	cr_expect_eq(symbols_lookup(s, "nobody", &off), -ENOENT);
	symbols_free(s);
}

Test(symbols, none_is_fine)
{
	struct symbols *s = symbols_new();
	symbols_finish(s);
	cr_expect_null(symbols_find(s, 0, NULL));
	cr_expect_null(symbols_find(NULL, 0, NULL));
	cr_expect_eq(symbols_count(NULL), 0);
	symbols_free(s);
	symbols_free(NULL);
}
