/* SPDX-License-Identifier: MIT */
/*
 * What runs a vCPU until its next exit.  One implementation runs it deprivileged in a sandboxed
 * host process (vmm/world/), another on /dev/kvm; the run loop, devices, interrupt code and
 * loader are the same for both.
 */
#ifndef RINGSIDE_VMM_ENGINE_H
#define RINGSIDE_VMM_ENGINE_H

#include "vmm/types.h"

struct vm;
struct vcpu;
struct engine;
struct event;
struct exit;

enum exit_reason {
	EXIT_KICK,       /* another thread asked; nothing happened in the guest */
	EXIT_STEP,       /* one instruction ran, as asked with ENGINE_STEP */
	EXIT_PRIVILEGED, /* #GP or #UD at eip: perhaps a sensitive instruction */
	EXIT_PAGE_FAULT, /* the engine has no mapping that allows the access at gva */
	EXIT_SOFT_INT,   /* int n whose eip is already past the instruction; vector says which */
	EXIT_SYSENTER,   /* sysenter; eip is lost, as the instruction loses it */
	EXIT_SYSCALL,    /* syscall; ecx holds the next eip, as the instruction leaves it */
	EXIT_EXCEPTION,  /* any other exception of the guest's own: vector, error */
	EXIT_RECONCILED, /* the engine repaired state the guest had changed without a trap; resume
			  */
	EXIT_BREACH,     /* the guest left the deprivileged environment or broke protocol */
	EXIT_NO_PAGE,    /* the host has no page for what is mapped at gva: memory ran out, a file
			    shrank */
	EXIT_DEAD,       /* the process or descriptor behind the engine is gone */
	/* Of an engine with hardware behind it, which has decoded the instruction already. */
	EXIT_IO,         /* port I/O: @io */
	EXIT_MMIO,       /* access to where there is no RAM: @mmio */
	EXIT_HLT,        /* hlt; eip is past it */
	EXIT_MSR,        /* rdmsr or wrmsr: @msr */
	EXIT_IRQ_WINDOW, /* the guest can take an interrupt now, as asked with irq_window() */
	EXIT_SHUTDOWN,   /* triple fault */
	EXIT_EMULATION,  /* it could not execute the instruction at eip; all state is saved */
	EXIT_REASONS
};

/* The handler reads @data, or fills it, before the next run(), which completes the instruction. */
union exit_access {
	struct {
		uint16_t port;
		uint8_t width; /* 1, 2 or 4 bytes */
		bool in;
		uint32_t count; /* more than 1: elements of a string instruction, one after another
				 */
		uint8_t *data;
	} io;
	struct {
		gpa_t gpa;
		uint8_t len; /* 1 to 8 bytes */
		bool write;
		uint8_t *data;
	} mmio;
	struct {
		uint32_t index;
		bool write;
		uint64_t *data;
		uint8_t *refused; /* set it to 1: the guest gets #GP(0) */
	} msr;
};

struct exit {
	enum exit_reason reason;
	uint8_t vector; /* exception or software interrupt */
	uint32_t dr6;   /* #DB: bits to set in DR6 */
	bool has_error;
	uint32_t error;      /* error code as the CPU pushed it */
	gva_t gva;           /* EXIT_PAGE_FAULT: CR2; EXIT_NO_PAGE */
	const char *why;     /* EXIT_BREACH, EXIT_DEAD: a phrase for the user; static string */
	uint32_t guest_ns;   /* time from resume to trap, as far as the engine can see */
	uint32_t handoff_ns; /* trap to VMM plus VMM to guest; see the engine */
	union exit_access access;
};

#define ENGINE_STEP 0x1 /* run one instruction, then EXIT_STEP */

#define MAP_R 0x1
#define MAP_W 0x2
#define MAP_X 0x4

#define ENGINE_TAKES_IRQ 0x1
#define ENGINE_TAKES_NMI 0x2

/*
 * An engine is either deprivileged: it has map() and what goes with it, the VMM keeps the guest's
 * state, emulates and injects; or assisted (engine_assisted()): the CPU does that, map() to
 * set_fpu() are NULL and load() to inject() are there.
 */
