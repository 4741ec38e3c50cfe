/* SPDX-License-Identifier: MIT */
/*
 * The handlers behind enum emu_handler (decoder/sensitive.h), one file a family.  Private to
 * vmm/emu/.
 *
 * Contract.  Before calling a handler, emu_attempt() takes a snapshot of v->regs and v->sh and sets
 * v->regs.eip to the next instruction.  A handler checks, computes, then commits; guest memory
 * is written last, or probed before (mem_probe_write).  On EMU_FAULT emu_attempt() restores the
 * snapshot, so a handler may simply return the fault.  Handlers that transfer control overwrite
 * eip.
 */
#ifndef RINGSIDE_VMM_EMU_HANDLERS_H
#define RINGSIDE_VMM_EMU_HANDLERS_H

#include "vmm/emu/emulate.h"
#include "vmm/mem.h"
#include "vmm/vm.h"

/* One instruction's.  Returns enum emu_result, or a negative errno if the VM was killed. */
typedef int emu_fn(struct vcpu *v, const struct insn *in);

/*
 * Run the handler @fn of @in, the instruction at EIP, all or nothing.  While it runs
 *   - EIP is after the instruction, at 16 bits where CS is a 16-bit segment;
 *   - the STI and MOV SS shadows of the instruction before have ended (the handler may set new
 *     ones);
 *   - RF is clear (the handler may load it: IRET does).
 * If it does not return EMU_OK, registers (v->regs) and shadow (v->sh) become what they were.
 * Returns what the handler did.  attempt.c.
 * Sources: SDM Vol. 2B, STI; Vol. 3B, "Instruction-Breakpoint Exception Condition" (17.3.1.1).
 */
int emu_attempt(struct vcpu *v, const struct insn *in, emu_fn *fn);

/* flags.c */
int emu_flags(struct vcpu *v, const struct insn *in); /* cli sti pushf popf */
int emu_hlt(struct vcpu *v, const struct insn *in);
/* io.c */
int emu_io(struct vcpu *v, const struct insn *in); /* in out ins outs */
/* inout.c */
int emu_in_out(struct vcpu *v, const struct insn *in); /* in out; the width is 1, 2 or 4 */
/* crread.c */
int emu_cr_read(struct vcpu *v, const struct insn *in); /* mov from cr0-cr4 */
/* control.c */
int emu_msw(struct vcpu *v, const struct insn *in); /* lmsw smsw clts */
int emu_cr(struct vcpu *v, const struct insn *in);
int emu_dr(struct vcpu *v, const struct insn *in);
int emu_cache(struct vcpu *v, const struct insn *in); /* invd wbinvd */
int emu_invlpg(struct vcpu *v, const struct insn *in);
int emu_xcr(struct vcpu *v, const struct insn *in);
int emu_mwait(struct vcpu *v, const struct insn *in);
int emu_pause(struct vcpu *v, const struct insn *in);
int emu_smap(struct vcpu *v, const struct insn *in);      /* clac stac */
int emu_hypercall(struct vcpu *v, const struct insn *in); /* vmcall vmmcall */
/* msr.c */
int emu_msr(struct vcpu *v, const struct insn *in);
int emu_pmc(struct vcpu *v, const struct insn *in);
int emu_tsc(struct vcpu *v, const struct insn *in); /* rdtsc rdtscp rdpid */
/* cpuid.c */
int emu_cpuid(struct vcpu *v, const struct insn *in);
/* dtable.c */
int emu_dtable(struct vcpu *v, const struct insn *in); /* lgdt lidt lldt ltr sgdt sidt sldt str */
int emu_probe(struct vcpu *v, const struct insn *in);  /* lar lsl verr verw arpl */
/*
 * store.c: what tells a program about the state of the CPU at any privilege level (CR4.UMIP is not
 * offered).  Every one of them stores what the guest has loaded: the shadow (v->sh), the segment
 * registers (v->regs.seg).
 */
int emu_store_table(struct vcpu *v, const struct insn *in);    /* sgdt sidt */
int emu_store_selector(struct vcpu *v, const struct insn *in); /* sldt str; #UD in real mode */
int emu_store_msw(struct vcpu *v, const struct insn *in);      /* smsw */
int emu_store_seg(struct vcpu *v, const struct insn *in);      /* mov from a segment register */
/* segload.c */
int emu_seg(struct vcpu *v, const struct insn *in);      /* mov push pop of segment registers */
int emu_far_load(struct vcpu *v, const struct insn *in); /* lds les lfs lgs lss */
/* transfer.c, iret.c, softint.c ... */
int emu_soft_int(struct vcpu *v, const struct insn *in); /* int int3 into int1 bound */
int emu_iret(struct vcpu *v, const struct insn *in);
int emu_far(struct vcpu *v, const struct insn *in);
int emu_fast_syscall(struct vcpu *v, const struct insn *in); /* sysenter sysexit syscall sysret */

