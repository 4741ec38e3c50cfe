/* SPDX-License-Identifier: MIT */
/* The tables between reasons of hardware, events of the model, and causes. */
#include "vmm/hw_exit.h"

#include <stddef.h>

#define LAPIC_PAGE 0xfee00000u

static const struct {
	const char *name;
	uint8_t rule;
} causes[HW_CAUSES] = {
	[HW_OTHER] = { "other", HW_HOST },
	[HW_CPUID] = { "cpuid", HW_EXACT },
	[HW_HLT] = { "hlt", HW_TENTH },
	[HW_IO] = { "port I/O", HW_TENTH },
	[HW_CR0] = { "CR0", HW_EXACT },
	[HW_CR3] = { "CR3", HW_EXACT },
	[HW_CR4] = { "CR4", HW_EXACT },
	[HW_CR8] = { "CR8", HW_EXACT },
	[HW_DR] = { "debug register", HW_EXACT },
	[HW_CACHE_FLUSH] = { "cache flush", HW_EXACT },
	[HW_TLB_FLUSH] = { "TLB flush", HW_EXACT },
	[HW_MSR] = { "MSR", HW_EXACT },
	[HW_RDPMC] = { "rdpmc", HW_EXACT },
	[HW_XSETBV] = { "xsetbv", HW_EXACT },
	[HW_MWAIT] = { "monitor/mwait", HW_EXACT },
	[HW_PAUSE] = { "pause", HW_RANGE },
	[HW_IRET] = { "iret", HW_EXACT },
	[HW_HYPERCALL] = { "VMX or SVM instruction", HW_EXACT },
	[HW_EXC_UD] = { "#UD", HW_EXACT },
	[HW_EXC_DB] = { "#DB", HW_EXACT },
	[HW_EXC_AC] = { "#AC", HW_EXACT },
	[HW_EXC_MC] = { "#MC", HW_EXACT },
	[HW_EXC_PF] = { "#PF", HW_EXACT },
	[HW_EXC] = { "other exception", HW_EXACT },
	[HW_DEVICE] = { "device memory", HW_TENTH },
	[HW_LAPIC] = { "local APIC", HW_TENTH },
	[HW_MEMORY] = { "memory fault", HW_TENTH },
	[HW_WINDOW] = { "interrupt window", HW_TENTH },
	[HW_INTERRUPT] = { "host's interrupt", HW_HOST },
	[HW_NMI] = { "NMI", HW_HOST },
	[HW_SHUTDOWN] = { "triple fault", HW_EXACT },
};

const char *hw_cause_name(enum hw_cause c)
{
	return (unsigned)c < HW_CAUSES ? causes[c].name : "?";
}

enum hw_rule hw_cause_rule(enum hw_cause c)
{
	return (unsigned)c < HW_CAUSES ? causes[c].rule : HW_HOST;
}

/* ---- measured exits ---- */

