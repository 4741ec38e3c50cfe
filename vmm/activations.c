/* SPDX-License-Identifier: MIT */
#include "vmm/activations.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/code.h"
#include "vmm/emu/handlers.h"
#include "vmm/machine.h"
#include "vmm/sched/dispatch.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/*
 * Events noted and not yet written.  A pCPU writes what it has noted before it runs anything, and a
 * vCPU makes at most three events between two turns on a pCPU, so this is never full in practice.
 */
#define PENDING SA_EVENTS

_Static_assert(sizeof(struct sa_processor) == 128, "specified");
_Static_assert(sizeof(struct sa_event) == 32, "specified");
_Static_assert(offsetof(struct sa_page, processor) == 64, "specified");
_Static_assert(offsetof(struct sa_page, event) == 2048, "specified");
_Static_assert(sizeof(struct sa_page) == PAGE_SIZE, "specified");
_Static_assert(SA_PROCESSORS == VM_VCPUS_MAX, "a record for each");

/* What is to be written; a copy of it is made under the lock. */
struct pending {
	struct sa_processor processor[SA_PROCESSORS];
	uint32_t dirty; /* bit n: processor n's record */
	struct sa_event event[PENDING];
	uint32_t target[PENDING]; /* of each: who is to be interrupted for it, as bits */
	unsigned events;
	uint32_t head;
	uint32_t upcall; /* bit n: interrupt processor n, whose event is lost or published */
	uint64_t now_ns;
	uint32_t elided;
};

struct activations {
	struct vm *vm;
	_Atomic uint64_t page;   /* SA_MSR_PAGE; 0: off */
	_Atomic uint32_t upcall; /* SA_MSR_UPCALL */

	pthread_mutex_t lock; /* of what follows; taken last of all */
	struct pending pending;
	struct activations_stats stats;

	pthread_mutex_t writing; /* one publisher at a time; taken before any other lock */
	struct pending copy;
	uint32_t upcalls;
};

struct activations *activations_new(struct vm *vm)
{
	struct activations *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->vm = vm;
	pthread_mutex_init(&a->lock, NULL);
	pthread_mutex_init(&a->writing, NULL);
	return a;
}

