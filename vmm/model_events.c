/* SPDX-License-Identifier: MIT */
/*
 * The answers: which event is a VM exit, in which configuration, why, and who says so.
 *
 * The manuals say what can exit and by which control; what does depends on the hypervisor, so the
 * answers are those of Linux KVM, 6.x, with the defaults of its module parameters, in-kernel
 * interrupt controllers and no debugger.  KVM's functions were read for this table, and so were the
 * SDM's sections on what exits, with which priority (26.1), and on the APIC-access page (29.4);
 * references marked (unread) were cited from memory.
 */
#include "vmm/model.h"

#include <string.h>

#include "decoder/sensitive.h"

#define NO    MODEL_NO
#define YES   MODEL_YES
#define MAYBE MODEL_MAYBE
#define FIRST MODEL_FIRST
#define TWICE MODEL_TWICE
#define PAGES MODEL_PAGES
#define OPEN  MODEL_OPEN

#define NEVER_ANY                  \
	{                          \
		NO, NO, NO, NO, NO \
	}
#define ALWAYS_ALL                      \
	{                               \
		YES, YES, YES, YES, YES \
	}
#define PERHAPS_ALL                               \
	{                                         \
		MAYBE, MAYBE, MAYBE, MAYBE, MAYBE \
	}

#define ALWAYS "SDM Vol. 3C, Instructions That Cause VM Exits Unconditionally (26.1.2)"
#define IFSET  "SDM Vol. 3C, Instructions That Cause VM Exits Conditionally (26.1.3)"
#define PRIO   "SDM Vol. 3C, Relative Priority of Faults and VM Exits (26.1.1)"
#define OTHER  "SDM Vol. 3C, Other Causes of VM Exits (26.2, unread)"
#define APIC_R "SDM Vol. 3C, Virtualizing Reads from the APIC-Access Page (29.4.2)"
#define APIC_W "SDM Vol. 3C, Virtualizing Writes to the APIC-Access Page (29.4.3)"
#define VAPIC  "SDM Vol. 3C, APIC Virtualization and Virtual Interrupts (ch. 29, read in part)"
#define EPT    "SDM Vol. 3C, EPT-Induced VM Exits (28.3.3, unread)"
#define K_EXEC "KVM vmx.c, vmx_exec_control()"
#define K_2ND  "KVM vmx.c, vmx_secondary_exec_control()"
#define K_MSR  "KVM vmx.c, vmx_recalc_msr_intercepts()"
#define K_X2   "KVM vmx.c, vmx_update_msr_bitmap_x2apic()"
#define K_STR  "KVM emulate.c, x86_emulate_insn(); x86.c, x86_emulate_instruction()"
#define K_APIC "KVM mmu.c, kvm_faultin_pfn(); x86.c, retry_instruction()"
#define K_CR4  "KVM vmx.c, set_cr4_guest_host_mask()"
#define K_OWN  "KVM kvm_cache_regs.h, KVM_POSSIBLE_CR0_GUEST_BITS"
#define K_POST "KVM vmx.c, vmx_deliver_interrupt()"
#define K_EB   "KVM vmx.c, vmx_update_exception_bitmap()"
#define A_INSN "APM Vol. 2, Instruction Intercepts (15.9, unread)"
#define A_IO   "APM Vol. 2, IOIO Intercepts (15.10, unread)"
#define A_MSR  "APM Vol. 2, MSR Intercepts (15.11, unread)"
#define A_EXC  "APM Vol. 2, Exception Intercepts (15.12, unread)"
#define A_AVIC "APM Vol. 2, Advanced Virtual Interrupt Controller (15.29, unread)"
#define S_INIT "KVM svm.c, init_vmcb()"
#define S_CR0  "KVM svm.c, svm_set_cr0()"
#define S_MSR  "KVM svm.c, svm_recalc_msr_intercepts()"
#define S_IPI  "KVM avic.c, avic_incomplete_ipi_interception()"
#define S_X2   "KVM avic.c, avic_set_x2apic_msr_interception()"
#define S_BELL "KVM avic.c, avic_ring_doorbell()"
#define S_TRAP "KVM avic.c, is_avic_unaccelerated_access_trap()"

