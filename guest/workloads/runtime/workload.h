/* SPDX-License-Identifier: MIT */
/*
 * Workloads: one image each, which does one thing a fixed number of times and says so:
 *
 *     cli-sti: 20000 operations, checksum 0x12345678
 *
 * What an operation is, each file says at its top.  As far as the work is synchronous, the number
 * of traps follows from the number of operations alone, so the same image can be compared between
 * engines and machines: tests/workloads.c, `make compare`.
 *
 * Command line: n=N, so many operations instead of the workload's own number.
 */
#ifndef WORKLOADS_WORKLOAD_H
#define WORKLOADS_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../runtime/lapic.h"
#include "../../runtime/runtime.h"
#include "layout.h"

/* What a workload's file defines, once. */
struct workload {
	const char *name;
	uint32_t n;  /* operations, unless the command line says otherwise */
	bool paging; /* runs with CR0.PG set */
	/*
	 * Do @n operations, and return a sum of what they computed, which is the same on every
	 * machine.  Called with interrupts off, and returns so.
	 */
	uint32_t (*run)(uint32_t n);
};
extern const struct workload workload;

/* FNV-1, by words. */
#define CHECKSUM_INIT 2166136261u
static inline uint32_t checksum(uint32_t sum, uint32_t val)
{
	return sum * 16777619u ^ val;
}

/* ---- machine.c ---- */

void machine_init(void);
/* The workload could not be done, for that reason. */
void die(const char *why) __attribute__((noreturn));

/* @entry(), for a gate without an error code, calls @fn() with all registers saved. */
#define HANDLER(entry, fn)                                     \
	void entry(void);                                      \
	void fn(void);                                         \
	__asm__(".text\n"                                      \
		".type " #entry ", @function\n" #entry ":\n\t" \
		"pushal\n\t"                                   \
		"call " #fn "\n\t"                             \
		"popal\n\t"                                    \
		"iret\n\t"                                     \
		".size " #entry ", . - " #entry "\n")

/* ---- ring.c, enter.S: what runs at ring 3 ---- */

/* Pages that ring 3 may read and execute; and read and write. */
#define USER_CODE __attribute__((section(".user_code"), noinline))
#define USER_DATA __attribute__((section(".user_data")))

/* What an interrupt and PUSHAL leave on a task's kernel stack, from the low address on. */
struct frame {
	uint32_t edi, esi, ebp, esp_, ebx, edx, ecx, eax;
	uint32_t eip, cs, eflags, esp, ss;
};

/* Never returns: leaves by user_leave(). */
typedef void user_fn(uint32_t arg);

struct task {
	uint8_t *user_stack; /* STACK_SIZE bytes in USER_DATA */
	uint32_t cr3;        /* with paging only: 0, none of its own */
	struct frame *at;    /* its registers, as long as it does not run */
	uint8_t kernel_stack[1024] __attribute__((aligned(16)));
};

/* @t will begin with fn(arg). */
void task_init(struct task *t, user_fn *fn, uint32_t arg);
/* Run @t, until some task leaves; the result is that one's. */
uint32_t task_run(struct task *t);
/* For a handler on the stack of the task that ran: @t runs when it returns. */
void task_next(const struct task *t);
/* One task, and its stack. */
uint32_t run_user(user_fn *fn, uint32_t arg);

static inline void user_leave(uint32_t result) __attribute__((noreturn, always_inline));
static inline void user_leave(uint32_t result)
{
	__asm__ volatile("int %0" : : "i"(VEC_LEAVE), "a"(result));
	__builtin_unreachable();
}

/* ---- syscall.c, switch.c: the same work with and without paging ---- */

/* @n system calls of a program at ring 3. */
uint32_t syscalls(uint32_t n);
/*
 * @n switches between two tasks.  Each counts at own[] of its own, where it must find what it left;
 * cr3[] are their address spaces, or 0.
 */
uint32_t switches(uint32_t n, uint32_t *const own[2], const uint32_t cr3[2]);

/* ---- paging.c ---- */

#define PAGE_SIZE 4096u
#define PTE_P     0x001u
#define PTE_W     0x002u
#define PTE_U     0x004u
#define PDE_PS    0x080u

/*
 * The first 4 MiB (ring 3: USER_CODE and USER_DATA only) and the interrupt controllers, each where
 * it is without paging; and WINDOW, 4 MiB at @window, the page table of a task or a workload.
 */
#define WINDOW 0x40000000u
struct space {
	uint32_t dir[1024], window[1024];
} __attribute__((aligned(4096)));
void space_init(struct space *s);
/* Begin: CR4.PSE, CR3, CR0.PG and CR0.WP. */
void paging_start(void);
extern struct space kernel_space;

/* ---- apic.c ---- */

/* Of the CPU that calls: enabled, nothing but IPIs and the timer can come, the timer divides by 1.
 */
void lapic_init(void);
/* Until the timer has counted so far: 1 us is 1000 where it runs at 1 GHz.  Uses the timer. */
void lapic_delay(uint32_t counts);

/* ---- smp.c ---- */

/*
 * Have the CPU with local APIC 1 run @fn, which never returns, with interrupts off, its local APIC
 * set up and the IDT loaded.  Dies if there is none.  Needs lapic_init().
 */
void cpu_start(void (*fn)(void));

#endif
