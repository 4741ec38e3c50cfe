/* SPDX-License-Identifier: MIT */
/* Shadow code pages: the life of a copy. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/code_priv.h"
#include "vmm/engine.h"
#include "vmm/mem.h"
#include "vmm/shadow.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define REFETCH_MAX 4u   /* dropped and executed again so often: emulate writes instead */
#define WRITES_MAX  256u /* emulated writes before the page is dropped after all */

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

uint8_t *code_slot_ptr(const struct code *c, uint32_t slot)
{
	return c->vm->ram + c->vm->ram_len + (uint64_t)slot * PAGE_SIZE;
}

struct code_page *code_page_find(const struct code *c, gpa_t gpa)
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
	p = code_page_find(c, gpa);
	mapped = p && p->mapped;
	pthread_mutex_unlock(&c->vm->mmu_lock);
	return mapped;
}

/* The physical address of code at linear address @gva, without touching the guest's tables. */
int code_where(struct vcpu *v, gva_t gva, gpa_t *gpa)
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

bool code_user_view(const struct vcpu *v)
{
	return v->sh.cpl == 3 && (v->sh.cr0 & CR0_PG);
}

gpa_t code_slot_offset(uint32_t slot)
{
	return VM_COPIES_GPA + (gpa_t)slot * PAGE_SIZE;
}

/* Map the copy at @gva in the current space; before the first time, take the page from all writers.
 */
static int map_copy(struct vcpu *v, struct code_page *p, gva_t gva)
{
	return shadow_map_copy(v, gva, p->gpa, code_slot_offset(p->slot));
}

void code_mark_dirty(struct code *c, struct code_page *p)
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
int code_page_drop(struct code *c, struct vcpu *v, struct code_page *p)
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
		err = code_page_drop(c, v, c->page[i]);
		free(c->page[i]);
		c->page[i] = NULL;
	}
	c->known = 0;
	c->dirty = NULL;
	return err;
}

/* The object for the page of @gpa.  NULL: out of memory or not RAM; the caller can do without. */
struct code_page *code_page_get(struct code *c, gpa_t gpa)
{
	struct code_page *p = code_page_find(c, gpa);

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

/*: 240. Code is looked at before it runs
 * Kernel pages are mapped without execute permission. The first fetch comes here: the page is
 * copied, scanned, patched, and the copy is what runs. The guest's memory is never changed.
 */
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
	p = code_page_get(c, gpa);
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
		code_page_scan(c, v, p);
	}
	err = map_copy(v, p, page);
	return err ? err : code_rescan(c, v);
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
bool code_writes_itself(struct vcpu *v, const struct code_page *p)
{
	gva_t eip = v->regs.seg[SEG_CS].base + v->regs.eip;
	gpa_t gpa;

	for (unsigned i = 0; i < 2 && !code_user_view(v); i++)
		if (!code_where(v, eip + i * (INSN_MAX - 1), &gpa) &&
		    !((gpa ^ p->gpa) >> PAGE_SHIFT))
			return true;
	return false;
}

/*: 260. And when code is written
 * A write to such a page drops the copy. The next fetch scans anew: so self-modifying kernels
 * work, and loaders, and modules.
 */
static int code_write_fault_locked(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	struct code *c = v->vm->code;
	struct code_page *p = code_page_find(c, gpa);

	(void)gva;
	/* Another vCPU may have dropped it between the fault and now. */
	if (!p || !p->mapped)
		return CODE_WRITE_DROPPED;
	if (code_writes_itself(v, p) || (p->refetched > REFETCH_MAX && p->writes < WRITES_MAX)) {
		p->writes++;
		c->st.writes++;
		return CODE_WRITE_EMULATE;
	}
	c->st.drops++;
	int err = code_page_drop(c, v, p);

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
		struct code_page *p = code_page_find(c, gpa);

		for (size_t i = 0; p && p->mapped && i < n; i++) {
			if (scan_test(p->res.body, off + (unsigned)i))
				code_mark_dirty(c, p);
			else /* another vCPU may be writing: it then comes here after us */
				code_slot_ptr(c, p->slot)[off + i] = __atomic_load_n(
					&c->vm->ram[gpa + i], __ATOMIC_RELAXED);
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
	if (!c || code_user_view(v))
		return 0;
	if (bits != c->bits[v->id]) {
		err = c->bits[v->id] ? leave_mode(c, v, bits) : 0;
		if (err)
			return err;
		c->bits[v->id] = (uint8_t)bits;
	}
	if (!code_where(v, eip, &gpa)) {
		p = code_page_find(c, gpa);
		if (p && p->mapped && p->bits == bits &&
		    !scan_test(p->res.start, eip % PAGE_SIZE)) {
			scan_set(p->entries, eip % PAGE_SIZE);
			code_mark_dirty(c, p);
		}
	}
	return c->dirty ? code_rescan(c, v) : 0;
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

	if (!c || code_user_view(v) || code_where(v, eip, &gpa))
		return false;
	pthread_mutex_lock(&v->vm->mmu_lock);
	p = code_page_find(c, gpa);
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

	if (!c || code_user_view(v))
		return false;
	/* There may have been one, which another vCPU has removed since the trap. */
	if (v->vm->vcpus > 1)
		return true;
	if (code_where(v, gva, &gpa))
		return false;
	pthread_mutex_lock(&v->vm->mmu_lock);
	p = code_page_find(c, gpa);
	patched = p && p->mapped && scan_test(p->res.patch, gpa % PAGE_SIZE);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return patched;
}

void code_patch_tsc(struct code *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->vm->mmu_lock);
	for (size_t i = 0; !c->patch_tsc && i < c->pages; i++)
		if (c->page[i] && c->page[i]->mapped)
			code_mark_dirty(c, c->page[i]);
	c->patch_tsc = true;
	pthread_mutex_unlock(&c->vm->mmu_lock);
}

void code_get_stats(const struct code *c, struct code_stats *out)
{
	pthread_mutex_lock(&c->vm->mmu_lock);
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
	pthread_mutex_unlock(&c->vm->mmu_lock);
}
