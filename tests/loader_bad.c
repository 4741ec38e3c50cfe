/* SPDX-License-Identifier: MIT */
/*
 * The loader: every bad image is refused in one sentence that says what is wrong, with the
 * offending value, and what to do; and no bytes whatever make it crash.
 * Sources: Multiboot Specification 0.6.96; System V ABI, "Object Files".
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/boot_image.h"
#include "vmm/multiboot.h"
#include "vmm/symbols.h"

TestSuite(loader_bad, .init = boot_up, .fini = boot_down, .timeout = 60);

/* ---- one thing wrong: @size bytes at @off become @value ---- */

#define EH(field)    offsetof(Elf32_Ehdr, field), sizeof(((Elf32_Ehdr *)0)->field)
#define IDENT(i)     offsetof(Elf32_Ehdr, e_ident) + (i), 1
#define PH(n, field) OFF_PH + (n) * sizeof(Elf32_Phdr) + offsetof(Elf32_Phdr, field), 4
#define MB(n)        OFF_MB + 4 * (n), 4

static const struct poke {
	size_t off, size;
	uint32_t value;
	const char *says; /* what the sentence must contain */
} pokes[] = {
	{ IDENT(0), '#', "not an ELF file (it begins with 0x23" },
	{ IDENT(EI_CLASS), ELFCLASS64, "ELF class 2 (64-bit)" },
	{ IDENT(EI_CLASS), 0, "ELF class 0" },
	{ IDENT(EI_DATA), ELFDATA2MSB, "data encoding 2" },
	{ IDENT(EI_VERSION), 9, "damaged ELF header" },
	{ EH(e_machine), EM_X86_64, "ELF machine 62" },
	{ EH(e_type), ET_DYN, "ELF type 3" },
	{ EH(e_type), ET_REL, "ELF type 1" },
	{ EH(e_phnum), 0, "0 program headers" },
	{ EH(e_phentsize), 31, "8 program headers of 31 bytes" },
	{ EH(e_phnum), 0xffff, "65535 program headers" },
	{ EH(e_phoff), 0xffffffe0, "truncated: 8 program headers at offset 0xffffffe0" },
	{ EH(e_phoff), OFF_END - 32, "truncated: 8 program headers" },
	{ EH(e_shoff), 0xfffffff0,
	  "truncated: 4 section headers of 40 bytes at offset 0xfffffff0" },
	{ EH(e_shentsize), 8, "4 section headers of 8 bytes" },
	{ EH(e_entry), DATA_PADDR + DATA_MEM, "entry 0x102900" },
	{ EH(e_entry), 0, "entry 0x0" },
	{ MB(0), 0, "no Multiboot header" },
	{ MB(0), 0xe85250d6, "Multiboot 2 header" },
	{ MB(2), 0xe4524ffa, "checksum 0xe4524ffa where 0xe4524ffb" },
	{ PH(0, p_offset), 0xfffff000, "segment 0 needs 0x1800 bytes at offset 0xfffff000" },
	{ PH(1, p_offset), OFF_END - DATA_LEN + 1, "truncated: segment 1" },
	{ PH(1, p_filesz), 0xffffffff, "segment 1 has 0xffffffff bytes in the file but only" },
	{ PH(1, p_memsz), DATA_LEN - 1, "segment 1 has 0x100 bytes in the file but only 0xff" },
	{ PH(1, p_paddr), TEST_RAM, "0x900 bytes at physical address 0x400000, lies outside" },
	{ PH(1, p_paddr), TEST_RAM - DATA_MEM + 1, "0x3ff701, lies outside the RAM of 0x400000" },
	{ PH(1, p_paddr), 0xfffff800, "physical address 0xfffff800, lies outside the RAM" },
	{ PH(1, p_memsz), 0xffffffff, "0xffffffff bytes at physical address 0x102000, lies" },
	{ PH(1, p_paddr), TEXT_PADDR + TEXT_LEN - 1, "0x1017ff, overlaps segment 0 at 0x100000" },
	{ PH(1, p_paddr), 0xb8000, "0xb8000, covers the PC's own" },
	{ PH(1, p_paddr), LOW_END - DATA_MEM + 1, "0x9f301, covers the PC's own" },
};

/* ---- more than one thing, or the length ---- */

static void no_bytes(struct test_image *im)
{
	im->len = 0;
}

static void three_bytes(struct test_image *im)
{
	im->len = 3;
}

