/* SPDX-License-Identifier: MIT */
/*
 * Scheduler activations as the guest sees them: the MSRs and the page that it shares with the VMM.
 * docs/activations.md is the specification.  Included by guests too: C, <stdint.h>, no more.
 */
#ifndef RINGSIDE_VMM_ACTIVATIONS_ABI_H
#define RINGSIDE_VMM_ACTIVATIONS_ABI_H

#include <stdint.h>

/* CPUID: the leaf, and bit 0 of its EAX; EBX is the first MSR, ECX the page's version. */
#define SA_CPUID       0x40000001u
#define SA_CPUID_OFFER 1u

#define SA_MSR 0x52530000u
enum {
	SA_MSR_PAGE,   /* rw: guest-physical address of the page | SA_ENABLE; 0: off */
	SA_MSR_UPCALL, /* rw: vector, and SA_UPCALL_ON(kind) for each kind that is to interrupt */
	SA_MSR_WANT,   /* w: so many processors can be used; r: how many are not idle */
	SA_MSR_IDLE,   /* w, 0: this processor is not needed until wanted, or interrupted */
	SA_MSR_YIELD,  /* w: run that processor instead of this one, if it is READY */
	SA_MSRS
};
#define SA_ENABLE          1u
#define SA_UPCALL_VECTOR   0xffu
#define SA_UPCALL_ON(kind) (0x100u << (kind))

/* Kinds of events. */
enum {
	SA_ADDED = 1, /* SA_IDLE is over because of SA_WANT */
	SA_PREEMPTED, /* RUNNING -> READY */
	SA_RESUMED,   /* READY -> RUNNING */
	SA_BLOCKED,   /* RUNNING -> BLOCKED or IDLE */
	SA_UNBLOCKED, /* BLOCKED or IDLE -> READY */
	SA_KINDS
};

/* States of a processor. */
enum { SA_OFF, SA_RUNNING, SA_READY, SA_IS_BLOCKED, SA_IDLE };

#define SA_VERSION    1u
#define SA_PROCESSORS 8u
#define SA_EVENTS     64u

/*
 * The local APIC's interrupts come before the next instruction: IF is set, and there is no STI or
 * MOV SS before it.
 */
#define SA_STABLE 1u

struct sa_context {
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi, eip, eflags, cr3, cpl;
};

/* A processor.  Odd @seq: it is being written. */
struct sa_processor {
	uint32_t seq;
	uint32_t state;
	uint32_t pcpu;         /* where it runs, or ran last */
	uint32_t preempts;     /* how often it was preempted */
	uint64_t since_ns;     /* in this state since; the four are of one clock, the header's */
	uint64_t run_ns;       /* RUNNING, up to @since_ns; so */
	uint64_t steal_ns;     /* READY: wanted to run, and had no pCPU */
	uint64_t idle_ns;      /* BLOCKED, IDLE or OFF */
	struct sa_context ctx; /* when it last left RUNNING */
	uint32_t flags;        /* SA_STABLE */
	uint32_t rsvd[7];
};

/* @seq: which event this is, counted from 1; 0: it is being written.  Entry (seq - 1) % SA_EVENTS.
 */
struct sa_event {
	uint32_t seq;
	uint8_t kind, processor, pcpu, rsvd0;
	uint64_t time_ns;
	uint32_t rsvd[4];
};

struct sa_page {
	uint32_t version; /* SA_VERSION */
	uint32_t processors;
	uint32_t head;    /* seq of the last event; 0: none yet */
	uint32_t upcalls; /* interrupts sent */
	uint64_t now_ns;  /* when the VMM wrote last */
	uint32_t elided;  /* times one left its pCPU and came straight back */
	uint32_t rsvd[9];
	struct sa_processor processor[SA_PROCESSORS];
	uint32_t rsvd2[240];
	struct sa_event event[SA_EVENTS];
};

#endif
