/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine: RAM, vCPUs, buses, devices, and how it ended.
 *
 * Locks: vm->lock (device lock) protects buses, devices, timers and interrupt controllers;
 * vm->mmu_lock protects shadow code pages and the books of the shadow MMU, recursively, since those
 * two call each other.  Neither is held while the other is taken, and neither while the guest runs.
 * A world's map_lock is taken last.  A vCPU's own state needs none: only its thread touches it.
 */
#ifndef RINGSIDE_VMM_VM_H
#define RINGSIDE_VMM_VM_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/bus.h"
#include "vmm/cpuid_mask.h"
#include "vmm/engine.h"
#include "vmm/region.h"
#include "vmm/timer.h"
#include "vmm/types.h"

#define VM_RAM_MIN    (1u << 20)
#define VM_RAM_MAX    (3u << 30) /* above live the LAPIC, IOAPIC and the reset vector */
#define VM_VCPUS_MAX  8
#define VM_COPIES_LEN (32u << 20) /* of the RAM memfd, behind the RAM: shadow code pages */
#define VM_COPIES_GPA \
	(1ull << 32) /* where engine->map() finds them: no gpa of a window or of RAM */

struct activations;
struct vcpu;
struct code;
struct kvm_vm;
struct machine;
struct shadow_mmu;
struct model_ram;
struct symbols;
struct dispatch_vm;

enum vm_end {
	VM_RUNNING,
	VM_EXITED,    /* wrote the exit port, or was reset/powered off: vm->status is the guest's */
	VM_STOPPED,   /* the user asked (Ctrl-A x, signal) */
	VM_TIMEOUT,   /* --timeout */
	VM_KILLED,    /* guest misbehaviour ended it: vm->death */
	VM_HOST_FAIL, /* the host refused something: vm->death */
};

struct vm {
	pthread_mutex_t lock;
	pthread_mutex_t mmu_lock;
	uint8_t *ram; /* RAM as mapped in the VMM */
	uint64_t ram_len;
	int ram_fd; /* the memfd behind it, sealed against resizing; -1 in unit tests */
	struct vcpu *vcpu[VM_VCPUS_MAX];
	unsigned vcpus;
	struct bus pio, mmio;
	struct vm_region region[REGIONS_MAX]; /* fixed before the guest runs */
	unsigned regions;
	struct timers timers;
	struct machine *machine;   /* the devices; NULL in unit tests */
	struct code *code;         /* shadow code pages; NULL if the engine needs none */
	struct shadow_mmu *shadow; /* address spaces and their worlds; NULL before vcpu_run() */
	_Atomic uint64_t worlds_gone_ns; /* CPU time of worlds that have ended */
	unsigned worlds;                 /* --worlds: spaces a vCPU may keep; 0: the default */
	struct model_ram *model_ram;     /* which RAM there was before the guest ran; may be NULL */
	struct symbols *symbols;         /* of the guest image; may be NULL */
	struct dispatch_vm *dispatch;    /* sched/dispatch.c; NULL: no dispatcher */
	struct activations *activations; /* offered to the guest; NULL: not */
	const struct engine_ops *engine_ops;
	struct kvm_vm *kvm;  /* of the kvm engine; NULL before its first vCPU */
	bool kernel_irqchip; /* --irqchip=kernel: PIC, IOAPIC, local APICs and 8254 are KVM's */
	int handoff; /* --handoff: 0 the engine decides, 1 always share a CPU, 2 always spin */
	bool dead_quietly;   /* tests: no report on stderr */
	_Atomic bool stop;   /* the vCPUs return from vcpu_run() soon */
	_Atomic int end;     /* enum vm_end */
	int status;          /* exit status of the guest */
	bool tsc_trap;       /* --tsc=trap: rdtsc is emulated from the first on */
	bool pause_trap;     /* --pause: the scanner patches PAUSE; set before the first run */
	bool count_hardware; /* engine kvm: count the exits of hardware, which costs time */
	bool lookahead;      /* --lookahead: emulate runs of sensitive instructions on one trap */
	_Atomic unsigned death_vcpu;  /* 1 + whose doing it was, for the report; 0: nobody's */
	char death[512];              /* one sentence, for VM_KILLED and VM_HOST_FAIL */
	struct cpuid_mask cpuid_mask; /* --cpuid: features the guest is not offered */
};

/* Returns 0 or negative errno with vm->death set.  @ram_len: multiple of 4 KiB in [VM_RAM_MIN,
 * VM_RAM_MAX]. */
int vm_init(struct vm *vm, uint64_t ram_len);
void vm_destroy(struct vm *vm);

/*
 * End the VM: the guest did something it may not.  Keeps the first sentence.  Returns -ECANCELED so
 * that a handler can `return vm_kill(vm, "...")`.  Any thread.
 */
int vm_kill(struct vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for a refusal of the host (out of memory, a system call failed). Returns -EIO. */
int vm_host_fail(struct vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Orderly end of kind @end with guest status @status; the first end wins.  Any thread. */
void vm_end(struct vm *vm, enum vm_end end, int status);

static inline void vm_lock(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
}
static inline void vm_unlock(struct vm *vm)
{
	pthread_mutex_unlock(&vm->lock);
}

#endif
