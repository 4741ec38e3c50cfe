/* SPDX-License-Identifier: MIT */
/* What a program tells and gets with SYS_ACTIVATE, SYS_TAKE and SYS_PROCESSOR. */
#ifndef MINIOS_ACTIVATION_H
#define MINIOS_ACTIVATION_H

#include <stdint.h>

/*
 * SYS_ACTIVATE: other threads may take what we compute, while our processor is preempted, but not
 * inside [text, text_end).  We then go on at @eip with @esp, knowing no more than that.
 */
struct activate {
	uint32_t eip, esp;
	uint32_t text, text_end;
	uint32_t *preempted; /* where the kernel notes from whom something can be taken, bit n: the
				process in slot n; a hint */
};

/* SYS_TAKE: the registers that another thread's user code was left with. */
struct taken {
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi, eip, eflags;
};

/* SYS_PROCESSOR: times of a virtual processor, in microseconds. */
struct processor_info {
	uint32_t state; /* SA_RUNNING ..: ../../vmm/activations_abi.h */
	uint32_t preempts;
	uint64_t run_us, steal_us, idle_us;
	uint32_t events[6]; /* of the whole machine, by kind; [0]: missed */
	uint32_t odd;       /* of these, such as cannot follow the one before */
};

#endif