/* In the order of enum model_config: EPT, APICv, shadow paging; NPT, AVIC. */
static const struct model_answer answers[EV_COUNT] = {
	[EV_NONE] = { "unclassified", PERHAPS_ALL, "nobody noted what it was",
		      "nobody noted what it was", "none", "none" },

	/* Instructions */
	[EV_NATIVE] = { "native", NEVER_ANY,
			"works on the guest's flags, segments and tables, which the CPU holds",
			"works on the guest's flags, segments and tables, which the CPU holds",
			K_EXEC, S_INIT },
	[EV_CPUID] = { "cpuid", ALWAYS_ALL, "exits whatever the controls say", "INTERCEPT_CPUID",
		       ALWAYS, S_INIT },
	[EV_HLT] = { "hlt", ALWAYS_ALL, "HLT exiting: KVM runs something else meanwhile",
		     "INTERCEPT_HLT, or on newer CPUs INTERCEPT_IDLE_HLT", IFSET, S_INIT },
	[EV_IO] = { "port I/O", ALWAYS_ALL,
		    "unconditional I/O exiting: the devices are the hypervisor's",
		    "INTERCEPT_IOIO_PROT with every port's bit set", IFSET "; " K_EXEC,
		    A_IO "; " S_INIT },
	[EV_IO_ELEMENTS] = { "port I/O, elements", PERHAPS_ALL,
			     "KVM goes back to the guest after each element of a rep outs, and "
			     "once "
			     "more",
			     "KVM goes back to the guest after each element of a rep outs, and "
			     "once "
			     "more",
			     K_STR, K_STR },
	[EV_CR0_READ] = { "CR0 read", NEVER_ANY, "masked bits are answered from the read shadow",
			  "CR0 is the guest's own: KVM clears INTERCEPT_CR0_READ", IFSET, S_CR0 },
	[EV_CR0_READ_UNCACHED] = { "CR0 read, caches off",
				   { NO, NO, NO, YES, YES },
				   "masked bits are answered from the read shadow",
				   "KVM runs the guest with its caches on and must lie about it",
				   IFSET,
				   S_CR0 },
	[EV_CR0_TS] = { "CR0 write, at most TS", NEVER_ANY,
			"only CR0.TS, which is the guest's, or nothing changes",
			"the selective intercept ignores TS", IFSET "; " K_OWN, S_CR0 "; " A_INSN },
	[EV_CR0_MP] = { "CR0 write, MP",
			{ YES, YES, YES, NO, NO },
			"CR0.MP is in the guest/host mask",
			"the selective intercept ignores MP",
			IFSET "; " K_OWN,
			S_CR0 "; " A_INSN },
	[EV_CR0_WP] = { "CR0 write, WP",
			{ MAYBE, MAYBE, YES, YES, YES },
			"with EPT CR0.WP is the guest's from Linux 6.4 on; shadow paging needs to "
			"know",
			"INTERCEPT_SELECTIVE_CR0",
			K_OWN,
			S_CR0 },
	[EV_CR0_UNCACHED] = { "CR0 write, caches off",
			      { MAYBE, MAYBE, MAYBE, YES, YES },
			      "exits if MP changes, which is in the guest/host mask",
			      "INTERCEPT_CR0_WRITE, while KVM lies about CD and NW",
			      IFSET,
			      S_CR0 },
	[EV_CR0_OWNED] = { "CR0 write, other bits", ALWAYS_ALL,
			   "a bit in the guest/host mask differs from the read shadow",
			   "INTERCEPT_SELECTIVE_CR0", IFSET "; " K_OWN, S_INIT "; " A_INSN },
	[EV_CR3] = { "CR3",
		     { NO, NO, YES, NO, NO },
		     "the page tables are the guest's with EPT, KVM's with shadow paging",
		     "the page tables are the guest's",
		     K_EXEC,
		     S_INIT },
	[EV_CR4_READ] = { "CR4 read",

			  { NO, NO, NO, YES, YES },
			  "masked bits are answered from the read shadow",
			  "INTERCEPT_CR4_READ",
			  IFSET,
			  S_INIT },
	[EV_CR4_GUEST] = { "CR4 write, guest's bits",
			   { NO, NO, NO, YES, YES },
			   "only bits outside the guest/host mask change: TSD DE PCE OSFXSR "
			   "OSXMMEXCPT",
			   "INTERCEPT_CR4_WRITE, whatever changes",
			   K_CR4,
			   S_INIT },
	[EV_CR4_PGE] = { "CR4 write, PGE",
			 { NO, NO, YES, YES, YES },
			 "CR4.PGE flushes the TLB, which with shadow paging is KVM's work",
			 "INTERCEPT_CR4_WRITE, whatever changes",
			 K_CR4,
			 S_INIT },
	[EV_CR4_OWNED] = { "CR4 write, other bits", ALWAYS_ALL,
			   "a bit in the guest/host mask differs from the read shadow",
			   "INTERCEPT_CR4_WRITE, whatever changes", K_CR4, S_INIT },
	[EV_CR0_FAULT] = { "CR0 write that is #GP",
			   { YES, YES, YES, MAYBE, MAYBE },
			   "the exit comes before the check of the value: KVM injects the #GP",
			   "by the order of check and intercept",
			   PRIO,
			   A_INSN },
	[EV_CR4_FAULT] = { "CR4 write that is #GP",
			   { YES, YES, YES, MAYBE, MAYBE },
			   "the exit comes before the check of the value: KVM injects the #GP",
			   "by the order of check and intercept",
			   PRIO,
			   A_INSN },
	[EV_DR] = { "debug register",
		    { FIRST, FIRST, FIRST, FIRST, FIRST },
		    "MOV-DR exiting, off from the first access to the next exit of any kind",
		    "INTERCEPT_DR*, off from the first access to the next exit of any kind",
		    IFSET "; KVM vmx.c, handle_dr()",
		    "KVM svm.c, svm_sync_dirty_debug_regs()" },
	[EV_CACHE] = { "cache flush", ALWAYS_ALL, "invd: always; wbinvd: WBINVD exiting",
		       "INTERCEPT_INVD, INTERCEPT_WBINVD", ALWAYS "; " K_2ND, S_INIT },
	[EV_INVLPG] = { "TLB flush",
			{ NO, NO, YES, NO, NO },
			"invlpg: the TLB holds the guest's own translations with EPT, KVM's with "
			"shadow "
			"paging",
			"the TLB holds the guest's own translations",
			K_EXEC,
			S_INIT },
	[EV_MSR] = { "MSR", ALWAYS_ALL, "the MSR bitmap has its bit set",
		     "INTERCEPT_MSR_PROT, and the permission map has its bit set", K_MSR,
		     A_MSR "; " S_MSR },
	[EV_MSR_TSC] = { "MSR, TSC read",
			 { NO, NO, NO, YES, YES },
			 "the MSR bitmap lets reads pass: TSC offset and scaling apply",
			 "the permission map does not name it: only rdtsc is offset by itself",
			 K_MSR,
			 S_MSR },
	[EV_MSR_SYSENTER] = { "MSR, SYSENTER", NEVER_ANY,
			      "the MSR bitmap lets it pass: the CPU holds the guest's value",
			      "the permission map lets it pass (but for guests that are told they "
			      "run on Intel)",
			      K_MSR, S_MSR },
	[EV_RDPMC] = { "rdpmc", ALWAYS_ALL, "RDPMC exiting", "INTERCEPT_RDPMC", IFSET, S_INIT },
	[EV_XSETBV] = { "xsetbv", ALWAYS_ALL, "exits whatever the controls say", "INTERCEPT_XSETBV",
			ALWAYS, S_INIT },
	[EV_MWAIT] = { "monitor/mwait", ALWAYS_ALL, "MONITOR exiting, MWAIT exiting",
		       "INTERCEPT_MONITOR, INTERCEPT_MWAIT", K_EXEC, S_INIT },
	[EV_PAUSE] = { "pause", PERHAPS_ALL,
		       "PAUSE-loop exiting: only when repeated in a tight loop for long",
		       "INTERCEPT_PAUSE with a filter: only when repeated for long", K_2ND,
		       S_INIT },
	[EV_IRET_NMI] = { "iret from an NMI",
			  { NO, NO, NO, MAYBE, MAYBE },
			  "virtual NMIs: the CPU knows when they are open again",
			  "INTERCEPT_IRET while an NMI is handled, unless the CPU has virtual NMIs",
			  "SDM Vol. 3C, Changes to Instruction Behavior in VMX Non-Root Operation "
			  "(26.3, unread)",
			  S_INIT " (vnmi)" },
	[EV_INT1] = { "int1", ALWAYS_ALL, "its #DB is in the exception bitmap",
		      "its #DB is intercepted", K_EB, S_INIT },
	[EV_VMX] = { "VMX instruction", ALWAYS_ALL, "exits whatever the controls say",
		     "#UD, which KVM intercepts", ALWAYS, S_INIT },
	[EV_SVM] = { "SVM instruction", ALWAYS_ALL, "#UD, which KVM intercepts",
		     "intercepted (vmmcall), or #UD with EFER.SVME clear, which KVM intercepts",
		     K_EB, S_INIT },
	[EV_UD] = { "undefined", ALWAYS_ALL, "#UD, which KVM intercepts",
		    "#UD, which KVM intercepts; rsm: INTERCEPT_RSM", K_EB, S_INIT },
	[EV_UNOFFERED] = { "not offered", PERHAPS_ALL,
			   "#UD, which exits, where the CPU or KVM can hide it; else native",
			   "#UD, which exits, where the CPU or KVM can hide it; else native", K_2ND,
			   S_INIT },

	/* Exceptions */
	[EV_EXC] = { "exception", NEVER_ANY, "delivered by the CPU through the guest's IDT",
		     "delivered by the CPU through the guest's IDT", K_EB, S_INIT },
	[EV_EXC_UD] = { "exception #UD", ALWAYS_ALL,
			"in the exception bitmap: KVM emulates some instructions on it",
			"intercepted: KVM emulates some instructions on it", OTHER "; " K_EB,
			A_EXC "; " S_INIT },
	[EV_EXC_DB] = { "exception #DB", ALWAYS_ALL, "in the exception bitmap", "intercepted",
			OTHER "; " K_EB, A_EXC "; " S_INIT },
	[EV_EXC_AC] = { "exception #AC", ALWAYS_ALL,
			"in the exception bitmap, against endless delivery",
			"intercepted, against endless delivery", OTHER "; " K_EB,
			A_EXC "; " S_INIT },
	[EV_EXC_MC] = { "exception #MC", ALWAYS_ALL, "in the exception bitmap", "intercepted",
			OTHER "; " K_EB, A_EXC "; " S_INIT },
	[EV_EXC_PF] = { "exception #PF",
			{ NO, NO, YES, NO, NO },
			"the guest's own with EPT; with shadow paging KVM must look whose it is",
			"the guest's own",
			K_EB,
			S_INIT },

	/* Devices in memory, the local APIC */
	[EV_MMIO] = { "device memory", ALWAYS_ALL,
		      "no EPT entry (or one made to misconfigure), no shadow entry",
		      "no nested page: #VMEXIT(NPF)", EPT,
		      "APM Vol. 2, Nested Paging (15.25, unread)" },
	[EV_LAPIC_TPR_READ] = { "LAPIC TPR read",
				{ TWICE, NO, TWICE, YES, NO },
				"with APICv answered from the virtual-APIC page; without it KVM "
				"leaves the APIC's page unmapped, and tries a read twice",
				"AVIC answers from the backing page; without it the APIC's page is "
				"not there",
				APIC_R "; " K_APIC,
				A_AVIC },
	[EV_LAPIC_TPR_WRITE] = { "LAPIC TPR write",
				 { YES, NO, YES, YES, NO },
				 "with APICv goes to the virtual-APIC page; without it KVM leaves "
				 "the APIC's page unmapped",
				 "AVIC writes the backing page; without it the APIC's page is not "
				 "there",
				 APIC_W "; " K_APIC,
				 A_AVIC },
	[EV_LAPIC_READ] = { "LAPIC read",
			    { TWICE, NO, TWICE, YES, MAYBE },
			    "with APICv answered from the virtual-APIC page; without it KVM leaves "
			    "the APIC's page unmapped, and tries a read twice",
			    "AVIC answers most from the backing page",
			    APIC_R "; " K_APIC,
			    A_AVIC },
	[EV_LAPIC_READ_OTHER] = { "LAPIC read, PPR or timer",
				  { TWICE, YES, TWICE, YES, MAYBE },
				  "not virtualized: PPR, the timer's current count ...; without "
				  "APICv KVM tries a read twice",
				  "AVIC answers some from the backing page",
				  APIC_R "; " K_APIC,
				  A_AVIC },
	[EV_LAPIC_EOI] = { "LAPIC EOI",
			   { YES, NO, YES, YES, NO },
			   "the APIC's page; with APICv the CPU takes the next interrupt by itself",
			   "AVIC takes the next interrupt by itself",
			   APIC_W,
			   A_AVIC },
	[EV_LAPIC_EOI_DEVICE] = { "LAPIC EOI, device's edge",
				  { YES, MAYBE, YES, YES, MAYBE },
				  "with APICv exits if KVM's IOAPIC asks for it: RTC, PIT",
				  "with AVIC by what KVM's IOAPIC asks for: RTC, PIT",
				  VAPIC "; KVM ioapic.c, kvm_ioapic_scan_entry() (unread)",
				  A_AVIC },
	[EV_LAPIC_EOI_LEVEL] = { "LAPIC EOI, level", ALWAYS_ALL,
				 "the IOAPIC must hear of it: its vector is in the EOI-exit bitmap",
				 "the IOAPIC must hear of it: an AVIC trap", VAPIC, S_TRAP },
	[EV_LAPIC_ICR] = { "LAPIC ICR, to one",
			   { YES, MAYBE, YES, YES, MAYBE },
			   "no exit with IPI virtualization (newer CPUs), APICv and a physical "
			   "destination",
			   "no exit with AVIC if the target is running and valid",
			   K_2ND "; " K_X2,
			   S_IPI },
	[EV_LAPIC_ICR_SELF] = { "LAPIC ICR, to itself",
				{ YES, NO, YES, YES, NO },
				"self-IPI virtualization",
				"AVIC: the target is running",
				VAPIC,
				S_IPI },
	[EV_LAPIC_ICR_MANY] = { "LAPIC ICR, to many",
				{ YES, YES, YES, YES, MAYBE },
				"with APICv an APIC-write exit: shorthands are not virtualized",
				"no exit with AVIC if all targets are running and valid",
				VAPIC,
				S_IPI },
	[EV_LAPIC_ICR_OTHER] = { "LAPIC ICR, other modes", ALWAYS_ALL,
				 "INIT, start-up, NMI, lowest priority, level: an APIC-write exit",
				 "AVIC does fixed edges only: an incomplete IPI", VAPIC, S_IPI },
	[EV_LAPIC_ICR_HIGH] = { "LAPIC ICR, destination",
				{ YES, NO, YES, YES, NO },
				"the APIC's page; with APICv only stored in the virtual-APIC page",
				"AVIC only stores it in the backing page",
				APIC_W,
				A_AVIC },
	[EV_LAPIC_WRITE] = { "LAPIC write", ALWAYS_ALL,
			     "the APIC's page; with APICv an APIC-write exit, after it was stored",
			     "with AVIC a trap, after it was stored", APIC_W, S_TRAP },
	[EV_X2APIC_TPR] = { "x2APIC TPR",
			    { MAYBE, NO, MAYBE, YES, MAYBE },
			    "virtualize x2APIC mode; without APICv a write can be below the "
			    "threshold",
			    "passes with x2AVIC (newer CPUs), else the MSR is intercepted",
			    K_X2,
			    S_X2 },
	[EV_X2APIC_READ] = { "x2APIC read",
			     { YES, NO, YES, YES, MAYBE },
			     "with APICv the MSR bitmap lets reads pass, but for the timer's count",
			     "passes with x2AVIC (newer CPUs), else the MSR is intercepted",
			     K_X2,
			     S_X2 },
	[EV_X2APIC_EOI] = { "x2APIC EOI",
			    { YES, NO, YES, YES, MAYBE },
			    "with APICv the MSR bitmap lets it pass",
			    "passes with x2AVIC (newer CPUs), else the MSR is intercepted",
			    K_X2,
			    S_X2 },
	[EV_X2APIC_SELF] = { "x2APIC self-IPI",
			     { YES, NO, YES, YES, MAYBE },
			     "with APICv the MSR bitmap lets it pass",
			     "passes with x2AVIC (newer CPUs), else the MSR is intercepted",
			     K_X2,
			     S_X2 },

	/* Ours alone */
	[EV_FILL] = { "mapping on demand", NEVER_ANY,
		      "the shadow MMU's; what hardware faults in is counted as RAM",
		      "the shadow MMU's; what hardware faults in is counted as RAM",
		      "docs/design.md", "docs/design.md" },
	[EV_ARTEFACT] = { "deprivileging", NEVER_ANY,
			  "patched code, low memory, repaired selectors: hardware needs none of it",
			  "patched code, low memory, repaired selectors: hardware needs none of it",
			  "docs/design.md", "docs/design.md" },
	[EV_KICK] = { "kick", NEVER_ANY,
		      "the interrupt that it announces is counted by itself; scheduling is the "
		      "host's",
		      "the interrupt that it announces is counted by itself; scheduling is the "
		      "host's",
		      K_POST, S_INIT },
	[EV_END] = { "end", NEVER_ANY, "the world engine's end of the run",
		     "the world engine's end of the run", "docs/design.md", "docs/design.md" },

	/* Interrupts on their way */
	[EV_IRQ_HALTED] = { "interrupt, vCPU halted", NEVER_ANY,
			    "the hlt was the exit: it is injected when the vCPU resumes",
			    "the hlt was the exit: it is injected when the vCPU resumes", K_POST,
			    S_INIT },
	[EV_IRQ_RUNNING_PIC] = { "PIC interrupt, running", ALWAYS_ALL,
				 "an IPI makes the vCPU exit, to inject: APICv knows the LAPIC "
				 "only",
				 "an IPI makes the vCPU exit, to inject: AVIC knows the LAPIC only",
				 OTHER, S_INIT },
	[EV_IRQ_RUNNING_TIMER] = { "LAPIC timer, running", ALWAYS_ALL,
				   "the VMX-preemption timer, or the host's timer interrupt, is "
				   "the exit",
				   "the host's timer interrupt is the exit (INTERCEPT_INTR)", OTHER,
				   S_INIT },
	[EV_IRQ_RUNNING] = { "interrupt, running",
			     { YES, NO, YES, YES, NO },
			     "an IPI makes the vCPU exit, to inject; with posted interrupts none",
			     "an IPI makes the vCPU exit, to inject; with AVIC a doorbell, no exit",
			     K_POST,
			     S_BELL },
	[EV_IRQ_STOPPED_PIC] = { "PIC interrupt, at an exit", PERHAPS_ALL,
				 "raised while the world engine handled an exit: hardware may have "
				 "been "
				 "running",
				 "raised while the world engine handled an exit: hardware may have "
				 "been "
				 "running",
				 OTHER, S_INIT },
	[EV_IRQ_STOPPED_TIMER] = { "LAPIC timer, at an exit", PERHAPS_ALL,
				   "raised while the world engine handled an exit: hardware may "
				   "have been "
				   "running",
				   "raised while the world engine handled an exit: hardware may "
				   "have been "
				   "running",
				   OTHER, S_INIT },
	[EV_IRQ_STOPPED] = { "interrupt, at an exit",
			     { MAYBE, NO, MAYBE, MAYBE, NO },
			     "raised while the world engine handled an exit; posted interrupts "
			     "need none",
			     "raised while the world engine handled an exit; AVIC needs none",
			     K_POST,
			     S_BELL },
	[EV_WINDOW_PIC] = { "interrupt window, PIC", ALWAYS_ALL,
			    "interrupt-window exiting: APICv knows the LAPIC only",
			    "INTERCEPT_VINTR: KVM does without AVIC while it waits", OTHER,
			    "KVM svm.c, svm_set_vintr()" },
	[EV_WINDOW] = { "interrupt window",
			{ YES, NO, YES, YES, NO },
			"interrupt-window exiting; with APICv the CPU delivers when IF allows",
			"INTERCEPT_VINTR; with AVIC the CPU delivers when IF allows",
			OTHER "; " VAPIC,
			"KVM svm.c, svm_set_vintr()" },
	[EV_NMI] = { "NMI", PERHAPS_ALL, "an IPI makes a running vCPU exit; perhaps an NMI window",
		     "an IPI makes a running vCPU exit, unless the CPU has virtual NMIs", OTHER,
		     S_INIT },
	[EV_RAM] = { "RAM first touched",
		     { PAGES, PAGES, OPEN, PAGES, PAGES },
		     "EPT violation: once for each page, of 4 KiB or 2 MiB; shadow paging faults "
		     "again "
		     "for each address space",
		     "#VMEXIT(NPF): once for each page, of 4 KiB or 2 MiB",
		     EPT,
		     "APM Vol. 2, Nested Paging (15.25, unread)" },
	[EV_SHUTDOWN] = { "triple fault", ALWAYS_ALL, "exits whatever the controls say",
			  "INTERCEPT_SHUTDOWN", OTHER, S_INIT },
};