/* By basic exit reason; those that need a look at more are HW_OTHER here. */
static const uint8_t vmx_reasons[] = {
	[1] = HW_INTERRUPT,                                                /* external interrupt */
	[2] = HW_SHUTDOWN,                                                 /* triple fault */
	[7] = HW_WINDOW,                                                   /* interrupt window */
	[8] = HW_NMI,                                                      /* NMI window */
	[10] = HW_CPUID,       [12] = HW_HLT,       [13] = HW_CACHE_FLUSH, /* invd */
	[14] = HW_TLB_FLUSH,                                               /* invlpg */
	[15] = HW_RDPMC,       [18] = HW_HYPERCALL,                        /* vmcall */
	[19] = HW_HYPERCALL,   [20] = HW_HYPERCALL, [21] = HW_HYPERCALL,
	[22] = HW_HYPERCALL,   [23] = HW_HYPERCALL, [24] = HW_HYPERCALL,
	[25] = HW_HYPERCALL,   [26] = HW_HYPERCALL, [27] = HW_HYPERCALL, /* to vmxon */
	[29] = HW_DR,          [30] = HW_IO,        [31] = HW_MSR,
	[32] = HW_MSR,         [36] = HW_MWAIT,     [39] = HW_MWAIT,
	[40] = HW_PAUSE,       [41] = HW_EXC_MC,    [43] = HW_LAPIC, /* TPR below threshold */
	[44] = HW_LAPIC,                                             /* APIC access */
	[45] = HW_LAPIC,                                             /* virtualized EOI */
	[48] = HW_MEMORY,                                            /* EPT violation */
	[49] = HW_DEVICE,                                            /* EPT misconfiguration */
	[50] = HW_HYPERCALL,                                         /* invept */
	[52] = HW_INTERRUPT,   /* VMX-preemption timer: KVM's for the guest's LAPIC timer */
	[53] = HW_HYPERCALL,   /* invvpid */
	[54] = HW_CACHE_FLUSH, /* wbinvd */
	[55] = HW_XSETBV,      [56] = HW_LAPIC, /* APIC write */
	[58] = HW_TLB_FLUSH,                    /* invpcid */
	[59] = HW_HYPERCALL,                    /* vmfunc */
};

/* By exit code from 0x60 on. */
static const uint8_t svm_codes[] = {
	[0x60 - 0x60] = HW_INTERRUPT, /* INTR */
	[0x61 - 0x60] = HW_NMI,
	[0x64 - 0x60] = HW_WINDOW, /* VINTR */
	[0x65 - 0x60] = HW_CR0,    /* CR0_SEL_WRITE */
	[0x6f - 0x60] = HW_RDPMC,
	[0x72 - 0x60] = HW_CPUID,
	[0x74 - 0x60] = HW_IRET,
	[0x76 - 0x60] = HW_CACHE_FLUSH, /* INVD */
	[0x77 - 0x60] = HW_PAUSE,
	[0x78 - 0x60] = HW_HLT,
	[0x79 - 0x60] = HW_TLB_FLUSH, /* INVLPG */
	[0x7a - 0x60] = HW_HYPERCALL, /* INVLPGA */
	[0x7b - 0x60] = HW_IO,
	[0x7c - 0x60] = HW_MSR,
	[0x7f - 0x60] = HW_SHUTDOWN,
	[0x80 - 0x60] = HW_HYPERCALL,   /* VMRUN */
	[0x81 - 0x60] = HW_HYPERCALL,   /* VMMCALL */
	[0x82 - 0x60] = HW_HYPERCALL,   /* VMLOAD */
	[0x83 - 0x60] = HW_HYPERCALL,   /* VMSAVE */
	[0x84 - 0x60] = HW_HYPERCALL,   /* STGI */
	[0x85 - 0x60] = HW_HYPERCALL,   /* CLGI */
	[0x86 - 0x60] = HW_HYPERCALL,   /* SKINIT */
	[0x88 - 0x60] = HW_EXC_DB,      /* ICEBP */
	[0x89 - 0x60] = HW_CACHE_FLUSH, /* WBINVD */
	[0x8a - 0x60] = HW_MWAIT,       /* MONITOR */
	[0x8b - 0x60] = HW_MWAIT,
	[0x8c - 0x60] = HW_MWAIT, /* MWAIT, if the monitor is armed */
	[0x8d - 0x60] = HW_XSETBV,
	[0xa2 - 0x60] = HW_TLB_FLUSH, /* INVPCID */
	[0xa6 - 0x60] = HW_HLT,       /* IDLE_HLT */
};

static enum hw_cause exception_cause(unsigned vector)
{
	switch (vector) {
	case 1: return HW_EXC_DB;
	case 2: return HW_NMI;
	case 6: return HW_EXC_UD;
	case 14: return HW_EXC_PF;
	case 17: return HW_EXC_AC;
	case 18: return HW_EXC_MC;
	default: return HW_EXC;
	}
}

