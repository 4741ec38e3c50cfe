/* SPDX-License-Identifier: MIT */
/*
 * Exits of hardware: what their reasons mean, and which of them the model's events are.
 *
 *   a measured exit (its reason, as VT-x or SVM number it)  ->  a cause, hw_exit_cause()
 *   an event of the model (model.h)                         ->  a cause, hw_event_cause()
 *
 * So the model's counts and measured ones can be set side by side, cause by cause, whichever the
 * CPU.  Sources: SDM Vol. 3C, Appendix C, "VMX Basic Exit Reasons"; APM Vol. 2, Appendix C, "SVM
 * Intercept Exit Codes".
 */
#ifndef RINGSIDE_VMM_HW_EXIT_H
#define RINGSIDE_VMM_HW_EXIT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/model.h"

/* As Linux, arch/x86/kvm/trace.h, has them (KVM_ISA_VMX, KVM_ISA_SVM). */
enum hw_isa { HW_ISA_VMX = 1, HW_ISA_SVM = 2 };

struct hw_exit {
	uint32_t isa;    /* enum hw_isa, or another */
	uint32_t reason; /* basic exit reason with its flags; exit code */
	uint64_t rip;
	/* VMX: exit qualification, and IDT-vectoring information; SVM: EXITINFO1, EXITINFO2. */
	uint64_t info1, info2;
	uint32_t intr_info; /* VMX: VM-exit interruption information */
};

/* Why hardware leaves the guest. */
enum hw_cause {
	HW_OTHER, /* a reason that is not in the tables */
	HW_CPUID,
	HW_HLT,
	HW_IO,
	HW_CR0,
	HW_CR3,
	HW_CR4,
	HW_CR8,
	HW_DR,
	HW_CACHE_FLUSH,
	HW_TLB_FLUSH,
	HW_MSR,
	HW_RDPMC,
	HW_XSETBV,
	HW_MWAIT,
	HW_PAUSE,
	HW_IRET,
	HW_HYPERCALL, /* instructions of VMX and SVM */
	HW_EXC_UD,
	HW_EXC_DB,
	HW_EXC_AC,
	HW_EXC_MC,
	HW_EXC_PF,
	HW_EXC, /* other exceptions */
	HW_DEVICE,
	HW_LAPIC,     /* the local APIC's registers in memory */
	HW_MEMORY,    /* RAM when first touched; on VT-x without APICv the local APIC's page too */
	HW_WINDOW,    /* the guest can take an interrupt now */
	HW_INTERRUPT, /* an interrupt of the host: its timer's, a device's, another CPU's */
	HW_NMI,       /* the host's, or a window for the guest's */
	HW_SHUTDOWN,
	HW_CAUSES
};

/* "port I/O"; "?" beyond the last */
const char *hw_cause_name(enum hw_cause c);

/*
 * What @x is an exit for.  @memory says of a guest physical address whether there is memory behind
 * it; it is asked where hardware gives the address (nested page faults of SVM).  EPT violations are
 * taken for memory: of a device only the first access to each page is one, the others are
 * misconfigurations (KVM mmu.c, mark_mmio_spte()).
 */
enum hw_cause hw_exit_cause(const struct hw_exit *x, bool (*memory)(const void *arg, uint64_t gpa),
			    const void *arg);

/* How an event came about, beyond its kind. */
struct hw_context {
	enum model_config config;
	bool msr;          /* by rdmsr or wrmsr */
	bool user_irqchip; /* KVM has no local APIC: one's registers are a device */
};
/* What @event of the model would be an exit for. */
enum hw_cause hw_event_cause(enum model_event event, const struct hw_context *ctx);

/* How far a model of another run can be expected to agree. */
enum hw_rule {
	HW_EXACT, /* it is the guest's doing alone */
	HW_TENTH, /* with interrupts, that come when they come */
	HW_RANGE, /* the model's range is wide by itself */
	HW_HOST,  /* the host's doing: not modelled */
};
enum hw_rule hw_cause_rule(enum hw_cause c);

#endif