const struct model_answer *model_answer(enum model_event e)
{
	return &answers[(unsigned)e < EV_COUNT ? e : EV_NONE];
}

enum model_event model_event_find(const char *name)
{
	for (unsigned e = 0; e < EV_COUNT; e++)
		if (!strcmp(answers[e].name, name))
			return e;
	return EV_NONE;
}

const struct model_unseen *model_unseen(size_t *count)
{
	static const struct model_unseen unseen[] = {
		{ "cpuid in user code",
		  { true, true, true, true, true },
		  "traps in a world only where the host has CPUID faulting; else it runs "
		  "natively" },
		{ "pause that did not trap",
		  { true, true, true, true, true },
		  "with --pause=native, and in user code, it runs natively; hardware exits from "
		  "long loops" },
		{ "the host's own interrupts",
		  { true, true, true, true, true },
		  "timer ticks, device and scheduler interrupts of the host exit the guest they "
		  "hit" },
		{ "hidden page faults, writes to page tables",
		  { false, false, true, false, false },
		  "a shadow pager write-protects page tables and fills its own on faults; ours "
		  "compares at flushes instead" },
		{ "real mode",
		  { false, false, true, false, false },
		  "without EPT there is no unrestricted guest: KVM emulates much of an application "
		  "processor's start" },
		{ "memory taken back by the host",
		  { true, true, false, true, true },
		  "swapping, migration, splitting and collapsing of huge pages make further EPT or "
		  "NPT violations" },
		{ "memory of assigned devices",
		  { true, true, true, true, true },
		  "shared memory is mapped like RAM, but not in the RAM whose pages are counted" },
	};

	*count = sizeof(unseen) / sizeof(unseen[0]);
	return unseen;
}

