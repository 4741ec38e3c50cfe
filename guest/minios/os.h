/* SPDX-License-Identifier: MIT */
/*
 * The operating system: memory, programs, processes, system calls, on one processor or several.
 *
 * Three rules keep all of it simple.  The kernel runs with interrupts off, from a trap to the
 * return from it, and gives the CPU away only by calling schedule() and what is made of it: so on
 * one processor nothing comes in between.  What another processor may use at the same time has a
 * lock (their order is in minios.h).  And who holds a lock neither lets interrupts in nor touches
 * user memory, which may not be there: trap_dispatch() panics.
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
#include "activation.h"
#include "minios.h"

struct space;
struct process;

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

/* ---- cpu.c, trampoline.S, lock.c, flush.c: processors ---- */

#define LOCKS_MAX 6 /* that one may hold at the same time */

struct cpu {
	unsigned number;
	uint8_t apic_id;
	volatile bool online;

	struct process *idle;             /* who runs when there is nobody to run */
	struct process *volatile running; /* whose code it executes, if any but the idle one's */
	struct process *previous; /* schedule.c: who ran before, until we are off its stack */
	struct lock queue_lock;
	struct process *volatile first; /* the run queue: READY, and not on any processor */
	struct process *last;
	uint32_t resting; /* 1: asleep, or about to be, and in need of an interrupt */
	bool ticking;     /* its timer is on: who rests needs none */
	uint32_t ticks;   /* that came */

	struct space *space;     /* what CR3 holds; NULL: the kernel alone */
	volatile uint32_t flush; /* flush.c: a request to forget */
	unsigned locks;          /* lock.c: those that are held */
	struct lock *held[LOCKS_MAX];
};

extern struct cpu cpus[CPUS_MAX];
extern unsigned cpu_count;
void cpus_find(void);
/* Start the others, one after the other. */
void cpus_start(void);
/* Wait a moment for another processor: to be said in every such loop while interrupts are off. */
void spin_wait(void);

void flush_init(void);
/* All processors forget @count pages from @va on, and have done so on return.  s->lock is held. */
void flush_space(const struct space *s, uint32_t va, uint32_t count);
/* The same for a page of the kernel. */
void flush_everywhere(uint32_t va);
/* If somebody has asked us to, forget. */
void flush_serve(void);

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

#define PTE_P       0x001u /* present */
#define PTE_W       0x002u /* writable, also by the kernel: CR0.WP is set */
#define PTE_U       0x004u /* user mode may use it */
#define PTE_PCD     0x010u /* not cached: for device registers */
#define PTE_COW     0x200u /* ours (the CPU ignores bits 9-11): copy before the first write */
#define PTE_DROPPED 0x400u /* ours, not present: the frame is about to be released */
#define PTE_ADDR    0xfffff000u

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

/* In a frame of its own.  Threads of a program share one. */
struct space {
	struct lock lock; /* of all that follows, and of the page tables */
	uint32_t users;   /* processes; atomic */
	uint32_t cpus;    /* bit n: processor n has it in CR3; atomic */
	uint32_t *dir;
	struct area area[AREAS];
	unsigned areas;
	uint32_t brk; /* end of the heap as the program sees it, to the byte */
};

/* With one user, us; NULL if memory runs out. */
struct space *space_new(void);
struct space *space_fork(struct space *parent);
/* One user more, one fewer; the last one frees it. */
void space_join(struct space *s);
void space_leave(struct space *s);
/* Make @s the address space that this processor sees; NULL: the kernel alone. */
void space_use(struct space *s);
/* A page fault at @va: cure it and return NULL, or say why that cannot be. */
const char *space_fault(struct space *s, uint32_t va, bool write);
/* May the program access these bytes, so that the kernel may on its behalf? */
bool space_allows(const struct space *s, uint32_t va, uint32_t len, bool write);
/* Move the end of the heap; returns where it is then. */
uint32_t space_brk(struct space *s, uint32_t to);
/* Give the page at @va back; what is there when it is next touched is new. */
void space_renew(struct space *s, uint32_t va);
/* Where the kernel finds the word at @va, s->lock being held; NULL: the page is not there. */
const uint32_t *space_word(struct space *s, uint32_t va);

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

/* ---- process.c: processes ---- */

#define PROCESSES   32
#define SLICE_TICKS 3 /* how many ticks a process may run before it is another's turn */

struct process {
	struct lock lock; /* of state, channel and killed; see schedule.c */
	enum process_state state;
	int pid;
	struct process *parent; /* family_lock */
	char name[NAME_MAX];
	struct cpu *cpu;          /* where it runs, or ran last */
	struct process *next;     /* behind it in the run queue */
	struct space *space;      /* NULL: idle */
	uint32_t stack;           /* its kernel stack: a frame */
	uint32_t esp;             /* where that stack was left when it last ran */
	unsigned slice;           /* ticks that are left of its turn */
	uint32_t ticks;           /* that it has had in all */
	const void *channel;      /* what it is blocked on: any address will do */
	const char *waits_for;    /* the same in words */
	uint32_t wake_at;         /* if asleep: the tick that ends it */
	int status;               /* how it ended */
	struct activate activate; /* activation.c; eip 0: not registered */
	bool taken;               /* what it computed goes on elsewhere; activation_lock */
	bool killed;              /* it must end as soon as it can */
};

