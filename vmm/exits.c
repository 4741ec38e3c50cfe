/* SPDX-License-Identifier: MIT */
/*
 * What each exit means and what is done about it.  Guest misbehaviour, a VMM bug and a host failure
 * are three different outcomes: the first is an exception for the guest or the end of the VM with a
 * sentence (vm_kill), the last vm_host_fail.
 */
#include <errno.h>

#include "decoder/sensitive.h"
#include "vmm/account.h"
#include "vmm/code.h"
#include "vmm/emu/emulate.h"
#include "vmm/exits.h"
#include "vmm/mem.h"
#include "vmm/model.h"
#include "vmm/region.h"
#include "vmm/shadow.h"
#include "vmm/vm.h"

typedef int exit_fn(struct vcpu *v, struct handling *h);

int exit_inject(struct vcpu *v, const struct event *ev)
{
	const struct engine_ops *ops = v->engine->ops;

	if (v->account)
		account_inject(v->account, ev->vector, ev->external);
	/* What the emulator itself raised is delivered in the state that it works on. */
	if (ops->inject && (ev->external || (ev->vector == VEC_NMI && !ev->soft)))
		return ops->inject(v->engine, ev);
	return inject(v, ev);
}

/* The guest's own exception, as recorded by a handler that returned EMU_FAULT. */
static int inject_fault(struct vcpu *v)
{
	struct event ev = v->fault;

	return exit_inject(v, &ev);
}

/*
 * After an instruction the emulator finished: the single-step trap it would have ended in.  Not
 * after a software interrupt, which cleared TF on its way to the handler, nor after a load of SS,
 * which holds the trap off; SDM Vol. 3B, "Single-Step Exception Condition" (17.3.1.4).
 */
static int finish_insn(struct vcpu *v, const struct insn *in, bool tf)
{
	struct event step = { .vector = VEC_DB, .dr6 = 1u << 14 };
	bool soft_int = in->sens && in->sens->handler == EMU_SOFT_INT;

	if (!tf || soft_int || v->sh.movss_shadow)
		return 0;
	return exit_inject(v, &step);
}

/* Emulate the decoded instruction; EMU_UNHANDLED is passed on. */
int exit_emulate(struct vcpu *v, struct handling *h)
{
	bool tf = v->regs.eflags & FL_TF;
	int res;

	model_insn(v, &h->insn);
	res = emulate(v, &h->insn);
	if (res == EMU_OK)
		return finish_insn(v, &h->insn, tf);
	if (res == EMU_FAULT) {
		model_fault(v, &h->insn);
		/*
		 * An IRET that faults has unblocked NMIs all the same: SDM Vol. 3C, "Information
		 * About NMI Unblocking Due to IRET" (28.2.3).
		 */
		if (h->insn.op == OP_IRET)
			v->sh.nmi_blocked = false;
		return inject_fault(v);
	}
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

int exit_decode(struct vcpu *v, struct handling *h)
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
	/*
	 * Where it may access what a program of the host shares with the guest, the CPU shall do
	 * it: the emulator cannot be atomic there.
	 */
	int res = v->vm->regions ? EMU_UNHANDLED : exit_emulate(v, h);

	h->cause = cause;
	if (res != EMU_UNHANDLED)
		return res;
	v->step_original = true;
	return code_step_original(v);
}

/*: 100. A privileged instruction
 * #GP or #UD. Popek and Goldberg's dispatcher: is it an instruction that we emulate? If not, the
 * fault is the guest's own, and it gets it.
 */
/* #GP or #UD: a sensitive instruction, or the guest's own fault. */
static int on_privileged(struct vcpu *v, struct handling *h)
{
	gva_t at = v->regs.seg[SEG_CS].base + v->regs.eip;
	struct event ev = { .vector = h->x.vector,
			    .has_error = h->x.has_error,
			    .error = h->x.error };
	int res = exit_decode(v, h);

	if (res)
		return res < 0 ? res : 0;
	if (h->insn.sens) {
		h->cause = h->insn.op == OP_INT ? CAUSE_INT(h->insn.vector)
						: CAUSE_INSN(h->insn.op);
		return exit_emulate(v, h);
	}
	if (ev.vector == VEC_GP && !ev.error && !h->stepped && code_patched(v, at))
		return run_original(v, h, CAUSE_ORIGINAL);
	h->cause = CAUSE_EXC(ev.vector);
	return exit_inject(v, &ev);
}

/* An access the CPU cannot make for the guest: MMIO, or RAM that this host cannot map. */
static int emulate_access(struct vcpu *v, struct handling *h, unsigned cause)
{
	char text[64];
	int res = exit_decode(v, h);

	if (res)
		return res < 0 ? res : 0;
	h->cause = cause;
	res = exit_emulate(v, h);
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
	res = exit_decode(v, h);
	if (res)
		return res < 0 ? res : 0;
	res = exit_emulate(v, h);
	h->cause = CAUSE_CODE_WRITE;
	if (res != EMU_UNHANDLED)
		return res;
	res = code_write_natively(v, h->x.gva, gpa);
	v->step_original = res == CODE_WRITE_STEP;
	return res < 0 ? res : 0;
}

/* Only RAM can be executed: the end of a guest that tries something else. */
static int on_odd_fetch(struct vcpu *v, gva_t gva, gpa_t gpa)
{
	const struct vm_region *r = region_at(v->vm, gpa);

	if (r)
		return vm_kill(v->vm,
			       "executes at %#x, in the shared memory of assigned device %u, which "
			       "is for data only",
			       gva, r->device);
	if (v->sh.cr0 & CR0_PG)
		return vm_kill(v->vm,
			       "executes at %#x, mapped to physical %#llx, where there is no RAM",
			       gva, (unsigned long long)gpa);
	return vm_kill(v->vm, "jumped to %#x, where there is no RAM (RAM ends at %#llx)", gva,
		       (unsigned long long)v->vm->ram_len);
}

