/* SPDX-License-Identifier: MIT */
/*
 * The image is hostile input.  It is read once into private memory (a mapped file could be
 * truncated under us), every number in it is checked before it is used, and libelf is asked only
 * for what the checks have shown to lie inside the file.  All sums are of 32-bit numbers in 64
 * bits, so none wraps.  Where things go in guest RAM: see multiboot.c.
 */
#include "vmm/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/elf_sections.h"
#include "vmm/multiboot.h"
#include "vmm/symbols.h"
#include "vmm/vm.h"

#define IMAGE_MAX    (256u << 20) /* bytes; most of a large image is debug information */
#define SEGMENTS_MAX 64
#define MODULES_MAX  64

/* LAYOUT_MAX holds everything at once: segments, modules, tables, header table, low memory, info.
 */
_Static_assert(SEGMENTS_MAX + MODULES_MAX + ELF_TABLES_MAX + 3 <= LAYOUT_MAX, "layout too small");

struct load_segment {
	unsigned index; /* of the program header */
	uint32_t vaddr, paddr, offset, filesz, memsz;
};

struct loading {
	struct vm *vm;
	const char *path;
	struct elf_image img;
	struct load_segment seg[SEGMENTS_MAX];
	size_t segs;
	struct layout layout;
	struct mb_module mod[MODULES_MAX];
	char *err;
	size_t err_size;
};

