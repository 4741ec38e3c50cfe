/* SPDX-License-Identifier: MIT */
/* What hardware.c counts and hardware_print.c shows; nobody else includes this but its tests. */
#ifndef RINGSIDE_VMM_KVM_HARDWARE_H
#define RINGSIDE_VMM_KVM_HARDWARE_H

#include <pthread.h>

#include "vmm/kvm/priv.h"
#include "vmm/kvm/trace.h"
#include "vmm/sites.h"

#define HW_KINDS_MAX 256u

/* Exits of one reason for one cause: a nested page fault can be a device's, or RAM's. */
struct hw_kind {
	uint32_t isa, reason;
	enum hw_cause cause;
	char name[40]; /* of the reason */
};

struct hw_vcpu {
	uint64_t total, count[HW_KINDS_MAX];
	struct sites sites; /* their causes are numbers of kinds */
};

struct kvm_hw {
	const struct kvm_vm *kvm;
	const struct vm *vm;
	struct kvm_format *format; /* NULL: nothing is counted, why[] says the reason */
	uint64_t event;            /* number of the tracepoint */
	pthread_t drainer;
	bool started;
	int epoll, stop;
	pthread_mutex_t lock; /* for all that follows */
	struct kvm_hw_thread *threads;
	struct hw_kind kind[HW_KINDS_MAX];
	unsigned kinds;
	struct hw_vcpu vcpu[VM_VCPUS_MAX];
	uint64_t lost;   /* exits for which the rings had no room */
	uint64_t unread; /* and records that could not be made anything of */
	char why[256];   /* "": all is counted */
};

/* All that were counted. */
uint64_t kvm_hw_total(const struct kvm_hw *hw);

#endif
