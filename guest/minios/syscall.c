/* SPDX-License-Identifier: MIT */
/*
 * System calls: INT 0x80 comes here.  abi.h says what each is for.
 *
 * A pointer from a program is a number that it made up.  Each is checked against what the program
 * itself may access before the kernel, which may access everything, uses it.
 */
#include "activation.h"
#include "os.h"
#include "x86.h"

/* The arguments, as the frame has them: EBX, ECX, EDX. */
typedef int syscall_fn(struct frame *f);

static bool readable(uint32_t va, uint32_t len)
{
	return space_allows(current->space, va, len, false);
}

static bool writable(uint32_t va, uint32_t len)
{
	return space_allows(current->space, va, len, true);
}

/* Copy a string that the program points at.  Returns its length, or an error. */
static int string_from_user(char *dst, uint32_t size, uint32_t va)
{
	for (uint32_t n = 0; n < size; n++) {
		if (!readable(va + n, 1))
			return ERR_POINTER;
		dst[n] = *(const char *)(va + n);
		if (!dst[n])
			return (int)n;
	}
	return ERR_ARGUMENT;
}

/* ---- processes ---- */

static int sys_exit(struct frame *f)
{
	process_exit(f->ebx & 0xff);
}

/* A child, in the address space @s, that returns from this very system call, with 0. */
static struct process *make_child(struct process *child, struct space *s, const struct frame *f)
{
	child->space = s;
	copy_name(child->name, sizeof(child->name), current->name);
	*process_frame(child) = *f;
	process_frame(child)->eax = 0;
	return child;
}

static void give_up(struct process *child)
{
	lock_take(&family_lock);
	process_reap(child);
	lock_drop(&family_lock);
}

static int sys_fork(struct frame *f)
{
	int pid, error;
	struct process *child = process_create(current, NULL, &error);
	struct space *s;
	if (!child)
		return error;
	s = space_fork(current->space);
	if (!s) {
		give_up(child);
		return ERR_MEMORY;
	}
	pid = child->pid; /* once it is started, it may be gone sooner than we look */
	process_start(make_child(child, s, f));
	return pid;
}

static int sys_thread(struct frame *f)
{
	int pid, error;
	struct process *child = process_create(current, NULL, &error);
	if (!child)
		return error;
	space_join(current->space);
	make_child(child, current->space, f);
	process_frame(child)->eip = f->ebx;
	process_frame(child)->user_esp = f->ecx;
	pid = child->pid;
	process_start(child);
	return pid;
}

static int sys_exec(struct frame *f)
{
	char args[ARGS_SIZE], name[NAME_MAX];
	unsigned count = 0, used = 0;
	int n = string_from_user(name, sizeof(name), f->ebx);
	if (n < 0)
		return n == ERR_ARGUMENT ? ERR_ABSENT : n; /* too long for any name */
	for (;; count++) {
		const uint32_t *argv = (const uint32_t *)f->ecx + count;
		if (!readable((uint32_t)argv, sizeof(*argv)))
			return ERR_POINTER;
		if (!*argv)
			break;
		if (count + 1 == ARGS_MAX)
			return ERR_ARGUMENT;
		n = string_from_user(args + used, sizeof(args) - used, *argv);
		if (n < 0)
			return n;
		used += (unsigned)n + 1;
	}
	return exec(name, args, count);
}

/* A child of ours that has ended (*@any: one that has not will do to go on waiting for). */
static struct process *find_zombie(int pid, bool *any)
{
	for (unsigned i = 0; i < PROCESSES; i++) {
		struct process *p = process_slot(i);
		bool zombie;
		if (p->state == UNUSED || p->parent != current || (pid != -1 && pid != p->pid))
			continue;
		*any = true;
		lock_take(&p->lock); /* or it might still be on its stack */
		zombie = p->state == ZOMBIE;
		lock_drop(&p->lock);
		if (zombie)
			return p;
	}
	return NULL;
}

