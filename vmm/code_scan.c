/* SPDX-License-Identifier: MIT */
/*
 * Shadow code pages: scanning one with what the image and its neighbours say, and filling its copy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decoder/length.h"
#include "vmm/code_priv.h"
#include "vmm/engine.h"
#include "vmm/mem.h"
#include "vmm/shadow.h"
#include "vmm/symbols.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static uint64_t page_hash(const uint8_t *p)
{
	uint64_t h = 0xcbf29ce484222325u, w;

	for (unsigned i = 0; i < PAGE_SIZE; i += 8) {
		memcpy(&w, p + i, 8);
		h = (h ^ w) * 0x100000001b3u;
		h ^= h >> 29;
	}
	return h | 1;
}

/*
 * What the image says of @p, if the page still holds what was loaded: functions are entries,
 * sections are code or data.  *@code and *@data are filled; returns false if nothing is known.
 */
static bool use_image(struct code *c, struct code_page *p, scan_bitmap code, scan_bitmap data)
{
	uint64_t want = c->image_hash ? c->image_hash[p->gpa >> PAGE_SHIFT] : 0;
	const struct symbols *syms = c->vm->symbols;
	size_t lo = 0, hi = symbols_count(syms);
	uint32_t page, addr, size;

	if (!want || want != page_hash(c->vm->ram + p->gpa) ||
	    !symbols_code_page(syms, (uint32_t)p->gpa, &page))
		return false;
	while (lo < hi) { /* the first symbol at or above the page */
		size_t mid = (lo + hi) / 2;

		symbols_get(syms, mid, &addr, &size);
		if (addr < page)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < symbols_count(syms); lo++) {
		symbols_get(syms, lo, &addr, &size);
		if (addr - page >= PAGE_SIZE)
			break;
		if (symbols_is_function(syms, lo))
			scan_set(p->entries, addr - page);
	}
	for (unsigned off = 0; off < PAGE_SIZE; off++) {
		enum symbols_kind kind = symbols_range(syms, page + off);

		if (kind == SYMBOLS_CODE)
			scan_set(code, off);
		else if (kind == SYMBOLS_DATA)
			scan_set(data, off);
	}
	return true;
}

void code_use_symbols(struct vm *vm)
{
	struct code *c = vm->code;
	uint32_t addr;

	if (!c || !vm->symbols || c->image_hash)
		return;
	c->image_hash = calloc(c->pages, sizeof(*c->image_hash));
	if (!c->image_hash)
		return;
	for (size_t i = 0; i < c->pages; i++)
		if (symbols_code_page(vm->symbols, (uint32_t)(i << PAGE_SHIFT), &addr))
			c->image_hash[i] = page_hash(vm->ram + (i << PAGE_SHIFT));
}

/* The page that follows (@delta 1) or precedes (-1) @p in the address space it was scanned in. */
static struct code_page *neighbour(const struct code *c, struct vcpu *v, const struct code_page *p,
				   int delta, gpa_t *gpa)
{
	gva_t gva = p->gva + (gva_t)(delta * (int)PAGE_SIZE);
	struct code_page *q;

	if (code_where(v, gva, gpa)) {
		*gpa = c->vm->ram_len;
		return NULL;
	}
	q = code_page_find(c, *gpa);
	return q && q->mapped && q->gva == gva ? q : NULL;
}

struct scan_context {
	struct code *c;
	struct vcpu *v;
};

/* Control can go from a scanned page to @linear: that page must know. */
static void on_external(void *arg, uint32_t linear)
{
	struct scan_context *sc = arg;
	struct code_page *p;
	gpa_t gpa;

	if (code_where(sc->v, linear, &gpa))
		return;
	p = code_page_get(sc->c, gpa);
	if (!p || scan_test(p->entries, gpa % PAGE_SIZE))
		return;
	scan_set(p->entries, gpa % PAGE_SIZE);
	if (p->mapped && !scan_test(p->res.start, gpa % PAGE_SIZE))
		code_mark_dirty(sc->c, p);
}

/* Length of the longest instruction that starts at @off and is verified, from original bytes. */
static unsigned length_at(const struct code *c, const struct code_page *p, unsigned off)
{
	size_t left = c->vm->ram_len - (p->gpa + off);
	struct quick q;

	if (!scan_test(p->res.start, off) ||
	    insn_quick(c->vm->ram + p->gpa + off, left < INSN_MAX ? left : INSN_MAX, p->bits, &q))
		return 0;
	return q.len;
}

/*
 * An instruction that runs on into the next page must trap if one of its bytes there is patched:
 * the same rule as for overlaps within a page, downwards for the same reason.  The copy may be
 * filled already.
 */