/*
 * The engine has no mapping for gva that allows the access.  With paging off linear is physical:
 * map all of RAM that this host can map, at once; code pages are copies made when first executed;
 * windows (region.h) are mapped whole; what is left is MMIO.
 */
static int on_flat_fault(struct vcpu *v, struct handling *h)
{
	struct vm *vm = v->vm;
	struct engine *e = v->engine;
	gva_t gva = h->x.gva;
	uint64_t low = e->low_limit;
	bool fetch = h->x.error & PF_FETCH;
	const struct vm_region *r = region_at(vm, gva);

	if (gva >= vm->ram_len && fetch)
		return on_odd_fetch(v, gva, gva);
	if (r && r->gpa >= low) {
		h->cause = CAUSE_FILL;
		return e->ops->map(e, (gva_t)r->gpa, r->gpa, r->len, MAP_R | MAP_W);
	}
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

/*: 200. A page fault is whose?
 * The host's MMU found no mapping. Either the guest's own tables have one, and the shadow lacks
 * it (ours: fill it, the guest never learns), or they do not (the guest's: #PF).
 */
/*
 * With paging: what do the guest's tables say?  Either the guest gets its #PF, or the page is
 * mapped with the rights they allow, or there is neither RAM nor a window behind it.
 */
static int on_page_fault(struct vcpu *v, struct handling *h)
{
	unsigned access = (h->x.error & (PF_WRITE | PF_FETCH)) | (v->sh.cpl == 3 ? PF_USER : 0);
	struct event pf = { .vector = VEC_PF, .has_error = true, .cr2 = h->x.gva };
	gva_t gva = h->x.gva;
	struct mmu_leaf leaf;
	bool ram;

	if (!(v->sh.cr0 & CR0_PG))
		return on_flat_fault(v, h);
	if (mmu_walk(v, gva, access, &leaf, &pf.error)) {
		h->cause = CAUSE_EXC(VEC_PF);
		return exit_inject(v, &pf);
	}
	ram = vm_ptr(v->vm, leaf.gpa & ~(gpa_t)(PAGE_SIZE - 1), PAGE_SIZE);
	if (!ram && (access & PF_FETCH))
		return on_odd_fetch(v, gva, leaf.gpa);
	if (!ram && !region_at(v->vm, leaf.gpa))
		return emulate_access(v, h, CAUSE_MMIO);
	if (gva < v->engine->low_limit)
		return emulate_access(v, h, CAUSE_LOW);
	if ((access & PF_WRITE) && code_shadowed(v->vm->code, leaf.gpa))
		return on_code_write(v, h, leaf.gpa);
	if ((access & PF_FETCH) && !(access & PF_USER)) {
		h->cause = CAUSE_SCAN;
		return code_fetch_fault(v, gva, leaf.gpa);
	}
	h->cause = CAUSE_FILL;
	return shadow_fill(v, gva, &leaf);
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
		return exit_inject(v, &ev);
	if (insn_decode(code + 2 - len, len, v->regs.seg[SEG_CS].db ? 32 : 16, &h->insn))
		return exit_inject(v, &ev);
	v->regs.eip -= len;
	h->eip = v->regs.eip;
	return exit_emulate(v, h);
}

static int fast_syscall(struct vcpu *v, struct handling *h, uint8_t opcode)
{
	const uint8_t code[2] = { 0x0f, opcode };
	int res = insn_decode(code, sizeof(code), 32, &h->insn);

	if (res)
		return res;
	h->cause = CAUSE_INSN(h->insn.op);
	return exit_emulate(v, h);
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
	return exit_inject(v, &ev);
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

/* SIGBUS and its like: mapped, but the host cannot provide the page. */
static int on_no_page(struct vcpu *v, struct handling *h)
{
	struct mmu_leaf leaf = { .gpa = h->x.gva };
	const struct vm_region *r = NULL;

	if (!(v->sh.cr0 & CR0_PG) || !mmu_peek(v, h->x.gva, &leaf))
		r = region_at(v->vm, leaf.gpa);
	if (r)
		return region_lost(r);
	return vm_host_fail(v->vm, "the host has no memory for guest page %#x", h->x.gva);
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
	[EXIT_SYSENTER] = on_sysenter,
	[EXIT_SYSCALL] = on_syscall,
	[EXIT_EXCEPTION] = on_exception, /* the guest's own */
	[EXIT_RECONCILED] = on_nothing,  /* repaired; restart the instruction */
	[EXIT_BREACH] = on_breach,
	[EXIT_NO_PAGE] = on_no_page,
	[EXIT_DEAD] = on_dead,
	[EXIT_IO] = exit_io,     /* decoded already: the device's turn */
	[EXIT_MMIO] = exit_mmio, /* the same */
	[EXIT_HLT] = exit_hlt,
	[EXIT_MSR] = exit_msr,
	[EXIT_IRQ_WINDOW] = on_nothing, /* what waits is injected before the next run */
	[EXIT_SHUTDOWN] = exit_shutdown,
	[EXIT_EMULATION] = exit_emulation,
};

/*: 90. What is done about it
 * One row for each exit reason, one function for each row. Three things can come of it: the guest
 * goes on; the guest gets an exception of its own, as it would have on a real machine; or there
 * is no answer, and the virtual machine ends with a sentence.
 */
int exit_handle(struct vcpu *v, struct handling *h)
{
	return exit_table[h->x.reason](v, h);
}