static int sys_wait(struct frame *f)
{
	struct process *p;
	bool any = false;
	int status = 0, pid = 0;
	if (f->ecx && !writable(f->ecx, sizeof(int)))
		return ERR_POINTER;
	lock_take(&family_lock);
	for (;;) {
		p = find_zombie((int)f->ebx, &any);
		if (p || !any || f->edx)
			break;
		block_on(current, "child", &family_lock); /* process_exit() wakes the parent */
		any = false;
	}
	if (p) {
		status = p->status;
		pid = p->pid;
		process_reap(p);
	}
	lock_drop(&family_lock);
	if (p && f->ecx)
		*(int *)f->ecx = status;
	return p || any ? pid : ERR_CHILD;
}

static int sys_yield(struct frame *f)
{
	(void)f;
	yield();
	return 0;
}

static int sys_sleep(struct frame *f)
{
	lock_take(&clock_lock);
	/* At least so long: the tick that is running does not count. */
	current->wake_at = clock_ticks + f->ebx / TICK_MS + 1;
	block_on(&current->wake_at, "clock", &clock_lock); /* clock.c */
	lock_drop(&clock_lock);
	return 0;
}

static int sys_getpid(struct frame *f)
{
	(void)f;
	return current->pid;
}

static int sys_kill(struct frame *f)
{
	return process_kill((int)f->ebx) ? 0 : ERR_PROCESS;
}

static int sys_process(struct frame *f)
{
	const struct process *p = process_slot(f->ebx);
	struct process_info info;
	if (!p)
		return ERR_ARGUMENT;
	if (!writable(f->ecx, sizeof(info)))
		return ERR_POINTER;
	memset(&info, 0, sizeof(info));
	lock_take(&family_lock); /* so that it and its parent stay; state may change as we look */
	info.pid = p->pid;
	info.parent = p->parent ? p->parent->pid : 0;
	info.state = p->state;
	info.ticks = p->ticks;
	info.cpu = p->cpu ? (int)p->cpu->number : 0;
	copy_name(info.name, sizeof(info.name), p->name);
	if (info.state == BLOCKED)
		copy_name(info.waits_for, sizeof(info.waits_for), p->waits_for);
	lock_drop(&family_lock);
	memcpy((void *)f->ecx, &info, sizeof(info)); /* user memory: no lock */
	return 0;
}

static int sys_program(struct frame *f)
{
	const struct program *p = program_at(f->ebx);
	if (!p)
		return ERR_ABSENT;
	if (!writable(f->ecx, NAME_MAX))
		return ERR_POINTER;
	copy_name((char *)f->ecx, NAME_MAX, p->name);
	return 0;
}

/* ---- memory and time ---- */

static int sys_brk(struct frame *f)
{
	return (int)(f->ebx ? space_brk(current->space, f->ebx) : current->space->brk);
}

static int sys_frames(struct frame *f)
{
	(void)f;
	return (int)frames_free();
}

static int sys_time(struct frame *f)
{
	(void)f;
	return (int)(clock_ticks * TICK_MS);
}

static int sys_renew(struct frame *f)
{
	if (!writable(f->ebx, 1))
		return ERR_POINTER;
	space_renew(current->space, f->ebx);
	return 0;
}

/* ---- processors and threads ---- */

static int sys_cpus(struct frame *f)
{
	(void)f;
	return (int)cpu_count;
}

/*
 * Check and block, and nobody can come in between who holds the lock that SYS_WAKE needs.  (Linux
 * calls this a futex.)
 */
static int sys_sleepon(struct frame *f)
{
	struct space *s = current->space;
	const uint32_t *word;
	if (f->ebx % sizeof(*word) || !writable(f->ebx, sizeof(*word)))
		return ERR_POINTER;
	lock_take(&s->lock);
	while (!(word = space_word(s, f->ebx))) {
		lock_drop(&s->lock);
		(void)*(volatile uint32_t *)f->ebx; /* a page fault brings the page */
		lock_take(&s->lock);
	}
	if (*(const volatile uint32_t *)word != f->ecx) {
		lock_drop(&s->lock);
		return ERR_AGAIN;
	}
	block_on((const void *)f->ebx, "word", &s->lock);
	lock_drop(&s->lock);
	return 0;
}

static int sys_wake(struct frame *f)
{
	struct space *s = current->space;
	unsigned count;
	if (!writable(f->ebx, sizeof(uint32_t)))
		return ERR_POINTER;
	lock_take(&s->lock);
	count = wakeup_in(s, (const void *)f->ebx, f->ecx);
	lock_drop(&s->lock);
	return (int)count;
}