const char *model_config_name(enum model_config c)
{
	static const char *const names[MODEL_CONFIGS] = {
		[MODEL_VTX_EPT] = "vtx-ept",       [MODEL_VTX_APICV] = "vtx-apicv",
		[MODEL_VTX_SHADOW] = "vtx-shadow", [MODEL_SVM_NPT] = "svm-npt",
		[MODEL_SVM_AVIC] = "svm-avic",
	};

	return (unsigned)c < MODEL_CONFIGS ? names[c] : "?";
}

const char *model_config_title(enum model_config c)
{
	static const char *const titles[MODEL_CONFIGS] = {
		[MODEL_VTX_EPT] = "VT-x, EPT",       [MODEL_VTX_APICV] = "VT-x, APICv",
		[MODEL_VTX_SHADOW] = "VT-x, shadow", [MODEL_SVM_NPT] = "SVM, NPT",
		[MODEL_SVM_AVIC] = "SVM, AVIC",
	};

	return (unsigned)c < MODEL_CONFIGS ? titles[c] : "?";
}

int model_config_find(const char *name)
{
	for (unsigned c = 0; c < MODEL_CONFIGS; c++)
		if (!strcmp(model_config_name(c), name))
			return (int)c;
	return -1;
}

const char *model_verdict_name(enum model_verdict v)
{
	static const char *const names[] = {
		[MODEL_NO] = "no",
		[MODEL_YES] = "yes",
		[MODEL_MAYBE] = "0..n",
		[MODEL_FIRST] = "1..n",
		[MODEL_TWICE] = "n..2n",
		[MODEL_PAGES] = "pages",
		[MODEL_OPEN] = "pages or more",
	};

	return (unsigned)v < sizeof(names) / sizeof(names[0]) ? names[v] : "?";
}
