/* SPDX-License-Identifier: MIT */
/*
 * Processes: what state each is in, and who runs next.
 *
 *     process_create() --> READY --schedule()--> RUNNING --block_on()--> BLOCKED
 *                          ^   ^                  |   |                     |
 *                          |   +-- yield(), tick -+   +--> process_exit():  |
 *                          |                               ZOMBIE, until    |
 *                          |                               the parent waits |
 *                          +------------------- wakeup() -------------------+
 */
#include "os.h"
#include "x86.h"

static struct process table[PROCESSES];
static int last_pid;
struct process *current;

extern char trap_return[]; /* vectors.S */

struct process *process_slot(unsigned i)
{
	return i < PROCESSES ? &table[i] : NULL;
}

struct process *process_find(int pid)
{
	for (struct process *p = table; p < table + PROCESSES; p++)
		if (p->state != UNUSED && p->pid == pid)
			return p;
	return NULL;
}

static uint32_t stack_top(const struct process *p)
{
	return p->stack + PAGE_SIZE;
}

struct frame *process_frame(struct process *p)
{
	/* A trap from user mode begins at the top of the kernel stack: tss_set_stack(). */
	return (struct frame *)stack_top(p) - 1;
}

struct process *process_create(struct process *parent)
{
	struct process *p = table;
	uint32_t *sp;
	while (p->state != UNUSED)
		if (++p == table + PROCESSES)
			return NULL;
	memset(p, 0, sizeof(*p));
	p->stack = frame_alloc();
	if (!p->stack)
		return NULL;
	p->pid = ++last_pid;
	p->parent = parent;
	p->state = BLOCKED; /* until its maker is done */
	p->waits_for = "birth";
	/* As if it had called switch_stack() from just before the end of a trap. */
	sp = (uint32_t *)process_frame(p);
	*--sp = (uint32_t)trap_return;
	sp -= 4; /* EBP, EBX, ESI, EDI: zero */
	p->esp = (uint32_t)sp;
	return p;
}

void process_reap(struct process *p)
{
	frame_release(p->stack);
	p->state = UNUSED;
}

void process_exit(int status)
{
	struct process *self = current;
	if (self->pid == 1)
		os_end(status);
	paging_use(kernel_dir); /* saw off no branch that we sit on */
	space_free(&self->space);
	for (struct process *p = table; p < table + PROCESSES; p++)
		if (p->state != UNUSED && p->parent == self)
			p->parent = &table[0]; /* orphans go to process 1 */
	wakeup(&table[0]);
	self->status = status;
	self->state = ZOMBIE; /* the stack that we are on stays until the parent waits */
	wakeup(self->parent);
	schedule();
	panic("a dead process runs");
}

/* ---- the scheduler: round robin ---- */

static struct process *next_ready(void)
{
	for (unsigned i = 1; i <= PROCESSES; i++) {
		struct process *p = &table[(unsigned)(current - table + i) % PROCESSES];
		if (p->state == READY)
			return p;
	}
	return NULL;
}

void schedule(void)
{
	struct process *self = current, *p;
	/* A new frame is all zeroes, so the last word of a stack tells whether it was enough. */
	if (*(const uint32_t *)self->stack)
		panic("the kernel stack of process %d has overflowed", self->pid);
	/* Nobody can run: wait for an interrupt whose handler calls wakeup(). */
	while (!(p = next_ready()))
		sti_hlt_cli();
	p->state = RUNNING;
	p->slice = SLICE_TICKS;
	if (p == self)
		return;
	current = p;
	tss_set_stack(stack_top(p));
	paging_use(p->space.dir);
	switch_stack(&self->esp, p->esp);
	/* Here we are again, because another process has switched to this one. */
}

void yield(void)
{
	current->state = READY;
	schedule();
}

void block_on(const void *channel, const char *what)
{
	current->channel = channel;
	current->waits_for = what;
	current->state = BLOCKED;
	schedule();
	if (current->killed)
		process_exit(STATUS_KILLED);
}

void wakeup(const void *channel)
{
	for (struct process *p = table; p < table + PROCESSES; p++)
		if (p->state == BLOCKED && p->channel == channel)
			p->state = READY;
}
