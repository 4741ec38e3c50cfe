/* SPDX-License-Identifier: MIT */
#include "vmm/sched/dispatch.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vmm/activations.h"
#include "vmm/host_cpus.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

struct dispatch_vcpu {
	struct sched_entity e;
	struct vcpu *v;
	struct dispatch_vm *dvm;
	bool off;    /* has not been started */
	bool idle;   /* blocked by SA_MSR_IDLE */
	bool wanted; /* and to be woken up for SA_MSR_WANT */
};

struct dispatch_vm {
	struct dispatcher *d;
	struct sched_group group;
	struct vm *vm;
	struct dispatch_vcpu vcpu[VM_VCPUS_MAX];
	unsigned live; /* vCPUs that have not ended */
	void (*ended)(void *arg);
	void *arg;
	bool told;        /* ended() has been called */
	unsigned telling; /* pCPUs that write events to the guest: it must not go away */
};

struct pcpu {
	struct dispatcher *d;
	pthread_t thread;
	unsigned index;
	int cpu;                       /* of the host */
	struct dispatch_vcpu *running; /* NULL: idle */
	struct dispatch_vm *left;      /* its guest has not been told yet that one of it left */
	enum sched_why why;            /* what for it was told to come back */
	bool told;                     /* since it last picked */
	_Atomic uint32_t poke;         /* futex word of an idle one */
};

