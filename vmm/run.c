/* SPDX-License-Identifier: MIT */
/*
 * The run loop, the same for every engine:
 *
 *   take what is pending and allowed -> run the guest -> account the exit -> handle it -> again
 *
 * What is done about an exit is in exits.c.
 */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "decoder/sensitive.h"
#include "vmm/account.h"
#include "vmm/code.h"
#include "vmm/engine.h"
#include "vmm/exits.h"
#include "vmm/irq_stats.h"
#include "vmm/machine.h"
#include "vmm/mem.h"
#include "vmm/model.h"
#include "vmm/shadow.h"
#include "vmm/trace.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define LOOKAHEAD_MAX 32u /* instructions emulated on one trap */
#define NESTED_MAX    16u /* handlers entered at one boundary before a look at other work */

/* ---- before each run: what is pending and allowed ---- */

static void clear_shadow(struct vcpu *v)
{
	v->sh.sti_shadow = v->sh.movss_shadow = false;
}

/* @vector's handler is about to begin: the account learns of it when it does. */
static void taken(struct vcpu *v, unsigned vector)
{
	/* Interrupted itself before its first instruction: that is as close as it gets. */
	if (v->taken)
		irq_stats_delivered(v, (uint8_t)(v->taken - 1), host_ns());
	v->taken = (uint16_t)(vector + 1);
	v->halted = false;
}

/* Deliver an NMI.  Returns 1, 0 if there was none after all, or negative errno. */
static int take_nmi(struct vcpu *v)
{
	struct event ev = { .vector = VEC_NMI };
	int res;

	if (!machine_ack_nmi(v->vm, v))
		return 0;
	model_nmi(v);
	taken(v, VEC_NMI);
	res = exit_inject(v, &ev);
	return res < 0 ? res : 1;
}

/* The same for an interrupt. */
static int take_irq(struct vcpu *v)
{
	struct event ev = { .external = true };
	int vector, res;

	/* Cleared first: one that arrives while we ask sets it again. */
	atomic_store(&v->irq_pending, false);
	vector = machine_ack_interrupt(v->vm, v);
	if (vector < 0)
		return 0;
	atomic_store(&v->irq_pending, true); /* perhaps more wait behind it */
	ev.vector = (uint8_t)vector;
	taken(v, ev.vector);
	res = exit_inject(v, &ev);
	return res < 0 ? res : 1;
}

/* Only a shadow is in the way.  Of what?  The hint may be wrong, and a step costs more than to ask.
 */
static bool worth_a_step(struct vcpu *v)
{
	if (atomic_load(&v->irq_pending))
		machine_has_interrupt(v->vm, v); /* takes the hint back if there is none */
	return vcpu_deliver_next(v) == DELIVER_STEP;
}

/* The CPU knows what the guest can take, and delivers it; what must wait opens a window. */
static int take_pending_assisted(struct vcpu *v)
{
	const struct engine_ops *ops = v->engine->ops;
	bool waits;
	int res = 0;

	if (atomic_load(&v->nmi_pending) && (ops->takes(v->engine) & ENGINE_TAKES_NMI))
		res = take_nmi(v);
	waits = res >= 0 && atomic_load(&v->irq_pending) && machine_has_interrupt(v->vm, v);
	if (waits && (ops->takes(v->engine) & ENGINE_TAKES_IRQ)) {
		res = take_irq(v);
		waits = machine_has_interrupt(v->vm, v);
	}
	ops->irq_window(v->engine, waits);
	return res < 0 ? res : 0;
}

/*: 150. Before every run: interrupts
 * What arrived meanwhile, and may be taken now: IF set in the *shadow* flags (the real one is
 * always set), no STI or MOV SS just before. What must wait for one instruction costs a single
 * step.
 */
/*
 * Deliver what the vCPU can take now: an NMI first, then interrupts by priority; SDM Vol. 3A,
 * "Priority Among Simultaneous Exceptions and Interrupts" (6.9).  A handler behind a trap gate
 * leaves IF set, so that the next one is taken before its first instruction.  If something waits
 * only for the STI or MOV SS shadow to pass, *@flags asks the engine for a single step.
 */