/* ---- scheduler activations ---- */

static int sys_activate(struct frame *f)
{
	struct activate a;
	if (!readable(f->ebx, sizeof(a)))
		return ERR_POINTER;
	memcpy(&a, (const void *)f->ebx, sizeof(a));
	if (a.preempted && !writable((uint32_t)a.preempted, sizeof(*a.preempted)))
		return ERR_POINTER;
	return activation_register(&a);
}

static int sys_take(struct frame *f)
{
	struct taken t;
	int slot;
	if (!writable(f->ecx, sizeof(t)))
		return ERR_POINTER;
	slot = activation_take((int)f->ebx, &t);
	if (slot >= 0)
		memcpy((void *)f->ecx, &t, sizeof(t));
	return slot;
}

static int sys_yieldto(struct frame *f)
{
	return activation_yield_to(f->ebx) ? 0 : ERR_AGAIN;
}

static int sys_processor(struct frame *f)
{
	struct processor_info info;
	int error;
	if (!writable(f->ecx, sizeof(info)))
		return ERR_POINTER;
	error = activation_processor(f->ebx, &info);
	if (!error)
		memcpy((void *)f->ecx, &info, sizeof(info));
	return error;
}

/* ---- the console ---- */

static char keyboard; /* a channel needs an address, no more */

static void wait_for_key(void)
{
	block_on(&keyboard, "console", &keys_lock);
}

static void key_came(void)
{
	wakeup(&keyboard);
}

static int sys_read(struct frame *f)
{
	char line[128];
	uint32_t len;
	if (f->ebx != 0)
		return ERR_ARGUMENT;
	if (!writable(f->ecx, f->edx))
		return ERR_POINTER;
	read_line(line, sizeof(line) - 1);
	len = (uint32_t)strlen(line);
	line[len++] = '\n';
	if (len > f->edx)
		len = f->edx;
	memcpy((void *)f->ecx, line, len);
	return (int)len;
}

static int sys_write(struct frame *f)
{
	if (f->ebx != 1 && f->ebx != 2)
		return ERR_ARGUMENT;
	if (!readable(f->ecx, f->edx))
		return ERR_POINTER;
	for (uint32_t done = 0; done < f->edx;) {
		char part[256]; /* because the console has a lock, and user memory may not be there
				 */
		uint32_t n = f->edx - done < sizeof(part) ? f->edx - done : sizeof(part);
		memcpy(part, (const char *)f->ecx + done, n);
		console_write(part, n);
		done += n;
	}
	return (int)f->edx;
}

static syscall_fn *const table[SYS_COUNT] = {
	[SYS_EXIT] = sys_exit,       [SYS_FORK] = sys_fork,       [SYS_EXEC] = sys_exec,
	[SYS_WAIT] = sys_wait,       [SYS_YIELD] = sys_yield,     [SYS_SLEEP] = sys_sleep,
	[SYS_READ] = sys_read,       [SYS_WRITE] = sys_write,     [SYS_BRK] = sys_brk,
	[SYS_GETPID] = sys_getpid,   [SYS_KILL] = sys_kill,       [SYS_TIME] = sys_time,
	[SYS_PROCESS] = sys_process, [SYS_PROGRAM] = sys_program, [SYS_FRAMES] = sys_frames,
	[SYS_THREAD] = sys_thread,   [SYS_SLEEPON] = sys_sleepon, [SYS_WAKE] = sys_wake,
	[SYS_RENEW] = sys_renew,     [SYS_CPUS] = sys_cpus,       [SYS_ACTIVATE] = sys_activate,
	[SYS_TAKE] = sys_take,       [SYS_YIELDTO] = sys_yieldto, [SYS_PROCESSOR] = sys_processor,
};

static void on_syscall(struct frame *f)
{
	f->eax = (uint32_t)(f->eax < SYS_COUNT ? table[f->eax](f) : ERR_CALL);
	if (current->killed)
		process_exit(STATUS_KILLED);
}

void syscall_init(void)
{
	trap_handle(SYSCALL_VECTOR, on_syscall);
	idt_set_gate(SYSCALL_VECTOR, GATE_SYSCALL);
	console_share(wait_for_key, key_came);
	console_enable_input();
}
