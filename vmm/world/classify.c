/* SPDX-License-Identifier: MIT */
/*
 * What happened in the world: from the signal the runner reports to an exit in the vocabulary of
 * engine.h.  Everything here is the word of a possibly breached process: it can at worst describe
 * another state of its own vCPU, and any value is acceptable as such.
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>

#include "vmm/mem.h"
#include "vmm/world/world.h"

/* Flags that the guest runs with as they are; the rest of its image lives in the shadow. */
#define FL_NATIVE (FL_ARITH | FL_DF | FL_NT | FL_ID)

/*
 * EFLAGS.  The real image is arithmetic flags, DF, TF, NT and ID plus IF; IF, IOPL, RF, VM, AC, VIF
 * and VIP are the shadow's (DESIGN section 3; NT and ID can be carried, and so a user's popf can
 * clear them). AC is entered as zero unless the guest wants alignment checks, so if it is set on
 * exit the guest set it without a trap: that is taken over.
 */
static void flags_from_real(struct vcpu *v, uint32_t real, bool stepped)
{
	uint32_t mask = FL_NATIVE | (stepped ? 0 : FL_TF) | (world_checks_alignment(v) ? FL_AC : 0);

	v->regs.eflags = (v->regs.eflags & ~mask) | (real & mask) | FL_FIXED;
	if (real & FL_AC)
		v->regs.eflags |= FL_AC;
}

static int breach(struct exit *out, const char *why)
{
	out->reason = EXIT_BREACH;
	out->why = why;
	return 0;
}

#define HYGON_EBX 0x6f677948u /* "Hygo" nGenuine */

/* How `syscall` enters the host kernel from compatibility mode: AMD yes, Intel #UD. */
static bool host_is_amd(void)
{
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid(0, &eax, &ebx, &ecx, &edx) &&
	       (ebx == signature_AMD_ebx || ebx == HYGON_EBX);
}

/*
 * SYSENTER: the host kernel takes EBP for the stack pointer (its own convention for 32-bit
 * callers), so the frame has EBP in ESP, and what it read from there in EBP.  ESP itself is lost,
 * which is as well: the instruction loads it.
 */
static void restore_ebp(struct vcpu *v)
{
	v->regs.gpr[EBP] = v->regs.gpr[ESP];
}

/* A 32-bit system call that the runner's filter refused. */
static int classify_sigsys(struct vcpu *v, const struct world_xchg *x, struct exit *out)
{
	if (x->exit.sys_arch != AUDIT_ARCH_I386)
		return breach(out, "made a 64-bit system call");
	if (x->exit.rip_high) {
		/* EIP is in the vDSO: one of the fast system-call instructions. */
		out->reason = host_is_amd() ? EXIT_SYSCALL : EXIT_SYSENTER;
		if (out->reason == EXIT_SYSENTER)
			restore_ebp(v);
		return 0;
	}
	out->reason = EXIT_SOFT_INT;
	out->vector = 0x80;
	return 0;
}

/*
 * SYSENTER with an EBP the host kernel cannot read: it returns -EFAULT to the vDSO's address cut to
 * 32 bits, which is in this page (share.h).
 */
static bool is_failed_sysenter(const struct world_xchg *x, uint32_t eip)
{
	return x->regs.seg[SEG_CS] == REAL_CS32 && (x->exit.error & PF_FETCH) &&
	       (int32_t)x->regs.gpr[EAX] == -EFAULT && x->exit.cr2 == eip &&
	       eip - (uint32_t)WORLD_VDSO_ADDR < 4 * WORLD_PAGE;
}

/*
 * A single-step trap that does not say so: where the host is itself a virtual machine, DR6.BS is
 * lost now and then (seen about once in 100,000 steps).  If TF was set and the instruction was not
 * int1, it cannot have been anything else.
 */
static bool lost_step(struct vcpu *v, const struct world_xchg *x)
{
	uint8_t last;

	return (x->regs.eflags & FL_TF) &&
	       !(code_fetch(v, v->regs.eip - 1, &last, 1) == 1 && last == 0xf1);
}

/*: 80. What happened
 * From the signal, the trap number, the error code and CR2 to one of the exits of vmm/engine.h.
 * This is the table that VT-x gives as an exit reason; here it is read from the exception that
 * the host's CPU raised.
 */
static int classify_trap(struct world *w, const struct world_xchg *x, unsigned flags,
			 struct exit *out)
{
	struct vcpu *v = w->vcpu;