/*
 * Who are we?  Every kernel stack is one frame and belongs to one process, whose name is written
 * at its lower end; so the stack pointer tells.  And the process tells which processor it is on.
 * (Others use a segment register for that, or ask the local APIC.  This costs nothing.)
 */
struct stack_end {
	struct process *process;
	uint32_t guard; /* 0, until the stack overflows */
};

static inline struct stack_end *stack_end(void)
{
	uint32_t esp;
	__asm__ volatile("movl %%esp, %0" : "=r"(esp));
	return (struct stack_end *)page_down(esp);
}
#define current (stack_end()->process)

/* Are we on such a stack?  Not before os.c says so. */
extern bool os_runs;

static inline struct cpu *this_cpu(void)
{
	return os_runs ? current->cpu : NULL;
}

extern struct lock family_lock; /* of the table: who is there, and whose child it is */
struct process *process_slot(unsigned i);
unsigned process_number(const struct process *p); /* its slot */
struct process *process_find(int pid);
/*
 * A new process, not yet READY, with a kernel stack but no address space.  NULL, with *@error set,
 * if there are too many or memory runs out. It begins in user mode, with process_frame(), or if
 * @kernel is not NULL there, and in user mode when that returns.
 */
struct process *process_create(struct process *parent, void (*kernel)(void), int *error);
/* What its kernel stack begins with: the registers that it has in user mode. */
struct frame *process_frame(struct process *p);
/* What processor @c does when there is nothing to do; it is in no table. */
void process_create_idle(struct cpu *c, void (*kernel)(void));
void process_exit(int status) __attribute__((noreturn));
/* Free what is left of a process that ended, or never began.  family_lock is held. */
void process_reap(struct process *p);
/* Make it end. */
bool process_kill(int pid);

/* ---- schedule.c, switch.S: who runs ---- */

void schedule_init(void);
/*
 * Let others run.  The lock of the current process is held, and its state is what it shall be;
 * returns without the lock, when it is its turn again.
 */
void schedule(void);
void yield(void); /* the same, for who stays READY */
/* The life of an idle process. */
void rest(void) __attribute__((noreturn));
/* Nothing to hold: it is new.  To be called once its maker is done. */
void process_start(struct process *p);
/* If @p is BLOCKED on @channel (NULL: on anything), make it READY.  Was it? */
bool process_wake(struct process *p, const void *channel);
/*
 * Block until somebody calls wakeup() with the same channel.  @condition is the lock under which
 * we found that we have to wait; it is not held meanwhile, and held again on return.
 */
void block_on(const void *channel, const char *what, struct lock *condition);
/*
 * Wake up all that wait; the lock of their condition is held.  Returns how many.
 * A channel in user memory means something else in each space; for others @s is NULL.
 */
unsigned wakeup(const void *channel);
unsigned wakeup_in(const struct space *s, const void *channel, unsigned max);
void switch_stack(uint32_t *save_esp, uint32_t load_esp);

/* ---- exec.c ---- */

/* @args is @count strings one behind the other.  Replaces the program of the current process. */
int exec(const char *name, const char *args, unsigned count);

/* ---- clock.c ---- */

#define TICK_MS 10
extern volatile uint32_t clock_ticks;
extern struct lock clock_lock; /* of wake_at */
void clock_init(void);
/* The timer of this processor, with the period that clock_init() has measured. */
void clock_start(void);

/* ---- fault.c, syscall.c ---- */

void fault_init(void);
void syscall_init(void);

/* ---- activation.c: virtual processors that are preempted ---- */

void activation_init(void);
/* A trap came from user mode. */
void activation_enter(struct frame *f);
/* Nothing to do until an interrupt: say so, and wait for it.  False: say it by HLT. */
bool activation_rest(void);
/* We wait for a lock of @owner's, if not NULL: if that is preempted, let it run instead of us. */
void activation_help(const struct cpu *owner);
/* The system calls, but for the pointers. */
int activation_register(const struct activate *a);
int activation_take(int slot, struct taken *to);
bool activation_yield_to(unsigned slot);
int activation_processor(unsigned number, struct processor_info *info);

/* ---- smp_stress.c ---- */

/* What the processors do if they are to test each other, and how often each. */
void smp_stress(void) __attribute__((noreturn));
extern uint32_t smp_stress_rounds;
/* Not 0: do something wrong, to see that it is noticed; see smp_stress.c. */
extern uint32_t smp_break;

/* ---- os.c ---- */

void os_start_if_asked(void);
void os_end(int status) __attribute__((noreturn));

#endif
