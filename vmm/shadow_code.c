/* SPDX-License-Identifier: MIT */
/* The shadow MMU for code pages: no writers, copies mapped, copies dropped, in all worlds. */
#include <errno.h>

#include "vmm/code.h"
#include "vmm/mem.h"
#include "vmm/shadow_priv.h"

/* In a space without paging all of RAM is mapped as it is, and not in the books. */
bool shadow_is_flat(const struct space *sp)
{
	return !(sp->mode & MODE_PG) && sp->engine->ram_mapped;
}

static int map_flat(struct shadow_mmu *m, gpa_t gpa, gpa_t offset, unsigned prot)
{
	int err = 0;

	gpa &= ~(gpa_t)(PAGE_SIZE - 1);
	for (struct space *sp = m->spaces; sp && !err; sp = sp->next)
		if (shadow_is_flat(sp) && gpa >= sp->engine->low_limit) {
			sp->behind = true;
			err = sp->engine->ops->map(sp->engine, (gva_t)gpa, offset, PAGE_SIZE, prot);
		}
	return err;
}

/*
 * Other vCPUs may be running in the worlds that changed: have it done before going on.  Our own are
 * told before they run.
 */
static int sync_others(struct shadow_mmu *m, const struct vcpu *self)
{
	int err = 0;

	for (struct space *sp = m->spaces; sp && !err; sp = sp->next) {
		if (sp->behind && sp->v != self)
			err = sp->engine->ops->sync(sp->engine);
		sp->behind = false;
	}
	return err;
}

/* Unmap the mappings of @gpa that are copies, or else those that are writable. */
static int unmap_each(struct shadow_mmu *m, gpa_t gpa, bool copies, const struct vcpu *only)
{
	uint32_t next;
	int err = 0;

	for (uint32_t i = m->head[gpa >> PAGE_SHIFT]; i && !err; i = next) {
		const struct mapping *p = &m->pool[i];

		next = p->next;
		if ((copies ? p->copy : p->prot & MAP_W) && (!only || p->sp->v == only))
			err = shadow_unmap(m, i);
	}
	return err;
}

int shadow_protect(struct vcpu *v, gpa_t gpa)
{
	struct shadow_mmu *m = shadow_of(v);
	int err = unmap_each(m, gpa, false, NULL);

	if (!err)
		err = map_flat(m, gpa, gpa & ~(gpa_t)(PAGE_SIZE - 1), MAP_R);
	return err ? err : sync_others(m, v);
}

int shadow_drop_copies(struct vcpu *v, gpa_t gpa, bool writable)
{
	struct shadow_mmu *m = shadow_of(v);
	int err = unmap_each(m, gpa, true, NULL);

	if (!err)
		err = map_flat(m, gpa, gpa & ~(gpa_t)(PAGE_SIZE - 1),
			       MAP_R | (writable ? MAP_W : 0));
	return err ? err : sync_others(m, v);
}

int shadow_drop_own_copy(struct vcpu *v, gpa_t gpa)
{
	struct shadow_mmu *m = shadow_of(v);
	int err = unmap_each(m, gpa, true, v);

	if (!err && shadow_is_flat(shadow_space(v)) && gpa >= v->engine->low_limit)
		err = v->engine->ops->map(v->engine, (gva_t)gpa, gpa, PAGE_SIZE, MAP_R);
	return err;
}

int shadow_map_copy(struct vcpu *v, gva_t gva, gpa_t gpa, gpa_t copy)
{
	struct shadow_mmu *m = shadow_of(v);
	struct space *sp = shadow_space(v);
	gva_t page = gva & ~(PAGE_SIZE - 1);
	struct mmu_leaf leaf;
	int err;

	if (!(sp->mode & MODE_PG))
		return sp->engine->ops->map(sp->engine, page, copy, PAGE_SIZE, MAP_R | MAP_X);
	/* Changed since the walk by another vCPU: the next fetch faults again. */
	if (mmu_peek(v, page, &leaf) || (leaf.gpa ^ gpa) >> PAGE_SHIFT)
		return 0;
	err = shadow_make_room(m, sp);
	if (err)
		return err;
	if (!shadow_note(m, sp, page, &leaf))
		return vm_host_fail(v->vm, "out of memory for the shadow MMU");
	return shadow_map_run(m, sp, page, copy, (uint32_t)(gpa >> PAGE_SHIFT), 1, MAP_R | MAP_X,
			      true);
}

int shadow_map_once(struct vcpu *v, gva_t gva, gpa_t offset, unsigned prot)
{
	struct engine *e = shadow_space(v)->engine;

	return e->ops->map(e, gva & ~(PAGE_SIZE - 1), offset, PAGE_SIZE, prot);
}

int shadow_end_once(struct vcpu *v, gva_t gva, gpa_t gpa, gpa_t copy)
{
	struct shadow_mmu *m = shadow_of(v);
	struct space *sp = shadow_space(v);
	struct chunk *c = sp->chunk[gva >> CHUNK_SHIFT];
	uint32_t i = c ? c->map[gva >> PAGE_SHIFT & (CHUNK_PAGES - 1)] : NONE;

	gva &= ~(PAGE_SIZE - 1);
	if (!(sp->mode & MODE_PG) && !copy)
		return 0; /* shadow_drop_copies() has mapped the page as it was */
	if (!(sp->mode & MODE_PG) ||
	    (copy && i && m->pool[i].copy && m->pool[i].gfn == gpa >> PAGE_SHIFT))
		return sp->engine->ops->map(sp->engine, gva, copy, PAGE_SIZE, MAP_R | MAP_X);
	/* No copy belongs there: whatever does comes back with the next fault. */
	return i ? shadow_unmap(m, i) : sp->engine->ops->unmap(sp->engine, gva, PAGE_SIZE);
}
