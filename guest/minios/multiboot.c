/* SPDX-License-Identifier: MIT */
/*
 * What the boot loader left for us: command line, modules, memory map.
 * Source: Multiboot Specification 0.6.96, "Boot information format" (3.3).
 */
#include "minios.h"

#define BOOT_MAGIC   0x2badb002
#define HAVE_MEM     0x01
#define HAVE_CMDLINE 0x04
#define HAVE_MODS    0x08
#define HAVE_MMAP    0x40

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	uint32_t syms[4], mmap_length, mmap_addr;
};

struct multiboot_module {
	uint32_t start, end, cmdline, reserved; /* bytes [start, end) */
};

struct multiboot_region {
	uint32_t size; /* of what follows; the next entry is size + 4 bytes on */
	uint64_t base, len;
	uint32_t type; /* 1: usable RAM */
} __attribute__((packed));

struct boot boot;

void boot_init(uint32_t magic, uint32_t info)
{
	const struct multiboot_info *mb = (const void *)info;
	if (magic != BOOT_MAGIC)
		panic("not started by a Multiboot loader: eax %x", magic);
	boot.info = info;
	boot.flags = mb->flags;
	boot.args = "";
	if (mb->flags & HAVE_MEM) {
		boot.lower = mb->mem_lower;
		boot.upper = mb->mem_upper;
	}
	if (mb->flags & HAVE_CMDLINE) {
		/* The first word is the kernel's own file name, as in argv[0]. */
		const char *p = (const char *)mb->cmdline;
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
		boot.args = p;
	}
	if (mb->flags & HAVE_MODS)
		boot.mods = mb->mods_count;
}

bool boot_arg(const char *word, uint32_t *value)
{
	const char *p = boot.args;
	while (*p) {
		const char *w = word;
		while (*w && *p == *w) {
			p++;
			w++;
		}
		if (!*w && value) {
			for (*value = 0; *p >= '0' && *p <= '9'; p++)
				*value = *value * 10 + (uint32_t)(*p - '0');
			return true;
		}
		if (!*w && (!*p || *p == ' '))
			return true;
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
	}
	return false;
}

void boot_show_modules(void)
{
	const struct multiboot_info *mb = (const void *)boot.info;
	const struct multiboot_module *m = (const void *)mb->mods_addr;
	for (uint32_t i = 0; i < boot.mods; i++, m++) {
		uint32_t sum = 0;
		for (const uint8_t *p = (const uint8_t *)m->start; p < (const uint8_t *)m->end; p++)
			sum += *p;
		print("module %u: %u bytes, sum %x\n", i, m->end - m->start, sum);
	}
}

void boot_module(uint32_t i, uint32_t *start, uint32_t *end, const char **args)
{
	const struct multiboot_info *mb = (const void *)boot.info;
	const struct multiboot_module *m = (const void *)mb->mods_addr;
	*start = m[i].start;
	*end = m[i].end;
	*args = m[i].cmdline ? (const char *)m[i].cmdline : "";
}

const char *check_boot_memory(void)
{
	const struct multiboot_info *mb = (const void *)boot.info;
	uint32_t at = mb->mmap_addr, end = at + mb->mmap_length;
	if (!(mb->flags & HAVE_MEM) || !(mb->flags & HAVE_MMAP))
		return why("the loader told no memory, flags %x", mb->flags);
	while (at < end) {
		const struct multiboot_region *r = (const void *)at;
		if (r->type == 1 && r->base == 0x100000) {
			if (r->base + r->len < (uint32_t)kernel_end)
				return why("the RAM at 1 MiB ends before the kernel does");
			return NULL;
		}
		at += r->size + 4;
	}
	return why("no RAM at 1 MiB in the memory map");
}
