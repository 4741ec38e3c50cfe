/* SPDX-License-Identifier: MIT */
/* The VMs of a dispatcher: come, go, are paused and changed; and the wake-up of their vCPUs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/activations.h"
#include "vmm/sched/dispatch_priv.h"

void dispatch_let_end(struct dispatch_vm *dvm)
{
	struct sched *s = dvm->d->sched;

	if (!atomic_load(&dvm->vm->stop))
		return;
	if (dvm->group.paused)
		sched_resume(s, &dvm->group, now_ns());
	if (dvm->group.cap)
		sched_set_cap(s, &dvm->group, 0, now_ns());
}

/* vcpu_kick() of one that does not run.  Any thread, any lock but ours held. */
static void on_wake(struct vcpu *v)
{
	struct dispatch_vcpu *dv = v->dispatch;
	struct dispatcher *d = dv->dvm->d;
	uint64_t now;

	pthread_mutex_lock(&d->lock);
	dispatch_let_end(dv->dvm);
	now = now_ns();
	if (sched_wake(d->sched, &dv->e, now)) {
		atomic_store(&v->state, VCPU_READY);
		dv->idle = false;
		dispatch_note(dv, dv->wanted ? SA_ADDED : SA_UNBLOCKED, now);
		dv->wanted = false;
	}
	dispatch_settle(d);
	pthread_mutex_unlock(&d->lock);
}

static int set_up(struct dispatch_vm *dvm, const struct dispatch_params *p)
{
	struct dispatcher *d = dvm->d;
	struct vm *vm = dvm->vm;
	int err = sched_group_init(&dvm->group, p->weight ? p->weight : SCHED_WEIGHT, p->cap);

	if (p->paused)
		sched_pause(d->sched, &dvm->group, now_ns());
	for (; !err && dvm->live < vm->vcpus; dvm->live++) {
		struct dispatch_vcpu *dv = &dvm->vcpu[dvm->live];

		dv->v = vm->vcpu[dvm->live];
		dv->dvm = dvm;
		dv->off = dv->v->wait_sipi;
		sched_entity_init(&dv->e, &dvm->group, dv);
		if (p->affinity)
			dv->e.hard = p->affinity;
		if (p->near && dvm->live == 0)
			dv->e.soft = p->near;
		err = sched_add(d->sched, &dv->e, now_ns());
		if (err)
			break;
		atomic_store(&dv->v->state, VCPU_BLOCKED);
		dv->v->dispatch = dv;
		/* Last, as devices run already and may kick it. */
		__atomic_store_n(&dv->v->wake, on_wake, __ATOMIC_SEQ_CST);
	}
	return err;
}

int dispatch_add(struct dispatcher *d, struct vm *vm, const struct dispatch_params *params,
		 void (*ended)(void *arg), void *arg)
{
	struct dispatch_vm *dvm = calloc(1, sizeof(*dvm));
	int err;

	if (!dvm)
		return -ENOMEM;
	dvm->d = d;
	dvm->vm = vm;
	dvm->ended = ended;
	dvm->arg = arg;
	pthread_mutex_lock(&d->lock);
	vm->dispatch = dvm;
	err = set_up(dvm, params);
	if (err) {
		/* Devices may be kicking already: what they look at stays until they have stopped.
		 */
		while (dvm->live)
			sched_remove(d->sched, &dvm->vcpu[--dvm->live].e, now_ns());
		dvm->told = true;
		pthread_mutex_unlock(&d->lock);
		return err;
	}
	for (unsigned i = 0; i < dvm->live; i++) {
		sched_wake(d->sched, &dvm->vcpu[i].e, now_ns());
		atomic_store(&dvm->vcpu[i].v->state, VCPU_READY);
	}
	dispatch_settle(d);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

void dispatch_wait(struct dispatcher *d, struct vm *vm)
{
	pthread_mutex_lock(&d->lock);
	while (!vm->dispatch->told || vm->dispatch->telling)
		pthread_cond_wait(&d->gone, &d->lock);
	pthread_mutex_unlock(&d->lock);
}

void dispatch_remove(struct dispatcher *d, struct vm *vm)
{
	struct dispatch_vm *dvm = vm->dispatch;

	if (!dvm)
		return;
	dispatch_wait(d, vm);
	for (unsigned i = 0; i < vm->vcpus; i++) {
		vm->vcpu[i]->wake = NULL;
		vm->vcpu[i]->dispatch = NULL;
	}
	vm->dispatch = NULL;
	free(dvm);
}

void dispatch_pause(struct dispatcher *d, struct vm *vm, bool pause)
{
	struct sched_group *g = &vm->dispatch->group;

	pthread_mutex_lock(&d->lock);
	if (pause && !g->paused && !atomic_load(&vm->stop))
		sched_pause(d->sched, g, now_ns());
	else if (!pause && g->paused)
		sched_resume(d->sched, g, now_ns());
	dispatch_settle(d);
	pthread_mutex_unlock(&d->lock);
}

int dispatch_change(struct dispatcher *d, struct vm *vm, const struct dispatch_params *params)
{
	struct dispatch_vm *dvm = vm->dispatch;
	uint64_t now = now_ns();
	int err = 0;

	pthread_mutex_lock(&d->lock);
	/* A weight out of range and an affinity for no CPU change nothing, so these two go first.
	 */
	if (params->weight > SCHED_WEIGHT_MAX)
		err = -EINVAL;
	for (unsigned i = 0; !err && params->affinity && i < vm->vcpus; i++)
		err = sched_set_affinity(d->sched, &dvm->vcpu[i].e, params->affinity,
					 SCHED_ALL_PCPUS, now);
	if (!err && params->weight)
		err = sched_set_weight(d->sched, &dvm->group, params->weight, now);
	if (!err && params->cap)
		sched_set_cap(d->sched, &dvm->group,
			      params->cap == DISPATCH_NO_CAP ? 0 : params->cap, now);
	dispatch_settle(d);
	pthread_mutex_unlock(&d->lock);
	return err;
}

void dispatch_get(struct dispatcher *d, const struct vcpu *v, struct dispatch_stat *out)
{
	const struct sched_entity *e = &v->dispatch->e;
	uint64_t now = now_ns();

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&d->lock);
	out->state = e->state;
	out->held = e->held;
	out->pcpu = e->pcpu;
	for (int s = 0; s < SCHED_STATES; s++)
		out->ns[s] = sched_time(e, (enum sched_state)s, now);
	out->held_ns = e->held_ns +
		       (e->held && now > e->held_since_ns ? now - e->held_since_ns : 0);
	out->sched = e->stats;
	pthread_mutex_unlock(&d->lock);
}
