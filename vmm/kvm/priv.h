/* SPDX-License-Identifier: MIT */
/* What the files of the kvm engine share; nobody else includes this but its tests. */
#ifndef RINGSIDE_VMM_KVM_PRIV_H
#define RINGSIDE_VMM_KVM_PRIV_H

#include <linux/kvm.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "vmm/engine.h"
#include "vmm/kvm/kvm.h"
#include "vmm/vm.h"

struct kvm_hw;
struct kvm_stats;

struct kvm_vm {
	struct vm *vm;
	int dev_fd, fd;
	const char *module;
	bool msr_exits;            /* MSRs that KVM does not have, or that are ours, come to us */
	bool sync_regs;            /* the registers are in struct kvm_run after each exit */
	bool batches;              /* it notices a window only now and then: kvm_pvm */
	unsigned slots;            /* of memory in use */
	void *window[REGIONS_MAX]; /* regions of the VM as KVM sees them */
	size_t run_len;            /* bytes of a struct kvm_run and what follows it */
	int vcpu_fd[VM_VCPUS_MAX];
	struct kvm_stats *stats; /* of the VM; NULL: this kernel has none */
	struct kvm_stats *vcpu_stats[VM_VCPUS_MAX];
	struct kvm_hw *hw; /* trace.h; NULL: nobody asked for exits of the hardware */
};

struct kvm_engine {
	struct engine engine;
	struct vcpu *v;
	struct kvm_vm *kvm;
	int fd;
	struct kvm_run *run;
	_Atomic pid_t running; /* the thread that is in KVM_RUN, or about to be; 0: none */
	bool dirty;            /* v->regs and v->sh are to be loaded before the next run */
	bool stepping;         /* each instruction ends the run: EXIT_STEP */
	unsigned steps;        /* in a row */
	bool keep_events;      /* that load is of what was saved: @events hold */
	struct kvm_vcpu_events events;
	bool incomplete; /* the last exit was in the middle of an instruction */
	/* What KVM has of the registers that are kept in v->sh. */
	uint64_t apic_base, efer, tsc_offset;
};

/* A KVM_CAP_* that the engine cannot do without. */
struct kvm_need {
	unsigned cap;
	const char *what;  /* "debug registers" */
	const char *since; /* release of Linux that brought it */
};
/* Returns 0, or -ENOTSUP with a sentence. */
int kvm_require(int fd, const struct kvm_need *need, size_t n, char *err, size_t size);

/* vm.c: make vm->kvm with all its vCPUs.  Returns 0 or negative errno with vm->death set. */
int kvm_vm_create(struct vm *vm);

/* irqchip.c.  Before and after the vCPUs are made.  Return 0 or negative errno, vm->death set. */
int kvm_irqchip_create(struct kvm_vm *k);
int kvm_irqchip_firmware(struct kvm_vm *k);

/*
 * cpuid.c: take from vm->cpuid_mask what this KVM cannot run, and give each vCPU the CPUID of every
 * engine.  Return 0 or negative errno, vm->death set.
 */
int kvm_cpuid_limit(struct kvm_vm *k);
int kvm_cpuid_set(struct kvm_vm *k, unsigned vcpu);

/* state.c: all registers, both ways.  Return 0 or negative errno, vm->death set. */
int kvm_state_load(struct kvm_engine *e);
int kvm_state_save(struct kvm_engine *e);
/* The general registers, EIP and EFLAGS of @r. */
void kvm_state_regs(struct vcpu *v, const struct kvm_regs *r);
/* Bring KVM's copy up to date with what MSR writes left in v->sh. */
int kvm_state_msrs(struct kvm_engine *e);

/*
 * exit.c: what e->run says about the last exit, into *@x.  Returns 0, or negative errno with
 * vm->death set: the guest cannot go on.
 */
int kvm_exit_decode(struct kvm_engine *e, struct exit *x);

/* engine.c: make a run without an instruction, so that what was begun is completed. */
int kvm_complete(struct kvm_engine *e);

/* stats.c: the file of KVM_GET_STATS_FD behind @fd, which it takes over; NULL if it is not one. */
struct kvm_stats *kvm_stats_open(int fd);
/* Read the counters: the first time as what was before, then as what is. */
int kvm_stats_read(struct kvm_stats *s);
/* How many @name there were between the two; 0 if there is no such counter. */
uint64_t kvm_stats_get(const struct kvm_stats *s, const char *name);
void kvm_stats_free(struct kvm_stats *s);

#endif
