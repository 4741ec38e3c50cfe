/* SPDX-License-Identifier: MIT */
/* Shadow code pages: the life of a copy. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decoder/scan.h"
#include "decoder/length.h"
#include "vmm/code.h"
#include "vmm/engine.h"
#include "vmm/mem.h"
#include "vmm/shadow.h"
#include "vmm/symbols.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define REFETCH_MAX 4u   /* dropped and executed again so often: emulate writes instead */
#define WRITES_MAX  256u /* emulated writes before the page is dropped after all */
#define NO_SLOT     UINT32_MAX

/* What is known of one guest page that is, was or will be executed. */
struct code_page {
	gpa_t gpa;
	gva_t gva;           /* where the copy is mapped */
	uint32_t slot;       /* of the copy, NO_SLOT: none */
	uint8_t bits;        /* 16 or 32: how it was scanned */
	bool mapped;         /* the copy is mapped executable at gva */
	bool dirty;          /* to be scanned again before the guest runs */
	uint16_t refetched;  /* times it was executed again after a drop */
	uint16_t writes;     /* emulated since the last drop */
	scan_bitmap entries; /* where control is known to arrive */
	struct scan_result res;
	struct code_page *next_dirty;
};

struct code {
	struct vm *vm;
	struct code_page **page; /* by gfn */
	size_t pages;            /* of RAM */
	unsigned known;          /* code_page objects */
	uint32_t free_slot[CODE_PAGES];
	unsigned free_slots;
	struct code_page *dirty;
	struct code_page *step[2]; /* mapped original for a single step */
	gva_t step_gva[2];         /* where */
	unsigned bits;             /* of the code segment the mapped copies were made for */
	bool patch_tsc;
	uint64_t *image_hash; /* by gfn: of pages with code as loaded, else 0 */
	struct code_stats st;
};

struct code *code_new(struct vm *vm)
{
	struct code *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->vm = vm;
	c->pages = vm->ram_len / PAGE_SIZE;
	c->page = calloc(c->pages, sizeof(*c->page));
	if (!c->page) {
		free(c);
		return NULL;
	}
	for (uint32_t i = 0; i < CODE_PAGES; i++)
		c->free_slot[c->free_slots++] = CODE_PAGES - 1 - i;
	return c;
}

void code_free(struct code *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->pages; i++)
		free(c->page[i]);
	free(c->image_hash);
	free(c->page);
	free(c);
}

static uint8_t *slot_ptr(const struct code *c, uint32_t slot)
{
	return c->vm->ram + c->vm->ram_len + (uint64_t)slot * PAGE_SIZE;
}

static struct code_page *page_find(const struct code *c, gpa_t gpa)
{
	return gpa < c->vm->ram_len ? c->page[gpa >> PAGE_SHIFT] : NULL;
}

bool code_shadowed(const struct code *c, gpa_t gpa)
{
	const struct code_page *p = c ? page_find(c, gpa) : NULL;

	return p && p->mapped;
}

/* The physical address of code at linear address @gva, without touching the guest's tables. */
static int code_where(struct vcpu *v, gva_t gva, gpa_t *gpa)
{
	struct mmu_leaf leaf;

	if (!(v->sh.cr0 & CR0_PG)) {
		*gpa = gva;
		return 0;
	}
	if (mmu_peek(v, gva, &leaf))
		return -EFAULT;
	*gpa = leaf.gpa;
	return 0;
}

static bool user_view(const struct vcpu *v)
{
	return v->sh.cpl == 3 && (v->sh.cr0 & CR0_PG);
}

static gpa_t slot_offset(const struct code *c, uint32_t slot)
{
	return c->vm->ram_len + (gpa_t)slot * PAGE_SIZE;
}

/* Map the copy at @gva in the current space; before the first time, take the page from all writers.
 */
static int map_copy(struct code *c, struct vcpu *v, struct code_page *p, gva_t gva)
{
	int err = p->mapped ? 0 : shadow_protect(c->vm, p->gpa);

	p->mapped = true;
	return err ? err : shadow_map_copy(v, gva, p->gpa, slot_offset(c, p->slot));
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
	q = page_find(c, *gpa);
	return q && q->mapped && q->gva == gva ? q : NULL;
}

static void mark_dirty(struct code *c, struct code_page *p)
{
	if (p->dirty)
		return;
	p->dirty = true;
	p->next_dirty = c->dirty;
	c->dirty = p;
}

