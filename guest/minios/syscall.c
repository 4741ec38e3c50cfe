/* SPDX-License-Identifier: MIT */
/*
 * System calls: INT 0x80 comes here.  abi.h says what each is for.
 *
 * A pointer from a program is a number that it made up.  Each is checked against what the program
 * itself may access before the kernel, which may access everything, uses it.
 */
#include "os.h"
#include "x86.h"

#define SYSCALL_VECTOR 0x80

/* The arguments, as the frame has them: EBX, ECX, EDX. */
typedef int syscall_fn(struct frame *f);

static bool readable(uint32_t va, uint32_t len)
{
	return space_allows(&current->space, va, len, false);
}

static bool writable(uint32_t va, uint32_t len)
{
	return space_allows(&current->space, va, len, true);
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

static int sys_fork(struct frame *f)
{
	struct process *child = process_create(current);
	if (!child)
		return ERR_AGAIN;
	if (!space_fork(&child->space, &current->space)) {
		process_reap(child);
		return ERR_MEMORY;
	}
	copy_name(child->name, sizeof(child->name), current->name);
	*process_frame(child) = *f;    /* the child returns from this very system call, */
	process_frame(child)->eax = 0; /* with a result of its own */
	child->state = READY;
	return child->pid;
}

static int sys_exec(struct frame *f)
{
	static char args[ARGS_SIZE]; /* one is enough: nothing in here gives the CPU away */
	char name[NAME_MAX];
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

static int sys_wait(struct frame *f)
{
	int pid = (int)f->ebx;
	if (f->ecx && !writable(f->ecx, sizeof(int)))
		return ERR_POINTER;
	for (;;) {
		bool any = false;
		for (unsigned i = 0; i < PROCESSES; i++) {
			struct process *p = process_slot(i);
			if (p->state == UNUSED || p->parent != current ||
			    (pid != -1 && pid != p->pid))
				continue;
			any = true;
			if (p->state != ZOMBIE)
				continue;
			if (f->ecx)
				*(int *)f->ecx = p->status;
			process_reap(p);
			return p->pid;
		}
		if (!any)
			return ERR_CHILD;
		if (f->edx)
			return 0;
		block_on(current, "child"); /* process_exit() wakes the parent */
	}
}

static int sys_yield(struct frame *f)
{
	(void)f;
	yield();
	return 0;
}

static int sys_sleep(struct frame *f)
{
	/* At least so long: the tick that is running does not count. */
	current->wake_at = clock_ticks + f->ebx / TICK_MS + 1;
	block_on(&current->wake_at, "clock"); /* clock.c */
	return 0;
}

static int sys_getpid(struct frame *f)
{
	(void)f;
	return current->pid;
}

static int sys_kill(struct frame *f)
{
	struct process *p = process_find((int)f->ebx);
	if (!p || p->state == ZOMBIE)
		return ERR_PROCESS;
	p->killed = true; /* it ends when it next runs in the kernel; there it is safe */
	if (p->state == BLOCKED)
		p->state = READY;
	return 0;
}

static int sys_process(struct frame *f)
{
	const struct process *p = process_slot(f->ebx);
	struct process_info *info = (struct process_info *)f->ecx;
	if (!p)
		return ERR_ARGUMENT;
	if (!writable(f->ecx, sizeof(*info)))
		return ERR_POINTER;
	memset(info, 0, sizeof(*info));
	info->pid = p->pid;
	info->parent = p->parent ? p->parent->pid : 0;
	info->state = p->state;
	info->ticks = p->ticks;
	copy_name(info->name, sizeof(info->name), p->name);
	if (p->state == BLOCKED)
		copy_name(info->waits_for, sizeof(info->waits_for), p->waits_for);
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
	return (int)(f->ebx ? space_brk(&current->space, f->ebx) : current->space.brk);
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

/* ---- the console ---- */

static char keyboard; /* a channel needs an address, no more */

static void wait_for_key(void)
{
	block_on(&keyboard, "console");
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
	for (uint32_t i = 0; i < f->edx; i++)
		putc(((const char *)f->ecx)[i]);
	return (int)f->edx;
}

static syscall_fn *const table[SYS_COUNT] = {
	[SYS_EXIT] = sys_exit,       [SYS_FORK] = sys_fork,       [SYS_EXEC] = sys_exec,
	[SYS_WAIT] = sys_wait,       [SYS_YIELD] = sys_yield,     [SYS_SLEEP] = sys_sleep,
	[SYS_READ] = sys_read,       [SYS_WRITE] = sys_write,     [SYS_BRK] = sys_brk,
	[SYS_GETPID] = sys_getpid,   [SYS_KILL] = sys_kill,       [SYS_TIME] = sys_time,
	[SYS_PROCESS] = sys_process, [SYS_PROGRAM] = sys_program, [SYS_FRAMES] = sys_frames,
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
