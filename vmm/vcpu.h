/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU: the guest's registers, the shadow state behind the sensitive instructions, and
 * the loop that runs it.  Owned by the thread that runs it; other threads may only call
 * vcpu_kick().
 */
#ifndef RINGSIDE_VMM_VCPU_H
#define RINGSIDE_VMM_VCPU_H

#include <stdatomic.h>
#include <time.h>

#include "vmm/deliver.h"
#include "vmm/types.h"

struct vm;
struct engine;
struct handoff;
struct lapic;
struct exit;
struct irq_stats;
struct dispatch_vcpu;

/* An exception or interrupt on its way into the guest. */
struct event {
	uint8_t vector;
	bool has_error;
	bool soft;     /* int n, int3, into: DPL of the gate is checked, EIP is after it */
	bool external; /* from PIC or LAPIC: sets EXT in error codes of nested faults */
	uint32_t error;
	uint32_t cr2; /* #PF only: loaded into CR2 on delivery */
	uint32_t dr6; /* #DB only: ORed into DR6 on delivery */
};

/* What emulation of an instruction can end in (values > 0; negative ones are errors: VM dead). */
enum emu_result {
	EMU_OK = 0,        /* committed, EIP advanced */
	EMU_FAULT = 1,     /* nothing committed; v->fault says what the guest gets */
	EMU_UNHANDLED = 2, /* not an instruction for the emulator: the caller decides */
};

/*
 * The shadow: what the guest believes about state that ring 3 cannot hold for it.  Compact and
 * pointer-free, so that a fast path inside the world could share it one day (DESIGN section 13).
 */
struct shadow {
	uint32_t cr0, cr2, cr3, cr4;
	uint32_t dr[8];
	struct desc_table gdtr, idtr;
	struct segment ldtr, tr;
	uint8_t cpl; /* vCPL: the guest's own idea of its privilege level, 0-3 */
	/* Interrupts (and traps) held off until after the next instruction: STI, MOV SS/POP SS. */
	bool sti_shadow, movss_shadow;
	bool nmi_blocked; /* from NMI delivery to the next IRET */
	uint64_t apic_base;
	uint64_t tsc_offset; /* guest TSC = host TSC + tsc_offset */
	uint64_t tsc_adjust; /* IA32_TSC_ADJUST: sum of what the guest added to its TSC */
	uint64_t efer, pat, misc_enable, mtrr_def_type, xcr0;
	uint64_t mtrr_fix[11], mtrr_var[16];
	uint32_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc_aux;
	uint64_t pdpte[4]; /* PAE: the PDPTE registers */
};

enum vcpu_run_state { VCPU_READY, VCPU_RUNNING, VCPU_BLOCKED };

/* Why vcpu_resume() returned. */
enum vcpu_stop {
	VCPU_STOP_BLOCKED,   /* halted, or waits for a start-up IPI: until vcpu_kick() */
	VCPU_STOP_PREEMPTED, /* v->preempt asked for the pCPU */
	VCPU_STOP_ENDED,     /* the VM has ended: vm->end says how */
};

struct vcpu {
	struct vm *vm;
	unsigned id; /* 0.. ; also the initial APIC id */
	struct cpu_regs regs;
	struct shadow sh;
	struct event fault; /* valid after EMU_FAULT */
	bool halted;        /* HLT executed, waiting for an event */
	bool idle;          /* and not by HLT but by SA_MSR_IDLE (activations.h) */
	bool shutdown;      /* triple fault */
	struct engine *engine;
	struct handoff *handoff; /* of the world engine */
	struct lapic *lapic;
	struct irq_stats *irq_stats; /* of the machine; NULL in tests */
	struct account *account;     /* counts its exits; may be NULL in tests */
	struct trace *trace;         /* its last exits; may be NULL in tests */
	uint32_t tlb_gen;            /* counts what flushes the TLB; shadow.c compares */
	uint16_t taken;              /* run.c: 1 + the vector just injected from outside; 0: none */
	bool step_original;          /* run.c: the next run executes one unpatched instruction */
	uint32_t spin_eip, spin_count; /* vcpu_spin_hint(): where, and how often running */
	_Atomic bool irq_pending;      /* hint: an interrupt controller may have something for us */
	_Atomic bool nmi_pending;
	_Atomic uint32_t ipi;    /* VCPU_INIT, VCPU_SIPI | vector: not yet taken */
	bool wait_sipi;          /* an application processor between INIT and SIPI */
	_Atomic uint32_t kicked; /* futex word: someone asked the vCPU to look at its work */
	_Atomic int state;       /* enum vcpu_run_state */
	_Atomic bool preempt;    /* with a kick: leave vcpu_resume() at the next exit */
	void (*wake)(
		struct vcpu *v); /* a dispatcher's: it was not running and has work; else NULL */
	struct dispatch_vcpu *dispatch; /* sched/dispatch.c; NULL without a dispatcher */
	int cpu;                        /* 1 + the host CPU its pCPU is pinned to; 0: none */
	unsigned yield_to;              /* with preempt: 1 + the vCPU that it waits for; 0: any */
	bool spins;                     /* with preempt: it seems to wait for another vCPU */
	int want_cpu;                   /* it would be better off on this one, likewise; 0: no */
	bool unpinned;                  /* its thread may wander: pin it before it runs another */
	uint64_t left_tsc;              /* when vcpu_resume() returned last; 0: it has not */
	bool left_blocked;              /* and was it because it blocked? */
};