static enum hw_cause cr_cause(unsigned cr)
{
	switch (cr) {
	case 0: return HW_CR0;
	case 3: return HW_CR3;
	case 4: return HW_CR4;
	case 8: return HW_CR8;
	default: return HW_OTHER;
	}
}

/*
 * The number of the control register is in bits 3:0 of the qualification, and 0 for CLTS and LMSW;
 * SDM Vol. 3C, "Exit Qualification for Control-Register Accesses" (28.2.1).
 */
static enum hw_cause vmx_cause(const struct hw_exit *x)
{
	uint32_t basic = x->reason & 0xffff;

	if (basic == 0)
		return exception_cause(x->intr_info & 0xff);
	if (basic == 28)
		return cr_cause(x->info1 & 0xf);
	return basic < sizeof(vmx_reasons) ? vmx_reasons[basic] : HW_OTHER;
}

static enum hw_cause svm_cause(const struct hw_exit *x,
			       bool (*memory)(const void *arg, uint64_t gpa), const void *arg)
{
	uint32_t code = x->reason;

	if (code < 0x20)
		return cr_cause(code & 0xf);
	if (code < 0x40)
		return HW_DR;
	if (code < 0x60)
		return exception_cause(code - 0x40);
	switch (code) {
	case 0x400: /* NPF: the address is in EXITINFO2 */
		if (memory(arg, x->info2))
			return HW_MEMORY;
		return (x->info2 & ~0xfffull) == LAPIC_PAGE ? HW_LAPIC : HW_DEVICE;
	case 0x401:                  /* AVIC_INCOMPLETE_IPI */
	case 0x402: return HW_LAPIC; /* AVIC_NOACCEL */
	default: break;
	}
	return code - 0x60 < sizeof(svm_codes) ? svm_codes[code - 0x60] : HW_OTHER;
}

enum hw_cause hw_exit_cause(const struct hw_exit *x, bool (*memory)(const void *arg, uint64_t gpa),
			    const void *arg)
{
	switch (x->isa) {
	case HW_ISA_VMX: return vmx_cause(x);
	case HW_ISA_SVM: return svm_cause(x, memory, arg);
	default: return HW_OTHER;
	}
}

/* ---- events of the model ---- */

