/* SPDX-License-Identifier: MIT */
/*
 * N threads on M processors.
 *
 * For each processor there is a worker, a thread of the kernel.  It takes a thread from the queue
 * of those that are ready, switches to its stack, and gets the processor back when the thread
 * waits, yields or ends.  The kernel knows nothing of all this.
 *
 * On a virtual machine that is a pity.  A processor may be preempted while it runs a thread: that
 * thread, which may hold the lock that all others wait for, stands still for a time slice or more,
 * and the workers of the other processors, which could go on with it, find nobody ready.
 * With activations they can.  A worker that finds nobody ready asks the kernel for the registers of
 * a thread whose processor is preempted (SYS_TAKE), and continues it.  When that processor comes
 * back, its worker finds its thread gone and looks for another one: ut_restart().
 *
 * When is that allowed?  Not while this very file is at work: then the worker may hold the lock of
 * the queue, or be halfway from one stack to another.  All of it lies in one stretch of memory,
 * from ut_text to ut_text_end (uthread_switch.S, user.ld), so EIP tells; hence no function is
 * called that is elsewhere, and system calls are inline.  In that case the other processor is not
 * deprived of anything, but given ours (SYS_YIELDTO).  Anderson et al. let the preempted thread run
 * on to the end of its critical section, with the same result.
 */
#include "uthread.h"

#include "../activation.h"

#define STACK_BYTES 8192u /* a power of 2: the stacks are aligned by it */
#define LOCK_SPINS  2000u /* before we ask whether the owner runs at all */

struct worker;

/* At the lower end of its stack, so the stack pointer tells who we are. */
struct uthread {
	uint32_t esp; /* where its stack was left; the registers are on it */
	bool whole;   /* it was taken from a processor: all registers are in regs */
	struct taken regs;
	struct worker *worker; /* that it runs on */
	struct uthread *next;
	void (*fn)(uint32_t arg);
	uint32_t arg;
};

/* What is to be done with a thread after it has been left, on the stack of the worker. */
enum after { WAITS, READY_AGAIN, SPUN, ENDED };

struct worker {
	struct uthread *base;    /* its own stack */
	struct uthread *current; /* NULL: none */
	enum after after;
	bool unlock; /* and then let go of the queue */
	uint32_t number;
	int pid, slot;
	uint32_t preempted; /* hint of the kernel */
	struct ut_stats stats;
};

static uint8_t stacks[UT_THREADS + UT_WORKERS][STACK_BYTES] __attribute__((aligned(STACK_BYTES)));
static struct worker workers[UT_WORKERS];
static uint32_t worker_count, thread_count;
static bool use_activations;
static uint32_t idle_spins;

/* The queue, and everything else that threads wait in. */
static volatile uint32_t queue_lock; /* 1 + the number of the worker that has it */
static struct uthread *first_ready, *last_ready;
static volatile uint32_t left; /* threads that have not ended */
static volatile uint32_t news; /* changes when a sleeper should look again */
static volatile uint32_t sleepers;

extern const char ut_text[], ut_text_end[];                     /* user.ld */
void ut_switch(uint32_t *save_esp, uint32_t load_esp);          /* uthread_switch.S */
void ut_continue(uint32_t *save_esp, const struct taken *regs); /* the same */
void ut_restart(void) __attribute__((noreturn));
void ut_first(void) __attribute__((noreturn));

static inline struct uthread *self(void)
{
	uint32_t esp;
	__asm__ volatile("movl %%esp, %0" : "=r"(esp));
	return (struct uthread *)(esp & ~(STACK_BYTES - 1));
}

static inline void pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* ---- the one lock ---- */

/* Its owner may be on a processor that does not run: then it is to have ours. */
static void help_owner(struct worker *w)
{
	uint32_t owner = queue_lock;
	if (!owner || !use_activations)
		return;
	if (syscall(SYS_YIELDTO, (uint32_t)workers[owner - 1].slot, 0, 0) == 0)
		w->stats.yields++;
}

