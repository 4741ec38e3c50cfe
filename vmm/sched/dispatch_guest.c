/* SPDX-License-Identifier: MIT */
/* The dispatcher's side of scheduler activations (activations.h). */
#include "vmm/activations.h"
#include "vmm/sched/dispatch_priv.h"

/* ---- what the guest is told ---- */

static uint32_t sa_state(const struct dispatch_vcpu *dv)
{
	if (dv->off)
		return SA_OFF;
	switch (dv->e.state) {
	case SCHED_RUNNING: return SA_RUNNING;
	case SCHED_READY: return SA_READY;
	case SCHED_BLOCKED: return dv->idle ? SA_IDLE : SA_IS_BLOCKED;
	default: return SA_OFF;
	}
}

void dispatch_note(struct dispatch_vcpu *dv, unsigned kind, uint64_t now)
{
	struct activations *a = dv->v->vm->activations;
	const struct sched_entity *e = &dv->e;

	if (!activations_on(a))
		return;
	activations_event(a, dv->v->id, kind,
			  &(struct activations_now){
				  .state = sa_state(dv),
				  .pcpu = e->pcpu,
				  .now_ns = now,
				  .run_ns = sched_time(e, SCHED_RUNNING, now),
				  .steal_ns = sched_time(e, SCHED_READY, now),
				  .idle_ns = sched_time(e, SCHED_BLOCKED, now),
				  .left = kind == SA_PREEMPTED || kind == SA_BLOCKED ? dv->v : NULL,
			  });
}

void dispatch_tell_guests(struct pcpu *p, struct dispatch_vm *next)
{
	struct dispatch_vm *left = p->left;

	p->left = NULL;
	if (next)
		activations_publish(next->vm->activations);
	if (!left)
		return;
	activations_publish(left->vm->activations);
	pthread_mutex_lock(&p->d->lock);
	left->telling--;
	pthread_cond_broadcast(&p->d->gone);
	pthread_mutex_unlock(&p->d->lock);
}

void dispatch_must_tell(struct pcpu *p, struct dispatch_vm *dvm)
{
	if (!activations_on(dvm->vm->activations))
		return;
	p->left = dvm;
	dvm->telling++;
}

/* ---- what a guest asks for: activations.c ---- */

void dispatch_spin(struct vcpu *v)
{
	v->spins = true;
	atomic_store(&v->preempt, true);
}

void dispatch_yield_to(struct vcpu *v, struct vcpu *to)
{
	struct dispatch_vcpu *dv = v->dispatch;
	bool ready;

	if (!dv)
		return;
	pthread_mutex_lock(&dv->dvm->d->lock);
	ready = to->dispatch->e.state == SCHED_READY;
	pthread_mutex_unlock(&dv->dvm->d->lock);
	if (!ready)
		return;
	v->yield_to = to->id + 1;
	dispatch_spin(v);
}

void dispatch_states(struct vm *vm)
{
	struct dispatch_vm *dvm = vm->dispatch;

	if (!dvm)
		return;
	pthread_mutex_lock(&dvm->d->lock);
	for (unsigned i = 0; i < vm->vcpus; i++)
		dispatch_note(&dvm->vcpu[i], 0, now_ns());
	pthread_mutex_unlock(&dvm->d->lock);
}

static unsigned active_locked(const struct dispatch_vm *dvm)
{
	unsigned n = 0;

	for (unsigned i = 0; i < dvm->vm->vcpus; i++) {
		uint32_t state = sa_state(&dvm->vcpu[i]);

		n += state != SA_OFF && state != SA_IDLE;
	}
	return n;
}

unsigned dispatch_active(struct vm *vm)
{
	struct dispatch_vm *dvm = vm->dispatch;
	unsigned n;

	if (!dvm)
		return vm->vcpus;
	pthread_mutex_lock(&dvm->d->lock);
	n = active_locked(dvm);
	pthread_mutex_unlock(&dvm->d->lock);
	return n;
}

/* The upcall that SA_ADDED means wakes them up; then on_wake() says so. */
uint32_t dispatch_want(struct vm *vm, unsigned n)
{
	struct dispatch_vm *dvm = vm->dispatch;
	uint32_t who = 0;
	unsigned active;

	if (!dvm)
		return 0;
	pthread_mutex_lock(&dvm->d->lock);
	active = active_locked(dvm);
	for (unsigned i = 0; i < vm->vcpus && active < n; i++) {
		struct dispatch_vcpu *dv = &dvm->vcpu[i];

		if (sa_state(dv) != SA_IDLE)
			continue;
		dv->wanted = true;
		who |= 1u << i;
		active++;
	}
	pthread_mutex_unlock(&dvm->d->lock);
	return who;
}
