/* SPDX-License-Identifier: MIT */
/*
 * The table of sensitive instructions.  See sensitive.h for the columns.
 *
 * "patch" is true for whatever does not reliably trap at ring 3 with the state intact: everything
 * silent or host-dependent, everything that only sometimes faults on its selector, and SYSCALL and
 * SYSENTER, which do trap under seccomp but have by then destroyed ECX or lost EIP and ESP.  PAUSE
 * is the exception: run natively it does what the guest wants, and it is in the table only because
 * hardware can exit on it.
 *
 * The VT-x and SVM columns describe a guest on a CPU that has the instruction, under a hypervisor
 * that sets controls as Linux KVM does: EPT or nested paging on, so CR3, INVLPG and TSC untouched.
 *
 * Where an instruction needs a feature that the host CPU may lack, RING3_GP and RING3_UD mean "one
 * of these two, for certain": which of them depends on the CPU.
 */
#include "decoder/sensitive.h"

#include <pthread.h>
#include <string.h>

#include "decoder/internal.h"

#define SDM               "Intel SDM Vol. "
#define VMX_UNCONDITIONAL "; Vol. 3C, Instructions That Cause VM Exits Unconditionally (26.1.2)"
#define VMX_CONDITIONAL   "; Vol. 3C, Instructions That Cause VM Exits Conditionally (26.1.3)"
#define VMX_OTHER         "; Vol. 3C, Other Causes of VM Exits (26.2)"
#define APM_INTERCEPTS    "; AMD APM Vol. 2, Instruction Intercepts (15.9)"
#define APM_IOIO          "; AMD APM Vol. 2, IOIO Intercepts (15.10)"
#define APM_MSR           "; AMD APM Vol. 2, MSR Intercepts (15.11)"
#define APM_EXCEPTION     "; AMD APM Vol. 2, Exception Intercepts (15.12)"

/* Reasons that several rows share.  OWN_: the guest has the real thing, so nothing exits. */
#define VTX_IO          "Primary: use I/O bitmaps, or unconditional I/O exiting"
#define SVM_IO          "INTERCEPT_IOIO_PROT and the I/O permission map"
#define VTX_MSR         "Primary: use MSR bitmaps"
#define SVM_MSR         "INTERCEPT_MSR_PROT and the MSR permission map"
#define VTX_DTABLE      "Secondary: descriptor-table exiting"
#define OWN_DESCRIPTORS "the guest's descriptors are the CPU's"
#define VTX_FAR         "the guest's descriptors are the CPU's; as a task switch it exits"
#define SVM_FAR         "the guest's descriptors are the CPU's; INTERCEPT_TASK_SWITCH"
#define OWN_IDT         "the guest's IDT is the CPU's"
#define OWN_IF          "RFLAGS.IF is the guest's own"
#define OWN_FLAGS       "RFLAGS is the guest's own"
#define OWN_AC          "RFLAGS.AC is the guest's own"
#define OWN_SYSENTER    "the guest's SYSENTER MSRs are the CPU's"
#define OWN_SYSCALL     "the guest's STAR and EFER are the CPU's; #UD outside 64-bit mode on Intel"
#define OWN_PKRU        "PKRU is the guest's own"
#define VTX_WAITPKG     "#UD without Secondary: enable user wait and pause"
#define NOT_INTEL       "Intel CPUs do not have it"
#define NOT_AMD         "AMD CPUs do not have it"
#define UNCONDITIONAL   "unconditional"
#define VTX_DR          "Primary: MOV-DR exiting, until the guest's debug registers are loaded"
#define SVM_DR_READ     "INTERCEPT_DR0_READ-DR7_READ, until the guest's debug registers are loaded"
#define SVM_DR_WRITE    "INTERCEPT_DR0_WRITE-DR7_WRITE, until the guest's debug registers are loaded"
#define VTX_SEAM        "#UD outside SEAM"
#define VTX_CR0_SHADOW  "masked bits are answered from the CR0 read shadow"
#define VTX_XSS         "XSS-exiting bitmap (#UD without Secondary: enable XSAVES/XRSTORS)"
#define OWN_XSS         "IA32_XSS is the guest's own"

/*: 120. The one table
 * Every sensitive instruction of the architecture: whether it traps at ring 3, who emulates it,
 * whether it must be patched because it does not trap, and whether VT-x or SVM would exit on it.
 * Scanner, emulator, account and documents all read it here.
 */
/*
 * op, mnemonic, form, example, at ring 3, handler, privileged, patch, VT-x, SVM, class of both, why
 * (VT-x), why (SVM), manual, ModR/M bits that tell the row from its neighbours, whether the prefix
 * does
 */
