/* SPDX-License-Identifier: MIT */
/*
 * The programs, which the boot loader has put in memory as modules.  A module is one ELF file,
 * called by the last word of its string (without directory and ending), or an archive made by
 * ar(1) with many.  There is no disk, so this is all the file system there is.
 */
#include "os.h"

/* ar(5): "!<arch>\n", then for each member a header of text and its bytes, padded to even. */
#define AR_MAGIC "!<arch>\n"
struct ar_header {
	char name[16], date[12], uid[6], gid[6], mode[8], size[10], end[2];
};

static struct program programs[32];
static unsigned count;

/* "/some/where/hello.elf x/primes.elf" -> "primes"; also "hello.elf/       " -> "hello". */
static void name_program(char *dst, const char *s, size_t len)
{
	size_t n = 0;
	for (size_t i = 0; i < len && s[i]; i++) {
		if (s[i] == ' ' && (i + 1 == len || !s[i + 1] || s[i + 1] == ' '))
			break;
		if ((s[i] == '/' && i + 1 < len && s[i + 1] != ' ') || s[i] == ' ')
			n = 0;
		else if (n + 1 < NAME_MAX)
			dst[n++] = s[i];
	}
	dst[n] = 0;
	for (n = 0; dst[n]; n++)
		if (dst[n] == '.' || dst[n] == '/')
			dst[n] = 0;
}

static void add(const char *name, size_t len, const uint8_t *image, uint32_t size)
{
	struct program *p = &programs[count];
	if (count == sizeof(programs) / sizeof(programs[0]))
		panic("more than %u programs", count);
	name_program(p->name, name, len);
	p->image = image;
	p->size = size;
	count++;
}

static void add_archive(const uint8_t *at, const uint8_t *end)
{
	at += sizeof(AR_MAGIC) - 1;
	while ((size_t)(end - at) >= sizeof(struct ar_header)) {
		const struct ar_header *h = (const void *)at;
		uint32_t size = 0;
		for (unsigned i = 0; i < sizeof(h->size) && h->size[i] != ' '; i++)
			size = size * 10 + (uint32_t)(h->size[i] - '0');
		at += sizeof(*h);
		if (size > (size_t)(end - at))
			panic("the archive of programs is cut short");
		add(h->name, sizeof(h->name), at, size);
		at += size;
		at += size & 1 && at < end;
	}
}

uint32_t programs_init(void)
{
	uint32_t last = 0;
	for (uint32_t i = 0; i < boot.mods; i++) {
		uint32_t start, end;
		const char *args;
		boot_module(i, &start, &end, &args);
		if (end - start > sizeof(AR_MAGIC) && after_prefix((char *)start, AR_MAGIC))
			add_archive((uint8_t *)start, (uint8_t *)end);
		else
			add(args, strlen(args), (uint8_t *)start, end - start);
		if (end > last)
			last = end;
	}
	return last;
}

const struct program *program_at(unsigned i)
{
	return i < count ? &programs[i] : NULL;
}

const struct program *program_find(const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(programs[i].name, name))
			return &programs[i];
	return NULL;
}
