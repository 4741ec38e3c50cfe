/* SPDX-License-Identifier: MIT */
/* The threads: pCPUs, and the clock that ends their slices. */
#include "vmm/sched/dispatch.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/activations.h"
#include "vmm/host_cpus.h"
#include "vmm/sched/dispatch_priv.h"

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

void dispatch_settle(struct dispatcher *d)
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

/* ---- pCPUs ---- */

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
		atomic_store(&v->state, VCPU_READY);
		sched_remove(s, &dv->e, now);
		dv->dvm->live--;
		return;
	case VCPU_STOP_BLOCKED:
		/* Seen by who kicks from now on; who did before has left his mark. */
		atomic_store(&v->state, VCPU_BLOCKED);
		if (!atomic_load(&v->kicked)) {
			sched_block(s, &dv->e, now);
			dv->idle = v->halted && v->idle;
			dispatch_note(dv, SA_BLOCKED, now);
			dispatch_must_tell(p, dv->dvm);
			return;
		}
		break;
	case VCPU_STOP_PREEMPTED:
		if (v->want_cpu)
			follow_host(p, dv);
		break;
	}
	/* Who ends the VM from now on sees that it does not run, and calls on_wake(). */
	atomic_store(&v->state, VCPU_READY);
	dispatch_let_end(dv->dvm);
	if (v->yield_to && !p->told)
		sched_yield_to(s, &dv->e, &dv->dvm->vcpu[v->yield_to - 1].e, now);
	else if (v->spins && !p->told) /* for the one that waits longest: perhaps it is the owner */
		sched_yield_to(s, &dv->e, NULL, now);
	else
		sched_put(s, &dv->e, p->told ? p->why : SCHED_PREEMPTED, now);
	dispatch_note(dv, SA_PREEMPTED, now);
	dispatch_must_tell(p, dv->dvm);
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
	atomic_store(&v->state, VCPU_RUNNING);
	dispatch_note(dv, SA_RESUMED, now_ns());
	if (p->left == dvm) { /* it cannot go away while one of it runs here */
		p->left = NULL;
		dvm->telling--;
	}
	dispatch_settle(d);
	pthread_mutex_unlock(&d->lock);
	dispatch_tell_guests(p, dvm);
	why = vcpu_resume(v);
	if (v->unpinned) {
		v->unpinned = false;
		host_cpu_pin_self(p->cpu);
	}
	pthread_mutex_lock(&d->lock);
	put_back(p, dv, why);
	if (why != VCPU_STOP_ENDED || dvm->live)
		return;
	dispatch_settle(d);
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
	dispatch_settle(d);
	pthread_mutex_unlock(&d->lock);
	dispatch_tell_guests(p, NULL);
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