/* Set up as after power-on/INIT (SDM Vol. 3A, table "IA-32 ... Processor States" 9-1). */
void vcpu_reset(struct vcpu *v);
/* What INIT leaves of it: MSRs, time-stamp counter and caches keep their state. */
void vcpu_init(struct vcpu *v);

/* Record in v->fault and return EMU_FAULT, so that a handler can `return vcpu_gp(v, 0);`. */
int vcpu_fault(struct vcpu *v, unsigned vector, bool has_error, uint32_t error);
static inline int vcpu_gp(struct vcpu *v, uint32_t error)
{
	return vcpu_fault(v, VEC_GP, true, error);
}
static inline int vcpu_ud(struct vcpu *v)
{
	return vcpu_fault(v, VEC_UD, false, 0);
}

static inline bool vcpu_protected(const struct vcpu *v)
{
	return v->sh.cr0 & CR0_PE;
}
/* In virtual-8086 mode, whose CPL is 3? */
static inline bool vcpu_v86(const struct vcpu *v)
{
	return vcpu_protected(v) && (v->regs.eflags & FL_VM);
}
static inline unsigned vcpu_iopl(const struct vcpu *v)
{
	return (v->regs.eflags & FL_IOPL) >> FL_IOPL_SHIFT;
}

/*
 * What the vCPU could be given before its next instruction, by the hints: a controller may turn out
 * to have none.  The vCPU's thread.
 */
enum deliver vcpu_deliver_next(const struct vcpu *v);

/* Would an interrupt be taken before the next instruction? */
static inline bool vcpu_interruptible(const struct vcpu *v)
{
	return (v->regs.eflags & FL_IF) && !v->sh.sti_shadow && !v->sh.movss_shadow &&
	       !v->step_original;
}

#define VCPU_INIT 0x100u
#define VCPU_SIPI 0x200u
/*
 * INIT and start-up IPIs.  Any thread, any lock held or not.  A SIPI counts only while the vCPU
 * waits for one.  Source: Intel SDM Vol. 3A, "Multiple-Processor (MP) Initialization" (8.4).
 */
void vcpu_init_ipi(struct vcpu *v);
void vcpu_sipi(struct vcpu *v, uint8_t vector);

/*
 * @v waits for another vCPU in a loop with PAUSE: let somebody else have the CPU.  The vCPU's
 * thread, no lock held.
 */
void vcpu_spin_hint(struct vcpu *v);

/* Ask the vCPU to look at its pending work soon.  Any thread, any lock held or not. */
void vcpu_kick(struct vcpu *v);

/*
 * State in which a Multiboot loader enters the kernel: protected mode, paging off, flat segments of
 * unspecified selectors, EAX = magic, EBX = information block, interrupts off.
 * Source: Multiboot Specification 0.6.96, "Machine state" (3.2).
 */
void vcpu_boot_multiboot(struct vcpu *v, uint32_t entry, uint32_t magic, uint32_t info_gpa);

/*
 * Run until it blocks, is preempted, or the VM ends.  Creates the vCPU's engine with the first
 * call. For the thread of a pCPU: any, but one at a time, and each must live as long as the VM (a
 * world dies with the thread that made it).
 */
enum vcpu_stop vcpu_resume(struct vcpu *v);
/*
 * The simplest dispatcher: the calling thread is the vCPU's pCPU, for it alone, until the VM stops.
 * Returns 0 when it was asked to stop (vm->stop), or a negative errno when the VM was killed
 * (vm->death says why).
 */
int vcpu_run(struct vcpu *v);

#endif
