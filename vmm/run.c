/* SPDX-License-Identifier: MIT */
/*
 * The run loop, the same for every engine:
 *
 *   take what is pending and allowed -> run the guest -> account the exit -> handle it -> again
 *
 * Guest misbehaviour, a VMM bug and a host failure are three different outcomes: the first is an
 * exception for the guest or the end of the VM with a sentence (vm_kill), the last vm_host_fail.
 */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "decoder/sensitive.h"
#include "vmm/account.h"
#include "vmm/code.h"
#include "vmm/emu/emulate.h"
#include "vmm/engine.h"
#include "vmm/irq_stats.h"
#include "vmm/machine.h"
#include "vmm/mem.h"
#include "vmm/shadow.h"
#include "vmm/trace.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/* One exit on its way through its handler. */
struct handling {
	struct exit x;
	unsigned cause;   /* account.h; the handler refines it */
	struct insn insn; /* decoded, if insn.len != 0 */
	uint32_t eip;     /* where the exit happened */
	bool stepped;     /* the original instruction ran: no patch is to blame */
};

#define LOOKAHEAD_MAX 32u /* instructions emulated on one trap */

typedef int exit_fn(struct vcpu *v, struct handling *h);

static int inject_counted(struct vcpu *v, const struct event *ev)
{
	if (v->account)
		account_inject(v->account, ev->vector, ev->external);
	return inject(v, ev);
}

/* The guest's own exception, as recorded by a handler that returned EMU_FAULT. */
static int inject_fault(struct vcpu *v)
{
	struct event ev = v->fault;

	return inject_counted(v, &ev);
}

/*
 * After an instruction the emulator finished: the single-step trap it would have ended in.  Not
 * after a software interrupt, which cleared TF on its way to the handler, nor after a load of SS,
 * which holds the trap off; SDM Vol. 3B, "Single-Step Exception Condition" (17.3.1.4).
 */
static int finish_insn(struct vcpu *v, const struct insn *in, bool tf, uint32_t eip)
{
	struct event step = { .vector = VEC_DB, .dr6 = 1u << 14 };
	bool rep_cut = v->regs.eip == eip && (in->prefixes & (PREFIX_REP | PREFIX_REPNE));
	bool soft_int = in->sens && in->sens->handler == EMU_SOFT_INT;

	if (!tf || soft_int || v->sh.movss_shadow)
		return 0;
	/* A rep string instruction traps after each iteration, with RF set but after the last. */
	if (rep_cut)
		v->regs.eflags |= FL_RF;
	return inject_counted(v, &step);
}

/* Emulate the decoded instruction; EMU_UNHANDLED is passed on. */
static int run_insn(struct vcpu *v, struct handling *h)
{
	bool tf = v->regs.eflags & FL_TF;
	uint32_t eip = v->regs.eip;
	int res = emulate(v, &h->insn);

	if (res == EMU_OK)
		return finish_insn(v, &h->insn, tf, eip);
	if (res == EMU_FAULT)
		return inject_fault(v);
	return res;
}

static bool is_prefix(uint8_t b)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64 ... 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3: return true;
	default: return false;
	}
}

/*
 * What does not decode: is it an instruction but for being longer than 15 bytes?  Then it is
 * #GP(0), not #UD: SDM Vol. 3A, "Interrupt 13" (6.15).  Only prefixes can make one so long.
 */
static bool is_too_long(struct vcpu *v, unsigned bits)
{
	uint8_t code[INSN_MAX];
	struct insn insn;

	for (unsigned n = 0; n < INSN_MAX; n++) {
		int len = code_fetch(v, v->regs.eip + n, code, sizeof(code));

		if (len <= 0)
			return false;
		if (!insn_decode(code, (size_t)len, bits, &insn))
			return n + insn.len > INSN_MAX;
		if (!is_prefix(code[0]))
			return false;
	}
	return true;
}

/*
 * Fetch and decode the instruction at EIP.  Returns 0; 1 if the guest got an exception instead; or
 * negative errno.
 */