/* The guest may write the page again; what was known of it is forgotten. */
static int page_drop(struct code *c, struct code_page *p)
{
	if (p->slot != NO_SLOT)
		c->free_slot[c->free_slots++] = p->slot;
	p->slot = NO_SLOT;
	p->writes = 0;
	memset(p->entries, 0, sizeof(p->entries));
	memset(&p->res, 0, sizeof(p->res));
	if (!p->mapped)
		return 0;
	p->mapped = false;
	return shadow_drop_copies(c->vm, p->gpa);
}

/* Forget every page.  Also frees the objects, so that hints cannot pile up. */
static int flush(struct code *c)
{
	int err = 0;

	c->st.flushes++;
	for (size_t i = 0; i < c->pages && !err; i++) {
		if (!c->page[i])
			continue;
		err = page_drop(c, c->page[i]);
		free(c->page[i]);
		c->page[i] = NULL;
	}
	c->known = 0;
	c->dirty = NULL;
	return err;
}

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

/* The object for the page of @gpa.  NULL: out of memory or not RAM; the caller can do without. */
static struct code_page *page_get(struct code *c, gpa_t gpa)
{
	struct code_page *p = page_find(c, gpa);

	if (p || gpa >= c->vm->ram_len || c->known >= 2 * CODE_PAGES)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->gpa = gpa & ~(gpa_t)(PAGE_SIZE - 1);
	p->slot = NO_SLOT;
	c->page[gpa >> PAGE_SHIFT] = p;
	c->known++;
	return p;
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
	p = page_get(sc->c, gpa);
	if (!p || scan_test(p->entries, gpa % PAGE_SIZE))
		return;
	scan_set(p->entries, gpa % PAGE_SIZE);
	if (p->mapped && !scan_test(p->res.start, gpa % PAGE_SIZE))
		mark_dirty(sc->c, p);
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
			slot_ptr(c, p->slot)[off] = SCAN_PATCH;
			low = off;
			break;
		}
	}
}

/* Scan @p from its entries and fill its copy. */
static void page_scan(struct code *c, struct vcpu *v, struct code_page *p)
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
		.entries = p->entries,
		.external = on_external,
		.arg = &sc,
	};
	scan_bitmap image_code = { 0 }, image_data = { 0 };
	uint64_t t0 = tsc_read();
	uint8_t *copy = slot_ptr(c, p->slot);

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
	for (unsigned off = 0; off < SCAN_PAGE; off++)
		copy[off] = scan_test(p->res.patch, off) ? SCAN_PATCH : bytes[off];
	c->st.scan_ns += tsc_to_ns(tsc_read() - t0);
	/* Neighbours whose verdict depends on this page. */
	if (p->res.tail && next)
		for (unsigned i = 0; i < p->res.tail; i++)
			if (scan_test(next->res.patch, i) && !scan_test(next->res.start, i))
				mark_dirty(c, next); /* an assumption, now refuted */
	if (prev)
		settle_tail(c, prev, p);
}

static int rescan_dirty(struct code *c, struct vcpu *v)
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
		page_scan(c, v, p);
	}
	return 0;
}

int code_fetch_fault(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	struct code *c = v->vm->code;
	gva_t eip = v->regs.seg[SEG_CS].base + v->regs.eip, page = gva & ~(PAGE_SIZE - 1);
	unsigned bits = v->regs.seg[SEG_CS].db ? 32 : 16;
	struct code_page *p;
	int err;

	if (!c->free_slots || c->known >= 2 * CODE_PAGES) {
		err = flush(c);
		if (err)
			return err;
	}
	p = page_get(c, gpa);
	if (!p)
		return vm_host_fail(v->vm, "out of memory for shadow code pages");
	if (p->slot == NO_SLOT) {
		p->slot = c->free_slot[--c->free_slots];
		c->st.scans++;
		if (p->refetched < UINT16_MAX)
			p->refetched++;
	}
	/* Not if it is an instruction of the page before that runs on into this one. */
	if (eip - page < PAGE_SIZE)
		scan_set(p->entries, eip % PAGE_SIZE);
	/* A copy that exists serves other address spaces as it is. */
	if (!p->mapped || p->dirty || p->gva != page || p->bits != bits ||
	    (eip - page < PAGE_SIZE && !scan_test(p->res.start, eip % PAGE_SIZE))) {
		p->gva = page;
		p->bits = (uint8_t)bits;
		page_scan(c, v, p);
	}
	err = map_copy(c, v, p, page);
	return err ? err : rescan_dirty(c, v);
}