/* One sentence that begins with the file's name; returns @code. */
static int refuse(struct loading *l, int code, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static int refuse(struct loading *l, int code, const char *path, const char *fmt, ...)
{
	char what[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(l->err, l->err_size, "%s: %s", path, what);
	return code;
}

/* ---- files ---- */

/* Open a regular file.  Returns the descriptor and *@size, or negative errno with a sentence. */
static int open_file(struct loading *l, const char *path, uint64_t *size)
{
	struct stat st;
	int ret, fd;

	/* O_NONBLOCK: opening a named pipe must not wait for its writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		ret = -errno;
		return refuse(l, ret, path, "cannot be opened (%s); check the path",
			      strerror(-ret));
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return refuse(l, -EINVAL, path, "is not a regular file; give an image's file name");
	}
	*size = (uint64_t)st.st_size;
	return fd;
}

/* Read exactly @size bytes.  Returns 0 or negative errno with a sentence. */
static int read_all(struct loading *l, const char *path, int fd, uint8_t *buf, uint64_t size)
{
	uint64_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, buf + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int code = -errno;
			return refuse(l, code, path, "cannot be read at byte %" PRIu64 " (%s)",
				      done, strerror(-code));
		}
		if (n == 0)
			return refuse(l, -EIO, path,
				      "ended at byte %" PRIu64 " of %" PRIu64
				      ": it was cut while being read; try again",
				      done, size);
		done += (uint64_t)n;
	}
	return 0;
}

static int read_image(struct loading *l)
{
	uint64_t size;
	int ret, fd = open_file(l, l->path, &size);

	if (fd < 0)
		return fd;
	if (size > IMAGE_MAX) {
		ret = refuse(l, -EFBIG, l->path,
			     "is %" PRIu64 " bytes large, and an image may have %u at most; strip "
			     "it, or pass the data as a module",
			     size, IMAGE_MAX);
		goto out;
	}
	l->img.size = size;
	l->img.bytes = malloc(size ? size : 1);
	if (!l->img.bytes) {
		ret = refuse(l, -ENOMEM, l->path, "no memory for its %" PRIu64 " bytes", size);
		goto out;
	}
	ret = read_all(l, l->path, fd, l->img.bytes, size);
out:
	close(fd);
	return ret;
}

/* ---- the ELF header ---- */

static int check_ident(struct loading *l)
{
	const uint8_t *b = l->img.bytes;

	if (!l->img.size)
		return refuse(l, -ENOEXEC, l->path, "is empty; give a Multiboot ELF kernel");
	if (l->img.size < SELFMAG || memcmp(b, ELFMAG, SELFMAG))
		return refuse(l, -ENOEXEC, l->path,
			      "is not an ELF file (it begins with 0x%02x, not 0x7f 'E' 'L' 'F'); "
			      "give a Multiboot ELF kernel",
			      b[0]);
	if (l->img.size < sizeof(Elf32_Ehdr))
		return refuse(l, -ENOEXEC, l->path,
			      "is truncated: %zu bytes are less than an ELF header's %zu; build or "
			      "copy it again",
			      l->img.size, sizeof(Elf32_Ehdr));
	if (b[EI_CLASS] != ELFCLASS32)
		return refuse(l, -ENOEXEC, l->path,
			      "has ELF class %u%s, but Ringside runs 32-bit kernels (class 1); "
			      "build it with -m32",
			      b[EI_CLASS], b[EI_CLASS] == ELFCLASS64 ? " (64-bit)" : "");
	if (b[EI_DATA] != ELFDATA2LSB)
		return refuse(
			l, -ENOEXEC, l->path,
			"has ELF data encoding %u, but x86 is little-endian (1); build it for "
			"i386",
			b[EI_DATA]);
	return 0;
}

static int check_header(struct loading *l)
{
	const GElf_Ehdr *eh = &l->img.eh;

	elf_version(EV_CURRENT);
	l->img.elf = elf_memory((char *)l->img.bytes, l->img.size);
	if (!l->img.elf || elf_kind(l->img.elf) != ELF_K_ELF ||
	    !gelf_getehdr(l->img.elf, &l->img.eh))
		return refuse(l, -ENOEXEC, l->path,
			      "has a damaged ELF header (libelf: %s); build it again",
			      elf_errmsg(-1));
	if (eh->e_machine != EM_386)
		return refuse(l, -ENOEXEC, l->path,
			      "is for ELF machine %u, but Ringside runs i386 kernels (machine 3); "
			      "build it with -m32",
			      eh->e_machine);
	if (eh->e_type != ET_EXEC)
		return refuse(
			l, -ENOEXEC, l->path,
			"has ELF type %u, but only an executable (type 2) has fixed addresses; "
			"link it with -static -no-pie",
			eh->e_type);
	if (!eh->e_phnum)
		return refuse(
			l, -ENOEXEC, l->path,
			"has 0 program headers, so nothing to load; link it as an executable");
	if (eh->e_phnum == PN_XNUM || eh->e_phentsize != sizeof(Elf32_Phdr))
		return refuse(
			l, -ENOEXEC, l->path,
			"has %u program headers of %u bytes, where less than 65535 of 32 bytes "
			"are allowed; build it again",
			eh->e_phnum, eh->e_phentsize);
	if (!elf_inside(&l->img, eh->e_phoff, eh->e_phnum, sizeof(Elf32_Phdr)))
		return refuse(l, -ENOEXEC, l->path,
			      "is truncated: %u program headers at offset 0x%" PRIx64
			      " do not fit into its %zu bytes; build or copy it again",
			      eh->e_phnum, eh->e_phoff, l->img.size);
	if (eh->e_shnum && (eh->e_shentsize != sizeof(Elf32_Shdr) ||
			    !elf_inside(&l->img, eh->e_shoff, eh->e_shnum, sizeof(Elf32_Shdr))))
		return refuse(l, -ENOEXEC, l->path,
			      "is truncated: %u section headers of %u bytes at offset 0x%" PRIx64
			      " do not fit into its %zu bytes; build or copy it again",
			      eh->e_shnum, eh->e_shentsize, eh->e_shoff, l->img.size);
	return 0;
}

/* ---- segments ---- */

static int check_segment(struct loading *l, unsigned index, const GElf_Phdr *ph)
{
	struct load_segment *s = &l->seg[l->segs];
	uint64_t ram = l->vm->ram_len;
	int hit;

	if (ph->p_filesz > ph->p_memsz)
		return refuse(l, -ENOEXEC, l->path,
			      "segment %u has 0x%" PRIx64 " bytes in the file but only 0x%" PRIx64
			      " in memory; build it again",
			      index, ph->p_filesz, ph->p_memsz);
	if (!elf_inside(&l->img, ph->p_offset, ph->p_filesz, 1))
		return refuse(l, -ENOEXEC, l->path,
			      "is truncated: segment %u needs 0x%" PRIx64
			      " bytes at offset 0x%" PRIx64 " of its %zu; build or copy it again",
			      index, ph->p_filesz, ph->p_offset, l->img.size);
	if (ph->p_paddr > ram || ph->p_memsz > ram - ph->p_paddr)
		return refuse(l, -ENOSPC, l->path,
			      "segment %u, 0x%" PRIx64 " bytes at physical address 0x%" PRIx64
			      ", lies outside the RAM of 0x%" PRIx64
			      " bytes; give more with -m, or link it lower",
			      index, ph->p_memsz, ph->p_paddr, ram);
	if (!ph->p_memsz)
		return 0;
	if (l->segs == SEGMENTS_MAX)
		return refuse(
			l, -ENOEXEC, l->path,
			"segment %u is the %uth to load, and %u are allowed; link it with fewer",
			index, SEGMENTS_MAX + 1, SEGMENTS_MAX);
	hit = layout_hit(&l->layout, ph->p_paddr, ph->p_memsz);
	if (hit == 0) /* layout_init() put it there first */
		return refuse(l, -ENOEXEC, l->path,
			      "segment %u, 0x%" PRIx64 " bytes at physical address 0x%" PRIx64
			      ", covers the PC's own 0x%x-0x%x; link it at 1 MiB or above",
			      index, ph->p_memsz, ph->p_paddr, LOW_END, HIGH_BASE);
	if (hit > 0)
		return refuse(l, -ENOEXEC, l->path,
			      "segment %u, 0x%" PRIx64 " bytes at physical address 0x%" PRIx64
			      ", overlaps segment %u at 0x%x; correct the linker script",
			      index, ph->p_memsz, ph->p_paddr, l->seg[hit - 1].index,
			      l->seg[hit - 1].paddr);
	layout_take(&l->layout, ph->p_paddr, ph->p_memsz);
	*s = (struct load_segment){ .index = index,
				    .vaddr = (uint32_t)ph->p_vaddr,
				    .paddr = (uint32_t)ph->p_paddr,
				    .offset = (uint32_t)ph->p_offset,
				    .filesz = (uint32_t)ph->p_filesz,
				    .memsz = (uint32_t)ph->p_memsz };
	l->segs++;
	return 0;
}

static int check_segments(struct loading *l)
{
	layout_init(&l->layout, l->vm->ram_len);
	for (unsigned i = 0; i < l->img.eh.e_phnum; i++) {
		GElf_Phdr ph;
		int ret;
		if (!gelf_getphdr(l->img.elf, (int)i, &ph))
			return refuse(
				l, -ENOEXEC, l->path,
				"program header %u cannot be read (libelf: %s); build it again", i,
				elf_errmsg(-1));
		if (ph.p_type != PT_LOAD)
			continue;
		ret = check_segment(l, i, &ph);
		if (ret)
			return ret;
	}
	if (!l->segs)
		return refuse(
			l, -ENOEXEC, l->path,
			"none of its %u program headers loads anything; link it as an executable",
			l->img.eh.e_phnum);
	return 0;
}

/*
 * The first instruction's physical address.  The entry is a virtual address; some kernels linked
 * high give the physical one, which is taken when it is no segment's virtual address.
 */
static int translate_entry(struct loading *l, uint32_t *entry)
{
	uint32_t e = (uint32_t)l->img.eh.e_entry;

	for (size_t i = 0; i < l->segs; i++) {
		if (e - l->seg[i].vaddr < l->seg[i].memsz) {
			*entry = e - l->seg[i].vaddr + l->seg[i].paddr;
			return 0;
		}
	}
	for (size_t i = 0; i < l->segs; i++) {
		if (e - l->seg[i].paddr < l->seg[i].memsz) {
			*entry = e;
			return 0;
		}
	}
	return refuse(l, -ENOEXEC, l->path,
		      "its entry 0x%x lies in none of its segments; correct ENTRY() in the linker "
		      "script",
		      e);
}

static void copy_segments(struct loading *l)
{
	for (size_t i = 0; i < l->segs; i++) {
		const struct load_segment *s = &l->seg[i];
		memcpy(l->vm->ram + s->paddr, l->img.bytes + s->offset, s->filesz);
		memset(l->vm->ram + s->paddr + s->filesz, 0, s->memsz - s->filesz);
	}
}

/* ---- modules ---- */

static int load_module(struct loading *l, uint64_t from, const struct boot_module *m,
		       struct mb_module *out)
{
	const char *slash = strrchr(m->path, '/');
	uint64_t size, room;
	uint32_t gpa = 0;
	int ret, fd = open_file(l, m->path, &size);

	if (fd < 0)
		return fd;
	/* Whole pages, so that a kernel may map a module and nothing else; an empty one has none.
	 */
	room = size > l->vm->ram_len ? size : (size + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	ret = layout_place(&l->layout, from, room, PAGE_SIZE, &gpa);
	if (ret) {
		ret = refuse(l, -ENOSPC, m->path,
			     "this module of %" PRIu64
			     " bytes does not fit into the RAM of 0x%" PRIx64
			     " bytes above the kernel; give more with -m",
			     size, l->vm->ram_len);
		goto out;
	}
	ret = read_all(l, m->path, fd, l->vm->ram + gpa, size);
	out->start = gpa;
	out->end = gpa + (uint32_t)size;
	out->cmdline = m->cmdline ? m->cmdline : slash ? slash + 1 : m->path;
out:
	close(fd);
	return ret;
}

/* ---- all together ---- */

/* The first page boundary above every segment, and above the legacy area. */
static uint64_t kernel_end(const struct loading *l)
{
	uint64_t end = HIGH_BASE;

	for (size_t i = 0; i < l->segs; i++) {
		uint64_t e = (uint64_t)l->seg[i].paddr + l->seg[i].memsz;
		if (e > end)
			end = e;
	}
	return (end + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
}

/* "IMAGE ARGUMENTS", as GRUB's forerunner and QEMU pass it: argv[0] is the kernel.  NULL: no
 * memory. */
static char *command_line(const char *image, const char *args)
{
	char *line;
	return asprintf(&line, args && *args ? "%s %s" : "%s", image, args) < 0 ? NULL : line;
}

/*: 20. What a guest is
 * An ELF file that says it is a Multiboot kernel: its segments are copied into the memory that is
 * the guest's RAM, and the first processor will start at its entry, in protected mode, with
 * paging off. The image comes from outside: every number in it is checked before it is used.
 */
static int load(struct loading *l, const char *cmdline, const struct boot_module *mods,
		size_t nmods, struct boot_info *out, struct symbols **syms)
{
	struct mb_info info = { .mods = l->mod, .nmods = nmods };
	char what[300], *line;
	uint64_t end;
	int ret;

	if ((ret = read_image(l)) || (ret = check_ident(l)) || (ret = check_header(l)))
		return ret;
	ret = multiboot_check_header(l->img.bytes, l->img.size, what, sizeof(what));
	if (ret)
		return refuse(l, ret, l->path, "%s", what);
	if ((ret = check_segments(l)) || (ret = translate_entry(l, &out->entry)))
		return ret;
	if (nmods > MODULES_MAX)
		return refuse(l, -E2BIG, l->path,
			      "%zu modules are given, and %u are allowed; pack several into one",
			      nmods, MODULES_MAX);

	copy_segments(l);
	end = kernel_end(l);
	for (size_t i = 0; i < nmods; i++) {
		ret = load_module(l, end, &mods[i], &l->mod[i]);
		if (ret)
			return ret;
		end = ((uint64_t)l->mod[i].end + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	}
	elf_load_sections(&l->img, &l->layout, l->vm->ram, end, &info);

	line = command_line(l->path, cmdline);
	if (!line)
		return refuse(l, -ENOMEM, l->path, "no memory for the command line");
	info.cmdline = line;
	ret = multiboot_write_info(&l->layout, l->vm->ram, &info, &out->info_gpa);
	free(line);
	if (ret)
		return refuse(l, ret, l->path,
			      "no room for its Multiboot information in the RAM of 0x%" PRIx64
			      " bytes; give more with -m",
			      l->vm->ram_len);
	out->magic = MB_BOOT_MAGIC;
	ret = elf_read_symbols(&l->img, syms);
	return ret ? refuse(l, ret, l->path, "no memory for its symbols") : 0;
}

int loader_load(struct vm *vm, const char *image, const char *cmdline,
		const struct boot_module *mods, size_t nmods, struct boot_info *out,
		struct symbols **syms, char *err, size_t err_size)
{
	struct loading l = { .vm = vm, .path = image, .err = err, .err_size = err_size };
	int ret;

	*syms = NULL;
	ret = load(&l, cmdline, mods, nmods, out, syms);
	if (l.img.elf)
		elf_end(l.img.elf);
	free(l.img.bytes);
	return ret;
}