static void short_header(struct test_image *im)
{
	im->len = 51;
}

static void cut_at_the_end(struct test_image *im)
{
	im->len = OFF_END - 1;
}

static void odd_multiboot(struct test_image *im)
{
	memmove(im->b + OFF_MB + 2, im->mb, 12); /* not on four bytes */
}

static void nothing_loaded(struct test_image *im)
{
	im->ph[0].p_type = im->ph[1].p_type = PT_NULL;
}

static void set_flags(struct test_image *im, uint32_t flags)
{
	im->mb[1] = flags;
	im->mb[2] = 0u - MB_HEADER_MAGIC - flags;
}
static void video_mode(struct test_image *im)
{
	set_flags(im, 7);
}
static void unknown_flag(struct test_image *im)
{
	set_flags(im, 0x8003);
}
static void aout_kludge(struct test_image *im)
{
	set_flags(im, 0x10003);
}

static void past_8k(struct test_image *im)
{
	memcpy(im->b + MB_SEARCH - 8, im->mb, 12); /* its last word is behind the limit */
	im->mb[0] = 0;
}

static void far_too_many_segments(struct test_image *im)
{
	im->eh->e_phoff = OFF_TEXT;
	im->eh->e_phnum = 65;
	for (unsigned i = 0; i < 65; i++) {
		Elf32_Phdr *ph = (Elf32_Phdr *)(void *)(im->b + OFF_TEXT) + i;
		*ph = (Elf32_Phdr){ PT_LOAD, 0, 0, TEXT_PADDR + 16 * i, 16, 16, PF_R, 1 };
	}
}

static const struct spoil {
	void (*spoil)(struct test_image *);
	const char *says;
} spoils[] = {
	{ no_bytes, "is empty" },
	{ three_bytes, "not an ELF file" },
	{ short_header, "truncated: 51 bytes" },
	{ cut_at_the_end, "truncated: 4 section headers" },
	{ odd_multiboot, "no Multiboot header" },
	{ past_8k, "no Multiboot header" },
	{ video_mode, "video mode (flag 2)" },
	{ unknown_flag, "flags 0x8003" },
	{ aout_kludge, "(flag 16)" },
	{ nothing_loaded, "none of its 8 program headers loads anything" },
	{ far_too_many_segments, "the 65th to load, and 64 are allowed" },
};

/* @path first, one line, and advice behind a semicolon. */
static void check_sentence(const char *path, const char *says)
{
	const char *s = tb.sentence;
	cr_expect_eq(strncmp(s, path, strlen(path)), 0, "\"%s\" does not name %s", s, path);
	cr_expect_not_null(strstr(s, says), "\"%s\" does not say \"%s\"", s, says);
	cr_expect_null(strchr(s, '\n'), "\"%s\" is more than a line", s);
	cr_expect_not_null(strchr(s, ';'), "\"%s\" gives no advice", s);
}

/* Load what must not load, and see that nothing was done. */
static void refuse_image(const struct test_image *im, const char *says)
{
	cr_expect_lt(boot_load(im, NULL, NULL, 0), 0, "loaded, instead of \"%s\"", says);
	check_sentence(tb.path, says);
	cr_expect_null(tb.syms, "symbols of a refused image: %s", says);
	for (size_t i = 0; i < TEST_RAM; i++) {
		if (tb.vm.ram[i] != JUNK) {
			cr_expect(false, "RAM was written at %#zx: %s", i, says);
			break;
		}
	}
}

Test(loader_bad, one_wrong_field)
{
	for (size_t i = 0; i < sizeof(pokes) / sizeof(pokes[0]); i++) {
		struct test_image im;
		image_make(&im);
		memcpy(im.b + pokes[i].off, &pokes[i].value, pokes[i].size);
		refuse_image(&im, pokes[i].says);
	}
}

Test(loader_bad, several_wrong_fields)
{
	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		struct test_image im;
		image_make(&im);
		spoils[i].spoil(&im);
		refuse_image(&im, spoils[i].says);
	}
}