int code_write_fault(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	struct code *c = v->vm->code;
	struct code_page *p = page_find(c, gpa);
	gva_t eip = v->regs.seg[SEG_CS].base + v->regs.eip;
	/* The page the instruction is on, or runs on into, must stay executable. */
	bool own = eip - p->gva < PAGE_SIZE || eip + INSN_MAX - 1 - p->gva < PAGE_SIZE;

	(void)gva;
	if (own || (p->refetched > REFETCH_MAX && p->writes < WRITES_MAX)) {
		p->writes++;
		c->st.writes++;
		return CODE_WRITE_EMULATE;
	}
	c->st.drops++;
	int err = page_drop(c, p);

	return err ? err : CODE_WRITE_DROPPED;
}

void code_written(struct code *c, gpa_t gpa, size_t len)
{
	while (len) {
		unsigned off = gpa % PAGE_SIZE;
		size_t n = PAGE_SIZE - off < len ? PAGE_SIZE - off : len;
		struct code_page *p = page_find(c, gpa);

		for (size_t i = 0; p && p->mapped && i < n; i++) {
			if (scan_test(p->res.body, off + (unsigned)i))
				mark_dirty(c, p);
			else
				slot_ptr(c, p->slot)[off + i] = c->vm->ram[gpa + i];
		}
		gpa += n;
		len -= n;
	}
}

int code_before_run(struct vcpu *v)
{
	struct code *c = v->vm->code;
	unsigned bits = v->regs.seg[SEG_CS].db ? 32 : 16;
	gva_t eip = v->regs.seg[SEG_CS].base + v->regs.eip;
	struct code_page *p;
	gpa_t gpa;
	int err;

	/* The user view runs what the guest wrote, unpatched. */
	if (!c || user_view(v))
		return 0;
	if (bits != c->bits) {
		/* Copies made for the other kind of code segment must not run in this one. */
		err = c->bits ? flush(c) : 0;
		if (err)
			return err;
		c->bits = bits;
	}
	if (!code_where(v, eip, &gpa)) {
		p = page_find(c, gpa);
		if (p && p->mapped && !scan_test(p->res.start, eip % PAGE_SIZE)) {
			scan_set(p->entries, eip % PAGE_SIZE);
			mark_dirty(c, p);
		}
	}
	return c->dirty ? rescan_dirty(c, v) : 0;
}

bool code_patched(struct vcpu *v, gva_t gva)
{
	struct code *c = v->vm->code;
	struct code_page *p;
	gpa_t gpa;

	if (!c || user_view(v) || code_where(v, gva, &gpa))
		return false;
	p = page_find(c, gpa);
	return p && p->mapped && scan_test(p->res.patch, gpa % PAGE_SIZE);
}

int code_step_original(struct vcpu *v)
{
	struct code *c = v->vm->code;
	gva_t eip = v->regs.seg[SEG_CS].base + v->regs.eip;
	int err = 0;

	c->st.steps++;
	for (unsigned i = 0; i < 2 && !err; i++) {
		gva_t gva = eip + i * (INSN_MAX - 1);
		gpa_t gpa;

		c->step[i] = NULL;
		c->step_gva[i] = gva & ~(PAGE_SIZE - 1);
		if (code_where(v, gva, &gpa))
			continue;
		c->step[i] = page_find(c, gpa);
		if (!c->step[i] || !c->step[i]->mapped)
			c->step[i] = NULL;
		else
			err = shadow_map_once(v, gva, c->step[i]->gpa, MAP_R | MAP_W | MAP_X);
	}
	return err;
}

int code_step_done(struct vcpu *v)
{
	struct code *c = v->vm->code;
	int err = 0;

	for (unsigned i = 0; i < 2 && !err; i++) {
		struct code_page *p = c->step[i];

		c->step[i] = NULL;
		if (!p || (i && p == c->step[0]))
			continue;
		/* It may have written the page. */
		page_scan(c, v, p);
		err = shadow_map_once(v, c->step_gva[i], slot_offset(c, p->slot), MAP_R | MAP_X);
	}
	return err ? err : rescan_dirty(c, v);
}

void code_patch_tsc(struct code *c)
{
	if (c && !c->patch_tsc) {
		c->patch_tsc = true;
		for (size_t i = 0; i < c->pages; i++)
			if (c->page[i] && c->page[i]->mapped)
				mark_dirty(c, c->page[i]);
	}
}

void code_get_stats(const struct code *c, struct code_stats *out)
{
	*out = c->st;
	for (size_t i = 0; i < c->pages; i++) {
		const struct code_page *p = c->page[i];

		if (!p || !p->mapped)
			continue;
		out->pages++;
		out->patches += p->res.patches;
		out->verified += p->res.verified;
		out->assumed += p->res.assumed;
		out->unverified += p->res.unverified;
	}
}