static int decode_here(struct vcpu *v, struct handling *h)
{
	unsigned bits = v->regs.seg[SEG_CS].db ? 32 : 16;
	gva_t at = v->regs.seg[SEG_CS].base + v->regs.eip;
	size_t first = PAGE_SIZE - at % PAGE_SIZE;
	uint8_t code[INSN_MAX];
	int len, res;

	/* The next page is not accessed (A) unless the instruction reaches it. */
	if (first < sizeof(code)) {
		len = code_fetch(v, v->regs.eip, code, first);
		if (len == (int)first && !insn_decode(code, first, bits, &h->insn))
			return 0;
	}
	len = code_fetch(v, v->regs.eip, code, sizeof(code));
	if (len == 0) {
		h->cause = CAUSE_EXC(v->fault.vector);
		res = inject_fault(v);
		return res < 0 ? res : 1;
	}
	res = insn_decode(code, (size_t)len, bits, &h->insn);
	if (res == 0)
		return 0;
	h->insn.len = 0;
	if (res != -ENODATA && is_too_long(v, bits))
		vcpu_gp(v, 0);
	else if (res != -ENODATA)
		vcpu_ud(v);
	else if (code_fetch(v, v->regs.eip + (uint32_t)len, code, 1) != 0)
		vcpu_gp(v, 0); /* the rest is there now: another vCPU's doing */
	/* else v->fault says why the rest could not be fetched: a limit or a page */
	h->cause = CAUSE_EXC(v->fault.vector);
	res = inject_fault(v);
	return res < 0 ? res : 1;
}

/*
 * The instruction at EIP traps only because the scanner had to patch it or a neighbour: it is an
 * ordinary one.  Emulate it, or let the CPU execute the original bytes for one step.
 */
static int run_original(struct vcpu *v, struct handling *h, unsigned cause)
{
	int res = run_insn(v, h);

	h->cause = cause;
	if (res != EMU_UNHANDLED)
		return res;
	v->step_original = true;
	return code_step_original(v);
}

/* #GP or #UD: a sensitive instruction, or the guest's own fault. */
static int on_privileged(struct vcpu *v, struct handling *h)
{
	gva_t at = v->regs.seg[SEG_CS].base + v->regs.eip;
	struct event ev = { .vector = h->x.vector,
			    .has_error = h->x.has_error,
			    .error = h->x.error };
	int res = decode_here(v, h);

	if (res)
		return res < 0 ? res : 0;
	if (h->insn.sens) {
		h->cause = h->insn.op == OP_INT ? CAUSE_INT(h->insn.vector)
						: CAUSE_INSN(h->insn.op);
		return run_insn(v, h);
	}
	if (ev.vector == VEC_GP && !ev.error && !h->stepped && code_patched(v, at))
		return run_original(v, h, CAUSE_ORIGINAL);
	h->cause = CAUSE_EXC(ev.vector);
	return inject_counted(v, &ev);
}

/* An access the CPU cannot make for the guest: MMIO, or RAM that this host cannot map. */
static int emulate_access(struct vcpu *v, struct handling *h, unsigned cause)
{
	char text[64];
	int res = decode_here(v, h);

	if (res)
		return res < 0 ? res : 0;
	h->cause = cause;
	res = run_insn(v, h);
	if (res != EMU_UNHANDLED)
		return res;
	insn_format(&h->insn, v->regs.eip, text, sizeof(text));
	return vm_kill(v->vm, "cannot emulate \"%s\" at %#x for its access to %#x", text,
		       v->regs.eip, h->x.gva);
}

/* A write to a page that is executed from a copy. */
static int on_code_write(struct vcpu *v, struct handling *h, gpa_t gpa)
{
	int res = code_write_fault(v, h->x.gva, gpa);

	h->cause = CAUSE_CODE_WRITE;
	if (res != CODE_WRITE_EMULATE)
		return res < 0 ? res : 0;
	res = decode_here(v, h);
	if (res)
		return res < 0 ? res : 0;
	res = run_insn(v, h);
	h->cause = CAUSE_CODE_WRITE;
	if (res != EMU_UNHANDLED)
		return res;
	res = code_write_natively(v, h->x.gva, gpa);
	v->step_original = res == CODE_WRITE_STEP;
	return res < 0 ? res : 0;
}