static int take_pending(struct vcpu *v, unsigned *flags)
{
	int res = 0;

	if (engine_assisted(v->engine))
		return take_pending_assisted(v);
	if (atomic_load(&v->irq_pending) && !(v->regs.eflags & FL_IF))
		model_waits(v);
	for (unsigned n = 0; n < NESTED_MAX && res >= 0 && !v->shutdown; n++) {
		switch (vcpu_deliver_next(v)) {
		case DELIVER_NONE: return 0;
		case DELIVER_NMI: res = take_nmi(v); break;
		case DELIVER_IRQ: res = take_irq(v); break;
		case DELIVER_STEP:
			if (worth_a_step(v))
				*flags |= ENGINE_STEP;
			return 0;
		}
	}
	/* A controller that never runs dry must not keep us from being stopped. */
	if (res >= 0 && !v->shutdown)
		atomic_store(&v->kicked, 1);
	return res < 0 ? res : 0;
}

static void record(struct vcpu *v, const struct handling *h, uint64_t seen)
{
	uint64_t handling_ns = tsc_to_ns(tsc_read() - seen);
	struct trace_entry e;

	if (v->account) {
		account_exit(v->account, h->cause, &h->x, handling_ns);
		account_site(v->account, h->eip, h->cause);
		model_exit(v, h->cause);
	}
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
	/* One that runs ignores it; its registers may be the engine's, so that ours are old. */
	if (!(ipi & VCPU_INIT) && !v->wait_sipi)
		return 0;
	if ((ipi & VCPU_SIPI) && v->wait_sipi) {
		cs->sel = (uint16_t)((ipi & 0xff) << 8);
		cs->base = (ipi & 0xff) << 12;
		v->regs.eip = 0;
		v->wait_sipi = false;
	}
	if (v->engine->ops->load)
		v->engine->ops->load(v->engine);
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
	res = exit_handle(v, &h);
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
		struct handling h = { .eip = v->regs.eip };
		uint8_t code[INSN_MAX];
		uint64_t seen;
		int len, res;

		/* Whatever is to happen before the next instruction needs the loop. */
		if (atomic_load(&v->kicked) || vcpu_deliver_next(v) != DELIVER_NONE || v->halted ||
		    v->shutdown || v->step_original || v->sh.sti_shadow || v->sh.movss_shadow ||
		    (v->regs.eflags & FL_TF) || !code_at_patch(v))
			return 0;
		seen = tsc_read();
		len = code_fetch(v, v->regs.eip, code, sizeof(code));
		if (!len ||
		    insn_decode(code, (size_t)len, v->regs.seg[SEG_CS].db ? 32 : 16, &h.insn) ||
		    !h.insn.sens)
			return 0; /* let it trap, and be seen to */
		h.cause = h.insn.op == OP_INT ? CAUSE_INT(h.insn.vector) : CAUSE_INSN(h.insn.op);
		res = exit_emulate(v, &h);
		record(v, &h, seen);
		if (v->account)
			account_lookahead(v->account);
		if (res)
			return res;
	}
	return 0;
}

/* What an engine without hardware support needs before a run: its world, and code it may execute.
 */
static int prepare_world(struct vcpu *v)
{
	int res;

	if (v->sh.tsc_offset)
		code_patch_tsc(v->vm->code);
	res = shadow_select(v);
	return res < 0 ? res : code_before_run(v);
}

/* The first vCPU that could not go on is the one that the report shows. */
static void vcpu_blame(struct vcpu *v)
{
	unsigned nobody = 0;

	atomic_compare_exchange_strong(&v->vm->death_vcpu, &nobody, v->id + 1);
}

/* Since when the vCPU was away, and why: one of the times that the account splits. */
static void account_away(struct vcpu *v)
{
	uint64_t ns = v->left_tsc ? tsc_to_ns(tsc_read() - v->left_tsc) : 0;

	v->left_tsc = 0;
	if (!v->account || !ns)
		return;
	if (v->left_blocked)
		account_blocked(v->account, ns);
	else
		account_ready(v->account, ns);
}