/* What is never an exit is not here. */
static const uint8_t events[EV_COUNT] = {
	[EV_CPUID] = HW_CPUID,
	[EV_HLT] = HW_HLT,
	[EV_IO] = HW_IO,
	[EV_IO_ELEMENTS] = HW_IO,
	[EV_CR0_READ] = HW_CR0,
	[EV_CR0_READ_UNCACHED] = HW_CR0,
	[EV_CR0_TS] = HW_CR0,
	[EV_CR0_MP] = HW_CR0,
	[EV_CR0_WP] = HW_CR0,
	[EV_CR0_UNCACHED] = HW_CR0,
	[EV_CR0_OWNED] = HW_CR0,
	[EV_CR3] = HW_CR3,
	[EV_CR4_READ] = HW_CR4,
	[EV_CR4_GUEST] = HW_CR4,
	[EV_CR4_PGE] = HW_CR4,
	[EV_CR4_OWNED] = HW_CR4,
	[EV_CR0_FAULT] = HW_CR0,
	[EV_CR4_FAULT] = HW_CR4,
	[EV_DR] = HW_DR,
	[EV_CACHE] = HW_CACHE_FLUSH,
	[EV_INVLPG] = HW_TLB_FLUSH,
	[EV_MSR] = HW_MSR,
	[EV_MSR_TSC] = HW_MSR,
	[EV_MSR_SYSENTER] = HW_MSR,
	[EV_RDPMC] = HW_RDPMC,
	[EV_XSETBV] = HW_XSETBV,
	[EV_MWAIT] = HW_MWAIT,
	[EV_PAUSE] = HW_PAUSE,
	[EV_IRET_NMI] = HW_IRET,
	[EV_INT1] = HW_EXC_DB,
	[EV_VMX] = HW_HYPERCALL,
	[EV_SVM] = HW_HYPERCALL,
	[EV_UD] = HW_EXC_UD,
	[EV_UNOFFERED] = HW_EXC_UD,
	[EV_EXC_UD] = HW_EXC_UD,
	[EV_EXC_DB] = HW_EXC_DB,
	[EV_EXC_AC] = HW_EXC_AC,
	[EV_EXC_MC] = HW_EXC_MC,
	[EV_EXC_PF] = HW_EXC_PF,
	[EV_MMIO] = HW_DEVICE,
	[EV_LAPIC_TPR_READ] = HW_LAPIC,
	[EV_LAPIC_TPR_WRITE] = HW_LAPIC,
	[EV_LAPIC_READ] = HW_LAPIC,
	[EV_LAPIC_READ_OTHER] = HW_LAPIC,
	[EV_LAPIC_EOI] = HW_LAPIC,
	[EV_LAPIC_EOI_DEVICE] = HW_LAPIC,
	[EV_LAPIC_EOI_LEVEL] = HW_LAPIC,
	[EV_LAPIC_ICR] = HW_LAPIC,
	[EV_LAPIC_ICR_SELF] = HW_LAPIC,
	[EV_LAPIC_ICR_MANY] = HW_LAPIC,
	[EV_LAPIC_ICR_OTHER] = HW_LAPIC,
	[EV_LAPIC_ICR_HIGH] = HW_LAPIC,
	[EV_LAPIC_WRITE] = HW_LAPIC,
	[EV_X2APIC_TPR] = HW_MSR,
	[EV_X2APIC_READ] = HW_MSR,
	[EV_X2APIC_EOI] = HW_MSR,
	[EV_X2APIC_SELF] = HW_MSR,
	[EV_IRQ_RUNNING_PIC] = HW_INTERRUPT,
	[EV_IRQ_RUNNING_TIMER] = HW_INTERRUPT,
	[EV_IRQ_RUNNING] = HW_INTERRUPT,
	[EV_IRQ_STOPPED_PIC] = HW_INTERRUPT,
	[EV_IRQ_STOPPED_TIMER] = HW_INTERRUPT,
	[EV_IRQ_STOPPED] = HW_INTERRUPT,
	[EV_WINDOW_PIC] = HW_WINDOW,
	[EV_WINDOW] = HW_WINDOW,
	[EV_NMI] = HW_NMI,
	[EV_RAM] = HW_MEMORY,
	[EV_SHUTDOWN] = HW_SHUTDOWN,
};

/*
 * With VT-x every access of the local APIC is of its page, which KVM maps only for APICv; without,
 * that is an EPT violation (mmu.c, kvm_faultin_pfn()), or, if the page is nothing to KVM, an EPT
 * misconfiguration, as of any device.
 */
static enum hw_cause vtx_lapic(const struct hw_context *ctx)
{
	if (ctx->config == MODEL_VTX_APICV)
		return HW_LAPIC;
	return ctx->user_irqchip ? HW_DEVICE : HW_MEMORY;
}

enum hw_cause hw_event_cause(enum model_event event, const struct hw_context *ctx)
{
	bool vtx = ctx->config <= MODEL_VTX_SHADOW;
	enum hw_cause cause = (unsigned)event < EV_COUNT ? events[event] : HW_OTHER;

	/* Instructions of the other vendor are #UD. */
	if (event == (vtx ? EV_SVM : EV_VMX))
		return HW_EXC_UD;
	if (cause == HW_LAPIC && ctx->msr)
		return HW_MSR;
	if (cause == HW_LAPIC && vtx)
		cause = vtx_lapic(ctx);
	/* What KVM has no shadow entry for is a page fault. */
	if (ctx->config == MODEL_VTX_SHADOW && (cause == HW_MEMORY || cause == HW_DEVICE))
		return HW_EXC_PF;
	return cause;
}