/*
 * The engine has no mapping for gva that allows the access.  With paging off linear is physical:
 * map all of RAM that this host can map, at once; code pages are copies made when first executed;
 * what is left is MMIO.
 */
static int on_flat_fault(struct vcpu *v, struct handling *h)
{
	struct vm *vm = v->vm;
	struct engine *e = v->engine;
	gva_t gva = h->x.gva;
	uint64_t low = e->low_limit;
	bool fetch = h->x.error & PF_FETCH;

	if (gva >= vm->ram_len && fetch)
		return vm_kill(vm, "jumped to %#x, where there is no RAM (RAM ends at %#llx)", gva,
			       (unsigned long long)vm->ram_len);
	if (gva >= vm->ram_len || gva < low)
		return emulate_access(v, h, gva < low ? CAUSE_LOW : CAUSE_MMIO);
	if (!e->ram_mapped) {
		h->cause = CAUSE_FILL;
		return code_map_flat(v);
	}
	if (fetch) {
		h->cause = CAUSE_SCAN;
		return code_fetch_fault(v, gva, gva);
	}
	if (code_shadowed(vm->code, gva))
		return on_code_write(v, h, gva);
	/* Another vCPU changed what the page is between the fault and now. */
	return code_remap_flat(v, gva);
}

/*
 * With paging: what do the guest's tables say?  Either the guest gets its #PF, or the page is
 * mapped with the rights they allow, or there is no RAM behind it.
 */
static int on_page_fault(struct vcpu *v, struct handling *h)
{
	unsigned access = (h->x.error & (PF_WRITE | PF_FETCH)) | (v->sh.cpl == 3 ? PF_USER : 0);
	struct event pf = { .vector = VEC_PF, .has_error = true, .cr2 = h->x.gva };
	gva_t gva = h->x.gva;
	struct mmu_leaf leaf;

	if (!(v->sh.cr0 & CR0_PG))
		return on_flat_fault(v, h);
	if (mmu_walk(v, gva, access, &leaf, &pf.error)) {
		h->cause = CAUSE_EXC(VEC_PF);
		return inject_counted(v, &pf);
	}
	if (!vm_ptr(v->vm, leaf.gpa & ~(gpa_t)(PAGE_SIZE - 1), PAGE_SIZE)) {
		if (access & PF_FETCH)
			return vm_kill(
				v->vm,
				"executes at %#x, mapped to physical %#llx, where there is no RAM",
				gva, (unsigned long long)leaf.gpa);
		return emulate_access(v, h, CAUSE_MMIO);
	}
	if (gva < v->engine->low_limit)
		return emulate_access(v, h, CAUSE_LOW);
	if ((access & PF_WRITE) && code_shadowed(v->vm->code, leaf.gpa))
		return on_code_write(v, h, leaf.gpa);
	if ((access & PF_FETCH) && !(access & PF_USER)) {
		h->cause = CAUSE_SCAN;
		return code_fetch_fault(v, gva, leaf.gpa);
	}
	h->cause = CAUSE_FILL;
	return shadow_fill(v, gva, &leaf, access);
}

/*
 * int n by a path where the CPU has already stepped over it (SIGSYS for 0x80, traps for 1, 3, 4).
 * Put EIP back on the instruction and emulate it as any other, so that a gate the guest may not use
 * faults with the right EIP.
 */
