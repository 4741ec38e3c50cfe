/* SPDX-License-Identifier: MIT */
/* What a minios program can do: the system calls of ../abi.h as functions, and a printf. */
#ifndef MINIOS_USER_H
#define MINIOS_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../abi.h"

/* The system call itself; all the functions below are this. */
static inline int syscall(enum syscall number, uint32_t a, uint32_t b, uint32_t c)
{
	int result;
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "0"(number), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return result;
}

void exit(int status) __attribute__((noreturn));
int fork(void);
int exec(const char *name, const char *const *argv);
int wait(int pid, int *status, bool nohang);
int yield(void);
int sleep(uint32_t ms);
int read(int fd, void *buf, uint32_t size);
int write(int fd, const void *buf, uint32_t size);
uint32_t brk(uint32_t end); /* 0: only ask */
int getpid(void);
int kill(int pid);
int time(void); /* milliseconds */
int process(uint32_t slot, struct process_info *info);
int program(uint32_t index, char name[NAME_MAX]);
int frames(void);
int cpus(void); /* processors */

/* Run fn(arg) as a child in this same memory, on the stack that ends at @stack; its pid. */
int thread(void (*fn)(uint32_t arg), uint32_t arg, void *stack);
/* Block while *word == value until somebody calls wake(); wake up at most @count of these. */
int sleep_on(const volatile uint32_t *word, uint32_t value);
int wake(const volatile uint32_t *word, uint32_t count);
int renew(volatile void *page); /* give it back, get a new one when next touched */

int main(int argc, char **argv);

/* One call is one write, so lines of two processes do not mix.  What format() in minios.h can. */
void printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The digits that @s begins with. */
uint32_t number(const char *s);

/* ../format.c and ../lib.c, linked into every program too */
int format(char *buf, size_t size, const char *fmt, __builtin_va_list ap);
void *memset(void *dst, int c, size_t n);
void *memcpy(void *dst, const void *src, size_t n);
int strcmp(const char *a, const char *b);
size_t strlen(const char *s);

#endif
