/* SPDX-License-Identifier: MIT */
/*
 * bench: a guest that measures what a kernel does all day, with the time-stamp counter, and prints
 * a line for each on COM1: name, cycles for one operation, operations measured.
 *
 * The cycles are the median of many short batches (well below a scheduler's time slice where that
 * is possible), so that those in which the host had something better to do do not count.
 * bench/paging.c runs the same image under Ringside and QEMU.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../runtime/runtime.h"
#include "layout.h"

#define PAGE_SIZE 4096u
#define PTE_P     0x001u
#define PTE_W     0x002u
#define PTE_U     0x004u
#define PTE_PCD   0x010u
#define PTE_COW   0x200u /* ours: read-only because shared */
#define PTE_ADDR  0xfffff000u

/* Code and constants that ring 3 may use. */
#define USER __attribute__((section(".user"), noinline, regparm(2)))

/* The cycles that the statement takes. */
#define TIME(statement)                 \
	({                              \
		uint64_t t0_ = rdtsc(); \
		statement;              \
		rdtsc() - t0_;          \
	})

/* ---- main.c ---- */

/* Sorts @v. */
uint64_t median(uint64_t *v, unsigned n);

/* ---- boot.S ---- */

typedef void user_fn(uint32_t a, uint32_t b) __attribute__((regparm(2)));
/* Call @fn(@a, @b) at ring 3 in the current address space, until it returns. */
void run_user(user_fn *fn, uint32_t a, uint32_t b);
void on_leave(void);
void on_null(void);
void on_switch(void);
void on_page_fault(void);
void on_timer(void);
void on_spurious(void);
void on_other(void);

/* ---- machine.c: gates, clocks ---- */

void machine_init(void);
void unexpected(void) __attribute__((noreturn));
/* The counter's rate, against the 8254. */
uint32_t tsc_khz(void);
void apic_init(void);
/* Latency of the local APIC's timer: TSC cycles from its interrupt to the handler, each time. */
void timer_tick(void);
uint64_t timer_latency(unsigned n, bool halted);

/* ---- memory.c: frames and address spaces ---- */

struct space {
	uint32_t *dir,
		*table; /* the kernel's page directory entries, and one table from USER_BASE */
};

extern uint32_t switch_now, switch_next; /* CR3 of the two that on_switch changes between */
void memory_init(void);
uint32_t frame_alloc(void);
void frame_free(uint32_t frame);
/*
 * Children of space_fork() take their page directories in turn from @n frames (at most DIRS_MAX).
 * With one, each has the CR3 of the last that ended; with many, one not seen for a while.
 */
#define DIRS_MAX 48u
void space_rotate(unsigned n);
void space_init(struct space *s);
/* Of a child: the frames of what is mapped from USER_BASE on, and the table. */
void space_free(struct space *s);
void space_use(const struct space *s);
void space_map(struct space *s, uint32_t va, uint32_t frame, uint32_t flags);
/* Take @pages from @va on out again, their frames too, and reload CR3. */
void space_unmap(struct space *s, uint32_t va, unsigned pages);
/* Share all pages, copy on write.  The parent's TLB must be flushed afterwards. */
void space_fork(struct space *child, struct space *parent);
static inline uint32_t *space_pte(const struct space *s, uint32_t va)
{
	return &s->table[va >> 12 & 1023];
}

/* What the page-fault handler does. */
enum fault_policy {
	FAULT_DEMAND, /* map a page of zeroes, or copy a shared one */
	FAULT_SKIP,   /* go on behind the instruction, which is SKIP_LEN bytes long */
};
#define SKIP_LEN  2
#define SKIP_INSN "movb (%0), %%al" /* 8a /r */
extern enum fault_policy fault_policy;
extern struct space *current; /* whose pages it makes */
void page_fault(uint32_t cr2, uint32_t error, uint32_t *eip);

/* ---- user.c: what runs at ring 3, see there ---- */

user_fn user_null_calls, user_write_pages, user_skip_faults, user_switch, user_compute, user_call;
USER void user_leave(void); /* where they return to */

/* ---- compute.c ---- */

uint32_t compute(uint32_t *buf, uint32_t words, uint32_t rounds);

/* ---- traps.c, paging.c: the measurements ---- */

/* Run in an address space with a user stack and nothing else of the user. */
void use_plain(void);

#define BATCHES_MAX 301u
/* Do it @n times; the cycles it took. */
typedef uint64_t bench_fn(unsigned n);
struct bench {
	const char *name;
	bench_fn *fn;
	unsigned n;       /* operations in a batch */
	unsigned batches; /* at most BATCHES_MAX; of those */
};
extern const struct bench trap_benches[], paging_benches[]; /* end with a NULL name */

#endif