static int on_soft_int(struct vcpu *v, struct handling *h)
{
	uint8_t vector = h->x.vector, code[2];
	struct event ev = { .vector = vector, .soft = vector != VEC_DB };
	unsigned len = 2;
	int n;

	h->cause = vector == VEC_DB ? CAUSE_EXC(VEC_DB) : CAUSE_INT(vector);
	n = code_fetch(v, v->regs.eip - 2, code, sizeof(code));
	if (n == 2 && code[0] == 0xcd && code[1] == vector)
		len = 2;
	else if (n == 2 &&
		 ((vector == VEC_BP && code[1] == 0xcc) || (vector == VEC_OF && code[1] == 0xce) ||
		  (vector == VEC_DB && code[1] == 0xf1)))
		len = 1;
	else /* it was overwritten meanwhile: its effect stands */
		return inject_counted(v, &ev);
	if (insn_decode(code + 2 - len, len, v->regs.seg[SEG_CS].db ? 32 : 16, &h->insn))
		return inject_counted(v, &ev);
	v->regs.eip -= len;
	h->eip = v->regs.eip;
	return run_insn(v, h);
}

static int fast_syscall(struct vcpu *v, struct handling *h, uint8_t opcode)
{
	const uint8_t code[2] = { 0x0f, opcode };
	int res = insn_decode(code, sizeof(code), 32, &h->insn);

	if (res)
		return res;
	h->cause = CAUSE_INSN(h->insn.op);
	return run_insn(v, h);
}

static int on_sysenter(struct vcpu *v, struct handling *h)
{
	return fast_syscall(v, h, 0x34);
}

/* `syscall` left the next EIP in ECX. */
static int on_syscall(struct vcpu *v, struct handling *h)
{
	v->regs.eip = v->regs.gpr[ECX] - 2;
	h->eip = v->regs.eip;
	return fast_syscall(v, h, 0x05);
}

static int on_exception(struct vcpu *v, struct handling *h)
{
	struct event ev = { .vector = h->x.vector,
			    .has_error = h->x.has_error,
			    .error = h->x.error,
			    .cr2 = h->x.gva,
			    .dr6 = h->x.dr6 };

	if (ev.vector == VEC_DB && !ev.dr6) /* no single step: int1 */
		return on_soft_int(v, h);
	h->cause = CAUSE_EXC(h->x.vector & 31);
	return inject_counted(v, &ev);
}

static int on_nothing(struct vcpu *v, struct handling *h)
{
	(void)v;
	(void)h;
	return 0;
}

static int on_breach(struct vcpu *v, struct handling *h)
{
	return vm_kill(v->vm, "the guest %s; it was stopped", h->x.why);
}

static int on_dead(struct vcpu *v, struct handling *h)
{
	return vm_kill(v->vm, "the guest is gone: %s", h->x.why);
}

static exit_fn *const exit_table[EXIT_REASONS] = {
	[EXIT_KICK] = on_nothing,          /* pending work is looked at before every run */
	[EXIT_STEP] = on_nothing,          /* the interrupt shadow is over */
	[EXIT_PRIVILEGED] = on_privileged, /* decode, emulate, or the guest's own #GP/#UD */
	[EXIT_PAGE_FAULT] = on_page_fault, /* map, or emulate the access */
	[EXIT_SOFT_INT] = on_soft_int,     /* int 0x80, int3, into through the guest's IDT */
	[EXIT_SYSENTER] = on_sysenter,     [EXIT_SYSCALL] = on_syscall,
	[EXIT_EXCEPTION] = on_exception, /* the guest's own */
	[EXIT_RECONCILED] = on_nothing,  /* repaired; restart the instruction */
	[EXIT_BREACH] = on_breach,         [EXIT_DEAD] = on_dead,
};

/* ---- before each run: what is pending and allowed ---- */

static void clear_shadow(struct vcpu *v)
{
	v->sh.sti_shadow = v->sh.movss_shadow = false;
}

/*
 * Deliver an NMI or one interrupt if the vCPU can take it now.  If something waits only for the
 * STI or MOV SS shadow to pass, *@flags asks the engine for a single step.
 */
