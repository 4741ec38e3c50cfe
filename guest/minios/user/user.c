/* SPDX-License-Identifier: MIT */
/* The library of the programs. */
#include "user.h"

void exit(int status)
{
	for (;;)
		syscall(SYS_EXIT, (uint32_t)status, 0, 0);
}

int fork(void)
{
	return syscall(SYS_FORK, 0, 0, 0);
}

int exec(const char *name, const char *const *argv)
{
	return syscall(SYS_EXEC, (uint32_t)name, (uint32_t)argv, 0);
}

int wait(int pid, int *status, bool nohang)
{
	return syscall(SYS_WAIT, (uint32_t)pid, (uint32_t)status, nohang);
}

int yield(void)
{
	return syscall(SYS_YIELD, 0, 0, 0);
}

int sleep(uint32_t ms)
{
	return syscall(SYS_SLEEP, ms, 0, 0);
}

int read(int fd, void *buf, uint32_t size)
{
	return syscall(SYS_READ, (uint32_t)fd, (uint32_t)buf, size);
}

int write(int fd, const void *buf, uint32_t size)
{
	return syscall(SYS_WRITE, (uint32_t)fd, (uint32_t)buf, size);
}

uint32_t brk(uint32_t end)
{
	return (uint32_t)syscall(SYS_BRK, end, 0, 0);
}

int getpid(void)
{
	return syscall(SYS_GETPID, 0, 0, 0);
}

int kill(int pid)
{
	return syscall(SYS_KILL, (uint32_t)pid, 0, 0);
}

int time(void)
{
	return syscall(SYS_TIME, 0, 0, 0);
}

int process(uint32_t slot, struct process_info *info)
{
	return syscall(SYS_PROCESS, slot, (uint32_t)info, 0);
}

int program(uint32_t index, char name[NAME_MAX])
{
	return syscall(SYS_PROGRAM, index, (uint32_t)name, 0);
}

int frames(void)
{
	return syscall(SYS_FRAMES, 0, 0, 0);
}

int cpus(void)
{
	return syscall(SYS_CPUS, 0, 0, 0);
}

static void thread_end(void)
{
	exit(0);
}

int thread(void (*fn)(uint32_t arg), uint32_t arg, void *stack)
{
	uint32_t *sp = stack; /* as if thread_end() had called fn(arg) */
	*--sp = arg;
	*--sp = (uint32_t)thread_end;
	return syscall(SYS_THREAD, (uint32_t)fn, (uint32_t)sp, 0);
}

int sleep_on(const volatile uint32_t *word, uint32_t value)
{
	return syscall(SYS_SLEEPON, (uint32_t)word, value, 0);
}

int wake(const volatile uint32_t *word, uint32_t count)
{
	return syscall(SYS_WAKE, (uint32_t)word, count, 0);
}

int renew(volatile void *page)
{
	return syscall(SYS_RENEW, (uint32_t)page, 0, 0);
}

void printf(const char *fmt, ...)
{
	char buf[256];
	int n;
	__builtin_va_list ap;
	__builtin_va_start(ap, fmt);
	n = format(buf, sizeof(buf), fmt, ap);
	__builtin_va_end(ap);
	write(1, buf, (uint32_t)n);
}

uint32_t number(const char *s)
{
	uint32_t v = 0;
	while (*s >= '0' && *s <= '9')
		v = v * 10 + (uint32_t)(*s++ - '0');
	return v;
}
