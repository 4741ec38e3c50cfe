/* SPDX-License-Identifier: MIT */
/*
 * Processes: what state each is in.  Who runs next is another matter: schedule.c.
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
static struct process idle[CPUS_MAX];
static int last_pid;
struct lock family_lock = { .rank = RANK_FAMILY, .name = "family" };
bool os_runs;

extern char trap_return[], switch_first[]; /* vectors.S, switch.S */

struct process *process_slot(unsigned i)
{
	return i < PROCESSES ? &table[i] : NULL;
}

unsigned process_number(const struct process *p)
{
	return (unsigned)(p - table);
}

struct process *process_find(int pid)
{
	for (struct process *p = table; p < table + PROCESSES; p++)
		if (p->state != UNUSED && p->pid == pid)
			return p;
	return NULL;
}

struct frame *process_frame(struct process *p)
{
	/* A trap from user mode begins at the top of the kernel stack: tss_set_stack(). */
	return (struct frame *)(p->stack + PAGE_SIZE) - 1;
}

/* As if it had called switch_stack() from switch_first(), that from @kernel, that from a trap. */
static bool make_stack(struct process *p, void (*kernel)(void))
{
	uint32_t *sp;
	p->stack = frame_alloc();
	if (!p->stack)
		return false;
	((struct stack_end *)p->stack)->process = p;
	sp = (uint32_t *)process_frame(p);
	*--sp = (uint32_t)trap_return;
	if (kernel)
		*--sp = (uint32_t)kernel;
	*--sp = (uint32_t)switch_first;
	sp -= 4; /* EBP, EBX, ESI, EDI: zero */
	p->esp = (uint32_t)sp;
	return true;
}

static struct process *create_locked(struct process *parent, void (*kernel)(void), int *error)
{
	struct process *p = table;
	*error = ERR_AGAIN;
	while (p->state != UNUSED)
		if (++p == table + PROCESSES)
			return NULL;
	*error = ERR_MEMORY;
	if (!make_stack(p, kernel))
		return NULL;
	/* Not p->lock: somebody may be looking whether to wake up who had this slot before. */
	p->lock.rank = RANK_PROCESS;
	p->lock.name = "process";
	p->pid = ++last_pid;
	p->parent = parent;
	p->cpu = this_cpu();
	p->space = NULL;
	p->name[0] = 0;
	p->ticks = 0;
	p->status = 0;
	p->killed = false;
	p->taken = false;
	p->activate.eip = 0;
	p->activate.preempted = NULL;
	p->channel = NULL;
	p->waits_for = "birth"; /* until its maker is done: process_start() */
	p->state = BLOCKED;
	return p;
}

struct process *process_create(struct process *parent, void (*kernel)(void), int *error)
{
	struct process *p;
	lock_take(&family_lock);
	p = create_locked(parent, kernel, error);
	lock_drop(&family_lock);
	return p;
}

void process_create_idle(struct cpu *c, void (*kernel)(void))
{
	struct process *p = &idle[c->number];
	if (!make_stack(p, kernel))
		panic("no memory for processor %u", c->number);
	p->lock = (struct lock){ .rank = RANK_PROCESS, .name = "idle" };
	p->state = RUNNING;
	p->cpu = c;
	c->idle = p;
}

void process_reap(struct process *p)
{
	frame_release(p->stack);
	p->state = UNUSED;
}

void process_exit(int status)
{
	struct process *self = current;
	struct space *space = self->space;
	if (self->pid == 1)
		os_end(status);
	space_use(NULL); /* saw off no branch that we sit on */
	space_leave(space);
	lock_take(&family_lock);
	self->space = NULL;
	for (struct process *p = table; p < table + PROCESSES; p++)
		if (p->state != UNUSED && p->parent == self)
			p->parent = &table[0]; /* orphans go to process 1 */
	wakeup(&table[0]);
	self->status = status;
	wakeup(self->parent);
	/* The stack that we are on stays until the parent waits; it sees ZOMBIE with our lock only.
	 */
	lock_take(&self->lock);
	self->state = ZOMBIE;
	lock_drop(&family_lock);
	schedule();
	panic("a dead process runs");
}

bool process_kill(int pid)
{
	struct process *p;
	bool running;
	lock_take(&family_lock);
	p = process_find(pid);
	if (!p || p->state == ZOMBIE) {
		lock_drop(&family_lock);
		return false;
	}
	/* It ends when it next leaves the kernel, or wants to block in it; there it is safe. */
	lock_take(&p->lock);
	p->killed = true;
	running = p->state == RUNNING;
	lock_drop(&p->lock);
	process_wake(p, NULL);
	if (running && p != current)
		lapic_ipi(p->cpu->apic_id, IPI_FIXED | VEC_RESCHEDULE);
	lock_drop(&family_lock);
	return true;
}
