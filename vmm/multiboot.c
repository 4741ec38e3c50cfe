/* SPDX-License-Identifier: MIT */
/*
 * Where things go in guest RAM:
 *
 *     0        .. 0x9000    nothing, unless the kernel asks for it
 *     0x9000   ..           the information block with all its strings and tables, in the first
 *                           gap that is large enough.  Low, because small kernels take all memory
 *                           behind their own end for free; 0x9000 is also where QEMU has it.
 *     0x9fc00  .. 0x100000  nothing: firmware data, devices, firmware
 *     1 MiB    ..           usually the kernel's segments, at the addresses it asks for
 *     behind the kernel     modules, each on a page of its own, in order
 *     behind the modules    section headers, symbol and string tables
 *
 * Every piece is taken from one list, so nothing can overlap, wherever the kernel lies.
 */
#include "vmm/multiboot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INFO_FROM 0x9000u

/* Header flags; spec 3.1.2.  0-15 must be honoured or the image refused. */
#define HEADER_ALIGN     0x00000001u /* modules on pages: always */
#define HEADER_MEMORY    0x00000002u /* tell about memory: always */
#define HEADER_VIDEO     0x00000004u
#define HEADER_MANDATORY 0x0000ffffu
#define HEADER_AOUT      0x00010000u /* load by addresses in the header */
#define MB2_HEADER_MAGIC 0xe85250d6u

/* Information flags; spec 3.3. */
#define INFO_MEMORY  0x001u
#define INFO_CMDLINE 0x004u
#define INFO_MODS    0x008u
#define INFO_ELF     0x020u
#define INFO_MMAP    0x040u
#define INFO_LOADER  0x200u

#define REGION_RAM      1u
#define REGION_RESERVED 2u
#define REGIONS         4

/* The block as the specification lays it out, up to the boot loader's name. */
struct info_block {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t elf_num, elf_size, elf_addr, elf_shndx;
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t unused[12]; /* APM, VBE and framebuffer: flags say that they are not there */
};
_Static_assert(sizeof(struct info_block) == 116, "spec 3.3: framebuffer fields end at 116");

struct info_module {
	uint32_t start, end, string, reserved;
};

struct info_region {
	uint32_t size; /* of the rest */
	uint64_t base, len;
	uint32_t type;
} __attribute__((packed));

static uint32_t read_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- layout ---- */

void layout_init(struct layout *l, uint64_t ram_len)
{
	l->ram_len = ram_len;
	l->count = 0;
	layout_take(l, LOW_END, HIGH_BASE - LOW_END);
}

int layout_hit(const struct layout *l, uint64_t base, uint64_t len)
{
	/* No sum wraps: everything taken lies in RAM, and the callers' numbers are 32 bits. */
	for (size_t i = 0; i < l->count; i++)
		if (base < l->taken[i].base + l->taken[i].len && l->taken[i].base < base + len)
			return (int)i;
	return -1;
}

int layout_take(struct layout *l, uint64_t base, uint64_t len)
{
	if (l->count == LAYOUT_MAX)
		return -ENOSPC;
	l->taken[l->count].base = base;
	l->taken[l->count].len = len;
	l->count++;
	return 0;
}

int layout_place(struct layout *l, uint64_t from, uint64_t len, uint64_t align, uint32_t *base)
{
	uint64_t at = from;
	int ret, hit;

	for (;;) {
		at = (at + align - 1) & ~(align - 1);
		if (at > l->ram_len || len > l->ram_len - at)
			return -ENOSPC;
		hit = layout_hit(l, at, len);
		if (hit < 0)
			break;
		at = l->taken[hit].base + l->taken[hit].len;
	}
	ret = layout_take(l, at, len);
	if (!ret)
		*base = (uint32_t)at;
	return ret;
}

/* ---- header ---- */

static int honour_flags(uint32_t flags, size_t at, char *err, size_t err_size)
{
	if (flags & HEADER_AOUT)
		snprintf(err, err_size,
			 "the Multiboot header at offset 0x%zx asks to be loaded by the addresses "
			 "in "
			 "it (flag 16), which Ringside does not do; clear the flag and let the ELF "
			 "program headers say it",
			 at);
	else if (flags & HEADER_VIDEO)
		snprintf(err, err_size,
			 "the Multiboot header at offset 0x%zx insists on a video mode (flag 2), "
			 "but "
			 "Ringside has a serial console only; clear the flag",
			 at);
	else if (flags & HEADER_MANDATORY & ~(HEADER_ALIGN | HEADER_MEMORY))
		snprintf(err, err_size,
			 "the Multiboot header at offset 0x%zx insists on flags 0x%x, of which "
			 "Ringside knows only 0x3; clear the others",
			 at, flags & HEADER_MANDATORY);
	else
		return 0;
	return -ENOEXEC;
}