static void settle_tail(struct code *c, struct code_page *p, const struct code_page *next)
{
	unsigned low = PAGE_SIZE; /* nothing below it, minus an instruction, can be concerned */

	if (!p->res.tail || !next)
		return;
	for (unsigned off = PAGE_SIZE; off-- > 0 && off + INSN_MAX > low;) {
		unsigned len = length_at(c, p, off);

		for (unsigned i = off + 1; i < off + len; i++) {
			if (!scan_test(i < PAGE_SIZE ? p->res.patch : next->res.patch,
				       i % PAGE_SIZE))
				continue;
			scan_set(p->res.patch, off);
			code_slot_ptr(c, p->slot)[off] = SCAN_PATCH;
			low = off;
			break;
		}
	}
}

/*
 * Another vCPU may be executing the copy.  It sees each aligned 8 bytes as they were or as they are
 * now, so that an instruction which the guest rewrote with one aligned store changes at once, as it
 * does on a CPU.
 */
static void fill_copy(uint8_t *copy, const uint8_t *bytes, const scan_bitmap patch)
{
	for (unsigned off = 0; off < SCAN_PAGE; off += 8) {
		uint8_t word[8];
		uint64_t q;

		for (unsigned i = 0; i < 8; i++)
			word[i] = scan_test(patch, off + i) ? SCAN_PATCH : bytes[off + i];
		memcpy(&q, word, 8);
		if (memcmp(copy + off, word, 8) != 0)
			__atomic_store_n((uint64_t *)(void *)(copy + off), q, __ATOMIC_RELEASE);
	}
}

/*: 250. Finding what does not trap
 * Which bytes of a page begin an instruction cannot be known for certain. All paths are followed
 * from where the page was entered, and the image's symbols help; docs/design.md says what is done
 * about doubt.
 */
/* Scan @p from its entries and fill its copy. */
void code_page_scan(struct code *c, struct vcpu *v, struct code_page *p)
{
	gpa_t prev_gpa, next_gpa;
	struct code_page *prev = neighbour(c, v, p, -1, &prev_gpa);
	struct code_page *next = neighbour(c, v, p, 1, &next_gpa);
	struct scan_context sc = { .c = c, .v = v };
	uint8_t bytes[SCAN_PAGE + INSN_MAX - 1];
	const uint8_t *after = vm_ptr(c->vm, next_gpa, INSN_MAX - 1);
	struct scan_input in = {
		.bytes = bytes,
		.avail = after ? sizeof(bytes) : SCAN_PAGE,
		.linear = p->gva,
		.cs_base = v->regs.seg[SEG_CS].base,
		.bits = p->bits,
		.patch_tsc = c->patch_tsc,
		.patch_pause = c->vm->pause_trap,
		.entries = p->entries,
		.external = on_external,
		.arg = &sc,
	};
	scan_bitmap image_code = { 0 }, image_data = { 0 };
	uint64_t t0 = tsc_read();

	if (prev) {
		in.lead_known = true;
		in.lead = prev->res.tail;
	}
	if (use_image(c, p, image_code, image_data)) {
		in.code = image_code;
		in.data = image_data;
	}
	/* Copied once: what is scanned is what will be executed. */
	memcpy(bytes, c->vm->ram + p->gpa, SCAN_PAGE);
	if (after)
		memcpy(bytes + SCAN_PAGE, after, INSN_MAX - 1);
	scan_page(&in, &p->res);
	settle_tail(c, p, next);
	/* Before this copy has a patch that an instruction of the other would run into. */
	if (prev)
		settle_tail(c, prev, p);
	fill_copy(code_slot_ptr(c, p->slot), bytes, p->res.patch);
	c->st.scan_ns += tsc_to_ns(tsc_read() - t0);
	/* Neighbours whose verdict depends on this page. */
	if (p->res.tail && next)
		for (unsigned i = 0; i < p->res.tail; i++)
			if (scan_test(next->res.patch, i) && !scan_test(next->res.start, i))
				code_mark_dirty(c, next); /* an assumption, now refuted */
}

int code_rescan(struct code *c, struct vcpu *v)
{
	while (c->dirty) {
		struct code_page *p = c->dirty;

		/* A hostile page graph can make this long; it must not outlive the VM. */
		if (atomic_load(&c->vm->stop))
			return 0;
		c->dirty = p->next_dirty;
		p->dirty = false;
		if (!p->mapped)
			continue;
		c->st.rescans++;
		code_page_scan(c, v, p);
	}
	return 0;
}