static int take_pending(struct vcpu *v, unsigned *flags)
{
	bool shadow = v->sh.sti_shadow || v->sh.movss_shadow || v->step_original;
	bool nmi = atomic_load(&v->nmi_pending) && !v->sh.nmi_blocked;
	bool irq = atomic_load(&v->irq_pending) && (v->regs.eflags & FL_IF);
	struct event ev = { 0 };
	int vector;

	if (!nmi && !irq)
		return 0;
	if (shadow) {
		if (nmi || machine_has_interrupt(v->vm, v))
			*flags |= ENGINE_STEP;
		return 0;
	}
	if (nmi) {
		if (!machine_ack_nmi(v->vm, v))
			return 0;
		ev.vector = VEC_NMI;
		v->taken = VEC_NMI + 1;
		v->halted = false;
		return inject_counted(v, &ev);
	}
	/* Cleared first: one that arrives while we ask sets it again. */
	atomic_store(&v->irq_pending, false);
	vector = machine_ack_interrupt(v->vm, v);
	if (vector < 0)
		return 0;
	atomic_store(&v->irq_pending, true); /* perhaps more wait behind it */
	ev.vector = (uint8_t)vector;
	ev.external = true;
	v->taken = (uint16_t)(vector + 1);
	v->halted = false;
	return inject_counted(v, &ev);
}