void activations_free(struct activations *a)
{
	if (!a)
		return;
	pthread_mutex_destroy(&a->writing);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

bool activations_on(const struct activations *a)
{
	return a && atomic_load_explicit(&a->page, memory_order_relaxed);
}

void activations_get_stats(struct activations *a, struct activations_stats *out)
{
	pthread_mutex_lock(&a->lock);
	*out = a->stats;
	pthread_mutex_unlock(&a->lock);
}

/* ---- noting: under a->lock ---- */

static void note_context(struct sa_context *c, const struct vcpu *v)
{
	const uint32_t *gpr = v->regs.gpr;

	*c = (struct sa_context){
		.eax = gpr[EAX],
		.ecx = gpr[ECX],
		.edx = gpr[EDX],
		.ebx = gpr[EBX],
		.esp = gpr[ESP],
		.ebp = gpr[EBP],
		.esi = gpr[ESI],
		.edi = gpr[EDI],
		.eip = v->regs.eip,
		.eflags = v->regs.eflags,
		.cr3 = v->sh.cr3,
		.cpl = v->sh.cpl,
	};
}

/* Another one of the VM that runs: the next after @id.  Its bit, or 0. */
static uint32_t somebody_else(const struct pending *p, unsigned id)
{
	for (unsigned i = 1; i < SA_PROCESSORS; i++) {
		unsigned other = (id + i) % SA_PROCESSORS;

		if (p->processor[other].state == SA_RUNNING)
			return 1u << other;
	}
	return 0;
}

/* One that comes back where it has just left: nobody need know that it was away. */
static bool elide(struct pending *p, unsigned id, unsigned kind)
{
	const struct sa_event *last = p->events ? &p->event[p->events - 1] : NULL;

	/* Nothing came in between, not even something that found no room. */
	if (kind != SA_RESUMED || !last || last->seq != p->head || last->kind != SA_PREEMPTED ||
	    last->processor != id)
		return false;
	p->events--;
	p->head--;
	p->processor[id].preempts--;
	p->elided++;
	return true;
}

/* Who is to be interrupted, as bits.  Of SA_RESUMED it is the one that it happens to. */
static uint32_t target_of(const struct activations *a, unsigned id, unsigned kind)
{
	uint32_t wanted = atomic_load_explicit(&a->upcall, memory_order_relaxed);

	if (!(wanted & SA_UPCALL_VECTOR))
		return 0;
	if (kind == SA_ADDED) /* it was interrupted already: that is what it slept for */
		return 0;
	if (!(wanted & SA_UPCALL_ON(kind)))
		return 0;
	return kind == SA_RESUMED ? 1u << id : somebody_else(&a->pending, id);
}

static void note_event(struct activations *a, unsigned id, unsigned kind, uint64_t now_ns)
{
	struct pending *p = &a->pending;
	uint32_t target = target_of(a, id, kind);

	p->head++;
	a->stats.events[kind]++;
	if (p->events == PENDING) {
		a->stats.lost++;
		p->upcall |= target;
		return;
	}
	p->target[p->events] = target;
	p->event[p->events++] = (struct sa_event){
		.seq = p->head,
		.kind = (uint8_t)kind,
		.processor = (uint8_t)id,
		.pcpu = (uint8_t)p->processor[id].pcpu,
		.time_ns = now_ns,
	};
}

void activations_event(struct activations *a, unsigned id, unsigned kind,
		       const struct activations_now *now)
{
	struct pending *p = &a->pending;
	struct sa_processor *r = &p->processor[id % SA_PROCESSORS];
	bool elided;

	pthread_mutex_lock(&a->lock);
	elided = elide(p, id, kind);
	if (elided) {
		a->stats.elided++;
		a->stats.events[SA_PREEMPTED]--;
	}
	r->state = now->state;
	r->pcpu = now->pcpu;
	r->since_ns = now->now_ns;
	r->run_ns = now->run_ns;
	r->steal_ns = now->steal_ns;
	r->idle_ns = now->idle_ns;
	if (now->left) {
		note_context(&r->ctx, now->left);
		r->flags = vcpu_interruptible(now->left) ? SA_STABLE : 0;
	}
	if (kind == SA_PREEMPTED)
		r->preempts++;
	p->dirty |= 1u << (id % SA_PROCESSORS);
	p->now_ns = now->now_ns;
	if (kind && !elided)
		note_event(a, id, kind, now->now_ns);
	pthread_mutex_unlock(&a->lock);
}

/* ---- writing: under a->writing ---- */

/* In this order: each release keeps the stores before it before it. */
#define PUT(field, val) __atomic_store_n(&(field), (val), __ATOMIC_RELEASE)

static void put_words(void *dst, const void *src, size_t size)
{
	const uint32_t *from = src;
	uint32_t *to = dst;

	for (size_t i = 0; i < size / sizeof(*to); i++)
		PUT(to[i], from[i]);
}

/* Odd while the rest changes: a reader that saw the same even number before and after is right. */
static void put_processor(struct sa_processor *to, struct sa_processor *from, uint32_t seq)
{
	from->seq = seq + 1;
	PUT(to->seq, seq + 1);
	put_words(&to->state, &from->state, sizeof(*to) - offsetof(struct sa_processor, state));
	__atomic_store_n(&to->seq, seq + 2, __ATOMIC_RELEASE);
}

static void put_event(struct sa_page *page, const struct sa_event *e)
{
	struct sa_event *to = &page->event[(e->seq - 1) % SA_EVENTS];

	PUT(to->seq, 0);
	put_words((uint32_t *)to + 1, (const uint32_t *)e + 1, sizeof(*to) - sizeof(uint32_t));
	__atomic_store_n(&to->seq, e->seq, __ATOMIC_RELEASE);
}

/* Everything that was noted, into a->copy. */
static bool take(struct activations *a)
{
	struct pending *p = &a->pending;
	bool any;

	pthread_mutex_lock(&a->lock);
	any = p->dirty || p->events || p->upcall;
	if (any) {
		a->copy = *p;
		for (unsigned i = 0; i < p->events; i++)
			a->copy.upcall |= p->target[i];
		p->dirty = p->upcall = 0;
		p->events = 0;
	}
	pthread_mutex_unlock(&a->lock);
	return any;
}

static void write_page(struct activations *a, gpa_t gpa, struct pending *p)
{
	struct vm *vm = a->vm;
	struct sa_page *page = vm_ptr(vm, gpa, sizeof(*page));

	if (!page)
		return;
	PUT(page->version, SA_VERSION);
	PUT(page->processors, vm->vcpus);
	PUT(page->now_ns, p->now_ns);
	PUT(page->elided, p->elided);
	for (unsigned i = 0; i < SA_PROCESSORS; i++)
		if (p->dirty >> i & 1)
			/* Even, and different from what was there, without looking. */
			put_processor(&page->processor[i], &p->processor[i],
				      (uint32_t)(a->stats.published * 2));
	for (unsigned i = 0; i < p->events; i++)
		put_event(page, &p->event[i]);
	for (unsigned i = 0; i < SA_PROCESSORS; i++)
		a->upcalls += p->upcall >> i & 1;
	PUT(page->upcalls, a->upcalls);
	__atomic_store_n(&page->head, p->head, __ATOMIC_RELEASE);
	/* The guest may have code there, too; that is its business, but its copy must follow. */
	if (code_shadowed(vm->code, gpa))
		code_written(vm->code, gpa, sizeof(*page));
}

static void send_upcalls(struct activations *a, uint32_t who)
{
	uint8_t vector = atomic_load(&a->upcall) & SA_UPCALL_VECTOR;
	struct vm *vm = a->vm;

	for (unsigned i = 0; vector && i < vm->vcpus; i++)
		if (who >> i & 1)
			machine_upcall(vm, vm->vcpu[i], vector);
}

void activations_publish(struct activations *a)
{
	uint64_t page;

	if (!activations_on(a))
		return;
	pthread_mutex_lock(&a->writing);
	page = atomic_load(&a->page);
	if (page && take(a)) {
		write_page(a, page & ~(uint64_t)SA_ENABLE, &a->copy);
		send_upcalls(a, a->copy.upcall);
		pthread_mutex_lock(&a->lock);
		a->stats.published++;
		a->stats.upcalls = a->upcalls;
		pthread_mutex_unlock(&a->lock);
	}
	pthread_mutex_unlock(&a->writing);
}

/* ---- the MSRs ---- */

/* A page of RAM, or nothing. */
static int set_page(struct vcpu *v, uint64_t val)
{
	struct activations *a = v->vm->activations;
	gpa_t gpa = val & ~(uint64_t)SA_ENABLE;

	if (gpa % PAGE_SIZE || (!(val & SA_ENABLE) && val) ||
	    (val && !vm_ptr(v->vm, gpa, PAGE_SIZE)))
		return vcpu_gp(v, 0);
	pthread_mutex_lock(&a->writing);
	pthread_mutex_lock(&a->lock);
	/* As on the first day: events are counted from 1. */
	memset(&a->pending, 0, sizeof(a->pending));
	pthread_mutex_unlock(&a->lock);
	a->upcalls = 0;
	atomic_store(&a->page, val);
	pthread_mutex_unlock(&a->writing);
	if (val) {
		/* From now on events are noted; what came before is in the states. */
		dispatch_states(v->vm);
		activations_publish(a);
	}
	return EMU_OK;
}

static int set_upcall(struct vcpu *v, uint64_t val)
{
	const uint64_t known = SA_UPCALL_VECTOR | (SA_UPCALL_ON(SA_KINDS) - SA_UPCALL_ON(1));
	uint8_t vector = val & SA_UPCALL_VECTOR;

	/* Exceptions have the first 32: SDM Vol. 3A, table 6-1. */
	if ((val & ~known) || (vector && vector < 32) || (!vector && val))
		return vcpu_gp(v, 0);
	atomic_store(&v->vm->activations->upcall, (uint32_t)val);
	return EMU_OK;
}

/* SA_MSR_WANT's upcall is what ends it, so without page and vector there is nobody to end it. */
static int set_idle(struct vcpu *v, uint64_t val)
{
	struct activations *a = v->vm->activations;

	if (val || !activations_on(a) || !(atomic_load(&a->upcall) & SA_UPCALL_VECTOR))
		return vcpu_gp(v, 0);
	v->halted = true;
	v->idle = true;
	return EMU_OK;
}

static int set_want(struct vcpu *v, uint64_t val)
{
	struct activations *a = v->vm->activations;

	if (!val || val > v->vm->vcpus)
		return vcpu_gp(v, 0);
	if (activations_on(a))
		send_upcalls(a, dispatch_want(v->vm, (unsigned)val));
	return EMU_OK;
}

static int set_yield(struct vcpu *v, uint64_t val)
{
	if (val >= v->vm->vcpus || val == v->id)
		return vcpu_gp(v, 0);
	dispatch_yield_to(v, v->vm->vcpu[val]);
	return EMU_OK;
}

uint64_t activations_read_msr(struct vcpu *v, unsigned i)
{
	struct activations *a = v->vm->activations;

	switch (i) {
	case SA_MSR_PAGE: return atomic_load(&a->page);
	case SA_MSR_UPCALL: return atomic_load(&a->upcall);
	case SA_MSR_WANT: return dispatch_active(v->vm);
	default: return 0;
	}
}

int activations_write_msr(struct vcpu *v, unsigned i, uint64_t val)
{
	switch (i) {
	case SA_MSR_PAGE: return set_page(v, val);
	case SA_MSR_UPCALL: return set_upcall(v, val);
	case SA_MSR_WANT: return set_want(v, val);
	case SA_MSR_IDLE: return set_idle(v, val);
	case SA_MSR_YIELD: return set_yield(v, val);
	default: return vcpu_gp(v, 0);
	}
}