static enum vcpu_stop leave(struct vcpu *v, enum vcpu_stop why)
{
	v->left_tsc = tsc_read();
	v->left_blocked = why == VCPU_STOP_BLOCKED;
	model_leave(v);
	return why;
}

/* The engine of the first space.  What goes wrong is in vm->death. */
static int first_engine(struct vcpu *v)
{
	struct engine *e;
	int res = 0;

	if (v->id == 0)
		model_ram_start(v->vm);
	if (!v->engine) {
		res = v->vm->engine_ops->create(v, &e);
		/* Whole before it is seen: others may kick this vCPU already. */
		if (res >= 0)
			__atomic_store_n(&v->engine, e, __ATOMIC_SEQ_CST);
	}
	if (res < 0)
		return vm_host_fail(v->vm, "vCPU %u has no engine: %s", v->id, strerror(-res));
	if (!engine_assisted(v->engine) && shadow_attach(v))
		return vm_host_fail(v->vm, "out of memory for the shadow MMU");
	return 0;
}

/* All of its registers, for the report. */
static enum vcpu_stop ended(struct vcpu *v)
{
	if (v->engine && engine_assisted(v->engine) && v->engine->ops->save(v->engine) < 0)
		vm_host_fail(v->vm, "the registers of vCPU %u cannot be read", v->id);
	return VCPU_STOP_ENDED;
}

/*: 40. The loop
 * The heart of every hypervisor: what is pending is delivered, the guest runs until something
 * happens (an *exit*), that is handled, and again. Find the order: stop, preempt, INIT and SIPI,
 * interrupts, HLT, and only then the guest. What would be lost if kicked was cleared further
 * down?
 */
enum vcpu_stop vcpu_resume(struct vcpu *v)
{
	struct vm *vm = v->vm;
	int res = 0;

	account_away(v);
	if (!atomic_load(&vm->stop))
		res = first_engine(v);
	while (res >= 0) {
		unsigned flags = 0;

		/* Cleared before looking at anything: work that arrives later kicks again. */
		atomic_store(&v->kicked, 0);
		if (atomic_load(&vm->stop))
			return ended(v);
		if (atomic_exchange(&v->preempt, false))
			return leave(v, VCPU_STOP_PREEMPTED);
		if (atomic_load(&v->ipi))
			res = take_init_sipi(v);
		if (v->wait_sipi && res >= 0)
			return leave(v, VCPU_STOP_BLOCKED);
		if (res >= 0)
			res = take_pending(v, &flags);
		if (res < 0)
			break;
		if (v->shutdown) {
			model_shutdown(v);
			res = vm_kill(vm,
				      "triple fault at %#x: the exception could not be delivered, "
				      "nor the double fault after it",
				      v->regs.eip);
			break;
		}
		if (v->halted)
			return leave(v, VCPU_STOP_BLOCKED);
		if (!engine_assisted(v->engine))
			res = prepare_world(v);
		if (res >= 0)
			res = run_once(v, flags);
		if (vm->lookahead && res >= 0 && !engine_assisted(v->engine))
			res = look_ahead(v);
	}
	vcpu_blame(v);
	if (atomic_load(&vm->end) == VM_RUNNING)
		vm_host_fail(vm, "vCPU %u stopped: %s", v->id, strerror(-res));
	return ended(v);
}

/* HLT: sleep until kicked.  Costs no CPU time. */
static void block(struct vcpu *v)
{
	atomic_store(&v->state, VCPU_BLOCKED);
	while (!atomic_load(&v->kicked))
		syscall(SYS_futex, &v->kicked, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	atomic_store(&v->state, VCPU_RUNNING);
}

int vcpu_run(struct vcpu *v)
{
	enum vcpu_stop why;

	atomic_store(&v->state, VCPU_RUNNING);
	while ((why = vcpu_resume(v)) != VCPU_STOP_ENDED)
		if (why == VCPU_STOP_BLOCKED)
			block(v);
	atomic_store(&v->state, VCPU_READY);
	return atomic_load(&v->vm->end) >= VM_KILLED ? -ECANCELED : 0;
}