/* ordinary.c: everything that is not sensitive; EMU_UNHANDLED if unknown */
int emu_ordinary(struct vcpu *v, const struct insn *in);

int emu_push_pop(struct vcpu *v,
		 const struct insn *in);             /* near.c: push pop pusha popa enter leave */
int emu_near(struct vcpu *v, const struct insn *in); /* near.c: call jmp jcc ret loop jcxz */

/* Address of @in itself, while its handler runs (EIP is already past it).  emulate.c. */
uint32_t insn_eip(const struct vcpu *v, const struct insn *in);

/*
 * Iterations of a rep string instruction per call of emulate(); then EIP stays on it so that
 * interrupts are taken.  With TF set it is one: the CPU single-steps every iteration.
 */
#define REP_MAX 4096
struct rep {
	bool on;       /* has a REP prefix; otherwise it runs exactly once */
	bool stop;     /* REPE/REPNE: the condition ended it */
	unsigned done; /* iterations of this call */
	unsigned max;  /* and how many there may be */
};
/* for (rep_begin(); rep_more();) { one element; rep_count(); }  return rep_end();  -- string.c */
void rep_begin(const struct vcpu *v, const struct insn *in, struct rep *rep);
bool rep_more(const struct vcpu *v, const struct insn *in, const struct rep *rep);
void rep_count(struct vcpu *v, const struct insn *in, struct rep *rep);
/*
 * @r is how the last element ended.  A fault after completed iterations is not reported now: the
 * registers keep them, EIP stays on the instruction, and the next try meets the fault first.
 */
int rep_end(struct vcpu *v, const struct insn *in, const struct rep *rep, int r);
/* Step ESI or EDI by the element width, in the direction of DF, at the address size. */
void string_advance(struct vcpu *v, const struct insn *in, enum gpr reg);
int emu_string(struct vcpu *v, const struct insn *in); /* movs stos lods cmps scas */

/* A field of the CPUID answer: (cpuid_policy(leaf)[reg] >> bit) & 1.  reg: 0-3 eax ebx ecx edx. */
bool cpuid_has(const struct vcpu *v, uint32_t leaf, unsigned reg, unsigned bit);
/* The XCR0 bits the guest may set; 0 if there is no XSAVE. */
uint64_t cpuid_xcr0_mask(void);
/* The same for @v: without what --cpuid took away. */
uint64_t cpuid_xcr0(const struct vcpu *v);

/* ---- operand helpers, operand.c ---- */
/* Effective offset of a memory operand (wrapped to the address size). */
uint32_t op_offset(const struct vcpu *v, const struct insn *in, const struct operand *o);
/* Read or write a GPR or memory operand of o->width bytes, through its segment. */
int op_read(struct vcpu *v, const struct insn *in, const struct operand *o, uint32_t *val);
int op_write(struct vcpu *v, const struct insn *in, const struct operand *o, uint32_t val);
/* GPR access with x86 width rules (width 1: AL CL DL BL AH CH DH BH; 2: upper half kept). */
uint32_t gpr_read(const struct vcpu *v, unsigned reg, unsigned width);
void gpr_write(struct vcpu *v, unsigned reg, unsigned width, uint32_t val);

/* Check that op_write() would succeed, without writing. */
int op_probe_write(struct vcpu *v, const struct insn *in, const struct operand *o);
/* All ones of @width bytes (1, 2, 4). */
static inline uint32_t width_mask(unsigned width)
{
	return width == 4 ? 0xffffffff : width == 2 ? 0xffff : 0xff;
}

/* ---- stack helpers, stack.c: width by opsize, pointer by SS.B; #SS on limit, #PF ---- */
int stack_push(struct vcpu *v, unsigned width, uint32_t val);
int stack_pop(struct vcpu *v, unsigned width, uint32_t *val);

/* #GP(0) unless the vCPL is 0 (real mode counts as 0). */
int need_cpl0(struct vcpu *v);

/*
 * Load CS with the (already checked and unpacked) segment @s and set EIP; the vCPL becomes @cpl.
 * #GP(0) if @eip is outside the limit.  segload.c.
 */
int cs_load(struct vcpu *v, const struct segment *s, unsigned cpl, uint32_t eip);

/*
 * The TSS's stack pointer for privilege level @cpl (0-2): *@ss, *@esp from a 16- or 32-bit TSS.
 * EMU_FAULT with #TS on a bad TSS.  Source: SDM Vol. 3A, "Stack Switching" (5.8.5).
 */
int tss_stack(struct vcpu *v, unsigned cpl, uint16_t *ss, uint32_t *esp);

/*
 * Do IOPL and, if they do not, the I/O permission bitmap let the vCPL touch @width ports at @port?
 * EMU_OK, or EMU_FAULT with #GP(0) or #PF.  inout.c.
 */
int io_allowed(struct vcpu *v, uint16_t port, unsigned width);
/* The same by the bitmap of the TSS alone.  tss.c. */
int tss_io_allowed(struct vcpu *v, uint16_t port, unsigned width);

#endif
