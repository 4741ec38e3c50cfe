/* SPDX-License-Identifier: MIT */
/* The shadow MMU: spaces, their worlds, and which of them the vCPU runs in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/code.h"
#include "vmm/mem.h"
#include "vmm/shadow_priv.h"

static uint32_t current_mode(const struct vcpu *v)
{
	uint32_t mode = 0;

	if (!(v->sh.cr0 & CR0_PG))
		return 0;
	mode |= MODE_PG;
	mode |= v->sh.cr4 & CR4_PAE ? MODE_PAE : 0;
	mode |= v->sh.cr4 & CR4_PSE ? MODE_PSE : 0;
	mode |= v->sh.efer & 1u << 11 ? MODE_NXE : 0;
	mode |= v->sh.cr0 & CR0_WP ? MODE_WP : 0;
	return mode;
}

static uint32_t current_root(const struct vcpu *v, uint32_t mode)
{
	if (!(mode & MODE_PG))
		return 0;
	return v->sh.cr3 & (mode & MODE_PAE ? 0xffffffe0u : 0xfffff000u);
}

static struct space *space_new(struct shadow_mmu *m, struct vcpu *v, struct engine *e)
{
	struct space *sp = calloc(1, sizeof(*sp));

	if (!sp)
		return NULL;
	sp->v = v;
	sp->engine = e;
	sp->next = m->spaces;
	m->spaces = sp;
	m->st.spaces++;
	return sp;
}

static int shadow_attach_locked(struct vcpu *v)
{
	struct vm *vm = v->vm;
	struct shadow_mmu *m = vm->shadow;

	if (!m) {
		m = calloc(1, sizeof(*m));
		if (!m)
			return -ENOMEM;
		m->vm = vm;
		vm->shadow = m;
	}
	if (!m->head)
		m->head = calloc(vm->ram_len >> PAGE_SHIFT, sizeof(*m->head));
	if (!m->head)
		return -ENOMEM;
	if (!m->current[v->id]) {
		m->current[v->id] = space_new(m, v, v->engine);
		if (!m->current[v->id])
			return -ENOMEM;
		m->current[v->id]->gen = v->tlb_gen;
	}
	return 0;
}

int shadow_attach(struct vcpu *v)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = shadow_attach_locked(v);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}

void shadow_free(struct vcpu *v)
{
	struct shadow_mmu *m = v->vm->shadow;

	if (!m || !m->current[v->id]) { /* it never ran */
		if (v->engine)
			v->engine->ops->destroy(v->engine);
		v->engine = NULL;
		return;
	}
	for (struct space **pp = &m->spaces; *pp;) {
		struct space *sp = *pp;

		if (sp->v != v) {
			pp = &sp->next;
			continue;
		}
		*pp = sp->next;
		for (unsigned i = 0; i < sp->used_count; i++) {
			shadow_chunk_clear(m, sp->chunk[sp->used[i]]);
			free(sp->chunk[sp->used[i]]);
		}
		sp->engine->ops->destroy(sp->engine);
		free(sp);
	}
	v->engine = NULL;
	m->current[v->id] = NULL;
	if (!m->spaces) { /* the statistics stay for the account: vm_destroy() */
		free(m->pool);
		free(m->head);
		m->pool = NULL;
		m->head = NULL;
		m->pool_len = m->pool_room = m->pool_free = 0;
	}
}

/* The least recently used space of @v that is not the current one, emptied; or a new one. */
static struct space *space_take(struct shadow_mmu *m, struct vcpu *v)
{
	unsigned limit = v->vm->worlds ? v->vm->worlds : SHADOW_SPACES_DEFAULT, own = 0;
	struct space *lru = NULL, *sp;
	struct engine *e = NULL;

	for (sp = m->spaces; sp; sp = sp->next) {
		if (sp->v != v)
			continue;
		own++;
		if (sp != m->current[v->id] && (!lru || sp->last_used < lru->last_used))
			lru = sp;
	}
	if (own < limit || !lru) {
		if (v->vm->engine_ops->create(v, &e))
			return NULL;
		m->st.created++;
		sp = space_new(m, v, e);
		if (!sp) {
			e->ops->destroy(e);
			vm_host_fail(v->vm, "out of memory for the shadow MMU");
		}
		return sp;
	}
	m->st.evicted++;
	return shadow_space_clear(m, lru) ? NULL : lru;
}

static struct space *space_find(struct shadow_mmu *m, const struct vcpu *v, uint32_t root,
				uint32_t mode, bool user)
{
	for (struct space *sp = m->spaces; sp; sp = sp->next)
		if (sp->v == v && sp->root == root && sp->mode == mode && sp->user == user)
			return sp;
	return NULL;
}

/* FPU, SSE and AVX registers live in the world that ran last: take them along. */
static int move_fpu(struct shadow_mmu *m, struct engine *from, struct engine *to)
{
	long len = from->ops->get_fpu(from, m->fpu, sizeof(m->fpu));

	if (len <= 0 || (size_t)len > sizeof(m->fpu)) /* it never ran */
		return 0;
	return to->ops->set_fpu(to, m->fpu, (size_t)len);
}

/*: 230. Views
 * The guest kernel and its processes share page tables, but both run at the real ring 3: the U
 * bit does not tell them apart. So there are two worlds for one address space, one with all pages
 * and one with the user's only.
 */
static int shadow_select_locked(struct vcpu *v)
{
	struct shadow_mmu *m = shadow_of(v);
	struct space *cur = shadow_space(v), *sp = cur;
	uint32_t mode = current_mode(v), root = current_root(v, mode);
	bool user = view_is_user(v);
	int err;

	if (cur->root != root || cur->mode != mode || cur->user != user) {
		sp = space_find(m, v, root, mode, user);
		if (!sp) {
			/* The first space, made without paging, is free for any use when paging is
			 * on. */
			sp = space_take(m, v);
			if (!sp)
				return -EIO;
			sp->root = root;
			sp->mode = mode;
			sp->user = user;
			sp->gen = v->tlb_gen;
			memcpy(sp->pdpte, v->sh.pdpte, sizeof(sp->pdpte));
		}
		err = move_fpu(m, cur->engine, sp->engine);
		if (err)
			return vm_host_fail(v->vm, "cannot move the FPU state to another world");
		/* A world without paging maps all of RAM: too much once pages have other rights. */
		if (shadow_is_flat(cur) && (mode & MODE_PG)) {
			err = shadow_space_clear(m, cur);
			if (err)
				return err;
		}
		m->current[v->id] = sp;
		__atomic_store_n(&v->engine, sp->engine, __ATOMIC_SEQ_CST);
		m->st.switches++;
	}
	sp->last_used = ++m->clock;
	if (sp->gen != v->tlb_gen)
		return shadow_space_validate(m, sp);
	return 0;
}

int shadow_select(struct vcpu *v)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = shadow_select_locked(v);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}

uint64_t shadow_cpu_ns(struct vm *vm)
{
	uint64_t ns;

	pthread_mutex_lock(&vm->mmu_lock);
	ns = atomic_load(&vm->worlds_gone_ns);
	for (struct space *sp = vm->shadow ? vm->shadow->spaces : NULL; sp; sp = sp->next)
		ns += sp->engine->ops->cpu_ns ? sp->engine->ops->cpu_ns(sp->engine) : 0;
	pthread_mutex_unlock(&vm->mmu_lock);
	return ns;
}

void shadow_get_stats(const struct vm *vm, struct shadow_stats *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&vm->mmu_lock;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(lock);
	if (vm->shadow)
		*out = ((const struct shadow_mmu *)vm->shadow)->st;
	pthread_mutex_unlock(lock);
}
