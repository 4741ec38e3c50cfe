/* SPDX-License-Identifier: MIT */
/*
 * Delivery of interrupts and exceptions through the guest's IDT or IVT, and what becomes of a
 * fault on the way.  inject_once() decides everything; frame.c writes the frame, and only then
 * changes the vCPU: a nested fault finds it as it was.  (The one exception is the accessed bit in
 * descriptors, which the CPU also sets early.) Source: Intel SDM Vol. 3A, "Interrupt and Exception
 * Handling" (6); Vol. 2, "INT n/INTO/INT3/INT1".
 */
#include "vmm/emu/frame.h"

#define DR6_BD 0x2000u /* #DB because of DR7.GD: the one #DB fault that is no breakpoint */
#define DR7_GD 0x2000u

/* Vectors whose exceptions are faults; SDM Vol. 3A, table 6-1.  #DB is decided by DR6. */
static const uint32_t fault_vectors = 1u << VEC_DE | 1u << VEC_BR | 1u << VEC_UD | 1u << VEC_NM |
				      1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP |
				      1u << VEC_PF | 1u << VEC_MF | 1u << VEC_AC | 1u << VEC_XM;

bool event_is_fault(const struct event *ev)
{
	return event_is_exception(ev) && ev->vector < 32 &&
	       (fault_vectors >> ev->vector & 1 || (ev->vector == VEC_DB && ev->dr6 & DR6_BD));
}

/* How an exception counts when another follows; SDM Vol. 3A, "Interrupt 8" (6.15), table 6-4. */
enum event_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE_FAULT };

static enum event_class event_class(const struct event *ev)
{
	if (!event_is_exception(ev))
		return CLASS_BENIGN;
	switch (ev->vector) {
	case VEC_DE:
	case VEC_TS:
	case VEC_NP:
	case VEC_SS:
	case VEC_GP: return CLASS_CONTRIBUTORY;
	case VEC_PF: return CLASS_PAGE_FAULT;
	case VEC_DF: return CLASS_DOUBLE_FAULT;
	default: return CLASS_BENIGN;
	}
}

/* SDM Vol. 3A, "Interrupt and Exception Handling" in real-address mode (21.1.4). */
static int deliver_real(struct vcpu *v, const struct event *ev)
{
	const struct segment *ss = &v->regs.seg[SEG_SS];
	uint32_t frame[3] = { frame_flags(v, ev), v->regs.seg[SEG_CS].sel, v->regs.eip };
	uint32_t off = ev->vector * 4u, esp = v->regs.gpr[ESP];
	uint16_t ivt[2]; /* IP, CS */
	int ret;

	if (off + 3 > v->sh.idtr.limit)
		return vcpu_gp(v, ev->vector << 3 | 2);
	ret = mem_read(v, v->sh.idtr.base + off, ivt, sizeof(ivt), 0);
	if (ret)
		return ret;
	if (ivt[0] > v->regs.seg[SEG_CS].limit)
		return vcpu_gp(v, 0);
	ret = stack_push_frame(v, ss, &esp, 0, 2, frame, 3, 0);
	if (ret)
		return ret;
	v->regs.gpr[ESP] = esp;
	seg_load_real(v, SEG_CS, ivt[1]);
	v->regs.eip = ivt[0];
	v->regs.eflags &= ~(FL_IF | FL_TF | FL_AC | FL_RF);
	return EMU_OK;
}

/* Read and check the gate of @ev; its error code names the IDT entry. */
static int read_gate(struct vcpu *v, const struct event *ev, struct gate *g)
{
	uint32_t error = ev->vector << 3 | 2;
	uint64_t desc;
	int ret;

	if (ev->vector * 8u + 7 > v->sh.idtr.limit)
		return vcpu_gp(v, error);
	ret = mem_read(v, v->sh.idtr.base + ev->vector * 8u, &desc, sizeof(desc), 0);
	if (ret)
		return ret;
	gate_unpack(desc, g);
	if (g->s)
		return vcpu_gp(v, error);
	switch (g->type) {
	case DESC_TASK_GATE:
	case DESC_INT16:
	case DESC_TRAP16:
	case DESC_INT32:
	case DESC_TRAP32: break;
	default: return vcpu_gp(v, error);
	}
	if (ev->soft && g->dpl < v->sh.cpl)
		return vcpu_gp(v, error);
	if (!g->present)
		return vcpu_fault(v, VEC_NP, true, error);
	if (g->type == DESC_TASK_GATE)
		return vm_kill(
			v->vm,
			"vector %u leads to a task gate: task switching is not supported yet",
			ev->vector);
	return EMU_OK;
}