	out->vector = (uint8_t)x->exit.trapno;
	out->error = (uint32_t)x->exit.error;
	switch (x->exit.trapno) {
	case VEC_PF:
		out->reason = x->exit.signo == SIGBUS ? EXIT_NO_PAGE : EXIT_PAGE_FAULT;
		out->gva = (gva_t)x->exit.cr2;
		out->error &= PF_WRITE | PF_FETCH;
		out->has_error = true;
		return 0;
	case VEC_GP:
		out->has_error = true;
		out->reason = EXIT_PRIVILEGED;
		return 0;
	case VEC_UD: out->reason = EXIT_PRIVILEGED; return 0;
	case VEC_BP: /* int3, cd 03 */
	case VEC_OF: /* into, cd 04 */ out->reason = EXIT_SOFT_INT; return 0;
	case VEC_DB:
		/* Trap flag, or the one-byte int1; only the former is TRAP_TRACE. */
		if (x->exit.code != TRAP_TRACE && !lost_step(v, x)) {
			out->reason = EXIT_EXCEPTION;
		} else if ((flags & ENGINE_STEP) && !(v->regs.eflags & FL_TF)) {
			out->reason = EXIT_STEP;
		} else {
			out->reason = EXIT_EXCEPTION;
			out->dr6 = 1u << 14; /* BS */
		}
		return 0;
	case VEC_AC:
		if (!world_checks_alignment(v)) {
			out->reason = EXIT_RECONCILED;
			return 0;
		}
		out->has_error = true;
		break;
	case VEC_NP:
	case VEC_SS:
	case VEC_TS: out->has_error = true; break;
	case VEC_DE:
	case VEC_BR:
	case VEC_MF:
	case VEC_XM: break;
	default: return breach(out, "trapped in a way no guest instruction can");
	}
	out->reason = EXIT_EXCEPTION;
	return 0;
}

/* Is there a string instruction with a repeat prefix at EIP?  INS and OUTS never run natively. */
static bool at_rep_string(struct vcpu *v)
{
	uint8_t code[INSN_MAX];
	int len = code_fetch(v, v->regs.eip, code, sizeof(code));
	bool rep = false;

	for (int i = 0; i < len; i++) {
		switch (code[i]) {
		case 0xf2:
		case 0xf3: rep = true; break;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
		case 0x64 ... 0x67: break;
		case 0xa4 ... 0xa7:
		case 0xaa ... 0xaf: return rep;
		default: return false;
		}
	}
	return false;
}

/*
 * RF ends with the instruction it was loaded for.  The CPU sets it in the image of an interrupt or
 * trap that comes between two iterations of a string instruction, and so does whatever is injected
 * there: SDM Vol. 3B, "Instruction-Breakpoint Exception Condition" (17.3.1.1).  In that of a fault
 * it is set, too, and means nothing here.
 */
static void resume_flag(struct vcpu *v, uint32_t real, bool moved, const struct exit *x)
{
	bool trap = x->reason == EXIT_KICK || x->reason == EXIT_STEP ||
		    (x->reason == EXIT_EXCEPTION && x->vector == VEC_DB);

	if (moved)
		v->regs.eflags &= ~FL_RF;
	if (trap && (real & FL_RF) && at_rep_string(v))
		v->regs.eflags |= FL_RF;
}

/* Faults restart the instruction; traps and interrupts have already finished it. */
static bool is_restartable(const struct exit *x)
{
	switch (x->reason) {
	case EXIT_PRIVILEGED:
	case EXIT_PAGE_FAULT: return true;
	case EXIT_EXCEPTION: return x->vector != VEC_DB;
	default: return false;
	}
}

int world_classify(struct world *w, const struct world_xchg *x, unsigned flags, struct exit *out)
{
	struct vcpu *v = w->vcpu;
	uint32_t eip = x->regs.eip;
	bool moved = eip != v->regs.eip;
	bool repaired;
	int res;

	if (x->exit.signo != SIGSYS && (x->regs.seg[SEG_CS] == REAL_CS64 || x->exit.rip_high))
		return breach(out, "left compatibility mode for 64-bit code");
	if (x->exit.signo == SIGSYS && x->regs.seg[SEG_CS] == REAL_CS64)
		return breach(out, "left compatibility mode and made a 64-bit system call");

	for (int i = 0; i < GPR_COUNT; i++)
		v->regs.gpr[i] = x->regs.gpr[i];
	v->regs.eip = eip;
	flags_from_real(v, x->regs.eflags, flags & ENGINE_STEP);

	switch (x->exit.signo) {
	case WORLD_KICK_SIGNAL: out->reason = EXIT_KICK; break;
	case SIGSYS:
		res = classify_sigsys(v, x, out);
		if (res || out->reason != EXIT_SOFT_INT)
			return res;
		break;
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGTRAP:
		if (x->exit.code <= 0) { /* sent by some process, not by the CPU */
			out->reason = EXIT_KICK;
			break;
		}
		if (x->exit.trapno == VEC_PF && is_failed_sysenter(x, eip)) {
			out->reason = EXIT_SYSENTER;
			restore_ebp(v);
			return 0;
		}
		res = classify_trap(w, x, flags, out);
		if (res)
			return res;
		break;
	default: return breach(out, "reported an impossible signal");
	}
	if (out->reason == EXIT_BREACH)
		return 0;
	resume_flag(v, x->regs.eflags, moved, out);

	res = world_reconcile(w, x->regs.seg, &repaired);
	if (res < 0)
		return res;
	if (res == EMU_FAULT) {
		out->reason = EXIT_EXCEPTION;
		out->vector = v->fault.vector;
		out->has_error = v->fault.has_error;
		out->error = v->fault.error;
		out->gva = v->fault.cr2;
		return 0;
	}
	if (repaired && is_restartable(out))
		out->reason = EXIT_RECONCILED;
	return 0;
}
