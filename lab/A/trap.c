/* SPDX-License-Identifier: MIT */
/*
 * Part A: trap and emulate.
 *
 * The guest's kernel runs directly on the CPU, at privilege level 3.  What it may not do there
 * faults, and ringside gets the fault: the trap.  vmm/exits.c then fetches the bytes at the guest's
 * EIP, has them decoded, has the instruction emulated on the guest's *shadow state* - what the
 * guest believes its flags, control registers and privilege level to be - and resumes the guest
 * after it. If the instruction would have faulted on a real machine, the guest gets that fault
 * instead.
 *
 * This file takes the place of decoder/trapped.c and of vmm/emu/attempt.c, flags.c, inout.c and
 * crread.c.  What is around it stays.  Read, in this order:
 *   vmm/exits.c           on_privileged(), exit_decode(), exit_emulate(): from the trap to here
 *   decoder/insn.h        a decoded instruction
 *   decoder/trapped.h     what step 1 is to do
 *   vmm/vcpu.h            the guest's registers (regs) and its shadow (sh); vcpu_gp() and the like
 *   vmm/types.h           the names of the bits of EFLAGS
 *   vmm/emu/handlers.h    the contract of a handler, and the helpers: gpr_read(), gpr_write(),
 *                         stack_push(), stack_pop(), need_cpl0(), tss_io_allowed()
 *   vmm/emu/emulate.c     which handler is called for which instruction
 *
 * A handler returns EMU_OK, or EMU_FAULT with the guest's fault in v->fault: vcpu_gp(v, 0) and
 * vcpu_ud(v) do both, so that you can `return vcpu_gp(v, 0);`.  If a helper returns anything but
 * EMU_OK, return that.
 */
#include <capstone/capstone.h>

#include "decoder/trapped.h"
#include "vmm/emu/handlers.h"

/* ---- 1. Decode ---- */

/*
 * trapped.h says what is to be done.  Of Capstone's answer you need
 *   cs->id                      X86_INS_CLI ...; PUSHF and PUSHFD are two, for us they are one
 *   cs->detail->x86.op_count    how many operands, and
 *   cs->detail->x86.operands[]  .type X86_OP_REG with .reg, or X86_OP_IMM with .imm
 * Of ours: op, nopnd, and opnd[0], opnd[1] with kind, reg, width (of a general register) and imm.
 * X86_INS_MOV is a family: only `mov %crN,%r32` is yours.
 */
bool decode_trapped(const struct cs_insn *cs, struct insn *in)
{
	(void)cs, (void)in;
	/* TODO */
	return false;
}

/* ---- 2. All or nothing ---- */

/*
 * Run one handler; see emu_attempt() in handlers.h.  Every emulated instruction passes here, also
 * those that are not yours.
 */
/*: 130. All or nothing
 * An instruction that faults has not happened. So the registers are kept, the handler works on
 * the vCPU itself, and if it fails they are put back.  This is yours: part A.
 */
int emu_attempt(struct vcpu *v, const struct insn *in, emu_fn *fn)
{
	/* TODO: before */
	return fn(v, in);
	/* TODO: after */
}

/* ---- 3. The interrupt flag and the flags image ---- */

/*
 * v->regs.eflags is the guest's EFLAGS as the guest believes it to be, with its own IF and IOPL.
 * The CPU's EFLAGS, with which the guest runs, is another (its IF is always set): you never see it.
 *
 * The privilege level that counts is v->sh.cpl.  In real mode (not vcpu_protected(v)) everything is
 * allowed; in virtual-8086 mode (vcpu_v86(v)) the CPL is 3, and an IOPL below 3 forbids not only
 * CLI and STI, but PUSHF and POPF, too.
 */

/* SDM Vol. 2A, CLI: who may; else #GP(0). */
static int cli(struct vcpu *v)
{
	/* TODO */
	return vcpu_ud(v);
}

/*
 * SDM Vol. 2B, STI: the same.  Interrupts stay off until after the next instruction (why?), but
 * only if they were off before: v->sh.sti_shadow.
 */
static int sti(struct vcpu *v)
{
	/* TODO */
	return vcpu_ud(v);
}

/*
 * SDM Vol. 2B, PUSHF/PUSHFD.  in->opsize is 2 or 4 bytes.  Two bits are not shown as they are.
 */
static int pushf(struct vcpu *v, const struct insn *in)
{
	(void)in;
	/* TODO */
	return vcpu_ud(v);
}

/*
 * SDM Vol. 2B, POPF/POPFD, and the table "Effect of POPF/POPFD on the EFLAGS Register": which flags
 * are taken from the image depends on CPL, IOPL and operand size.  Those that may not be changed
 * keep their value, without a fault.  There are neither VIF nor VIP to be changed, nor VM.
 */
/*: 140. The instruction that does not trap
 * At ring 3 popf silently leaves IF as it is: no trap, and the guest kernel goes on with
 * interrupts in the wrong state. It is here because the scanner (further on) put a trapping byte
 * in its place.
 */
static int popf(struct vcpu *v, const struct insn *in)
{
	(void)in;
	/* TODO */
	return vcpu_ud(v);
}

int emu_flags(struct vcpu *v, const struct insn *in)
{
	switch (in->op) {
	case OP_CLI: return cli(v);
	case OP_STI: return sti(v);
	case OP_PUSHF: return pushf(v, in);
	case OP_POPF: return popf(v, in);
	default: return vcpu_ud(v);
	}
}

/* ---- 4. HLT ---- */

/*
 * SDM Vol. 2A, HLT.  v->halted makes the vCPU wait for an event; it is not undone by emu_attempt(),
 * for it is neither a register nor of the shadow.
 */
int emu_hlt(struct vcpu *v, const struct insn *in)
{
	(void)in;
	/* TODO */
	return vcpu_ud(v);
}

/* ---- 5. IN and OUT ---- */

/*
 * SDM Vol. 1, "Protected-Mode I/O": IOPL says who may use all ports.  For the others the bitmap in
 * the task-state segment decides, port by port: tss_io_allowed(), which is written already.  In
 * virtual-8086 mode the bitmap decides, whatever IOPL is.
 */
int io_allowed(struct vcpu *v, uint16_t port, unsigned width)
{
	(void)port, (void)width;
	/* TODO */
	return vcpu_ud(v);
}

/*
 * SDM Vol. 2A, IN; Vol. 2B, OUT.  in->width is 1, 2 or 4 bytes: AL, AX or EAX.  The port is
 * an immediate byte or DX.  emu_port_read() and emu_port_write() (vmm/emu/emulate.h) reach the
 * device; what has been done to a device cannot be undone.
 */
int emu_in_out(struct vcpu *v, const struct insn *in)
{
	(void)in;
	/* TODO */
	return vcpu_ud(v);
}

/* ---- 6. Control registers ---- */

/*
 * SDM Vol. 2B, MOV (control registers): opnd[0] is the general register, opnd[1] the control
 * register.  CR0, CR2, CR3 and CR4 exist; another is #UD.  Privileged: CPL 0, whatever IOPL is.
 */
int emu_cr_read(struct vcpu *v, const struct insn *in)
{
	(void)in;
	/* TODO */
	return vcpu_ud(v);
}
