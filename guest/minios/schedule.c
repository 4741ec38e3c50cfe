/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: round robin, with a run queue for each processor.
 *
 * A process that becomes READY goes to the queue of the processor that it ran on last, whose cache
 * may still know it; if that one is busy and another rests, to that one, which is then woken
 * up by an interrupt.  A processor whose queue is empty takes from another's before it rests.
 *
 * On several processors two things can go wrong that cannot on one:
 *
 * - The lost wake-up.  A process finds that it has to wait; before it is BLOCKED, another
 *   processor makes true what it waits for and calls wakeup(), which finds nobody.  So the
 *   condition has a lock.  The waiter checks it, and becomes BLOCKED, before it lets go of that
 * lock; who changes the condition and calls wakeup() holds the lock, so does both before the check
 *   or both after the BLOCKED.
 *
 * - Two processors on one stack.  A process is BLOCKED, so another processor wakes it up and runs
 * it, but it is still on the way out: here, on its stack.  So process->lock is held from before the
 * state changes until the switch to another stack is complete, and is released there, by the other
 * process, in schedule_arrived().  And one that only yields goes to a queue there too, not before:
 * who is in a queue is on no processor.
 */
#include "os.h"
#include "x86.h"

void schedule_arrived(void);

/* ---- run queues ---- */

static void append(struct cpu *c, struct process *p)
{
	lock_take(&c->queue_lock);
	p->next = NULL;
	if (c->first)
		c->last->next = p;
	else
		c->first = p;
	c->last = p;
	lock_drop(&c->queue_lock);
}

static struct process *take_first(struct cpu *c)
{
	struct process *p;
	if (!c->first) /* only a look, no need of the lock: who adds something later wakes us up */
		return NULL;
	lock_take(&c->queue_lock);
	p = c->first;
	if (p)
		c->first = p->next;
	lock_drop(&c->queue_lock);
	return p;
}

/* Of two that want to wake the same processor up, one does, and the other looks further. */
static bool claim(struct cpu *c)
{
	return c->resting && __atomic_exchange_n(&c->resting, 0, __ATOMIC_SEQ_CST);
}

/* @p is READY and on nobody's stack; p->lock is held. */
static void enqueue(struct process *p)
{
	struct cpu *c = p->cpu;
	bool claimed = claim(c);
	for (unsigned i = 1; i < cpu_count && !claimed; i++) {
		struct cpu *other = &cpus[(p->cpu->number + i) % cpu_count];
		claimed = claim(other);
		if (claimed)
			c = other;
	}
	append(c, p);
	/* It may have begun to rest after we looked first.  The fence is in rest(), and in XCHG. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if ((claimed || claim(c)) && c != this_cpu())
		lapic_ipi(c->apic_id, IPI_FIXED | VEC_RESCHEDULE);
}

static struct process *steal(struct cpu *self)
{
	struct process *p = NULL;
	for (unsigned i = 1; i < cpu_count && !p; i++)
		p = take_first(&cpus[(self->number + i) % cpu_count]);
	return p;
}

static bool work_is_waiting(void)
{
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i].first)
			return true;
	return false;
}

/* ---- switching ---- */

/* We are on the stack of another process than just before: see to that one. */
void schedule_arrived(void)
{
	struct cpu *c = this_cpu();
	struct process *before = c->previous;
	if (!before) /* nothing was before: the first process of this processor */
		return;
	c->previous = NULL;
	if (before->state == READY && before != c->idle)
		enqueue(before);
	lock_drop(&before->lock); /* from now on it may run elsewhere, or be reaped */
}

void schedule(void)
{
	struct process *self = current, *p;
	struct cpu *c = self->cpu;
	/* A new frame is all zeroes, so the last words of a stack tell whether it was enough. */
	if (stack_end()->guard)
		panic("the kernel stack of process %d has overflowed", self->pid);
	p = take_first(c);
	if (!p && (self->state != READY || self == c->idle))
		p = steal(c);
	if (!p)
		p = self->state == READY ? self : c->idle;
	p->state = RUNNING;
	p->slice = SLICE_TICKS;
	if (p == self) {
		lock_drop(&self->lock);
		return;
	}
	p->cpu = c;
	c->running = p == c->idle ? NULL : p;
	c->previous = self;
	tss_set_stack(c->number, p->stack + PAGE_SIZE);
	space_use(p->space);
	if (p != c->idle && !c->ticking)
		clock_start();
	switch_stack(&self->esp, p->esp);
	/* Here we are again, because another process has switched to this one. */
	schedule_arrived();
}

void yield(void)
{
	struct process *self = current;
	lock_take(&self->lock);
	self->state = READY;
	schedule();
}

void rest(void)
{
	struct cpu *c = this_cpu();
	for (;;) {
		/*
		 * First say that we rest, then look once more; enqueue() first adds, then looks who
		 * rests.  So one of the two sees the other.  An interrupt that is sent between our
		 * look and the HLT waits for the STI: sti_hlt_cli().
		 */
		__atomic_exchange_n(&c->resting, 1, __ATOMIC_SEQ_CST);
		if (!work_is_waiting() && !activation_rest())
			sti_hlt_cli();
		__atomic_store_n(&c->resting, 0, __ATOMIC_RELAXED);
		yield();
	}
}

/* ---- blocking and waking up ---- */

void block_on(const void *channel, const char *what, struct lock *condition)
{
	struct process *self = current;
	lock_take(&self->lock);
	lock_drop(condition);
	if (self->killed) { /* it would be woken up by nobody any more */
		lock_drop(&self->lock);
		process_exit(STATUS_KILLED);
	}
	self->channel = channel;
	self->waits_for = what;
	self->state = BLOCKED;
	schedule();
	if (self->killed)
		process_exit(STATUS_KILLED);
	lock_take(condition);
}

void process_start(struct process *p)
{
	lock_take(&p->lock);
	p->state = READY;
	enqueue(p);
	lock_drop(&p->lock);
}

bool process_wake(struct process *p, const void *channel)
{
	bool blocked;
	lock_take(&p->lock);
	blocked = p->state == BLOCKED && p->channel && (!channel || p->channel == channel);
	if (blocked) {
		p->channel = NULL;
		p->state = READY;
		enqueue(p);
	}
	lock_drop(&p->lock);
	return blocked;
}

unsigned wakeup_in(const struct space *s, const void *channel, unsigned max)
{
	unsigned count = 0;
	for (unsigned i = 0; i < PROCESSES && count < max; i++) {
		struct process *p = process_slot(i);
		/* Only a look.  Who waits for this has written it before it let go of our lock. */
		if (p->channel == channel && (!s || p->space == s))
			count += process_wake(p, channel);
	}
	return count;
}

unsigned wakeup(const void *channel)
{
	return wakeup_in(NULL, channel, PROCESSES);
}

/* Sent to end a rest, or so that a process that was killed is seen to leave user mode. */
static void on_reschedule(struct frame *f)
{
	LAPIC_REG(LAPIC_EOI) = 0;
	if (from_user(f) && current->killed)
		process_exit(STATUS_KILLED);
}

void schedule_init(void)
{
	trap_handle(VEC_RESCHEDULE, on_reschedule);
}
