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

struct code_step {
	gva_t gva;
	gpa_t gpa;
	bool used;
};

struct code {
	struct vm *vm;
	struct code_page **page; /* by gfn */
	size_t pages;            /* of RAM */
	unsigned known;          /* code_page objects */
	uint32_t free_slot[CODE_PAGES];
	unsigned free_slots;
	struct code_page *dirty;
	/* Pages mapped as they are for a single step: two of code, and one that is written. */
	struct code_step step[VM_VCPUS_MAX][3];
	uint8_t bits[VM_VCPUS_MAX]; /* of the code segment each vCPU runs in */
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
	const struct code_page *p;
	bool mapped;

	if (!c)
		return false;
	pthread_mutex_lock(&c->vm->mmu_lock);
	p = page_find(c, gpa);
	mapped = p && p->mapped;
	pthread_mutex_unlock(&c->vm->mmu_lock);
	return mapped;
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
	return shadow_map_copy(v, gva, p->gpa, slot_offset(c, p->slot));
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

/*
 * The guest may write the page again; what the scanner found is forgotten.  Not the entries: code
 * on other pages may still lead there, and is not scanned again.  One that is no instruction any
 * more costs a trap at worst.
 */
static int page_drop(struct code *c, struct vcpu *v, struct code_page *p)
{
	if (p->slot != NO_SLOT)
		c->free_slot[c->free_slots++] = p->slot;
	p->slot = NO_SLOT;
	p->writes = 0;
	memset(&p->res, 0, sizeof(p->res));
	if (!p->mapped)
		return 0;
	p->mapped = false;
	return shadow_drop_copies(v, p->gpa, true);
}

/* Forget every page.  Also frees the objects, so that hints cannot pile up. */
static int flush(struct code *c, struct vcpu *v)
{
	int err = 0;

	c->st.flushes++;
	for (size_t i = 0; i < c->pages && !err; i++) {
		if (!c->page[i])
			continue;
		err = page_drop(c, v, c->page[i]);
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
	fill_copy(slot_ptr(c, p->slot), bytes, p->res.patch);
	c->st.scan_ns += tsc_to_ns(tsc_read() - t0);
	/* Neighbours whose verdict depends on this page. */
	if (p->res.tail && next)
		for (unsigned i = 0; i < p->res.tail; i++)
			if (scan_test(next->res.patch, i) && !scan_test(next->res.start, i))
				mark_dirty(c, next); /* an assumption, now refuted */
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

static int code_fetch_fault_locked(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	struct code *c = v->vm->code;
	gva_t eip = v->regs.seg[SEG_CS].base + v->regs.eip, page = gva & ~(PAGE_SIZE - 1);
	unsigned bits = v->regs.seg[SEG_CS].db ? 32 : 16;
	struct code_page *p;
	bool fresh = false;
	int err;

	if (!c->free_slots || c->known >= 2 * CODE_PAGES) {
		err = flush(c, v);
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
	if (!p->mapped) {
		/* Taken from all writers first, so that what is copied stays what the guest has. */
		p->mapped = true;
		err = shadow_protect(v, p->gpa);
		if (err)
			return err;
		fresh = true;
	} else if (p->bits != bits) {
		/* Others must not run a copy made for the other kind of code segment. */
		err = shadow_drop_copies(v, p->gpa, false);
		if (err)
			return err;
	}
	if (fresh || p->dirty || p->gva != page || p->bits != bits ||
	    (eip - page < PAGE_SIZE && !scan_test(p->res.start, eip % PAGE_SIZE))) {
		p->gva = page;
		p->bits = (uint8_t)bits;
		page_scan(c, v, p);
	}
	err = map_copy(c, v, p, page);
	return err ? err : rescan_dirty(c, v);
}

int code_fetch_fault(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = code_fetch_fault_locked(v, gva, gpa);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}

/*
 * Is @p the page of the instruction at EIP, or the one that it runs on into?  It must stay
 * executable then.  The user view executes no copies.
 */
static bool writes_itself(struct vcpu *v, const struct code_page *p)
{
	gva_t eip = v->regs.seg[SEG_CS].base + v->regs.eip;
	gpa_t gpa;

	for (unsigned i = 0; i < 2 && !user_view(v); i++)
		if (!code_where(v, eip + i * (INSN_MAX - 1), &gpa) &&
		    !((gpa ^ p->gpa) >> PAGE_SHIFT))
			return true;
	return false;
}

static int code_write_fault_locked(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	struct code *c = v->vm->code;
	struct code_page *p = page_find(c, gpa);

	(void)gva;
	/* Another vCPU may have dropped it between the fault and now. */
	if (!p || !p->mapped)
		return CODE_WRITE_DROPPED;
	if (writes_itself(v, p) || (p->refetched > REFETCH_MAX && p->writes < WRITES_MAX)) {
		p->writes++;
		c->st.writes++;
		return CODE_WRITE_EMULATE;
	}
	c->st.drops++;
	int err = page_drop(c, v, p);

	return err ? err : CODE_WRITE_DROPPED;
}

int code_write_fault(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = code_write_fault_locked(v, gva, gpa);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}

void code_written(struct code *c, gpa_t gpa, size_t len)
{
	pthread_mutex_lock(&c->vm->mmu_lock);
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
	pthread_mutex_unlock(&c->vm->mmu_lock);
}

/* This vCPU changes to @bits-bit code: copies made for the other kind must not run here. */
static int leave_mode(struct code *c, struct vcpu *v, unsigned bits)
{
	int err = 0;

	for (size_t i = 0; i < c->pages && !err; i++)
		if (c->page[i] && c->page[i]->mapped && c->page[i]->bits != bits)
			err = shadow_drop_own_copy(v, c->page[i]->gpa);
	return err;
}

int code_map_flat(struct vcpu *v)
{
	struct code *c = v->vm->code;
	struct engine *e = v->engine;
	uint64_t low = e->low_limit;
	int err;

	pthread_mutex_lock(&v->vm->mmu_lock);
	e->ram_mapped = true;
	err = e->ops->map(e, (gva_t)low, low, v->vm->ram_len - low, MAP_R | MAP_W);
	for (size_t i = low >> PAGE_SHIFT; i < c->pages && !err; i++)
		if (c->page[i] && c->page[i]->mapped)
			err = e->ops->map(e, (gva_t)c->page[i]->gpa, c->page[i]->gpa, PAGE_SIZE,
					  MAP_R);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return err;
}

int code_remap_flat(struct vcpu *v, gpa_t gpa)
{
	struct engine *e = v->engine;
	int err = 0;

	pthread_mutex_lock(&v->vm->mmu_lock);
	gpa &= ~(gpa_t)(PAGE_SIZE - 1);
	if (!code_shadowed(v->vm->code, gpa))
		err = e->ops->map(e, (gva_t)gpa, gpa, PAGE_SIZE, MAP_R | MAP_W);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return err;
}

static int code_before_run_locked(struct vcpu *v)
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
	if (bits != c->bits[v->id]) {
		err = c->bits[v->id] ? leave_mode(c, v, bits) : 0;
		if (err)
			return err;
		c->bits[v->id] = (uint8_t)bits;
	}
	if (!code_where(v, eip, &gpa)) {
		p = page_find(c, gpa);
		if (p && p->mapped && p->bits == bits &&
		    !scan_test(p->res.start, eip % PAGE_SIZE)) {
			scan_set(p->entries, eip % PAGE_SIZE);
			mark_dirty(c, p);
		}
	}
	return c->dirty ? rescan_dirty(c, v) : 0;
}

int code_before_run(struct vcpu *v)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = code_before_run_locked(v);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}

bool code_at_patch(struct vcpu *v)
{
	gva_t eip = v->regs.seg[SEG_CS].base + v->regs.eip;
	struct code *c = v->vm->code;
	struct code_page *p;
	bool traps = false;
	gpa_t gpa;

	if (!c || user_view(v) || code_where(v, eip, &gpa))
		return false;
	pthread_mutex_lock(&v->vm->mmu_lock);
	p = page_find(c, gpa);
	if (p && p->mapped && !p->dirty && scan_test(p->res.start, gpa % PAGE_SIZE))
		traps = scan_test(p->res.patch, gpa % PAGE_SIZE) ||
			scan_test(p->res.privileged, gpa % PAGE_SIZE);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return traps;
}

bool code_patched(struct vcpu *v, gva_t gva)
{
	struct code *c = v->vm->code;
	struct code_page *p;
	bool patched;
	gpa_t gpa;

	if (!c || user_view(v))
		return false;
	/* There may have been one, which another vCPU has removed since the trap. */
	if (v->vm->vcpus > 1)
		return true;
	if (code_where(v, gva, &gpa))
		return false;
	pthread_mutex_lock(&v->vm->mmu_lock);
	p = page_find(c, gpa);
	patched = p && p->mapped && scan_test(p->res.patch, gpa % PAGE_SIZE);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return patched;
}

/* Map the original of the page at @gva, if it is one with a copy, for the coming step. */
static int step_map(struct vcpu *v, unsigned i, gva_t gva, unsigned prot)
{
	struct code *c = v->vm->code;
	struct code_step *s = c->step[v->id];
	struct code_page *p;

	s[i].used = false;
	s[i].gva = gva & ~(PAGE_SIZE - 1);
	for (unsigned k = 0; k < i; k++)
		if (s[k].used && s[k].gva == s[i].gva)
			return 0;
	if (code_where(v, s[i].gva, &s[i].gpa))
		return 0;
	p = page_find(c, s[i].gpa);
	if (!p || !p->mapped)
		return 0;
	s[i].used = true;
	return shadow_map_once(v, s[i].gva, p->gpa, prot);
}

/* @write: the instruction writes @target, on a page with a copy. */
static int step_begin_locked(struct vcpu *v, bool write, gva_t target)
{
	gva_t eip = v->regs.seg[SEG_CS].base + v->regs.eip;
	int err = 0;

	v->vm->code->st.steps++;
	for (unsigned i = 0; i < 2 && !err; i++) {
		gva_t gva = eip + i * (INSN_MAX - 1);
		bool same = write && !((gva ^ target) >> PAGE_SHIFT);

		err = step_map(v, i, gva, MAP_R | MAP_X | (same ? MAP_W : 0));
	}
	v->vm->code->step[v->id][2].used = false;
	if (write && !err)
		err = step_map(v, 2, target, MAP_R | MAP_W);
	return err;
}

int code_step_original(struct vcpu *v)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = step_begin_locked(v, false, 0);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}

static int code_write_natively_locked(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	struct code *c = v->vm->code;
	struct code_page *p = page_find(c, gpa);
	int err;

	if (p && p->mapped && writes_itself(v, p)) {
		err = step_begin_locked(v, true, gva);
		return err ? err : CODE_WRITE_STEP;
	}
	c->st.drops++;
	err = p ? page_drop(c, v, p) : 0;
	return err ? err : CODE_WRITE_DROPPED;
}

int code_write_natively(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = code_write_natively_locked(v, gva, gpa);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}

static int code_step_done_locked(struct vcpu *v)
{
	struct code *c = v->vm->code;
	int err = 0;

	for (unsigned i = 0; i < 3 && !err; i++) {
		struct code_step *s = &c->step[v->id][i];
		struct code_page *p = s->used ? page_find(c, s->gpa) : NULL;

		if (!s->used)
			continue;
		s->used = false;
		if (!p || !p->mapped) { /* another vCPU's doing meanwhile */
			err = shadow_end_once(v, s->gva, s->gpa, 0);
			continue;
		}
		/* It may have written the page. */
		page_scan(c, v, p);
		err = shadow_end_once(v, s->gva, p->gpa, slot_offset(c, p->slot));
	}
	return err ? err : rescan_dirty(c, v);
}

int code_step_done(struct vcpu *v)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = code_step_done_locked(v);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}

void code_patch_tsc(struct code *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->vm->mmu_lock);
	for (size_t i = 0; !c->patch_tsc && i < c->pages; i++)
		if (c->page[i] && c->page[i]->mapped)
			mark_dirty(c, c->page[i]);
	c->patch_tsc = true;
	pthread_mutex_unlock(&c->vm->mmu_lock);
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
