/* SPDX-License-Identifier: MIT */
/*
 * The file is read once into private memory (a mapped one could be truncated under us), and libelf
 * is asked only for what the checks have shown to lie inside it.
 */
#include "vmm/scan_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decoder/insn.h"
#include "decoder/length.h"
#include "decoder/sensitive.h"
#include "vmm/symbols.h"

#define IMAGE_MAX      (1u << 30) /* bytes: a kernel with all its debug information */
#define PROGRESS_EVERY (1u << 20)

struct opening {
	struct image_scan *s;
	const char *path;
	char *err;
	size_t err_size;
};

/* One sentence that begins with the file's name; returns @code. */
static int refuse(const struct opening *o, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int refuse(const struct opening *o, int code, const char *fmt, ...)
{
	char what[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(o->err, o->err_size, "%s: %s", o->path, what);
	return code;
}

/* ---- the file ---- */

static int read_all(const struct opening *o, int fd, uint8_t *buf, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, buf + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return refuse(o, -EIO, "cannot be read at byte %zu (%s)", done,
				      strerror(errno));
		if (n == 0)
			return refuse(o, -EIO, "ended at byte %zu of %zu: it was cut meanwhile",
				      done, size);
		done += (size_t)n;
	}
	return 0;
}

static int read_file(const struct opening *o)
{
	struct elf_image *img = &o->s->img;
	struct stat st;
	int ret, fd;

	/* O_NONBLOCK: opening a named pipe must not wait for its writer. */
	fd = open(o->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return refuse(o, -ENOENT, "cannot be opened (%s)", strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		ret = refuse(o, -EINVAL, "is not a regular file");
	} else if (st.st_size > IMAGE_MAX) {
		ret = refuse(o, -EFBIG, "is %jd bytes large, and an image may have %u; strip it",
			     (intmax_t)st.st_size, IMAGE_MAX);
	} else {
		img->size = (size_t)st.st_size;
		img->bytes = malloc(img->size + 1);
		ret = img->bytes ? read_all(o, fd, img->bytes, img->size)
				 : refuse(o, -ENOMEM, "no memory for its %zu bytes", img->size);
	}
	close(fd);
	return ret;
}

static int check_ident(const struct opening *o)
{
	const struct elf_image *img = &o->s->img;
	const uint8_t *b = img->bytes;

	if (img->size < EI_NIDENT || memcmp(b, ELFMAG, SELFMAG)) {
		/* Linux: Documentation/x86/boot.rst, "The Real-Mode Kernel Header" */
		if (img->size > 0x206 && !memcmp(b + 0x202, "HdrS", 4))
			return refuse(o, -ENOEXEC,
				      "is a compressed Linux image, not an ELF file; scan the "
				      "vmlinux inside it (extract-vmlinux gets it out)");
		return refuse(o, -ENOEXEC, "is not an ELF file");
	}
	if (b[EI_CLASS] == ELFCLASS64)
		return refuse(o, -ENOEXEC,
			      "is a 64-bit ELF file, and Ringside decodes only 32-bit code "
			      "(ELF32 i386)");
	if (b[EI_CLASS] != ELFCLASS32 || b[EI_DATA] != ELFDATA2LSB)
		return refuse(o, -ENOEXEC,
			      "has ELF class %u and data encoding %u, and i386 has 1 and 1",
			      b[EI_CLASS], b[EI_DATA]);
	if (img->size < sizeof(Elf32_Ehdr))
		return refuse(o, -ENOEXEC, "is truncated: %zu bytes are less than an ELF header",
			      img->size);
	return 0;
}

static int check_header(const struct opening *o)
{
	struct elf_image *img = &o->s->img;
	const GElf_Ehdr *eh = &img->eh;

	elf_version(EV_CURRENT);
	img->elf = elf_memory((char *)img->bytes, img->size);
	if (!img->elf || elf_kind(img->elf) != ELF_K_ELF || !gelf_getehdr(img->elf, &img->eh))
		return refuse(o, -ENOEXEC, "has a damaged ELF header (libelf: %s)", elf_errmsg(-1));
	if (eh->e_machine != EM_386)
		return refuse(o, -ENOEXEC, "is for ELF machine %u, not i386 (3)", eh->e_machine);
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return refuse(o, -ENOEXEC,
			      "has ELF type %u, and only what is linked (2 or 3) has addresses",
			      eh->e_type);
	if (eh->e_phnum && (eh->e_phentsize != sizeof(Elf32_Phdr) ||
			    !elf_inside(img, eh->e_phoff, eh->e_phnum, sizeof(Elf32_Phdr))))
		return refuse(o, -ENOEXEC,
			      "is truncated: its %u program headers at offset 0x%" PRIx64
			      " do not fit into its %zu bytes",
			      eh->e_phnum, eh->e_phoff, img->size);
	if (eh->e_shnum && (eh->e_shentsize != sizeof(Elf32_Shdr) ||
			    !elf_inside(img, eh->e_shoff, eh->e_shnum, sizeof(Elf32_Shdr))))
		return refuse(o, -ENOEXEC,
			      "is truncated: its %u section headers at offset 0x%" PRIx64
			      " do not fit into its %zu bytes",
			      eh->e_shnum, eh->e_shoff, img->size);
	return 0;
}

/* ---- its code ---- */

/* @index and @what are for the sentence. */
static int add_region(const struct opening *o, const char *what, size_t index, const char *name,
		      uint64_t off, uint64_t gva, uint64_t size)
{
	struct image_scan *s = o->s;
	struct scan_region *grown;

	if (!elf_inside(&s->img, off, size, 1))
		return refuse(o, -ENOEXEC,
			      "is truncated: %s %zu needs 0x%" PRIx64 " bytes at offset 0x%" PRIx64
			      " of its %zu",
			      what, index, size, off, s->img.size);
	if (gva + size > (uint64_t)UINT32_MAX + 1)
		return refuse(o, -ENOEXEC,
			      "%s %zu, 0x%" PRIx64 " bytes at 0x%" PRIx64 ", ends above 4 GiB",
			      what, index, size, gva);
	/* Otherwise 65,535 headers for the same bytes could keep us busy for hours. */
	s->bytes += size;
	if (s->bytes > s->img.size)
		return refuse(o, -ENOEXEC, "%s %zu overlaps others in the file", what, index);
	grown = reallocarray(s->region, s->regions + 1, sizeof(*grown));
	if (!grown)
		return refuse(o, -ENOMEM, "no memory for a list of %zu sections", s->regions + 1);
	s->region = grown;
	grown[s->regions++] = (struct scan_region){ .name = name,
						    .bytes = s->img.bytes + off,
						    .gva = (uint32_t)gva,
						    .size = (uint32_t)size };
	return 0;
}

/* The name of a section, "" if it has none that lies in the file and ends there. */
static const char *section_name(const struct elf_image *img, uint32_t name)
{
	GElf_Shdr str;
	Elf_Scn *scn;

	if (img->eh.e_shstrndx >= img->eh.e_shnum)
		return "";
	scn = elf_getscn(img->elf, img->eh.e_shstrndx);
	if (!scn || !gelf_getshdr(scn, &str) || str.sh_type != SHT_STRTAB ||
	    !elf_inside(img, str.sh_offset, str.sh_size, 1) || name >= str.sh_size)
		return "";
	if (!memchr(img->bytes + str.sh_offset + name, 0, str.sh_size - name))
		return "";
	return (const char *)img->bytes + str.sh_offset + name;
}

static int find_sections(const struct opening *o)
{
	const struct elf_image *img = &o->s->img;
	int ret = 0;

	for (size_t i = 1; i < img->eh.e_shnum && !ret; i++) {
		Elf_Scn *scn = elf_getscn(img->elf, i);
		GElf_Shdr sh;

		if (!scn || !gelf_getshdr(scn, &sh))
			return refuse(o, -ENOEXEC, "section %zu cannot be read (libelf: %s)", i,
				      elf_errmsg(-1));
		if (!(sh.sh_flags & SHF_EXECINSTR) || sh.sh_type == SHT_NOBITS || !sh.sh_size)
			continue;
		if (sh.sh_flags & SHF_COMPRESSED)
			continue; /* of no use to a CPU */
		ret = add_region(o, "section", i, section_name(img, sh.sh_name), sh.sh_offset,
				 sh.sh_addr, sh.sh_size);
	}
	return ret;
}

static int find_segments(const struct opening *o)
{
	const struct elf_image *img = &o->s->img;
	int ret = 0;

	for (size_t i = 0; i < img->eh.e_phnum && !ret; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(img->elf, (int)i, &ph))
			return refuse(o, -ENOEXEC, "segment %zu cannot be read (libelf: %s)", i,
				      elf_errmsg(-1));
		if (ph.p_type == PT_LOAD && ph.p_flags & PF_X && ph.p_filesz)
			ret = add_region(o, "segment", i, "", ph.p_offset, ph.p_vaddr, ph.p_filesz);
	}
	return ret;
}

int image_scan_open(struct image_scan *s, const char *path, char *err, size_t err_size)
{
	struct opening o = { .s = s, .path = path, .err = err, .err_size = err_size };
	int ret;

	memset(s, 0, sizeof(*s));
	ret = read_file(&o);
	if (!ret)
		ret = check_ident(&o);
	if (!ret)
		ret = check_header(&o);
	if (!ret)
		ret = find_sections(&o);
	if (!ret && !s->regions)
		ret = find_segments(&o);
	if (!ret && !s->regions)
		ret = refuse(&o, -ENOEXEC, "has no executable section and no executable segment");
	if (!ret && elf_read_symbols(&s->img, &s->symbols) < 0)
		ret = refuse(&o, -ENOMEM, "no memory for its symbols");
	return ret;
}

/* ---- the sweep ---- */

static int keep_place(struct scan_row *row, uint32_t gva)
{
	if (row->places == row->room) {
		size_t room = row->room ? 2 * row->room : 16;
		uint32_t *grown = reallocarray(row->gva, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		row->gva = grown;
		row->room = room;
	}
	row->gva[row->places++] = gva;
	return 0;
}

struct sweep {
	struct image_scan *s;
	const struct sensitive *table;
	size_t places_max;
	void (*progress)(uint64_t done, uint64_t total);
	uint64_t done, told; /* bytes */
};

static void step(struct sweep *w, uint32_t bytes)
{
	w->done += bytes;
	if (!w->progress || w->done - w->told < PROGRESS_EVERY)
		return;
	w->told = w->done;
	w->progress(w->done, w->s->bytes);
}

/*
 * The instruction at @off of @r, of which @avail bytes are there.  Returns its length; 0 if there
 * is none; or -ENODATA or -ENOMEM.
 */
static int take_instruction(struct sweep *w, const struct scan_region *r, uint32_t off,
			    uint32_t avail)
{
	struct scan_row *row;
	struct quick q;
	struct insn in;
	int ret = insn_quick(r->bytes + off, avail, 32, &q);

	if (ret)
		return ret == -ENODATA ? ret : 0;
	if (!q.candidate && !q.traps)
		return q.len;
	ret = insn_decode(r->bytes + off, q.len, 32, &in);
	if (ret)
		return ret == -ENOMEM ? ret : 0;
	if (!in.sens)
		return q.len;
	row = &w->s->row[in.sens - w->table];
	row->count++;
	if (in.sens->patch && row->places < w->places_max && keep_place(row, r->gva + off))
		return -ENOMEM;
	return q.len;
}

/* From @off to @end, where the region ends or the next symbol starts. */
static int sweep_run(struct sweep *w, const struct scan_region *r, uint32_t off, uint32_t end)
{
	struct image_scan *s = w->s;

	while (off < end) {
		int len = take_instruction(w, r, off, end - off);

		if (len == -ENODATA) { /* a symbol in its middle: it was none */
			s->not_code += end - off;
			step(w, end - off);
			return 0;
		}
		if (len < 0)
			return len;
		if (len)
			s->instructions++;
		else
			s->not_code++;
		off += len ? (uint32_t)len : 1;
		step(w, len ? (uint32_t)len : 1);
	}
	return 0;
}

/* The first symbol, counted from *@next, above @gva; true and *@start if there is one. */
static bool next_symbol(const struct symbols *symbols, size_t *next, uint32_t gva, uint32_t *start)
{
	for (; *next < symbols_count(symbols); ++*next) {
		symbols_get(symbols, *next, start, NULL);
		if (*start > gva)
			return true;
	}
	return false;
}

int image_scan_sweep(struct image_scan *s, size_t places_max,
		     void (*progress)(uint64_t done, uint64_t total))
{
	struct sweep w = { .s = s, .places_max = places_max, .progress = progress };

	w.table = sensitive_table(&s->rows);
	s->row = calloc(s->rows, sizeof(*s->row));
	if (!s->row)
		return -ENOMEM;
	for (size_t i = 0; i < s->regions; i++) {
		const struct scan_region *r = &s->region[i];
		uint32_t off = 0, start;
		size_t next = 0;

		while (off < r->size) {
			uint32_t end = r->size;
			int ret;

			if (next_symbol(s->symbols, &next, r->gva + off, &start) &&
			    start - r->gva < end)
				end = start - r->gva;
			ret = sweep_run(&w, r, off, end);
			if (ret)
				return ret;
			off = end;
		}
	}
	return 0;
}

const char *image_scan_name(const struct image_scan *s, uint32_t gva, uint32_t *off)
{
	const char *name = symbols_find(s->symbols, gva, off);

	if (name)
		return name;
	for (size_t i = 0; i < s->regions; i++) {
		*off = gva - s->region[i].gva;
		if (*off < s->region[i].size)
			return *s->region[i].name ? s->region[i].name : NULL;
	}
	return NULL;
}

void image_scan_close(struct image_scan *s)
{
	for (size_t i = 0; s->row && i < s->rows; i++)
		free(s->row[i].gva);
	free(s->row);
	free(s->region);
	symbols_free(s->symbols);
	if (s->img.elf)
		elf_end(s->img.elf);
	free(s->img.bytes);
}