int multiboot_check_header(const uint8_t *image, size_t size, char *err, size_t err_size)
{
	size_t end = size < MB_SEARCH ? size : MB_SEARCH, bad_at = 0;
	bool bad = false, v2 = false;

	for (size_t at = 0; at + 12 <= end; at += 4) {
		uint32_t magic = read_u32(image + at), flags = read_u32(image + at + 4);
		v2 |= magic == MB2_HEADER_MAGIC;
		if (magic != MB_HEADER_MAGIC)
			continue;
		if (magic + flags + read_u32(image + at + 8) == 0)
			return honour_flags(flags, at, err, err_size);
		/* Perhaps just those four bytes in the middle of something else: look on. */
		if (!bad)
			bad_at = at;
		bad = true;
	}
	if (bad) {
		uint32_t flags = read_u32(image + bad_at + 4);
		snprintf(err, err_size,
			 "the Multiboot header at offset 0x%zx has the checksum 0x%x where 0x%x "
			 "makes "
			 "the sum zero; correct it",
			 bad_at, read_u32(image + bad_at + 8), 0u - MB_HEADER_MAGIC - flags);
	} else if (v2) {
		snprintf(err, err_size,
			 "has a Multiboot 2 header (magic 0xe85250d6) but none of version 1; add "
			 "one "
			 "with magic 0x1badb002");
	} else {
		snprintf(err, err_size,
			 "no Multiboot header (magic 0x1badb002) in the first 8192 bytes of the "
			 "file; "
			 "is it a Multiboot kernel, and does its linker script put the header "
			 "first?");
	}
	return -ENOEXEC;
}

/* ---- information block ---- */

static size_t describe_memory(uint64_t ram_len, struct info_region r[REGIONS])
{
	static const struct {
		uint64_t base, end;
		uint32_t type;
	} low[] = {
		{ 0, LOW_END, REGION_RAM },
		{ LOW_END, LOW_RESERVED, REGION_RESERVED },
		{ ROM_BASE, HIGH_BASE, REGION_RESERVED },
	};
	size_t n = 0;

	for (; n < sizeof(low) / sizeof(low[0]); n++)
		r[n] = (struct info_region){ .size = sizeof(r[n]) - sizeof(r[n].size),
					     .base = low[n].base,
					     .len = low[n].end - low[n].base,
					     .type = low[n].type };
	if (ram_len > HIGH_BASE) {
		r[n] = (struct info_region){ .size = sizeof(r[n]) - sizeof(r[n].size),
					     .base = HIGH_BASE,
					     .len = ram_len - HIGH_BASE,
					     .type = REGION_RAM };
		n++;
	}
	return n;
}

/* Append @len bytes at *@at of the buffer; returns their guest address. */
static uint32_t append(uint8_t *buf, size_t *at, uint32_t gpa, const void *data, size_t len)
{
	uint32_t where = gpa + (uint32_t)*at;
	memcpy(buf + *at, data, len);
	*at += len;
	return where;
}

int multiboot_write_info(struct layout *l, uint8_t *ram, const struct mb_info *in, uint32_t *gpa)
{
	static const char loader[] = "Ringside";
	struct info_region regions[REGIONS];
	size_t nregions = describe_memory(l->ram_len, regions);
	size_t mods_len = in->nmods * sizeof(struct info_module);
	size_t cmdline_len = strlen(in->cmdline) + 1;
	size_t size, at = sizeof(struct info_block);
	struct info_block b = { .flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODS | INFO_MMAP |
					 INFO_LOADER };
	struct info_module *m;
	int ret;

	size = at + mods_len + nregions * sizeof(regions[0]) + sizeof(loader) + cmdline_len;
	for (size_t i = 0; i < in->nmods; i++)
		size += strlen(in->mods[i].cmdline) + 1;
	ret = layout_place(l, INFO_FROM, size, 16, gpa);
	if (ret)
		return ret;
	m = calloc(in->nmods + 1, sizeof(*m));
	if (!m)
		return -ENOMEM;

	ram += *gpa; /* from here on, offsets into the block */
	b.mem_lower = LOW_END / 1024;
	b.mem_upper = l->ram_len > HIGH_BASE ? (uint32_t)((l->ram_len - HIGH_BASE) / 1024) : 0;
	at += mods_len; /* the modules' table follows the block; filled in last */
	b.mods_count = (uint32_t)in->nmods;
	b.mods_addr = *gpa + (uint32_t)sizeof(b);
	b.mmap_length = (uint32_t)(nregions * sizeof(regions[0]));
	b.mmap_addr = append(ram, &at, *gpa, regions, b.mmap_length);
	b.boot_loader_name = append(ram, &at, *gpa, loader, sizeof(loader));
	b.cmdline = append(ram, &at, *gpa, in->cmdline, cmdline_len);
	for (size_t i = 0; i < in->nmods; i++) {
		const char *s = in->mods[i].cmdline;
		m[i].start = in->mods[i].start;
		m[i].end = in->mods[i].end;
		m[i].string = append(ram, &at, *gpa, s, strlen(s) + 1);
	}
	if (in->shnum) {
		b.flags |= INFO_ELF;
		b.elf_num = in->shnum;
		b.elf_size = in->shentsize;
		b.elf_addr = in->shdr_gpa;
		b.elf_shndx = in->shndx;
	}
	memcpy(ram, &b, sizeof(b));
	memcpy(ram + sizeof(b), m, mods_len);
	free(m);
	return 0;
}