static void lock_queue(struct worker *w)
{
	uint32_t n = 0, none = 0;
	while (!__atomic_compare_exchange_n(&queue_lock, &none, w->number + 1, false,
					    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		none = 0;
		while (queue_lock) {
			pause();
			if (++n % LOCK_SPINS == 0)
				help_owner(w);
		}
	}
}

static void unlock_queue(void)
{
	__atomic_store_n(&queue_lock, 0, __ATOMIC_RELEASE);
}

static void append(struct uthread **first, struct uthread **last, struct uthread *t)
{
	t->next = NULL;
	if (*first)
		(*last)->next = t;
	else
		*first = t;
	*last = t;
}

/* The queue is locked. */
static void make_ready(struct uthread *t)
{
	append(&first_ready, &last_ready, t);
}

/* A look, without the lock. */
static bool somebody_ready(void)
{
	return __atomic_load_n(&first_ready, __ATOMIC_SEQ_CST);
}

static void wake_sleepers(uint32_t count)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!sleepers)
		return;
	__atomic_fetch_add(&news, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_WAKE, (uint32_t)&news, count, 0);
}

/* ---- a worker ---- */

static void resume(struct worker *w, struct uthread *t)
{
	t->worker = w;
	w->current = t;
	w->stats.switches++;
	if (t->whole) {
		t->whole = false;
		ut_continue(&w->base->esp, &t->regs);
	} else {
		ut_switch(&w->base->esp, t->esp);
	}
	/* The thread has come back here by leave(), maybe on behalf of another worker's switch. */
}

static void see_off(struct worker *w)
{
	struct uthread *t = w->current;
	bool unlock = w->unlock;
	uint32_t now_left = 1;
	w->current = NULL;
	w->unlock = false;
	if (w->after != WAITS && !unlock) {
		lock_queue(w);
		unlock = true;
	}
	if (w->after == READY_AGAIN || w->after == SPUN)
		make_ready(t);
	else if (w->after == ENDED)
		now_left = --left;
	if (unlock)
		unlock_queue();
	if (!now_left)
		wake_sleepers(UT_WORKERS);
}

static struct uthread *next_ready(struct worker *w)
{
	struct uthread *t;
	if (!somebody_ready())
		return NULL;
	lock_queue(w);
	t = first_ready;
	if (t)
		first_ready = t->next;
	unlock_queue();
	return t;
}

/* A thread whose processor is preempted. */
static struct uthread *take(struct worker *w)
{
	struct taken regs;
	struct uthread *t;
	if (syscall(SYS_TAKE, (uint32_t)-1, (uint32_t)&regs, 0) < 0)
		return NULL;
	t = (struct uthread *)(regs.esp & ~(STACK_BYTES - 1));
	t->regs = regs;
	t->whole = true;
	w->stats.taken++;
	return t;
}

