/* SPDX-License-Identifier: MIT */
/*
 * Reading a program file.  Of all that ELF can say we need the program headers: which bytes of
 * the file belong at which address.  Nothing is copied here; space_fault() does, page by page.
 * Source: System V ABI, "Object Files" (chapter 4) and "Program Header" (chapter 5).
 */
#include "os.h"

struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version, entry, phoff, shoff, flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
	uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

enum { ELF_EXEC = 2, ELF_386 = 3, SEGMENT_LOAD = 1, SEGMENT_WRITE = 2 };

static const char *add_segment(const struct program *p, struct space *s,
			       const struct elf_segment *g)
{
	struct area *heap = &s->area[AREA_HEAP];
	/* A program comes from who knows where: trust no number in it. */
	if (g->offset > p->size || g->filesz > p->size - g->offset || g->filesz > g->memsz)
		return "a segment is not in the file";
	if (g->vaddr < heap->start || g->vaddr >= HEAP_END || g->memsz > HEAP_END - g->vaddr)
		return "a segment is out of place"; /* or not above the one before */
	if (g->vaddr % PAGE_SIZE)
		return "a segment does not begin with a page";
	if (s->areas == AREAS)
		return "too many segments";
	s->area[s->areas++] = (struct area){
		.start = g->vaddr,
		.end = page_up(g->vaddr + g->memsz),
		.file = p->image + g->offset,
		.file_size = g->filesz,
		.writable = g->flags & SEGMENT_WRITE,
	};
	heap->start = heap->end = s->brk = page_up(g->vaddr + g->memsz);
	return NULL;
}

const char *elf_load(const struct program *p, struct space *s, uint32_t *entry)
{
	struct elf_header h;
	if (p->size < sizeof(h))
		return "too short";
	memcpy(&h, p->image, sizeof(h));
	if (!after_prefix((char *)h.ident, "\177ELF\1\1")) /* 32 bits, little endian */
		return "not a 32-bit ELF file";
	if (h.type != ELF_EXEC || h.machine != ELF_386)
		return "not an executable for this machine";
	if (h.phoff > p->size || h.phnum > (p->size - h.phoff) / sizeof(struct elf_segment))
		return "the program headers are not in the file";
	s->area[AREA_HEAP].start = USER_BASE;
	for (unsigned i = 0; i < h.phnum; i++) {
		struct elf_segment g;
		const char *reason;
		memcpy(&g, p->image + h.phoff + i * sizeof(g), sizeof(g));
		reason = g.type == SEGMENT_LOAD && g.memsz ? add_segment(p, s, &g) : NULL;
		if (reason)
			return reason;
	}
	*entry = h.entry;
	return NULL;
}
