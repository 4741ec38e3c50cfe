/* SPDX-License-Identifier: MIT */
/*
 * The table of sensitive instructions: the one place that says, for every privileged and every
 * sensitive-but-unprivileged x86-32 instruction, what it does at ring 3, who emulates it, whether
 * the scanner must patch it, and whether hardware-assisted virtualization would exit on it.
 * The emulator, the scanner, the account, `ringside compare` and the documentation derive from it.
 */
#ifndef RINGSIDE_DECODER_SENSITIVE_H
#define RINGSIDE_DECODER_SENSITIVE_H

#include "decoder/insn.h"

/* What the instruction does when executed at CPL 3 in compatibility mode with IOPL 0. */
enum ring3_behaviour {
	RING3_GP,       /* always #GP(0) */
	RING3_UD,       /* always #UD */
	RING3_SELECTOR, /* #GP/#NP/#SS with the selector, unless ring 3 may use the descriptor */
	RING3_TRAP,     /* its own trap: int3, into, bound, int1, int n (#GP n<<3|2) */
	RING3_SYSCALL,  /* enters the host kernel or #UD, by vendor: SIGSYS under seccomp */
	RING3_SILENT,   /* executes without a trap, with the host's answer: not virtualizable */
	RING3_HOST, /* depends on host CPU features or settings (UMIP, TSD, CPUID faulting ...) */
};

/* How the VMM emulates it: an index of the handler table in vmm/emu/emulate.c. */
enum emu_handler {
	EMU_NONE, /* no handler: the guest gets #UD */
	EMU_FLAGS,
	EMU_HLT,
	EMU_IO,
	EMU_DTABLE,
	EMU_MSW,
	EMU_CR,
	EMU_DR,
	EMU_CACHE,
	EMU_INVLPG,
	EMU_MSR,
	EMU_PMC,
	EMU_TSC,
	EMU_CPUID,
	EMU_XCR,
	EMU_PROBE,
	EMU_SEG,
	EMU_FAR_LOAD,
	EMU_SOFT_INT,
	EMU_IRET,
	EMU_FAR,
	EMU_FAST_SYSCALL,
	EMU_MWAIT,
	EMU_PAUSE,
	EMU_SMAP,
	EMU_HYPERCALL,
	EMU_HANDLER_COUNT
};

/* Would it exit to the hypervisor in hardware-assisted mode? */
enum hw_exit {
	HW_NEVER,       /* runs in the guest */
	HW_ALWAYS,      /* exits unconditionally */
	HW_CONTROL,     /* exits if a control/intercept is set, and hypervisors do set it */
	HW_CONTROL_OFF, /* could exit, but hypervisors normally leave the control clear */
	HW_UD,          /* raises #UD in the guest, no exit */
};

/*
 * How hardware with virtualization support treats it, seen finely enough to count exits: the column
 * from which vmm/model.c, which knows the registers' values as well, answers for five
 * configurations.  What each class means is in docs/hardware-assist.md.
 */
enum hw_class {
	HWC_NATIVE, /* works on the guest's own state, which the CPU holds: no exit */
	HWC_CPUID,  /* from here on each is one instruction, or one family */
	HWC_HLT,
	HWC_IO,        /* in, out, ins, outs */
	HWC_CR0_READ,  /* mov from CR0, smsw */
	HWC_CR0_WRITE, /* mov to CR0, lmsw, clts: by which bits change */
	HWC_CR3, /* mov to and from CR3: the page tables are the guest's or the hypervisor's */
	HWC_CR4_READ,
	HWC_CR4_WRITE, /* by which bits change */
	HWC_DR,        /* debug registers: loaded when first used */
	HWC_CACHE,     /* invd, wbinvd, wbnoinvd */
	HWC_INVLPG,    /* invlpg, invpcid: as CR3 */
	HWC_MSR,       /* by the index, and whether it is a local APIC's register */
	HWC_RDPMC,
	HWC_XSETBV,
	HWC_MWAIT,     /* monitor, mwait */
	HWC_PAUSE,     /* only in tight loops */
	HWC_IRET,      /* where it ends an NMI */
	HWC_INT1,      /* by its #DB */
	HWC_VMX,       /* vmcall and the other VMX instructions */
	HWC_SVM,       /* vmmcall and the other SVM instructions */
	HWC_UD,        /* #UD in the guest, which KVM intercepts, or an intercept of its own */
	HWC_UNOFFERED, /* of an extension the virtual CPU lacks: hidden, intercepted, or neither */
	HWC_COUNT
};

struct sensitive {
	uint16_t op;          /* enum insn_op */
	const char *mnemonic; /* "mov" */
	const char *form;     /* "mov r32, CR0-CR4" as the manual writes it */
	const char *example;  /* machine code in hex of one instance, 32-bit mode: "0f20c0" */
	uint8_t ring3;        /* enum ring3_behaviour */
	uint8_t handler;      /* enum emu_handler */
	bool privileged;      /* requires CPL 0 or CPL <= IOPL (Popek-Goldberg: it should trap) */
	bool patch;           /* the scanner of shadow code pages must patch it */
	uint8_t vtx;          /* enum hw_exit, VT-x */
	uint8_t svm;          /* enum hw_exit, SVM */
	uint8_t hw;           /* enum hw_class, for both */
	const char *vtx_why;  /* the control or rule, e.g. "Primary: HLT exiting" */
	const char *svm_why;  /* e.g. "INTERCEPT_HLT" */
	const char *ref;      /* the manual's title and section for the instruction */
	/*
	 * What tells this row from the others of its operation, besides the opcode bytes of
	 * @example: the bits of its ModR/M that must match, and whether its mandatory prefix
	 * (66, f2, f3 or none) must.
	 */
	uint8_t modrm_mask;
	bool match_prefix;
};

/* The whole table, @*count rows.  Rows of one operation are adjacent. */
const struct sensitive *sensitive_table(size_t *count);

/*
 * The row that describes @in (op, and where forms differ, its operands), or NULL if @in is not
 * sensitive.  insn_decode() has already stored it in @in->sens.
 */
const struct sensitive *sensitive_find(const struct insn *in);

const char *ring3_name(unsigned ring3);
const char *hw_exit_name(unsigned hw);
/* "port I/O", "CR0 write" ... */
const char *hw_class_name(unsigned hw);

#endif
