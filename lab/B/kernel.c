/* SPDX-License-Identifier: MIT */
/*
 * Part B: the scanner on the code of minios, which the static audit (`ringside scan`, which knows
 * nothing of descent) has looked through as well.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder/descend.h"
#include "decoder/insn.h"
#include "decoder/sensitive.h"
#include "lab/grade/item.h"
#include "vmm/scan_image.h"
#include "vmm/symbols.h"

#define PAGES_MAX 64

struct kernel {
	struct image_scan s;
	const struct scan_region *text;
	uint32_t base; /* linear address of page 0 */
	unsigned pages;
	scan_bitmap entries[PAGES_MAX];
	struct scan_result out[PAGES_MAX];
	bool todo[PAGES_MAX];
};

static void kernel_enter(void *arg, uint32_t linear)
{
	struct kernel *k = arg;
	unsigned page = (linear - k->base) / SCAN_PAGE, off = linear % SCAN_PAGE;

	if (linear - k->text->gva >= k->text->size || scan_test(k->entries[page], off))
		return;
	scan_set(k->entries[page], off);
	k->todo[page] = true;
}

/* Its code, and the functions that its symbols name. */
static void kernel_open(struct kernel *k)
{
	const char *guests = getenv("GUESTS");
	uint32_t addr, size;
	char path[512], err[512];

	if (!guests)
		LOSE("set GUESTS to run this item by hand");
	snprintf(path, sizeof(path), "%s/minios.elf", guests);
	if (image_scan_open(&k->s, path, err, sizeof(err)) || image_scan_sweep(&k->s, 100000, NULL))
		LOSE("%s", err);
	for (size_t i = 0; i < k->s.regions; i++)
		if (!strcmp(k->s.region[i].name, ".text"))
			k->text = &k->s.region[i];
	if (!k->text || !k->s.symbols)
		LOSE("%s has no .text with symbols", path);
	k->base = k->text->gva & ~(SCAN_PAGE - 1);
	k->pages = (k->text->gva + k->text->size - k->base + SCAN_PAGE - 1) / SCAN_PAGE;
	if (k->pages > PAGES_MAX)
		LOSE("%s is larger than this item knows of", path);
	for (size_t i = 0; i < symbols_count(k->s.symbols); i++) {
		symbols_get(k->s.symbols, i, &addr, &size);
		if (symbols_is_function(k->s.symbols, i))
			kernel_enter(k, addr);
	}
}

static void kernel_page(struct kernel *k, unsigned page)
{
	uint8_t bytes[SCAN_PAGE + (INSN_MAX - 1)];
	struct scan_input in = { .bytes = bytes,
				 .avail = sizeof(bytes),
				 .linear = k->base + page * SCAN_PAGE,
				 .bits = 32,
				 .entries = k->entries[page],
				 .external = kernel_enter,
				 .arg = k };

	for (unsigned i = 0; i < sizeof(bytes); i++) {
		uint32_t at = in.linear + i - k->text->gva;

		bytes[i] = at < k->text->size ? k->text->bytes[at] : 0;
	}
	memset(&k->out[page], 0, sizeof(k->out[page]));
	scan_descend(&in, &k->out[page]);
}

/* The audit's places of what must be patched: those that are reached must be, and are most. */
static void kernel_compare(struct kernel *k)
{
	static bool audited[PAGES_MAX * SCAN_PAGE];
	const struct sensitive *table;
	unsigned reached = 0, all = 0;
	size_t rows;

	table = sensitive_table(&rows);
	for (size_t row = 0; row < rows; row++) {
		for (size_t i = 0; table[row].patch && i < k->s.row[row].places; i++) {
			uint32_t at = k->s.row[row].gva[i] - k->base;
			const struct scan_result *r = &k->out[at / SCAN_PAGE];

			if (at >= k->pages * SCAN_PAGE)
				continue;
			audited[at] = true;
			if (table[row].op == OP_RDTSC)
				continue;
			all++;
			if (!scan_test(r->start, at % SCAN_PAGE))
				continue;
			reached++;
			if (!scan_test(r->patch, at % SCAN_PAGE))
				LOSE("minios, %s at %#x: expected a patch, got none",
				     table[row].form, k->base + at);
		}
	}
	NOTE("`ringside scan` of minios knows %u instructions that must be patched; %u were "
	     "reached",
	     all, reached);
	if (reached * 4 < all * 3)
		LOSE("minios: expected that 3 of 4 of the instructions that must be patched are "
		     "reached from its functions, got %u of %u",
		     reached, all);
	for (uint32_t at = 0; at < k->pages * SCAN_PAGE; at++)
		if (scan_test(k->out[at / SCAN_PAGE].patch, at % SCAN_PAGE) && !audited[at] &&
		    at % SCAN_PAGE <= SCAN_PAGE - INSN_MAX)
			LOSE("minios at %#x: expected no patch, since `ringside scan` sees nothing "
			     "there that needs one, got one",
			     k->base + at);
}

ITEM(descent_kernel)
{
	static struct kernel k;
	bool more = true;

	kernel_open(&k);
	while (more) {
		more = false;
		for (unsigned page = 0; page < k.pages; page++) {
			if (!k.todo[page])
				continue;
			k.todo[page] = false;
			more = true;
			kernel_page(&k, page);
		}
	}
	kernel_compare(&k);
}