static const struct sensitive table[] = {
	/* Interrupt flag, halt, flags image */
	{ OP_CLI, "cli", "cli", "fa", RING3_GP, EMU_FLAGS, true, false, HW_NEVER, HW_NEVER,
	  HWC_NATIVE, OWN_IF, OWN_IF, SDM "2A, CLI", 0x00, false },
	{ OP_STI, "sti", "sti", "fb", RING3_GP, EMU_FLAGS, true, false, HW_NEVER, HW_NEVER,
	  HWC_NATIVE,
	  "RFLAGS.IF is the guest's own; Primary: interrupt-window exiting tells when it opens",
	  "RFLAGS.IF is the guest's own; INTERCEPT_VINTR tells when it opens", SDM "2B, STI", 0x00,
	  false },
	{ OP_HLT, "hlt", "hlt", "f4", RING3_GP, EMU_HLT, true, false, HW_CONTROL, HW_CONTROL,
	  HWC_HLT, "Primary: HLT exiting", "INTERCEPT_HLT",
	  SDM "2A, HLT" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, false },
	{ OP_PUSHF, "pushf", "pushf/pushfd", "9c", RING3_SILENT, EMU_FLAGS, false, true, HW_NEVER,
	  HW_CONTROL_OFF, HWC_NATIVE, OWN_FLAGS, "INTERCEPT_PUSHF",
	  SDM "2B, PUSHF/PUSHFD" APM_INTERCEPTS, 0x00, false },
	{ OP_POPF, "popf", "popf/popfd", "9d", RING3_SILENT, EMU_FLAGS, false, true, HW_NEVER,
	  HW_CONTROL_OFF, HWC_NATIVE, OWN_FLAGS, "INTERCEPT_POPF",
	  SDM "2B, POPF/POPFD" APM_INTERCEPTS, 0x00, false },

	/* Port I/O */
	{ OP_IN, "in", "in AL, imm8", "e460", RING3_GP, EMU_IO, true, false, HW_CONTROL, HW_CONTROL,
	  HWC_IO, VTX_IO, SVM_IO, SDM "2A, IN" VMX_CONDITIONAL APM_IOIO, 0x00, false },
	{ OP_IN, "in", "in eAX, imm8", "e560", RING3_GP, EMU_IO, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_IO, VTX_IO, SVM_IO, SDM "2A, IN" VMX_CONDITIONAL APM_IOIO, 0x00, false },
	{ OP_IN, "in", "in AL, DX", "ec", RING3_GP, EMU_IO, true, false, HW_CONTROL, HW_CONTROL,
	  HWC_IO, VTX_IO, SVM_IO, SDM "2A, IN" VMX_CONDITIONAL APM_IOIO, 0x00, false },
	{ OP_IN, "in", "in eAX, DX", "ed", RING3_GP, EMU_IO, true, false, HW_CONTROL, HW_CONTROL,
	  HWC_IO, VTX_IO, SVM_IO, SDM "2A, IN" VMX_CONDITIONAL APM_IOIO, 0x00, false },
	{ OP_OUT, "out", "out imm8, AL", "e660", RING3_GP, EMU_IO, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_IO, VTX_IO, SVM_IO, SDM "2B, OUT" VMX_CONDITIONAL APM_IOIO, 0x00, false },
	{ OP_OUT, "out", "out imm8, eAX", "e760", RING3_GP, EMU_IO, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_IO, VTX_IO, SVM_IO, SDM "2B, OUT" VMX_CONDITIONAL APM_IOIO, 0x00, false },
	{ OP_OUT, "out", "out DX, AL", "ee", RING3_GP, EMU_IO, true, false, HW_CONTROL, HW_CONTROL,
	  HWC_IO, VTX_IO, SVM_IO, SDM "2B, OUT" VMX_CONDITIONAL APM_IOIO, 0x00, false },
	{ OP_OUT, "out", "out DX, eAX", "ef", RING3_GP, EMU_IO, true, false, HW_CONTROL, HW_CONTROL,
	  HWC_IO, VTX_IO, SVM_IO, SDM "2B, OUT" VMX_CONDITIONAL APM_IOIO, 0x00, false },
	{ OP_INS, "ins", "insb", "6c", RING3_GP, EMU_IO, true, false, HW_CONTROL, HW_CONTROL,
	  HWC_IO, VTX_IO, SVM_IO, SDM "2A, INS/INSB/INSW/INSD" VMX_CONDITIONAL APM_IOIO, 0x00,
	  false },
	{ OP_INS, "ins", "insw/insd", "6d", RING3_GP, EMU_IO, true, false, HW_CONTROL, HW_CONTROL,
	  HWC_IO, VTX_IO, SVM_IO, SDM "2A, INS/INSB/INSW/INSD" VMX_CONDITIONAL APM_IOIO, 0x00,
	  false },
	{ OP_OUTS, "outs", "outsb", "6e", RING3_GP, EMU_IO, true, false, HW_CONTROL, HW_CONTROL,
	  HWC_IO, VTX_IO, SVM_IO, SDM "2B, OUTS/OUTSB/OUTSW/OUTSD" VMX_CONDITIONAL APM_IOIO, 0x00,
	  false },
	{ OP_OUTS, "outs", "outsw/outsd", "6f", RING3_GP, EMU_IO, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_IO, VTX_IO, SVM_IO,
	  SDM "2B, OUTS/OUTSB/OUTSW/OUTSD" VMX_CONDITIONAL APM_IOIO, 0x00, false },

	/* Descriptor tables and task register */
	{ OP_LGDT, "lgdt", "lgdt m16&32", "0f0113", RING3_GP, EMU_DTABLE, true, false,
	  HW_CONTROL_OFF, HW_CONTROL_OFF, HWC_NATIVE, VTX_DTABLE, "INTERCEPT_LOAD_GDTR",
	  SDM "2A, LGDT/LIDT" VMX_CONDITIONAL APM_INTERCEPTS, 0x38, false },
	{ OP_LIDT, "lidt", "lidt m16&32", "0f011b", RING3_GP, EMU_DTABLE, true, false,
	  HW_CONTROL_OFF, HW_CONTROL_OFF, HWC_NATIVE, VTX_DTABLE, "INTERCEPT_LOAD_IDTR",
	  SDM "2A, LGDT/LIDT" VMX_CONDITIONAL APM_INTERCEPTS, 0x38, false },
	{ OP_LLDT, "lldt", "lldt r/m16", "0f00d0", RING3_GP, EMU_DTABLE, true, false,
	  HW_CONTROL_OFF, HW_CONTROL_OFF, HWC_NATIVE, VTX_DTABLE, "INTERCEPT_LOAD_LDTR",
	  SDM "2A, LLDT" VMX_CONDITIONAL APM_INTERCEPTS, 0x38, false },
	{ OP_LTR, "ltr", "ltr r/m16", "0f00d8", RING3_GP, EMU_DTABLE, true, false, HW_CONTROL_OFF,
	  HW_CONTROL_OFF, HWC_NATIVE, VTX_DTABLE, "INTERCEPT_LOAD_TR",
	  SDM "2A, LTR" VMX_CONDITIONAL APM_INTERCEPTS, 0x38, false },
	{ OP_SGDT, "sgdt", "sgdt m", "0f0103", RING3_HOST, EMU_DTABLE, false, true, HW_CONTROL_OFF,
	  HW_CONTROL_OFF, HWC_NATIVE, VTX_DTABLE, "INTERCEPT_STORE_GDTR",
	  SDM "2B, SGDT" VMX_CONDITIONAL APM_INTERCEPTS, 0x38, false },
	{ OP_SIDT, "sidt", "sidt m", "0f010b", RING3_HOST, EMU_DTABLE, false, true, HW_CONTROL_OFF,
	  HW_CONTROL_OFF, HWC_NATIVE, VTX_DTABLE, "INTERCEPT_STORE_IDTR",
	  SDM "2B, SIDT" VMX_CONDITIONAL APM_INTERCEPTS, 0x38, false },
	{ OP_SLDT, "sldt", "sldt r32/m16", "0f00c0", RING3_HOST, EMU_DTABLE, false, true,
	  HW_CONTROL_OFF, HW_CONTROL_OFF, HWC_NATIVE, VTX_DTABLE, "INTERCEPT_STORE_LDTR",
	  SDM "2B, SLDT" VMX_CONDITIONAL APM_INTERCEPTS, 0x38, false },
	{ OP_STR, "str", "str r32/m16", "0f00c8", RING3_HOST, EMU_DTABLE, false, true,
	  HW_CONTROL_OFF, HW_CONTROL_OFF, HWC_NATIVE, VTX_DTABLE, "INTERCEPT_STORE_TR",
	  SDM "2B, STR" VMX_CONDITIONAL APM_INTERCEPTS, 0x38, false },

	/* Machine status, control and debug registers */
	{ OP_LMSW, "lmsw", "lmsw r/m16", "0f01f0", RING3_GP, EMU_MSW, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_CR0_WRITE,
	  "CR0 guest/host mask and read shadow: bits 0-3 differ from the shadow",
	  "INTERCEPT_CR0_WRITE or INTERCEPT_SELECTIVE_CR0",
	  SDM "2A, LMSW" VMX_CONDITIONAL APM_INTERCEPTS, 0x38, false },
	{ OP_SMSW, "smsw", "smsw r32/m16", "0f01e0", RING3_HOST, EMU_MSW, false, true, HW_NEVER,
	  HW_CONTROL_OFF, HWC_CR0_READ, VTX_CR0_SHADOW,
	  "INTERCEPT_CR0_READ; off with nested paging", SDM "2B, SMSW" APM_INTERCEPTS, 0x38,
	  false },
	{ OP_CLTS, "clts", "clts", "0f06", RING3_GP, EMU_CR, true, false, HW_CONTROL_OFF,
	  HW_CONTROL_OFF, HWC_CR0_WRITE,
	  "CR0 guest/host mask and read shadow: only if TS is in the mask",
	  "INTERCEPT_CR0_WRITE; the selective intercept ignores TS",
	  SDM "2A, CLTS" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, false },
	{ OP_MOV_FROM_CR, "mov", "mov r32, CR0", "0f20c0", RING3_GP, EMU_CR, true, false, HW_NEVER,
	  HW_CONTROL_OFF, HWC_CR0_READ, VTX_CR0_SHADOW,
	  "INTERCEPT_CR0_READ; off with nested paging",
	  SDM "2B, MOV-Move to/from Control Registers" APM_INTERCEPTS, 0x38, false },
	{ OP_MOV_FROM_CR, "mov", "mov r32, CR2", "0f20d0", RING3_GP, EMU_CR, true, false, HW_NEVER,
	  HW_CONTROL_OFF, HWC_NATIVE, "CR2 is the guest's own", "INTERCEPT_CR2_READ",
	  SDM "2B, MOV-Move to/from Control Registers" APM_INTERCEPTS, 0x38, false },
	{ OP_MOV_FROM_CR, "mov", "mov r32, CR3", "0f20d8", RING3_GP, EMU_CR, true, false,
	  HW_CONTROL_OFF, HW_CONTROL_OFF, HWC_CR3, "Primary: CR3-store exiting; off with EPT",
	  "INTERCEPT_CR3_READ; off with nested paging",
	  SDM "2B, MOV-Move to/from Control Registers" VMX_CONDITIONAL APM_INTERCEPTS, 0x38,
	  false },
	{ OP_MOV_FROM_CR, "mov", "mov r32, CR4", "0f20e0", RING3_GP, EMU_CR, true, false, HW_NEVER,
	  HW_CONTROL, HWC_CR4_READ, "masked bits are answered from the CR4 read shadow",
	  "INTERCEPT_CR4_READ", SDM "2B, MOV-Move to/from Control Registers" APM_INTERCEPTS, 0x38,
	  false },
	{ OP_MOV_TO_CR, "mov", "mov CR0, r32", "0f22c0", RING3_GP, EMU_CR, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_CR0_WRITE,
	  "CR0 guest/host mask and read shadow: a masked bit differs from the shadow",
	  "INTERCEPT_CR0_WRITE or INTERCEPT_SELECTIVE_CR0",
	  SDM "2B, MOV-Move to/from Control Registers" VMX_CONDITIONAL APM_INTERCEPTS, 0x38,
	  false },
	{ OP_MOV_TO_CR, "mov", "mov CR2, r32", "0f22d0", RING3_GP, EMU_CR, true, false, HW_NEVER,
	  HW_CONTROL_OFF, HWC_NATIVE, "CR2 is the guest's own", "INTERCEPT_CR2_WRITE",
	  SDM "2B, MOV-Move to/from Control Registers" APM_INTERCEPTS, 0x38, false },
	{ OP_MOV_TO_CR, "mov", "mov CR3, r32", "0f22d8", RING3_GP, EMU_CR, true, false,
	  HW_CONTROL_OFF, HW_CONTROL_OFF, HWC_CR3, "Primary: CR3-load exiting; off with EPT",
	  "INTERCEPT_CR3_WRITE; off with nested paging",
	  SDM "2B, MOV-Move to/from Control Registers" VMX_CONDITIONAL APM_INTERCEPTS, 0x38,
	  false },
	{ OP_MOV_TO_CR, "mov", "mov CR4, r32", "0f22e0", RING3_GP, EMU_CR, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_CR4_WRITE,
	  "CR4 guest/host mask and read shadow: a masked bit differs from the shadow",
	  "INTERCEPT_CR4_WRITE",
	  SDM "2B, MOV-Move to/from Control Registers" VMX_CONDITIONAL APM_INTERCEPTS, 0x38,
	  false },
	{ OP_MOV_FROM_DR, "mov", "mov r32, DR0-DR7", "0f21c0", RING3_GP, EMU_DR, true, false,
	  HW_CONTROL, HW_CONTROL, HWC_DR, VTX_DR, SVM_DR_READ,
	  SDM "2B, MOV-Move to/from Debug Registers" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, false },
	{ OP_MOV_TO_DR, "mov", "mov DR0-DR7, r32", "0f23c0", RING3_GP, EMU_DR, true, false,
	  HW_CONTROL, HW_CONTROL, HWC_DR, VTX_DR, SVM_DR_WRITE,
	  SDM "2B, MOV-Move to/from Debug Registers" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, false },

	/* Caches and TLB */
	{ OP_INVD, "invd", "invd", "0f08", RING3_GP, EMU_CACHE, true, false, HW_ALWAYS, HW_CONTROL,
	  HWC_CACHE, UNCONDITIONAL, "INTERCEPT_INVD",
	  SDM "2A, INVD" VMX_UNCONDITIONAL APM_INTERCEPTS, 0x00, false },
	{ OP_WBINVD, "wbinvd", "wbinvd", "0f09", RING3_GP, EMU_CACHE, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_CACHE, "Secondary: WBINVD exiting", "INTERCEPT_WBINVD",
	  SDM "2D, WBINVD" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, true },
	{ OP_WBINVD, "wbnoinvd", "wbnoinvd", "f30f09", RING3_GP, EMU_CACHE, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_CACHE, "Secondary: WBINVD exiting", "INTERCEPT_WBINVD",
	  SDM "2D, WBNOINVD" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, true },
	{ OP_INVLPG, "invlpg", "invlpg m", "0f013b", RING3_GP, EMU_INVLPG, true, false,
	  HW_CONTROL_OFF, HW_CONTROL_OFF, HWC_INVLPG, "Primary: INVLPG exiting; off with EPT",
	  "INTERCEPT_INVLPG; off with nested paging",
	  SDM "2A, INVLPG" VMX_CONDITIONAL APM_INTERCEPTS, 0x38, false },
	{ OP_INVPCID, "invpcid", "invpcid r32, m128", "660f388203", RING3_GP, EMU_INVLPG, true,
	  false, HW_CONTROL_OFF, HW_CONTROL_OFF, HWC_INVLPG,
	  "Primary: INVLPG exiting; off with EPT (#UD without Secondary: enable INVPCID)",
	  "INTERCEPT_INVPCID; off with nested paging",
	  SDM "2A, INVPCID" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, false },

	/* Model-specific registers, counters, identification */
	{ OP_RDMSR, "rdmsr", "rdmsr", "0f32", RING3_GP, EMU_MSR, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_MSR, VTX_MSR, SVM_MSR, SDM "2B, RDMSR" VMX_CONDITIONAL APM_MSR, 0x00,
	  false },
	{ OP_WRMSR, "wrmsr", "wrmsr", "0f30", RING3_GP, EMU_MSR, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_MSR, VTX_MSR, SVM_MSR, SDM "2D, WRMSR" VMX_CONDITIONAL APM_MSR, 0x00,
	  false },
	{ OP_RDPMC, "rdpmc", "rdpmc", "0f33", RING3_HOST, EMU_PMC, false, true, HW_CONTROL,
	  HW_CONTROL, HWC_RDPMC, "Primary: RDPMC exiting", "INTERCEPT_RDPMC",
	  SDM "2B, RDPMC" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, false },
	{ OP_RDTSC, "rdtsc", "rdtsc", "0f31", RING3_HOST, EMU_TSC, false, true, HW_CONTROL_OFF,
	  HW_CONTROL_OFF, HWC_NATIVE, "Primary: RDTSC exiting; else TSC offset and scaling apply",
	  "INTERCEPT_RDTSC; else TSC_OFFSET applies",
	  SDM "2B, RDTSC" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, false },
	{ OP_RDTSCP, "rdtscp", "rdtscp", "0f01f9", RING3_HOST, EMU_TSC, false, true, HW_CONTROL_OFF,
	  HW_CONTROL_OFF, HWC_NATIVE,
	  "Primary: RDTSC exiting (#UD without Secondary: enable RDTSCP)", "INTERCEPT_RDTSCP",
	  SDM "2B, RDTSCP" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, false },
	{ OP_RDPID, "rdpid", "rdpid r32", "f30fc7f8", RING3_HOST, EMU_TSC, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, "reads the guest's TSC_AUX (#UD without Secondary: enable RDTSCP)",
	  "reads the guest's TSC_AUX", SDM "2B, RDPID", 0x00, false },
	{ OP_CPUID, "cpuid", "cpuid", "0fa2", RING3_HOST, EMU_CPUID, false, true, HW_ALWAYS,
	  HW_CONTROL, HWC_CPUID, UNCONDITIONAL, "INTERCEPT_CPUID",
	  SDM "2A, CPUID" VMX_UNCONDITIONAL APM_INTERCEPTS, 0x00, false },
	{ OP_XSETBV, "xsetbv", "xsetbv", "0f01d1", RING3_GP, EMU_XCR, true, false, HW_ALWAYS,
	  HW_CONTROL, HWC_XSETBV, UNCONDITIONAL, "INTERCEPT_XSETBV",
	  SDM "2D, XSETBV" VMX_UNCONDITIONAL APM_INTERCEPTS, 0x00, false },
	{ OP_XGETBV, "xgetbv", "xgetbv", "0f01d0", RING3_HOST, EMU_XCR, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, "reads the guest's XCR0", "reads the guest's XCR0",
	  SDM "2D, XGETBV", 0x00, false },

	/* Privilege probes */
	{ OP_LAR, "lar", "lar r32, r/m16", "0f02c3", RING3_SILENT, EMU_PROBE, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2A, LAR", 0x00, false },
	{ OP_LSL, "lsl", "lsl r32, r/m16", "0f03c3", RING3_SILENT, EMU_PROBE, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2A, LSL", 0x00, false },
	{ OP_VERR, "verr", "verr r/m16", "0f00e0", RING3_SILENT, EMU_PROBE, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2C, VERR/VERW", 0x38,
	  false },
	{ OP_VERW, "verw", "verw r/m16", "0f00e8", RING3_SILENT, EMU_PROBE, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2C, VERR/VERW", 0x38,
	  false },
	{ OP_ARPL, "arpl", "arpl r/m16, r16", "63c3", RING3_SILENT, EMU_PROBE, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2A, ARPL", 0x00,
	  false },

	/* Segment registers: the selectors betray the real privilege level, the descriptors are the
	   host's */
	{ OP_MOV_FROM_SEG, "mov", "mov r/m16, ES", "8cc0", RING3_SILENT, EMU_SEG, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, MOV", 0x38,
	  false },
	{ OP_MOV_FROM_SEG, "mov", "mov r/m16, CS", "8cc8", RING3_SILENT, EMU_SEG, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, MOV", 0x38,
	  false },
	{ OP_MOV_FROM_SEG, "mov", "mov r/m16, SS", "8cd0", RING3_SILENT, EMU_SEG, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, MOV", 0x38,
	  false },
	{ OP_MOV_FROM_SEG, "mov", "mov r/m16, DS", "8cd8", RING3_SILENT, EMU_SEG, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, MOV", 0x38,
	  false },
	{ OP_MOV_FROM_SEG, "mov", "mov r/m16, FS", "8ce0", RING3_SILENT, EMU_SEG, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, MOV", 0x38,
	  false },
	{ OP_MOV_FROM_SEG, "mov", "mov r/m16, GS", "8ce8", RING3_SILENT, EMU_SEG, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, MOV", 0x38,
	  false },
	{ OP_MOV_TO_SEG, "mov", "mov ES, r/m16", "8ec0", RING3_SELECTOR, EMU_SEG, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, MOV", 0x38,
	  false },
	{ OP_MOV_TO_SEG, "mov", "mov SS, r/m16", "8ed0", RING3_SELECTOR, EMU_SEG, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, MOV", 0x38,
	  false },
	{ OP_MOV_TO_SEG, "mov", "mov DS, r/m16", "8ed8", RING3_SELECTOR, EMU_SEG, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, MOV", 0x38,
	  false },
	{ OP_MOV_TO_SEG, "mov", "mov FS, r/m16", "8ee0", RING3_SELECTOR, EMU_SEG, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, MOV", 0x38,
	  false },
	{ OP_MOV_TO_SEG, "mov", "mov GS, r/m16", "8ee8", RING3_SELECTOR, EMU_SEG, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, MOV", 0x38,
	  false },
	{ OP_PUSH_SEG, "push", "push ES", "06", RING3_SILENT, EMU_SEG, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, PUSH", 0x00, false },
	{ OP_PUSH_SEG, "push", "push CS", "0e", RING3_SILENT, EMU_SEG, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, PUSH", 0x00, false },
	{ OP_PUSH_SEG, "push", "push SS", "16", RING3_SILENT, EMU_SEG, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, PUSH", 0x00, false },
	{ OP_PUSH_SEG, "push", "push DS", "1e", RING3_SILENT, EMU_SEG, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, PUSH", 0x00, false },
	{ OP_PUSH_SEG, "push", "push FS", "0fa0", RING3_SILENT, EMU_SEG, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, PUSH", 0x00, false },
	{ OP_PUSH_SEG, "push", "push GS", "0fa8", RING3_SILENT, EMU_SEG, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, PUSH", 0x00, false },
	{ OP_POP_SEG, "pop", "pop ES", "07", RING3_SELECTOR, EMU_SEG, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, POP", 0x00, false },
	{ OP_POP_SEG, "pop", "pop SS", "17", RING3_SELECTOR, EMU_SEG, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, POP", 0x00, false },
	{ OP_POP_SEG, "pop", "pop DS", "1f", RING3_SELECTOR, EMU_SEG, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, POP", 0x00, false },
	{ OP_POP_SEG, "pop", "pop FS", "0fa1", RING3_SELECTOR, EMU_SEG, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, POP", 0x00, false },
	{ OP_POP_SEG, "pop", "pop GS", "0fa9", RING3_SELECTOR, EMU_SEG, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, POP", 0x00, false },
	{ OP_LDS, "lds", "lds r32, m16:32", "c503", RING3_SELECTOR, EMU_FAR_LOAD, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS,
	  SDM "2A, LDS/LES/LFS/LGS/LSS", 0x00, false },
	{ OP_LES, "les", "les r32, m16:32", "c403", RING3_SELECTOR, EMU_FAR_LOAD, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS,
	  SDM "2A, LDS/LES/LFS/LGS/LSS", 0x00, false },
	{ OP_LFS, "lfs", "lfs r32, m16:32", "0fb403", RING3_SELECTOR, EMU_FAR_LOAD, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS,
	  SDM "2A, LDS/LES/LFS/LGS/LSS", 0x00, false },
	{ OP_LGS, "lgs", "lgs r32, m16:32", "0fb503", RING3_SELECTOR, EMU_FAR_LOAD, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS,
	  SDM "2A, LDS/LES/LFS/LGS/LSS", 0x00, false },
	{ OP_LSS, "lss", "lss r32, m16:32", "0fb203", RING3_SELECTOR, EMU_FAR_LOAD, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS,
	  SDM "2A, LDS/LES/LFS/LGS/LSS", 0x00, false },

	/* Control transfers that use descriptors */
	{ OP_INT, "int", "int imm8", "cd21", RING3_TRAP, EMU_SOFT_INT, false, false, HW_NEVER,
	  HW_CONTROL_OFF, HWC_NATIVE, OWN_IDT, "INTERCEPT_INTn",
	  SDM "2A, INT n/INTO/INT3/INT1" APM_INTERCEPTS, 0x00, false },
	{ OP_INT, "int", "int 80h", "cd80", RING3_SYSCALL, EMU_SOFT_INT, false, false, HW_NEVER,
	  HW_CONTROL_OFF, HWC_NATIVE, OWN_IDT, "INTERCEPT_INTn",
	  SDM "2A, INT n/INTO/INT3/INT1" APM_INTERCEPTS, 0x00, false },
	{ OP_INT3, "int3", "int3", "cc", RING3_TRAP, EMU_SOFT_INT, false, false, HW_CONTROL_OFF,
	  HW_CONTROL_OFF, HWC_NATIVE, "Exception bitmap: #BP, set while debugging the guest",
	  "Exception intercept #BP, set while debugging the guest",
	  SDM "2A, INT n/INTO/INT3/INT1" VMX_OTHER APM_EXCEPTION, 0x00, false },
	{ OP_INTO, "into", "into", "ce", RING3_TRAP, EMU_SOFT_INT, false, false, HW_CONTROL_OFF,
	  HW_CONTROL_OFF, HWC_NATIVE, "Exception bitmap: #OF", "Exception intercept #OF",
	  SDM "2A, INT n/INTO/INT3/INT1" VMX_OTHER APM_EXCEPTION, 0x00, false },
	{ OP_INT1, "int1", "int1", "f1", RING3_TRAP, EMU_SOFT_INT, false, false, HW_CONTROL,
	  HW_CONTROL, HWC_INT1, "Exception bitmap: #DB",
	  "Exception intercept #DB, or INTERCEPT_ICEBP",
	  SDM "2A, INT n/INTO/INT3/INT1" VMX_OTHER APM_EXCEPTION, 0x00, false },
	{ OP_BOUND, "bound", "bound r32, m32&32", "6203", RING3_TRAP, EMU_SOFT_INT, false, false,
	  HW_CONTROL_OFF, HW_CONTROL_OFF, HWC_NATIVE, "Exception bitmap: #BR",
	  "Exception intercept #BR", SDM "2A, BOUND" VMX_OTHER APM_EXCEPTION, 0x00, false },
	{ OP_IRET, "iret", "iret/iretd", "cf", RING3_SELECTOR, EMU_IRET, false, true, HW_NEVER,
	  HW_CONTROL_OFF, HWC_IRET, VTX_FAR, "INTERCEPT_IRET, set only to find the end of an NMI",
	  SDM "2A, IRET/IRETD" VMX_OTHER APM_INTERCEPTS, 0x00, false },
	{ OP_CALL_FAR, "lcall", "call ptr16:32", "9a000000000700", RING3_SELECTOR, EMU_FAR, false,
	  true, HW_NEVER, HW_NEVER, HWC_NATIVE, VTX_FAR, SVM_FAR,
	  SDM "2A, CALL" VMX_OTHER APM_INTERCEPTS, 0x00, false },
	{ OP_CALL_FAR, "lcall", "call m16:32", "ff1b", RING3_SELECTOR, EMU_FAR, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, VTX_FAR, SVM_FAR, SDM "2A, CALL" VMX_OTHER APM_INTERCEPTS,
	  0x38, false },
	{ OP_JMP_FAR, "ljmp", "jmp ptr16:32", "ea000000000700", RING3_SELECTOR, EMU_FAR, false,
	  true, HW_NEVER, HW_NEVER, HWC_NATIVE, VTX_FAR, SVM_FAR,
	  SDM "2A, JMP" VMX_OTHER APM_INTERCEPTS, 0x00, false },
	{ OP_JMP_FAR, "ljmp", "jmp m16:32", "ff2b", RING3_SELECTOR, EMU_FAR, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, VTX_FAR, SVM_FAR, SDM "2A, JMP" VMX_OTHER APM_INTERCEPTS, 0x38,
	  false },
	{ OP_RET_FAR, "lret", "retf", "cb", RING3_SELECTOR, EMU_FAR, false, true, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, RET", 0x00, false },
	{ OP_RET_FAR, "lret", "retf imm16", "ca0400", RING3_SELECTOR, EMU_FAR, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_DESCRIPTORS, OWN_DESCRIPTORS, SDM "2B, RET", 0x00,
	  false },
	{ OP_SYSCALL, "syscall", "syscall", "0f05", RING3_SYSCALL, EMU_FAST_SYSCALL, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_SYSCALL, OWN_SYSCALL, SDM "2B, SYSCALL", 0x00,
	  false },
	{ OP_SYSENTER, "sysenter", "sysenter", "0f34", RING3_SYSCALL, EMU_FAST_SYSCALL, false, true,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_SYSENTER, OWN_SYSENTER, SDM "2B, SYSENTER", 0x00,
	  false },
	{ OP_SYSRET, "sysret", "sysret", "0f07", RING3_GP, EMU_FAST_SYSCALL, true, false, HW_NEVER,
	  HW_NEVER, HWC_NATIVE, OWN_SYSCALL, OWN_SYSCALL, SDM "2B, SYSRET", 0x00, false },
	{ OP_SYSEXIT, "sysexit", "sysexit", "0f35", RING3_GP, EMU_FAST_SYSCALL, true, false,
	  HW_NEVER, HW_NEVER, HWC_NATIVE, OWN_SYSENTER, OWN_SYSENTER, SDM "2B, SYSEXIT", 0x00,
	  false },

	/* Waiting */
	{ OP_MONITOR, "monitor", "monitor", "0f01c8", RING3_UD, EMU_MWAIT, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_MWAIT, "Primary: MONITOR exiting", "INTERCEPT_MONITOR",
	  SDM "2B, MONITOR" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, false },
	{ OP_MWAIT, "mwait", "mwait", "0f01c9", RING3_UD, EMU_MWAIT, true, false, HW_CONTROL,
	  HW_CONTROL, HWC_MWAIT, "Primary: MWAIT exiting", "INTERCEPT_MWAIT",
	  SDM "2B, MWAIT" VMX_CONDITIONAL APM_INTERCEPTS, 0x00, false },
	{ OP_PAUSE, "pause", "pause", "f390", RING3_SILENT, EMU_PAUSE, false, false, HW_CONTROL,
	  HW_CONTROL, HWC_PAUSE, "Secondary: PAUSE-loop exiting",
	  "INTERCEPT_PAUSE with a pause filter", SDM "2B, PAUSE" VMX_CONDITIONAL APM_INTERCEPTS,
	  0x00, false },

	/* SMAP, swapgs and other odds */
	{ OP_CLAC, "clac", "clac", "0f01ca", RING3_UD, EMU_SMAP, true, false, HW_NEVER, HW_NEVER,
	  HWC_NATIVE, OWN_AC, OWN_AC, SDM "2A, CLAC", 0x00, false },
	{ OP_STAC, "stac", "stac", "0f01cb", RING3_UD, EMU_SMAP, true, false, HW_NEVER, HW_NEVER,
	  HWC_NATIVE, OWN_AC, OWN_AC, SDM "2B, STAC", 0x00, false },
	{ OP_SWAPGS, "swapgs", "swapgs", "0f01f8", RING3_UD, EMU_NONE, true, false, HW_UD, HW_UD,
	  HWC_UD, "#UD outside 64-bit mode", "#UD outside 64-bit mode", SDM "2B, SWAPGS", 0x00,
	  false },
	{ OP_RSM, "rsm", "rsm", "0faa", RING3_UD, EMU_NONE, true, false, HW_UD, HW_CONTROL, HWC_UD,
	  "#UD outside system-management mode", "INTERCEPT_RSM", SDM "2B, RSM" APM_INTERCEPTS, 0x00,
	  false },
	{ OP_GETSEC, "getsec", "getsec", "0f37", RING3_UD, EMU_NONE, true, false, HW_ALWAYS, HW_UD,
	  HWC_UD, "unconditional (#UD if CR4.SMXE is 0)", NOT_AMD,
	  SDM "2D, GETSEC" VMX_UNCONDITIONAL, 0x00, false },

	/* VMX: the guest has none of it; vmcall is a hypercall */
	{ OP_VMX, "vmcall", "vmcall", "0f01c1", RING3_HOST, EMU_HYPERCALL, false, true, HW_ALWAYS,
	  HW_UD, HWC_VMX, UNCONDITIONAL, NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", VMCALL" VMX_UNCONDITIONAL, 0xff, false },
	{ OP_VMX, "vmlaunch", "vmlaunch", "0f01c2", RING3_UD, EMU_NONE, true, false, HW_ALWAYS,
	  HW_UD, HWC_VMX, UNCONDITIONAL, NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", VMLAUNCH" VMX_UNCONDITIONAL, 0xff, false },
	{ OP_VMX, "vmresume", "vmresume", "0f01c3", RING3_UD, EMU_NONE, true, false, HW_ALWAYS,
	  HW_UD, HWC_VMX, UNCONDITIONAL, NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", VMRESUME" VMX_UNCONDITIONAL, 0xff, false },
	{ OP_VMX, "vmxoff", "vmxoff", "0f01c4", RING3_UD, EMU_NONE, true, false, HW_ALWAYS, HW_UD,
	  HWC_VMX, UNCONDITIONAL, NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", VMXOFF" VMX_UNCONDITIONAL, 0xff, false },
	{ OP_VMX, "vmfunc", "vmfunc", "0f01d4", RING3_HOST, EMU_NONE, false, true, HW_UD, HW_UD,
	  HWC_VMX, "#UD without Secondary: enable VM functions", NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", VMFUNC", 0xff, false },
	{ OP_VMX, "vmptrld", "vmptrld m64", "0fc733", RING3_UD, EMU_NONE, true, false, HW_ALWAYS,
	  HW_UD, HWC_VMX, UNCONDITIONAL, NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", VMPTRLD" VMX_UNCONDITIONAL, 0x38, true },
	{ OP_VMX, "vmclear", "vmclear m64", "660fc733", RING3_UD, EMU_NONE, true, false, HW_ALWAYS,
	  HW_UD, HWC_VMX, UNCONDITIONAL, NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", VMCLEAR" VMX_UNCONDITIONAL, 0x38, true },
	{ OP_VMX, "vmxon", "vmxon m64", "f30fc733", RING3_UD, EMU_NONE, true, false, HW_ALWAYS,
	  HW_UD, HWC_VMX, UNCONDITIONAL, NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", VMXON" VMX_UNCONDITIONAL, 0x38, true },
	{ OP_VMX, "vmptrst", "vmptrst m64", "0fc73b", RING3_UD, EMU_NONE, true, false, HW_ALWAYS,
	  HW_UD, HWC_VMX, UNCONDITIONAL, NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", VMPTRST" VMX_UNCONDITIONAL, 0x38, true },
	{ OP_VMX, "vmread", "vmread r/m32, r32", "0f7803", RING3_UD, EMU_NONE, true, false,
	  HW_CONTROL, HW_UD, HWC_VMX,
	  "unconditional, unless Secondary: VMCS shadowing and the VMREAD bitmap allow it", NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", VMREAD" VMX_CONDITIONAL, 0x00, false },
	{ OP_VMX, "vmwrite", "vmwrite r32, r/m32", "0f7903", RING3_UD, EMU_NONE, true, false,
	  HW_CONTROL, HW_UD, HWC_VMX,
	  "unconditional, unless Secondary: VMCS shadowing and the VMWRITE bitmap allow it",
	  NOT_AMD, SDM "3C, \"VMX Instruction Reference\", VMWRITE" VMX_CONDITIONAL, 0x00, false },
	{ OP_VMX, "invept", "invept r32, m128", "660f388003", RING3_UD, EMU_NONE, true, false,
	  HW_ALWAYS, HW_UD, HWC_VMX, UNCONDITIONAL, NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", INVEPT" VMX_UNCONDITIONAL, 0x00, false },
	{ OP_VMX, "invvpid", "invvpid r32, m128", "660f388103", RING3_UD, EMU_NONE, true, false,
	  HW_ALWAYS, HW_UD, HWC_VMX, UNCONDITIONAL, NOT_AMD,
	  SDM "3C, \"VMX Instruction Reference\", INVVPID" VMX_UNCONDITIONAL, 0x00, false },

	/* SVM: likewise; vmmcall is a hypercall, and an outer hypervisor may answer it at ring 3 */
	{ OP_SVM, "vmrun", "vmrun", "0f01d8", RING3_UD, EMU_NONE, true, false, HW_UD, HW_CONTROL,
	  HWC_SVM, NOT_INTEL, "INTERCEPT_VMRUN, which VMRUN demands",
	  "AMD APM Vol. 3, \"System Instruction Reference\", VMRUN" APM_INTERCEPTS, 0xff, false },
	{ OP_SVM, "vmmcall", "vmmcall", "0f01d9", RING3_HOST, EMU_HYPERCALL, false, true, HW_UD,
	  HW_CONTROL, HWC_SVM, NOT_INTEL, "INTERCEPT_VMMCALL",
	  "AMD APM Vol. 3, \"System Instruction Reference\", VMMCALL" APM_INTERCEPTS, 0xff, false },
	{ OP_SVM, "vmload", "vmload", "0f01da", RING3_UD, EMU_NONE, true, false, HW_UD, HW_CONTROL,
	  HWC_SVM, NOT_INTEL, "INTERCEPT_VMLOAD",
	  "AMD APM Vol. 3, \"System Instruction Reference\", VMLOAD" APM_INTERCEPTS, 0xff, false },
	{ OP_SVM, "vmsave", "vmsave", "0f01db", RING3_UD, EMU_NONE, true, false, HW_UD, HW_CONTROL,
	  HWC_SVM, NOT_INTEL, "INTERCEPT_VMSAVE",
	  "AMD APM Vol. 3, \"System Instruction Reference\", VMSAVE" APM_INTERCEPTS, 0xff, false },
	{ OP_SVM, "stgi", "stgi", "0f01dc", RING3_UD, EMU_NONE, true, false, HW_UD, HW_CONTROL,
	  HWC_SVM, NOT_INTEL, "INTERCEPT_STGI",
	  "AMD APM Vol. 3, \"System Instruction Reference\", STGI" APM_INTERCEPTS, 0xff, false },
	{ OP_SVM, "clgi", "clgi", "0f01dd", RING3_UD, EMU_NONE, true, false, HW_UD, HW_CONTROL,
	  HWC_SVM, NOT_INTEL, "INTERCEPT_CLGI",
	  "AMD APM Vol. 3, \"System Instruction Reference\", CLGI" APM_INTERCEPTS, 0xff, false },
	{ OP_SVM, "skinit", "skinit", "0f01de", RING3_UD, EMU_NONE, true, false, HW_UD, HW_CONTROL,
	  HWC_SVM, NOT_INTEL, "INTERCEPT_SKINIT",
	  "AMD APM Vol. 3, \"System Instruction Reference\", SKINIT" APM_INTERCEPTS, 0xff, false },
	{ OP_SVM, "invlpga", "invlpga", "0f01df", RING3_UD, EMU_NONE, true, false, HW_UD,
	  HW_CONTROL, HWC_SVM, NOT_INTEL, "INTERCEPT_INVLPGA",
	  "AMD APM Vol. 3, \"System Instruction Reference\", INVLPGA" APM_INTERCEPTS, 0xff, false },

	/* Supervisor state, work queues */
	{ OP_XSAVES, "xsaves", "xsaves m", "0fc72b", RING3_GP, EMU_NONE, true, false,
	  HW_CONTROL_OFF, HW_NEVER, HWC_UNOFFERED, VTX_XSS, OWN_XSS,
	  SDM "2D, XSAVES" VMX_CONDITIONAL, 0x38, false },
	{ OP_XRSTORS, "xrstors", "xrstors m", "0fc71b", RING3_GP, EMU_NONE, true, false,
	  HW_CONTROL_OFF, HW_NEVER, HWC_UNOFFERED, VTX_XSS, OWN_XSS,
	  SDM "2D, XRSTORS" VMX_CONDITIONAL, 0x38, false },
	{ OP_ENQCMDS, "enqcmds", "enqcmds r32, m512", "f30f38f803", RING3_GP, EMU_NONE, true, false,
	  HW_CONTROL_OFF, HW_UD, HWC_UNOFFERED, "Secondary: PASID translation", NOT_AMD,
	  SDM "2A, ENQCMDS" VMX_CONDITIONAL, 0x00, false },

	/* Extensions the virtual CPU does not have */
	{ OP_UNOFFERED, "rdpkru", "rdpkru", "0f01ee", RING3_HOST, EMU_NONE, false, true, HW_NEVER,
	  HW_NEVER, HWC_UNOFFERED, OWN_PKRU, OWN_PKRU, SDM "2B, RDPKRU", 0xff, true },
	{ OP_UNOFFERED, "wrpkru", "wrpkru", "0f01ef", RING3_HOST, EMU_NONE, false, true, HW_NEVER,
	  HW_NEVER, HWC_UNOFFERED, OWN_PKRU, OWN_PKRU, SDM "2D, WRPKRU", 0xff, true },
	{ OP_UNOFFERED, "umonitor", "umonitor r32", "f30faef0", RING3_HOST, EMU_NONE, false, true,
	  HW_UD, HW_UD, HWC_UNOFFERED, VTX_WAITPKG, NOT_AMD, SDM "2B, UMONITOR" VMX_CONDITIONAL,
	  0xf8, true },
	{ OP_UNOFFERED, "umwait", "umwait r32", "f20faef0", RING3_HOST, EMU_NONE, false, true,
	  HW_UD, HW_UD, HWC_UNOFFERED, VTX_WAITPKG, NOT_AMD, SDM "2B, UMWAIT" VMX_CONDITIONAL, 0xf8,
	  true },
	{ OP_UNOFFERED, "tpause", "tpause r32", "660faef0", RING3_HOST, EMU_NONE, false, true,
	  HW_UD, HW_UD, HWC_UNOFFERED, VTX_WAITPKG, NOT_AMD, SDM "2B, TPAUSE" VMX_CONDITIONAL, 0xf8,
	  true },
	{ OP_UNOFFERED, "monitorx", "monitorx", "0f01fa", RING3_HOST, EMU_NONE, false, true, HW_UD,
	  HW_CONTROL, HWC_UNOFFERED, NOT_INTEL, "INTERCEPT_MONITOR",
	  "AMD APM Vol. 3, \"General-Purpose and System Instruction Reference\", "
	  "MONITORX" APM_INTERCEPTS,
	  0xff, true },
	{ OP_UNOFFERED, "mwaitx", "mwaitx", "0f01fb", RING3_HOST, EMU_NONE, false, true, HW_UD,
	  HW_CONTROL, HWC_UNOFFERED, NOT_INTEL, "INTERCEPT_MWAIT",
	  "AMD APM Vol. 3, \"General-Purpose and System Instruction Reference\", "
	  "MWAITX" APM_INTERCEPTS,
	  0xff, true },
	{ OP_UNOFFERED, "mcommit", "mcommit", "f30f01fa", RING3_HOST, EMU_NONE, false, true, HW_UD,
	  HW_CONTROL_OFF, HWC_UNOFFERED, NOT_INTEL, "INTERCEPT_MCOMMIT",
	  "AMD APM Vol. 3, \"General-Purpose and System Instruction Reference\", "
	  "MCOMMIT" APM_INTERCEPTS,
	  0xff, true },
	{ OP_UNOFFERED, "rdpru", "rdpru", "0f01fd", RING3_HOST, EMU_NONE, false, true, HW_UD,
	  HW_CONTROL, HWC_UNOFFERED, NOT_INTEL, "INTERCEPT_RDPRU",
	  "AMD APM Vol. 3, \"General-Purpose and System Instruction Reference\", "
	  "RDPRU" APM_INTERCEPTS,
	  0xff, true },
	{ OP_UNOFFERED, "invlpgb", "invlpgb", "0f01fe", RING3_UD, EMU_NONE, true, false, HW_UD,
	  HW_CONTROL, HWC_UNOFFERED, NOT_INTEL, "INTERCEPT_INVLPGB",
	  "AMD APM Vol. 3, \"System Instruction Reference\", INVLPGB" APM_INTERCEPTS, 0xff, true },
	{ OP_UNOFFERED, "tlbsync", "tlbsync", "0f01ff", RING3_UD, EMU_NONE, true, false, HW_UD,
	  HW_CONTROL, HWC_UNOFFERED, NOT_INTEL, "INTERCEPT_TLBSYNC",
	  "AMD APM Vol. 3, \"System Instruction Reference\", TLBSYNC" APM_INTERCEPTS, 0xff, true },
	{ OP_UNOFFERED, "xend", "xend", "0f01d5", RING3_HOST, EMU_NONE, false, true, HW_NEVER,
	  HW_NEVER, HWC_UNOFFERED, "runs in the guest if it has RTM", NOT_AMD, SDM "2D, XEND", 0xff,
	  true },
	{ OP_UNOFFERED, "xtest", "xtest", "0f01d6", RING3_HOST, EMU_NONE, false, true, HW_NEVER,
	  HW_NEVER, HWC_UNOFFERED, "runs in the guest if it has RTM", NOT_AMD, SDM "2D, XTEST",
	  0xff, true },
	{ OP_UNOFFERED, "encls", "encls", "0f01cf", RING3_UD, EMU_NONE, true, false, HW_CONTROL,
	  HW_UD, HWC_UNOFFERED, "Secondary: enable ENCLS exiting", NOT_AMD,
	  SDM "3D, ENCLS" VMX_CONDITIONAL, 0xff, true },
	{ OP_UNOFFERED, "enclu", "enclu", "0f01d7", RING3_HOST, EMU_NONE, false, true, HW_NEVER,
	  HW_UD, HWC_UNOFFERED, "runs in the guest if it has SGX", NOT_AMD, SDM "3D, ENCLU", 0xff,
	  true },
	{ OP_UNOFFERED, "enclv", "enclv", "0f01c0", RING3_UD, EMU_NONE, true, false, HW_CONTROL,
	  HW_UD, HWC_UNOFFERED, "Secondary: enable ENCLV exiting", NOT_AMD,
	  SDM "3D, ENCLV" VMX_CONDITIONAL, 0xff, true },
	{ OP_UNOFFERED, "pconfig", "pconfig", "0f01c5", RING3_UD, EMU_NONE, true, false, HW_CONTROL,
	  HW_UD, HWC_UNOFFERED, "Secondary: enable PCONFIG, and the PCONFIG-exiting bitmap",
	  NOT_AMD, SDM "2B, PCONFIG" VMX_CONDITIONAL, 0xff, true },
	{ OP_UNOFFERED, "wrmsrns", "wrmsrns", "0f01c6", RING3_UD, EMU_NONE, true, false, HW_CONTROL,
	  HW_UD, HWC_UNOFFERED, VTX_MSR, NOT_AMD, SDM "2D, WRMSRNS" VMX_CONDITIONAL APM_MSR, 0xff,
	  true },
	{ OP_UNOFFERED, "tdcall", "tdcall", "660f01cc", RING3_UD, EMU_NONE, true, false, HW_ALWAYS,
	  HW_UD, HWC_UNOFFERED, "unconditional in a trust domain, else #UD", NOT_AMD,
	  "Intel TDX Module and CPU Architectural Extensions, TDCALL" VMX_UNCONDITIONAL, 0xff,
	  true },
	{ OP_UNOFFERED, "seamret", "seamret", "660f01cd", RING3_UD, EMU_NONE, true, false, HW_UD,
	  HW_UD, HWC_UNOFFERED, VTX_SEAM, NOT_AMD,
	  "Intel TDX Module and CPU Architectural Extensions, SEAMRET", 0xff, true },
	{ OP_UNOFFERED, "seamops", "seamops", "660f01ce", RING3_UD, EMU_NONE, true, false, HW_UD,
	  HW_UD, HWC_UNOFFERED, VTX_SEAM, NOT_AMD,
	  "Intel TDX Module and CPU Architectural Extensions, SEAMOPS", 0xff, true },
	{ OP_UNOFFERED, "seamcall", "seamcall", "660f01cf", RING3_UD, EMU_NONE, true, false,
	  HW_ALWAYS, HW_UD, HWC_UNOFFERED, "unconditional where the CPU has SEAM, else #UD",
	  NOT_AMD, "Intel TDX Module and CPU Architectural Extensions, SEAMCALL" VMX_UNCONDITIONAL,
	  0xff, true },
	{ OP_UNOFFERED, "hreset", "hreset imm8", "f30f3af0c000", RING3_GP, EMU_NONE, true, false,
	  HW_UD, HW_UD, HWC_UNOFFERED, "#UD without Secondary: enable HRESET", NOT_AMD,
	  SDM "2A, HRESET", 0x00, true },
	{ OP_UNOFFERED, "loadiwkey", "loadiwkey xmm, xmm", "f30f38dcc3", RING3_UD, EMU_NONE, true,
	  false, HW_CONTROL_OFF, HW_UD, HWC_UNOFFERED, "Tertiary: LOADIWKEY exiting", NOT_AMD,
	  SDM "2A, LOADIWKEY" VMX_CONDITIONAL, 0xc0, true },
	{ OP_UNOFFERED, "wrussd", "wrussd m32, r32", "660f38f503", RING3_UD, EMU_NONE, true, false,
	  HW_NEVER, HW_NEVER, HWC_UNOFFERED, "#UD if CR4.CET is 0", "#UD if CR4.CET is 0",
	  SDM "2D, WRUSSD", 0x00, true },
};

#define ROWS (sizeof(table) / sizeof(table[0]))

/* What sensitive_find() compares, computed once from the table's examples. */
static struct key {
	uint8_t opcode[3], modrm, prefix, byte1;
} keys[ROWS];
static uint16_t first_row[OP_COUNT + 1]; /* of each operation, plus one; 0: none */
static pthread_once_t keys_once = PTHREAD_ONCE_INIT;

static unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static void keys_fill(void)
{
	for (size_t row = 0; row < ROWS; row++) {
		const char *hex = table[row].example;
		uint8_t b[INSN_WINDOW] = { 0 };
		struct parse p;

		for (size_t i = 0; hex[2 * i] && i < INSN_MAX; i++)
			b[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
		if (insn_parse(b, 32, &p))
			continue; /* matches nothing: tests/decoder.c would see it */
		memcpy(keys[row].opcode, b + p.npfx, (size_t)(p.oplen - p.npfx));
		keys[row].modrm = p.modrm;
		keys[row].prefix = p.rep ? p.rep : p.prefixes & PREFIX_66 ? 0x66 : 0;
		keys[row].byte1 = b[1];
		if (!first_row[table[row].op])
			first_row[table[row].op] = (uint16_t)(row + 1);
	}
}

static uint8_t insn_mandatory_prefix(const struct insn *in)
{
	if (in->prefixes & PREFIX_REP)
		return 0xf3;
	if (in->prefixes & PREFIX_REPNE)
		return 0xf2;
	return in->prefixes & PREFIX_66 ? 0x66 : 0;
}

/* 66 and f2 before WBINVD are ignored; f3 makes it WBNOINVD. */
static bool prefix_matches(const struct sensitive *s, const struct key *k, const struct insn *in)
{
	uint8_t prefix = insn_mandatory_prefix(in);

	if (!s->match_prefix)
		return true;
	if (s->op == OP_WBINVD)
		return (k->prefix == 0xf3) == (prefix == 0xf3);
	return k->prefix == prefix;
}

const struct sensitive *sensitive_find(const struct insn *in)
{
	const struct sensitive *s;

	pthread_once(&keys_once, keys_fill);
	if (in->op >= OP_COUNT || !first_row[in->op])
		return NULL;
	for (size_t row = first_row[in->op] - 1u; row < ROWS && table[row].op == in->op; row++) {
		const struct key *k = &keys[row];

		s = &table[row];
		if (memcmp(k->opcode, in->opcode, sizeof(k->opcode)))
			continue;
		if ((k->modrm ^ in->modrm) & s->modrm_mask || !prefix_matches(s, k, in))
			continue;
		if (s->op == OP_INT && (k->byte1 == 0x80) != (in->vector == 0x80))
			continue;
		return s;
	}
	return NULL;
}

const struct sensitive *sensitive_table(size_t *count)
{
	*count = ROWS;
	return table;
}

const char *ring3_name(unsigned ring3)
{
	static const char *const names[] = {
		[RING3_GP] = "#GP",
		[RING3_UD] = "#UD",
		[RING3_SELECTOR] = "#GP by selector",
		[RING3_TRAP] = "own trap",
		[RING3_SYSCALL] = "host system call",
		[RING3_SILENT] = "silent",
		[RING3_HOST] = "by host",
	};

	return ring3 < sizeof(names) / sizeof(names[0]) ? names[ring3] : "?";
}

const char *hw_exit_name(unsigned hw)
{
	static const char *const names[] = {
		[HW_NEVER] = "never",
		[HW_ALWAYS] = "always",
		[HW_CONTROL] = "control set",
		[HW_CONTROL_OFF] = "control clear",
		[HW_UD] = "#UD",
	};

	return hw < sizeof(names) / sizeof(names[0]) ? names[hw] : "?";
}

const char *hw_class_name(unsigned hw)
{
	static const char *const names[HWC_COUNT] = {
		[HWC_NATIVE] = "native",
		[HWC_CPUID] = "cpuid",
		[HWC_HLT] = "hlt",
		[HWC_IO] = "port I/O",
		[HWC_CR0_READ] = "CR0 read",
		[HWC_CR0_WRITE] = "CR0 write",
		[HWC_CR3] = "CR3",
		[HWC_CR4_READ] = "CR4 read",
		[HWC_CR4_WRITE] = "CR4 write",
		[HWC_DR] = "debug register",
		[HWC_CACHE] = "cache flush",
		[HWC_INVLPG] = "TLB flush",
		[HWC_MSR] = "MSR",
		[HWC_RDPMC] = "rdpmc",
		[HWC_XSETBV] = "xsetbv",
		[HWC_MWAIT] = "monitor/mwait",
		[HWC_PAUSE] = "pause",
		[HWC_IRET] = "iret",
		[HWC_INT1] = "int1",
		[HWC_VMX] = "VMX instruction",
		[HWC_SVM] = "SVM instruction",
		[HWC_UD] = "undefined",
		[HWC_UNOFFERED] = "not offered",
	};

	return hw < HWC_COUNT ? names[hw] : "?";
}