struct engine_ops {
	const char *name; /* "world", "kvm" */
	/*
	 * Make what the vCPUs of @vm share, before its devices are started.  Returns 0 or negative
	 * errno with a sentence in vm->death.  NULL: nothing.
	 */
	int (*attach)(struct vm *vm);
	/* Returns 0 or negative errno with a sentence in vm->death. */
	int (*create)(struct vcpu *v, struct engine **out);
	void (*destroy)(struct engine *e);
	/*
	 * Load v->regs, run the guest until the next exit, store v->regs, fill *@x.
	 * Returns 0 or negative errno (host failure, sentence in vm->death).  vCPU thread only.
	 */
	int (*run)(struct engine *e, unsigned flags, struct exit *x);
	/*
	 * Map guest-linear [gva, gva + len) onto guest-physical [gpa, gpa + len) with rights @prot
	 * (MAP_R | MAP_W | MAP_X); page-aligned.  All of it is RAM, or in one window (region.h),
	 * never with MAP_X, or, from VM_COPIES_GPA on, among the copies of shadow code pages.
	 * Replaces what was there.  May be deferred until the next run().  Returns 0,
	 * -EPERM where this host cannot map that address (below vm.mmap_min_addr without privilege;
	 * the caller emulates accesses then), or -errno.
	 */
	int (*map)(struct engine *e, gva_t gva, gpa_t gpa, uint64_t len, unsigned prot);
	int (*unmap)(struct engine *e, gva_t gva, uint64_t len);
	/* Forget every mapping. */
	int (*invalidate)(struct engine *e);
	/*
	 * Carry out what map(), unmap() and invalidate() deferred, now, even while the guest runs.
	 * These four may be called by any thread.  Returns 0 or negative errno.
	 */
	int (*sync)(struct engine *e);
	/*
	 * CPU time that what runs the guest has used in all, in ns; 0: it is the vCPU thread's own,
	 * or unknown.  Any thread.  NULL: always 0.
	 */
	uint64_t (*cpu_ns)(struct engine *e);
	/* Make a running run() return EXIT_KICK soon.  Any thread. */
	void (*kick)(struct engine *e);
	/*
	 * FPU/SSE/AVX state as an XSAVE image (standard format).  get: copies at most @size bytes,
	 * returns the image's length; set: returns 0 or -EINVAL.  vCPU thread only, after a run().
	 */
	long (*get_fpu)(struct engine *e, void *buf, size_t size);
	int (*set_fpu)(struct engine *e, const void *buf, size_t size);
	/*
	 * Assisted engines keep the vCPU's state between runs; run() stores only the general
	 * registers, EIP and EFLAGS in v->regs.  load: v->regs and v->sh were changed, the next
	 * run() starts from them.  save: bring them up to date; 0 or negative errno.  vCPU thread
	 * only, as all that follow.
	 */
	void (*load)(struct engine *e);
	int (*save)(struct engine *e);
	/* ENGINE_TAKES_*: what the guest could take if it were resumed now. */
	unsigned (*takes)(struct engine *e);
	/* Shall a run end with EXIT_IRQ_WINDOW as soon as the guest can take an interrupt? */
	void (*irq_window)(struct engine *e, bool wanted);
	/* The guest takes @ev, an NMI or an external interrupt, on the next run(). 0 or negative
	 * errno. */
	int (*inject)(struct engine *e, const struct event *ev);
};

struct engine {
	const struct engine_ops *ops;
	/*
	 * Addresses below cannot be mapped here (vm.mmap_min_addr without privilege): map() gives
	 * -EPERM, and the run loop emulates what the guest does there.  A multiple of PAGE_SIZE,
	 * often 0.
	 */
	uint64_t low_limit;
	bool ram_mapped; /* run.c: all of RAM was mapped for data (paging off) */
};

static inline bool engine_assisted(const struct engine *e)
{
	return !e->ops->map;
}

extern const struct engine_ops world_engine;
extern const struct engine_ops kvm_engine;

#endif