Test(loader_bad, files_that_are_no_images)
{
	char dir[] = "/tmp/ringside-loader-XXXXXX", path[64], fifo[64];
	struct test_image im;
	int fd;

	cr_assert_not_null(mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	cr_assert_eq(mkfifo(fifo, 0600), 0);
	cr_expect_eq(boot_load_path("/nonexistent/kernel.elf", NULL, 0), -ENOENT);
	check_sentence("/nonexistent/kernel.elf", "cannot be opened (No such file");
	cr_expect_lt(boot_load_path(dir, NULL, 0), 0);
	check_sentence(dir, "not a regular file");
	cr_expect_lt(boot_load_path(fifo, NULL, 0), 0);
	check_sentence(fifo, "not a regular file");
	unlink(fifo);
	rmdir(dir);

	image_make(&im);
	fd = image_file(im.b, im.len, path);
	cr_assert_eq(ftruncate(fd, (256 << 20) + 1), 0);
	cr_expect_eq(boot_load_path(path, NULL, 0), -EFBIG);
	check_sentence(path, "is 268435457 bytes large");
	close(fd);
}

Test(loader_bad, modules_that_do_not_fit_are_named)
{
	char big[64], path[64];
	struct test_image im;
	struct boot_module many[65];
	int fd = image_file("", 0, big), kernel;

	image_make(&im);
	kernel = image_file(im.b, im.len, path);
	cr_assert_eq(ftruncate(fd, TEST_RAM), 0);
	cr_expect_eq(boot_load_path(path, &(struct boot_module){ big, NULL }, 1), -ENOSPC);
	check_sentence(big, "module of 4194304 bytes does not fit");
	cr_assert_eq(ftruncate(fd, 1ll << 40), 0);
	cr_expect_eq(boot_load_path(path, &(struct boot_module){ big, NULL }, 1), -ENOSPC);
	check_sentence(big, "module of 1099511627776 bytes does not fit");
	cr_expect_eq(boot_load_path(path, &(struct boot_module){ "/nonexistent", NULL }, 1),
		     -ENOENT);
	check_sentence("/nonexistent", "cannot be opened");
	for (size_t i = 0; i < 65; i++)
		many[i] = (struct boot_module){ big, NULL };
	cr_expect_eq(boot_load_path(path, many, 65), -E2BIG);
	check_sentence(path, "65 modules are given, and 64 are allowed");
	close(kernel);
	close(fd);
}

Test(loader_bad, command_line_that_does_not_fit_is_refused)
{
	static char line[TEST_RAM];
	struct test_image im;
	memset(line, 'x', sizeof(line) - 1);
	image_make(&im);
	cr_expect_eq(boot_load(&im, line, NULL, 0), -ENOSPC);
	check_sentence(tb.path, "no room for its Multiboot information");
}

/*
 * 5,000 images with a few wrong bytes: whatever comes, it is 0 with an entry in RAM, or a
 * sentence.  xorshift32 (Marsaglia 2003), so that every run tries the same ones.
 */
Test(loader_bad, mutated_images_never_crash, .timeout = 120)
{
	static const uint8_t nasty[] = { 0, 1, 0x7f, 0x80, 0xfe, 0xff };
	uint32_t seed = 2463534242u;
	unsigned good = 0, bad = 0;

	for (unsigned n = 0; n < 5000; n++) {
		struct test_image im;
		image_make(&im);
		for (unsigned k = 0; k <= n % 4; k++) {
			uint32_t at;
			seed ^= seed << 13;
			seed ^= seed >> 17;
			seed ^= seed << 5;
			/* Half of them in the headers, where it hurts. */
			at = seed >> 8 & 1 ? OFF_STRTAB + (seed >> 9) % (OFF_END - OFF_STRTAB)
					   : (seed >> 9) % (OFF_MB + 12);
			im.b[at] = seed & 0x80 ? nasty[(seed & 0x7f) % sizeof(nasty)]
					       : im.b[at] ^ (uint8_t)(1u << (seed & 7));
		}
		if (boot_load(&im, NULL, NULL, 0) == 0) {
			cr_assert_lt(tb.info.entry, TEST_RAM, "mutation %u", n);
			cr_assert_lt(tb.info.info_gpa, TEST_RAM, "mutation %u", n);
			for (size_t i = 0; i < symbols_count(tb.syms); i++)
				cr_assert_not_null(symbols_get(tb.syms, i, NULL, NULL));
			good++;
		} else {
			cr_assert_eq(strncmp(tb.sentence, tb.path, strlen(tb.path)), 0,
				     "mutation %u: \"%s\"", n, tb.sentence);
			bad++;
		}
	}
	cr_assert(good > 500 && bad > 500, "%u good and %u bad: the mutations are too weak", good,
		  bad);
}