/* Nobody is ready: look around for a while, then sleep. */
static struct uthread *find_something(struct worker *w)
{
	uint32_t before = news;
	w->stats.spins++;
	for (uint32_t n = 0; n < idle_spins && left && !somebody_ready(); n++) {
		if (w->preempted && use_activations) {
			struct uthread *t = take(w);
			if (t)
				return t;
		}
		pause();
	}
	if (!left || somebody_ready())
		return NULL;
	if (use_activations) { /* the hint is only that */
		struct uthread *t = take(w);
		if (t)
			return t;
	}
	__atomic_fetch_add(&sleepers, 1, __ATOMIC_SEQ_CST);
	if (left && !somebody_ready()) {
		w->stats.sleeps++;
		syscall(SYS_SLEEPON, (uint32_t)&news, before, 0);
	}
	__atomic_fetch_sub(&sleepers, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void work(struct worker *w) __attribute__((noreturn));
static void work(struct worker *w)
{
	while (left) {
		struct uthread *t = NULL;
		if (w->after == SPUN && w->preempted && use_activations)
			t = take(w);
		if (!t)
			t = next_ready(w);
		if (!t)
			t = find_something(w);
		if (!t)
			continue;
		resume(w, t);
		see_off(w);
	}
	for (;;)
		syscall(SYS_EXIT, 0, 0, 0);
}

/* Where a worker goes on, on its empty stack, when its thread was taken. */
void ut_restart(void)
{
	struct worker *w = self()->worker;
	w->current = NULL;
	w->after = WAITS;
	w->stats.lost++;
	work(w);
}

/* Where a worker begins. */
static void begin(uint32_t number)
{
	struct worker *w = &workers[number];
	struct activate a = {
		.eip = (uint32_t)ut_restart,
		.esp = (uint32_t)w->base + STACK_BYTES - 16,
		.text = (uint32_t)ut_text,
		.text_end = (uint32_t)ut_text_end,
		.preempted = &w->preempted,
	};
	w->base->worker = w;
	if (use_activations) {
		w->slot = syscall(SYS_ACTIVATE, (uint32_t)&a, 0, 0);
		if (w->slot < 0) /* the machine does not offer it */
			use_activations = false;
	}
	work(w);
}

/* ---- what threads call ---- */

/* The current thread stops here; the worker goes on.  @unlock: the queue is locked, until then. */
static void leave(enum after after, bool unlock)
{
	struct uthread *t = self();
	struct worker *w = t->worker;
	w->after = after;
	w->unlock = unlock;
	ut_switch(&t->esp, w->base->esp);
}

/* Where a thread begins. */
void ut_first(void)
{
	struct uthread *t = self();
	t->fn(t->arg);
	leave(ENDED, false);
	for (;;)
		;
}

void ut_yield(void)
{
	leave(READY_AGAIN, false);
}

void ut_spun(void)
{
	leave(SPUN, false);
}

void ut_lock(struct ut_mutex *m)
{
	struct worker *w = self()->worker;
	lock_queue(w);
	if (m->taken) {
		append(&m->first, &m->last, self());
		leave(WAITS, true); /* who unlocks it leaves it taken, for us */
		return;
	}
	m->taken = 1;
	unlock_queue();
}

void ut_unlock(struct ut_mutex *m)
{
	struct worker *w = self()->worker;
	struct uthread *t;
	lock_queue(w);
	t = m->first;
	if (t) {
		m->first = t->next;
		make_ready(t);
	} else {
		m->taken = 0;
	}
	unlock_queue();
	if (t)
		wake_sleepers(1);
}

void ut_wait(struct ut_barrier *b)
{
	struct worker *w = self()->worker;
	lock_queue(w);
	if (++b->here < b->size) {
		append(&b->first, &b->last, self());
		leave(WAITS, true);
		return;
	}
	b->here = 0;
	while (b->first) {
		struct uthread *t = b->first;
		b->first = t->next;
		make_ready(t);
	}
	unlock_queue();
	wake_sleepers(UT_WORKERS);
}

/* ---- before and after ---- */

bool ut_create(void (*fn)(uint32_t arg), uint32_t arg)
{
	struct uthread *t;
	uint32_t *sp;
	if (thread_count == UT_THREADS)
		return false;
	t = (struct uthread *)stacks[thread_count++];
	t->fn = fn;
	t->arg = arg;
	t->whole = false;
	sp = (uint32_t *)((uint32_t)t + STACK_BYTES) - 4;
	*--sp = (uint32_t)ut_first;
	sp -= 4; /* EBP, EBX, ESI, EDI */
	t->esp = (uint32_t)sp;
	make_ready(t);
	return true;
}

static int start_worker(uint32_t i)
{
	struct worker *w = &workers[i];
	uint32_t *sp;
	w->base = (struct uthread *)stacks[UT_THREADS + i];
	w->number = i;
	w->current = NULL;
	w->preempted = 0;
	w->unlock = false;
	w->slot = -1;
	sp = (uint32_t *)((uint32_t)w->base + STACK_BYTES) - 4;
	*--sp = i;
	*--sp = 0; /* begin() returns to nobody */
	return syscall(SYS_THREAD, (uint32_t)begin, (uint32_t)sp, 0);
}

static void add(struct ut_stats *sum, const struct ut_stats *s)
{
	sum->switches += s->switches;
	sum->taken += s->taken;
	sum->lost += s->lost;
	sum->yields += s->yields;
	sum->spins += s->spins;
	sum->sleeps += s->sleeps;
}

int ut_run(bool activations, uint32_t spins, struct ut_stats *stats)
{
	int result = 0, status = 0;
	*stats = (struct ut_stats){ 0 };
	use_activations = activations;
	idle_spins = spins;
	left = thread_count;
	worker_count = (uint32_t)syscall(SYS_CPUS, 0, 0, 0);
	if (worker_count > UT_WORKERS)
		worker_count = UT_WORKERS;
	for (uint32_t i = 0; i < worker_count; i++) {
		workers[i].pid = start_worker(i);
		if (workers[i].pid < 0 && !i)
			return workers[i].pid;
	}
	for (uint32_t i = 0; i < worker_count; i++) {
		if (workers[i].pid < 0)
			continue;
		if (syscall(SYS_WAIT, (uint32_t)workers[i].pid, (uint32_t)&status, 0) < 0 || status)
			result = status ? status : -1;
		add(stats, &workers[i].stats);
	}
	thread_count = 0;
	stats->activations = use_activations;
	return result;
}
