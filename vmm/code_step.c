/* SPDX-License-Identifier: MIT */
/* Shadow code pages: one step of the original bytes, for what is patched but cannot be emulated. */
#include <errno.h>

#include "vmm/code_priv.h"
#include "vmm/engine.h"
#include "vmm/mem.h"
#include "vmm/shadow.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

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
	p = code_page_find(c, s[i].gpa);
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
	struct code_page *p = code_page_find(c, gpa);
	int err;

	if (p && p->mapped && code_writes_itself(v, p)) {
		err = step_begin_locked(v, true, gva);
		return err ? err : CODE_WRITE_STEP;
	}
	c->st.drops++;
	err = p ? code_page_drop(c, v, p) : 0;
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
		struct code_page *p = s->used ? code_page_find(c, s->gpa) : NULL;

		if (!s->used)
			continue;
		s->used = false;
		if (!p || !p->mapped) { /* another vCPU's doing meanwhile */
			err = shadow_end_once(v, s->gva, s->gpa, 0);
			continue;
		}
		/* It may have written the page. */
		code_page_scan(c, v, p);
		err = shadow_end_once(v, s->gva, p->gpa, code_slot_offset(p->slot));
	}
	return err ? err : code_rescan(c, v);
}

int code_step_done(struct vcpu *v)
{
	int res;

	pthread_mutex_lock(&v->vm->mmu_lock);
	res = code_step_done_locked(v);
	pthread_mutex_unlock(&v->vm->mmu_lock);
	return res;
}
