/* SPDX-License-Identifier: MIT */
/*
 * The operating system: memory, programs, processes, system calls.
 *
 * One rule keeps all of it simple: the kernel runs with interrupts off, from a trap to the return
 * from it, and gives the CPU away only by calling schedule().  So nothing here needs a lock.
 *
 * The address space that every process sees:
 *
 *     00000000 - 00000fff   nothing: a null pointer faults
 *     00001000 - 3fffffff   all RAM at its physical address (identity), the kernel in it;
 *                           supervisor pages, the same page tables in every address space
 *     40000000 - 7fffffff   the process: code and data at the bottom, then the heap, and the
 *                           stack at the top
 *     fee00000 - fee00fff   the local APIC, supervisor
 *
 * Most kernels live in the higher half and leave the low addresses to the programs.  Identity
 * needs no explanation of how to get there (the instruction after the one that switches paging
 * on is where it was before), and a physical address is a pointer, always.
 */
#ifndef MINIOS_OS_H
#define MINIOS_OS_H

#include "abi.h"
#include "minios.h"

#define PAGE_SIZE  4096u
#define USER_BASE  0x40000000u
#define USER_END   0x80000000u
#define STACK_SIZE 0x10000u
#define HEAP_END   (USER_END - 0x100000u)

static inline uint32_t page_down(uint32_t va)
{
	return va & ~(PAGE_SIZE - 1);
}

static inline uint32_t page_up(uint32_t va)
{
	return page_down(va + PAGE_SIZE - 1);
}

/* ---- frames.c: physical memory, a frame of 4 KiB at a time ---- */

/* Hand out the frames in [begin, end) from now on. */
void frames_init(uint32_t begin, uint32_t end);
/* Physical address of a frame full of zeroes, with one owner; 0 if there is none left. */
uint32_t frame_alloc(void);
/* One owner more, one owner less; the last one frees the frame. */
void frame_share(uint32_t pa);
void frame_release(uint32_t pa);
bool frame_is_shared(uint32_t pa);
uint32_t frames_free(void);
uint32_t frames_end(void); /* where RAM ends, as far as we use it */

/* ---- paging.c: page tables.  SDM Vol. 3A, "32-Bit Paging" (4.3) ---- */

#define PTE_P    0x001u /* present */
#define PTE_W    0x002u /* writable, also by the kernel: CR0.WP is set */
#define PTE_U    0x004u /* user mode may use it */
#define PTE_PCD  0x010u /* not cached: for device registers */
#define PTE_COW  0x200u /* ours (the CPU ignores bits 9-11): copy before the first write */
#define PTE_ADDR 0xfffff000u

/* The page directory with nothing but the kernel in it. */
extern uint32_t *kernel_dir;
void paging_init(void);
/* Make @dir the address space that the CPU sees; flushes the TLB. */
void paging_use(uint32_t *dir);
/* The entry for @va in its page table; without one make one, or return NULL. */
uint32_t *page_entry(uint32_t *dir, uint32_t va, bool make);

/* ---- space.c: the user half of an address space ---- */

/* A stretch of addresses with something behind it: bytes of a file, then zeroes. */
struct area {
	uint32_t start, end;
	const uint8_t *file;
	uint32_t file_size;
	bool writable;
};

enum { AREA_STACK, AREA_HEAP, AREA_PROGRAM, AREAS = AREA_PROGRAM + 4 };

struct space {
	uint32_t *dir;
	struct area area[AREAS];
	unsigned areas;
	uint32_t brk; /* end of the heap as the program sees it, to the byte */
};

/* All return false if memory runs out, and then leave nothing behind. */
bool space_init(struct space *s);
bool space_fork(struct space *child, struct space *parent);
void space_free(struct space *s);
/* A page fault at @va: cure it and return NULL, or say why that cannot be. */
const char *space_fault(struct space *s, uint32_t va, bool write);
/* May the program access these bytes, so that the kernel may on its behalf? */
bool space_allows(const struct space *s, uint32_t va, uint32_t len, bool write);
/* Move the end of the heap; returns where it is then. */
uint32_t space_brk(struct space *s, uint32_t to);

/* ---- programs.c, elf.c: programs ---- */

struct program {
	char name[NAME_MAX];
	const uint8_t *image;
	uint32_t size;
};

/* Note the modules that the boot loader brought; returns where the last one ends. */
uint32_t programs_init(void);
const struct program *program_at(unsigned i);
const struct program *program_find(const char *name);
/* Note the segments of @p in @s; returns NULL or what is wrong with the file. */
const char *elf_load(const struct program *p, struct space *s, uint32_t *entry);

/* ---- process.c, switch.S: processes and who runs ---- */

#define PROCESSES   32
#define SLICE_TICKS 3 /* how many ticks a process may run before it is another's turn */

struct process {
	enum process_state state;
	int pid;
	struct process *parent;
	char name[NAME_MAX];
	struct space space;
	uint32_t stack;        /* its kernel stack: a frame */
	uint32_t esp;          /* where that stack was left when it last ran */
	unsigned slice;        /* ticks that are left of its turn */
	uint32_t ticks;        /* that it has had in all */
	const void *channel;   /* what it is blocked on: any address will do */
	const char *waits_for; /* the same in words */
	uint32_t wake_at;      /* if asleep: the tick that ends it */
	int status;            /* how it ended */
	bool killed;           /* it must end as soon as it can */
};

extern struct process *current;
struct process *process_slot(unsigned i);
struct process *process_find(int pid);
/* A new process, not yet READY, with a kernel stack but no address space; NULL: none is free. */
struct process *process_create(struct process *parent);
/* What its kernel stack begins with: the registers that it has in user mode. */
struct frame *process_frame(struct process *p);
void process_exit(int status) __attribute__((noreturn));
/* Free what is left of a process that ended, or never began. */
void process_reap(struct process *p);
/* Let others run; return when it is our turn again. */
void schedule(void);
void yield(void);
/* Block until somebody calls wakeup() with the same channel. */
void block_on(const void *channel, const char *what);
void wakeup(const void *channel);
void switch_stack(uint32_t *save_esp, uint32_t load_esp);

/* ---- exec.c ---- */

/* @args is @count strings one behind the other.  Replaces the program of the current process. */
int exec(const char *name, const char *args, unsigned count);

/* ---- clock.c ---- */

#define TICK_MS 10
extern volatile uint32_t clock_ticks;
void clock_init(void);

/* ---- fault.c, syscall.c ---- */

void fault_init(void);
void syscall_init(void);

/* ---- os.c ---- */

void os_start_if_asked(void);
void os_end(int status) __attribute__((noreturn));

#endif