struct dispatcher {
	pthread_mutex_t lock; /* taken last */
	pthread_cond_t gone;  /* a VM's last vCPU has ended */
	pthread_cond_t clock_changed;
	struct sched *sched;
	pthread_t clock;
	uint64_t clock_ns; /* what the clock thread waits for */
	bool stop;
	unsigned pcpus, started;
	bool clock_started;
	struct pcpu pcpu[SCHED_MAX_PCPUS];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- all under the lock ---- */

static void poke(struct pcpu *p)
{
	atomic_store(&p->poke, 1);
	syscall(SYS_futex, &p->poke, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Have @p come back to the scheduler. */
static void tell(struct pcpu *p, enum sched_why why)
{
	if (p->told)
		return;
	p->told = true;
	p->why = why;
	if (!p->running) {
		poke(p);
		return;
	}
	atomic_store(&p->running->v->preempt, true);
	vcpu_kick(p->running->v);
}

static bool anybody_waits(struct dispatcher *d, uint64_t now)
{
	struct sched_pcpu_stats st;

	for (unsigned i = 0; i < d->pcpus; i++) {
		sched_pcpu_stats(d->sched, i, now, &st);
		if (st.queued)
			return true;
	}
	return false;
}

/* When @p must come back.  The end of a slice that nobody waits for would only cost an exit. */
static uint64_t next_event(struct pcpu *p, bool waits, uint64_t now)
{
	if (p->told || (p->running && !waits && !p->running->dvm->group.cap))
		return SCHED_NEVER;
	return sched_next_event(p->d->sched, p->index, now);
}

static void tell_kicked(struct dispatcher *d)
{
	uint64_t kicks = sched_take_kicks(d->sched);

	for (unsigned i = 0; i < d->pcpus; i++)
		if (kicks >> i & 1)
			tell(&d->pcpu[i], SCHED_PREEMPTED);
}

/* After any call into the scheduler: who must be told, and does the clock go off sooner now? */
static void settle(struct dispatcher *d)
{
	uint64_t now = now_ns(), next = SCHED_NEVER;
	bool waits = anybody_waits(d, now);

	tell_kicked(d);
	for (unsigned i = 0; i < d->pcpus; i++) {
		uint64_t at = next_event(&d->pcpu[i], waits, now);

		next = at < next ? at : next;
	}
	/* To ask for the next event is a call, too: a cap's period may just have ended. */
	tell_kicked(d);
	if (next < d->clock_ns) {
		d->clock_ns = next;
		pthread_cond_signal(&d->clock_changed);
	}
}

/* ---- the clock: ends slices, and looks after pCPUs that wait for a cap's next period ---- */

/* What is due; returns when the next thing is. */
static uint64_t clock_turn(struct dispatcher *d)
{
	uint64_t now = now_ns(), next = SCHED_NEVER;
	bool waits = anybody_waits(d, now);

	for (unsigned i = 0; i < d->pcpus; i++) {
		struct pcpu *p = &d->pcpu[i];
		uint64_t at = next_event(p, waits, now);

		if (at <= now)
			tell(p, SCHED_SLICE_END);
		else if (at < next)
			next = at;
	}
	tell_kicked(d);
	return next;
}

static void *clock_main(void *arg)
{
	struct dispatcher *d = arg;

	pthread_mutex_lock(&d->lock);
	while (!d->stop) {
		struct timespec ts;

		d->clock_ns = clock_turn(d);
		if (d->clock_ns == SCHED_NEVER) {
			pthread_cond_wait(&d->clock_changed, &d->lock);
			continue;
		}
		ts.tv_sec = (time_t)(d->clock_ns / 1000000000u);
		ts.tv_nsec = (long)(d->clock_ns % 1000000000u);
		pthread_cond_timedwait(&d->clock_changed, &d->lock, &ts);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

/* ---- scheduler activations: what the guest is told (activations.h) ---- */

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

/* Note what the scheduler has just done with @dv; @kind 0: how things are. */
static void note(struct dispatch_vcpu *dv, unsigned kind, uint64_t now)
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

/*
 * To be called without the lock before @p runs or sleeps: what it has done is written to the
 * guests, that of @next included.
 */
static void tell_guests(struct pcpu *p, struct dispatch_vm *next)
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

/* One of @dvm's has left @p, and its guest wants to know.  Under the lock. */
static void must_tell(struct pcpu *p, struct dispatch_vm *dvm)
{
	if (!activations_on(dvm->vm->activations))
		return;
	p->left = dvm;
	dvm->telling++;
}

/* ---- pCPUs ---- */

static void set_state(struct vcpu *v, enum vcpu_run_state state)
{
	atomic_store(&v->state, state);
}

/* It runs on @p, and had better be on the CPU it asks for: if that has nothing to do, there. */
static void follow_host(struct pcpu *p, struct dispatch_vcpu *dv)
{
	struct dispatcher *d = p->d;
	int want = dv->v->want_cpu - 1;

	dv->v->want_cpu = 0;
	for (unsigned i = 0; want >= 0 && i < d->pcpus; i++)
		if (d->pcpu[i].cpu == want && !d->pcpu[i].running)
			sched_set_affinity(d->sched, &dv->e, dv->e.hard, 1ull << i, now_ns());
}

/* What is held back when its VM ends has to run once more, to see it. */
static void let_end(struct dispatch_vm *dvm)
{
	struct sched *s = dvm->d->sched;

	if (!atomic_load(&dvm->vm->stop))
		return;
	if (dvm->group.paused)
		sched_resume(s, &dvm->group, now_ns());
	if (dvm->group.cap)
		sched_set_cap(s, &dvm->group, 0, now_ns());
}

/* @dv has left @p for the reason @why. */
static void put_back(struct pcpu *p, struct dispatch_vcpu *dv, enum vcpu_stop why)
{
	struct sched *s = p->d->sched;
	struct vcpu *v = dv->v;
	uint64_t now = now_ns();

	p->running = NULL;
	dv->off = v->wait_sipi;
	switch (why) {
	case VCPU_STOP_ENDED:
		set_state(v, VCPU_READY);
		sched_remove(s, &dv->e, now);
		dv->dvm->live--;
		return;
	case VCPU_STOP_BLOCKED:
		/* Seen by who kicks from now on; who did before has left his mark. */
		set_state(v, VCPU_BLOCKED);
		if (!atomic_load(&v->kicked)) {
			sched_block(s, &dv->e, now);
			dv->idle = v->halted && v->idle;
			note(dv, SA_BLOCKED, now);
			must_tell(p, dv->dvm);
			return;
		}
		break;
	case VCPU_STOP_PREEMPTED:
		if (v->want_cpu)
			follow_host(p, dv);
		break;
	}
	/* Who ends the VM from now on sees that it does not run, and calls on_wake(). */
	set_state(v, VCPU_READY);
	let_end(dv->dvm);
	if (v->yield_to && !p->told)
		sched_yield_to(s, &dv->e, &dv->dvm->vcpu[v->yield_to - 1].e, now);
	else if (v->spins && !p->told) /* for the one that waits longest: perhaps it is the owner */
		sched_yield_to(s, &dv->e, NULL, now);
	else
		sched_put(s, &dv->e, p->told ? p->why : SCHED_PREEMPTED, now);
	note(dv, SA_PREEMPTED, now);
	must_tell(p, dv->dvm);
}

static void run_vcpu(struct pcpu *p, struct dispatch_vcpu *dv)
{
	struct dispatcher *d = p->d;
	struct dispatch_vm *dvm = dv->dvm;
	struct vcpu *v = dv->v;
	enum vcpu_stop why;

	p->running = dv;
	v->cpu = p->cpu + 1;
	v->spins = false;
	v->yield_to = 0;
	dv->off = v->wait_sipi && !(atomic_load(&v->ipi) & VCPU_SIPI);
	atomic_store(&v->preempt, false);
	set_state(v, VCPU_RUNNING);
	note(dv, SA_RESUMED, now_ns());
	if (p->left == dvm) { /* it cannot go away while one of it runs here */
		p->left = NULL;
		dvm->telling--;
	}
	settle(d);
	pthread_mutex_unlock(&d->lock);
	tell_guests(p, dvm);
	why = vcpu_resume(v);
	if (v->unpinned) {
		v->unpinned = false;
		host_cpu_pin_self(p->cpu);
	}
	pthread_mutex_lock(&d->lock);
	put_back(p, dv, why);
	if (why != VCPU_STOP_ENDED || dvm->live)
		return;
	settle(d);
	pthread_mutex_unlock(&d->lock);
	dvm->ended(dvm->arg);
	pthread_mutex_lock(&d->lock);
	dvm->told = true; /* from here on it may be removed */
	pthread_cond_broadcast(&d->gone);
}

static void sleep_until_told(struct pcpu *p)
{
	struct dispatcher *d = p->d;

	atomic_store(&p->poke, 0);
	settle(d);
	pthread_mutex_unlock(&d->lock);
	tell_guests(p, NULL);
	while (!atomic_load(&p->poke))
		syscall(SYS_futex, &p->poke, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	pthread_mutex_lock(&d->lock);
}

/*: 270. Physical processors
 * A thread for each CPU: pick a vCPU, run it until it blocks, is preempted or yields, put it
 * back, and again.
 */
static void *pcpu_main(void *arg)
{
	struct pcpu *p = arg;
	struct dispatcher *d = p->d;

	host_cpu_pin_self(p->cpu);
	pthread_mutex_lock(&d->lock);
	while (!d->stop) {
		struct sched_entity *e = sched_pick(d->sched, p->index, now_ns());

		p->told = false;
		if (e)
			run_vcpu(p, e->owner);
		else
			sleep_until_told(p);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

/* ---- VMs ---- */

/* vcpu_kick() of one that does not run.  Any thread, any lock but ours held. */
static void on_wake(struct vcpu *v)
{
	struct dispatch_vcpu *dv = v->dispatch;
	struct dispatcher *d = dv->dvm->d;
	uint64_t now;

	pthread_mutex_lock(&d->lock);
	let_end(dv->dvm);
	now = now_ns();
	if (sched_wake(d->sched, &dv->e, now)) {
		set_state(v, VCPU_READY);
		dv->idle = false;
		note(dv, dv->wanted ? SA_ADDED : SA_UNBLOCKED, now);
		dv->wanted = false;
	}
	settle(d);
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
		set_state(dv->v, VCPU_BLOCKED);
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
		set_state(dvm->vcpu[i].v, VCPU_READY);
	}
	settle(d);
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
	settle(d);
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
	settle(d);
	pthread_mutex_unlock(&d->lock);
	return err;
}

void dispatch_spin(struct vcpu *v)
{
	v->spins = true;
	atomic_store(&v->preempt, true);
}

/* ---- what a guest asks for: activations.c ---- */

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
		note(&dvm->vcpu[i], 0, now_ns());
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

/* ---- life ---- */

unsigned dispatcher_pcpus(const struct dispatcher *d)
{
	return d->pcpus;
}

uint64_t dispatcher_here(const struct dispatcher *d)
{
	int cpu = sched_getcpu();

	for (unsigned i = 0; i < d->pcpus; i++)
		if (d->pcpu[i].cpu == cpu)
			return 1ull << i;
	return 0;
}

static int start(struct dispatcher *d)
{
	int err;

	for (unsigned i = 0; i < d->pcpus; i++)
		d->pcpu[i] = (struct pcpu){ .d = d,
					    .index = i,
					    .cpu = host_cpu_at(i % host_cpu_count()) };
	err = pthread_create(&d->clock, NULL, clock_main, d);
	if (err)
		return err;
	d->clock_started = true;
	pthread_setname_np(d->clock, "clock");
	for (; d->started < d->pcpus; d->started++) {
		struct pcpu *p = &d->pcpu[d->started];
		char name[16];

		err = pthread_create(&p->thread, NULL, pcpu_main, p);
		if (err)
			return err;
		snprintf(name, sizeof(name), "pcpu%u", d->started);
		pthread_setname_np(p->thread, name);
	}
	return 0;
}

struct dispatcher *dispatcher_new(const struct dispatch_config *cfg, char *err, size_t err_size)
{
	struct dispatcher *d = calloc(1, sizeof(*d));
	struct sched_config sc = { .slice_ns = cfg->slice_ns, .seed = now_ns() };
	const struct sched_policy *policy = NULL;
	pthread_condattr_t monotonic;
	int res;

	if (!d) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	d->pcpus = cfg->pcpus ? cfg->pcpus : host_cpu_count();
	if (d->pcpus > SCHED_MAX_PCPUS)
		d->pcpus = SCHED_MAX_PCPUS;
	sc.pcpus = d->pcpus;
	if (cfg->policy && !(policy = sched_policy_find(cfg->policy))) {
		snprintf(err, err_size, "there is no scheduling policy %s", cfg->policy);
		free(d);
		return NULL;
	}
	d->sched = sched_new(policy, &sc);
	if (!d->sched) {
		snprintf(err, err_size, "the scheduler: %s", strerror(errno));
		free(d);
		return NULL;
	}
	d->clock_ns = SCHED_NEVER;
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&d->gone, NULL);
	pthread_cond_init(&d->clock_changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	res = start(d);
	if (res) {
		snprintf(err, err_size, "cannot start a thread: %s", strerror(res));
		dispatcher_free(d);
		return NULL;
	}
	return d;
}

void dispatcher_free(struct dispatcher *d)
{
	if (!d)
		return;
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	for (unsigned i = 0; i < d->started; i++)
		poke(&d->pcpu[i]);
	pthread_cond_signal(&d->clock_changed);
	pthread_mutex_unlock(&d->lock);
	for (unsigned i = 0; i < d->started; i++)
		pthread_join(d->pcpu[i].thread, NULL);
	if (d->clock_started)
		pthread_join(d->clock, NULL);
	sched_free(d->sched);
	pthread_cond_destroy(&d->gone);
	pthread_cond_destroy(&d->clock_changed);
	pthread_mutex_destroy(&d->lock);
	free(d);
}