/* HLT: sleep until kicked.  Costs no CPU time. */
static void block(struct vcpu *v)
{
	uint64_t t0 = tsc_read();

	atomic_store(&v->state, VCPU_BLOCKED);
	while (!atomic_load(&v->kicked))
		syscall(SYS_futex, &v->kicked, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	atomic_store(&v->state, VCPU_RUNNING);
	if (v->account)
		account_blocked(v->account, tsc_to_ns(tsc_read() - t0));
}

static void record(struct vcpu *v, const struct handling *h, uint64_t seen)
{
	uint64_t handling_ns = tsc_to_ns(tsc_read() - seen);
	struct trace_entry e;

	if (v->account)
		account_exit(v->account, h->cause, &h->x, handling_ns);
	if (!v->trace)
		return;
	e = (struct trace_entry){
		.time_ns = tsc_to_ns(seen),
		.eip = h->eip,
		.cause = (uint16_t)h->cause,
		.insn_len = h->insn.len,
		.bits = v->regs.seg[SEG_CS].db ? 32 : 16,
		.error = h->x.reason == EXIT_PAGE_FAULT ? h->x.gva : h->x.error,
		.guest_ns = h->x.guest_ns,
		.handoff_ns = h->x.handoff_ns,
		.handling_ns = handling_ns,
	};
	memcpy(e.insn, h->insn.bytes, h->insn.len);
	trace_exit(v->trace, v, &e);
}

/*
 * Take an INIT or a start-up IPI.  An application processor then waits for its SIPI, and starts in
 * real mode at the page that the vector names.
 */
static int take_init_sipi(struct vcpu *v)
{
	uint32_t ipi = atomic_exchange(&v->ipi, 0);
	struct segment *cs = &v->regs.seg[SEG_CS];

	if (ipi & VCPU_INIT) {
		if (v->id == 0)
			return vm_kill(v->vm,
				       "INIT of the boot processor: there is no firmware to start");
		if (v->step_original) {
			int res = code_step_done(v);

			if (res < 0)
				return res;
			v->step_original = false;
		}
		vcpu_init(v);
		machine_vcpu_init(v->vm, v);
		mmu_flush(v);
		v->wait_sipi = true;
	}
	if ((ipi & VCPU_SIPI) && v->wait_sipi) {
		cs->sel = (uint16_t)((ipi & 0xff) << 8);
		cs->base = (ipi & 0xff) << 12;
		v->regs.eip = 0;
		v->wait_sipi = false;
	}
	return 0;
}

/* One turn: run the guest until its next exit and handle that. */
static int run_once(struct vcpu *v, unsigned flags)
{
	uint32_t eip = v->regs.eip;
	struct handling h;
	uint64_t seen;
	int res;

	h.insn.len = 0;
	h.stepped = v->step_original;
	if (h.stepped)
		flags |= ENGINE_STEP;
	if (v->taken) { /* its handler's first instruction is next */
		irq_stats_delivered(v, (uint8_t)(v->taken - 1), host_ns());
		v->taken = 0;
	}
	res = v->engine->ops->run(v->engine, flags, &h.x);
	if (res < 0)
		return res;
	seen = tsc_read();
	if (h.stepped) {
		v->step_original = false;
		res = code_step_done(v);
		if (res < 0)
			return res;
	}
	/* Anything executed natively ends the one-instruction shadows. */
	if (v->regs.eip != eip || h.x.reason == EXIT_STEP)
		clear_shadow(v);
	h.eip = v->regs.eip;
	h.cause = CAUSE_EXIT(h.x.reason);
	res = exit_table[h.x.reason](v, &h);
	record(v, &h, seen);
	return res;
}

/*
 * --lookahead: kernels use sensitive instructions in bunches (save the segment registers, load
 * them, iret).  Each costs a trap of its own, nearly all of it hand-off.  So after one was
 * emulated, see whether the next would trap as well, and emulate it at once.  Off by default: pure
 * trapping is what is counted and taught.
 */
static int look_ahead(struct vcpu *v)
{
	for (unsigned n = 0; n < LOOKAHEAD_MAX; n++) {
		bool interrupt = atomic_load(&v->irq_pending) && (v->regs.eflags & FL_IF);
		struct handling h = { .eip = v->regs.eip };
		uint8_t code[INSN_MAX];
		uint64_t seen;
		int len, res;

		/* Whatever is to happen before the next instruction needs the loop. */
		if (atomic_load(&v->kicked) || interrupt || v->halted || v->shutdown ||
		    v->step_original || v->sh.sti_shadow || v->sh.movss_shadow ||
		    (v->regs.eflags & FL_TF) || !code_at_patch(v))
			return 0;
		seen = tsc_read();
		len = code_fetch(v, v->regs.eip, code, sizeof(code));
		if (!len ||
		    insn_decode(code, (size_t)len, v->regs.seg[SEG_CS].db ? 32 : 16, &h.insn) ||
		    !h.insn.sens)
			return 0; /* let it trap, and be seen to */
		h.cause = h.insn.op == OP_INT ? CAUSE_INT(h.insn.vector) : CAUSE_INSN(h.insn.op);
		res = run_insn(v, &h);
		record(v, &h, seen);
		if (v->account)
			account_lookahead(v->account);
		if (res)
			return res;
	}
	return 0;
}

int vcpu_run(struct vcpu *v)
{
	struct vm *vm = v->vm;
	int res = 0;

	if (shadow_attach(v))
		return vm_host_fail(vm, "out of memory for the shadow MMU");
	atomic_store(&v->state, VCPU_RUNNING);
	while (res >= 0) {
		unsigned flags = 0;

		/* Cleared before looking at anything: work that arrives later kicks again. */
		atomic_store(&v->kicked, 0);
		if (atomic_load(&vm->stop))
			break;
		if (atomic_load(&v->ipi))
			res = take_init_sipi(v);
		if (v->wait_sipi && res >= 0) {
			block(v);
			continue;
		}
		if (res >= 0)
			res = take_pending(v, &flags);
		if (res < 0)
			break;
		if (v->shutdown) {
			res = vm_kill(vm,
				      "triple fault at %#x: the exception could not be delivered, "
				      "nor the double fault after it",
				      v->regs.eip);
			break;
		}
		if (v->halted) {
			block(v);
			continue;
		}
		if (v->sh.tsc_offset)
			code_patch_tsc(vm->code);
		res = shadow_select(v);
		if (res >= 0)
			res = code_before_run(v);
		if (res >= 0)
			res = run_once(v, flags);
		if (vm->lookahead && res >= 0)
			res = look_ahead(v);
	}
	atomic_store(&v->state, VCPU_READY);
	if (res < 0)
		vm->death_vcpu = v->id;
	return atomic_load(&vm->end) >= VM_KILLED ? -ECANCELED : 0;
}