/*: 180. Finding the handler
 * What a CPU does in microcode: find the gate in the guest's IDT, check it, and change stacks if
 * the privilege changes.
 */
static int deliver_protected(struct vcpu *v, const struct event *ev)
{
	struct entry to = { .ss = v->regs.seg[SEG_SS], .esp = v->regs.gpr[ESP], .cpl = v->sh.cpl };
	struct gate g;
	uint16_t sel;
	int ret = read_gate(v, ev, &g);

	if (!ret)
		ret = cs_check_gate(v, g.sel, true, &to.cs);
	if (ret)
		return ret;
	to.eip = g.off;
	to.width = g.width;
	to.interrupt_gate = g.type == DESC_INT16 || g.type == DESC_INT32;
	if (!seg_is_conforming(&to.cs) && to.cs.dpl < v->sh.cpl) {
		to.inner = true;
		to.cpl = to.cs.dpl;
		ret = tss_stack(v, to.cpl, &sel, &to.esp);
		if (!ret)
			ret = ss_check(v, sel, to.cpl, VEC_TS, &to.ss);
		if (ret)
			return ret;
		to.ss_error = sel_error(sel);
	}
	if (to.eip > to.cs.limit)
		return vcpu_gp(v, 0);
	ret = seg_mark_accessed(v, &to.cs);
	if (!ret)
		ret = seg_mark_accessed(v, &to.ss);
	return ret ? ret : frame_enter(v, ev, &to);
}

/* What every delivery does to the vCPU besides CS:EIP, SS:ESP and EFLAGS. */
static void delivered(struct vcpu *v)
{
	v->halted = false;
	v->sh.sti_shadow = false;
	v->sh.movss_shadow = false;
}

int inject_once(struct vcpu *v, const struct event *ev)
{
	int ret = vcpu_protected(v) ? deliver_protected(v, ev) : deliver_real(v, ev);

	/*
	 * EXT: the nested fault has its cause outside the program, that is, anything but INT n,
	 * INT3 or INTO.  SDM Vol. 3A, "Error Code" (6.13).  The error code of #PF has no such bit.
	 */
	if (ret == EMU_FAULT && !ev->soft && v->fault.vector != VEC_PF)
		v->fault.error |= 1;
	if (!ret)
		delivered(v);
	return ret;
}

/* State that changes when the event happens, whether or not its handler can be reached. */
static void event_effects(struct vcpu *v, const struct event *ev)
{
	if (!event_is_exception(ev))
		return;
	switch (ev->vector) {
	case VEC_PF: v->sh.cr2 = ev->cr2; break;
	case VEC_DB:
		v->sh.dr[6] |= ev->dr6;
		v->sh.dr[7] &= ~DR7_GD; /* so that the handler can use the debug registers */
		break;
	case VEC_NMI: v->sh.nmi_blocked = true; break;
	}
}

int inject(struct vcpu *v, const struct event *ev)
{
	struct event now = *ev;

	/* Ends: every round delivers, or climbs towards the double fault and from there to
	 * shutdown. */
	for (;;) {
		enum event_class first = event_class(&now), second;
		int ret;

		event_effects(v, &now);
		ret = inject_once(v, &now);
		if (ret != EMU_FAULT)
			return ret;
		second = event_class(&v->fault);
		if (first == CLASS_DOUBLE_FAULT) {
			v->shutdown = true;
			return EMU_OK;
		}
		if ((first == CLASS_CONTRIBUTORY && second == CLASS_CONTRIBUTORY) ||
		    (first == CLASS_PAGE_FAULT && second != CLASS_BENIGN)) {
			if (second == CLASS_PAGE_FAULT)
				event_effects(v, &v->fault); /* CR2 has the last address */
			vcpu_fault(v, VEC_DF, true, 0);
		}
		now = v->fault;
	}
}
