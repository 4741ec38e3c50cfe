/* SPDX-License-Identifier: MIT */
/* What the files of the dispatcher share; nobody else includes this. */
#ifndef RINGSIDE_VMM_SCHED_DISPATCH_PRIV_H
#define RINGSIDE_VMM_SCHED_DISPATCH_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "vmm/sched/dispatch.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

struct dispatch_vcpu {
	struct sched_entity e;
	struct vcpu *v;
	struct dispatch_vm *dvm;
	bool off;    /* has not been started */
	bool idle;   /* blocked by SA_MSR_IDLE */
	bool wanted; /* and to be woken up for SA_MSR_WANT */
};

struct dispatch_vm {
	struct dispatcher *d;
	struct sched_group group;
	struct vm *vm;
	struct dispatch_vcpu vcpu[VM_VCPUS_MAX];
	unsigned live; /* vCPUs that have not ended */
	void (*ended)(void *arg);
	void *arg;
	bool told;        /* ended() has been called */
	unsigned telling; /* pCPUs that write events to the guest: it must not go away */
};

struct pcpu {
	struct dispatcher *d;
	pthread_t thread;
	unsigned index;
	int cpu;                       /* of the host */
	struct dispatch_vcpu *running; /* NULL: idle */
	struct dispatch_vm *left;      /* its guest has not been told yet that one of it left */
	enum sched_why why;            /* what for it was told to come back */
	bool told;                     /* since it last picked */
	_Atomic uint32_t poke;         /* futex word of an idle one */
};

struct dispatcher {
	pthread_mutex_t lock; /* taken last */
	pthread_cond_t gone;  /* a VM's last vCPU has ended */
	pthread_cond_t clock_changed;
	struct sched *sched;
	pthread_t clock;
	uint64_t clock_ns; /* what the clock thread waits for */
	bool stop;
	unsigned pcpus, started;
	bool clock_started;
	struct pcpu pcpu[SCHED_MAX_PCPUS];
};

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- dispatch.c.  Under the lock. ---- */

/* After any call into the scheduler: who must be told, and does the clock go off sooner now? */
void dispatch_settle(struct dispatcher *d);

/* ---- dispatch_vm.c.  Under the lock. ---- */

/* What is held back when its VM ends has to run once more, to see it. */
void dispatch_let_end(struct dispatch_vm *dvm);

/* ---- dispatch_guest.c: scheduler activations, what the guest is told ---- */

/* Note what the scheduler has just done with @dv; @kind 0: how things are.  Under the lock. */
void dispatch_note(struct dispatch_vcpu *dv, unsigned kind, uint64_t now);
/* One of @dvm's has left @p, and its guest wants to know.  Under the lock. */
void dispatch_must_tell(struct pcpu *p, struct dispatch_vm *dvm);
/*
 * To be called without the lock before @p runs or sleeps: what it has done is written to the
 * guests, that of @next included.
 */
void dispatch_tell_guests(struct pcpu *p, struct dispatch_vm *next);

#endif
