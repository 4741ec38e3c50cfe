/* SPDX-License-Identifier: MIT */
/*
 * What happens, classified where its values are known: before an instruction is emulated, when the
 * local APIC is accessed, when an interrupt is taken.  model_exit() then counts one event for each
 * exit of the world engine.
 */
#include <stdlib.h>

#include "decoder/sensitive.h"
#include "vmm/account.h"
#include "vmm/dev/devices.h"
#include "vmm/irq_stats.h"
#include "vmm/machine.h"
#include "vmm/model.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define NO_EXIT CAUSE_COUNT /* the row of what is behind no exit of the world engine */

struct model_counts {
	uint64_t n[CAUSE_COUNT + 1][EV_COUNT];
	uint16_t event;      /* enum model_event of the exit being handled; EV_NONE: by its cause */
	uint16_t last_cause; /* of the exit before the interrupt being taken; NO_EXIT: none since */
	bool waits;          /* an interrupt was seen to wait for IF */
	bool kicked;         /* and it had made a running guest exit when it came */
};

struct model_counts *model_counts_new(void)
{
	struct model_counts *m = calloc(1, sizeof(*m));

	if (m)
		m->last_cause = NO_EXIT;
	return m;
}

void model_counts_free(struct model_counts *m)
{
	free(m);
}

void model_counts_add(struct model_counts *to, const struct model_counts *from)
{
	for (unsigned i = 0; i <= NO_EXIT; i++)
		for (unsigned e = 0; e < EV_COUNT; e++)
			to->n[i][e] += from->n[i][e];
}

uint64_t model_count(const struct model_counts *m, unsigned cause, enum model_event event)
{
	return m && cause <= NO_EXIT && (unsigned)event < EV_COUNT ? m->n[cause][event] : 0;
}

static struct model_counts *counts_of(const struct vcpu *v)
{
	return v->account ? account_model(v->account) : NULL;
}

/* ---- instructions ---- */

#define CR0_UNCACHED (CR0_CD | CR0_NW)

/*
 * A write to CR0 that would make it @val.  Guest-owned with VT-x: TS, and with EPT WP; what SVM's
 * selective intercept ignores: TS and MP.  The read shadow has ET set.
 */
static enum model_event cr0_write(const struct vcpu *v, uint32_t val)
{
	uint32_t changed = (v->sh.cr0 | CR0_ET) ^ val;

	if (!(changed & ~(CR0_TS | CR0_MP))) {
		if (v->sh.cr0 & CR0_UNCACHED)
			return EV_CR0_UNCACHED;
		return changed & CR0_MP ? EV_CR0_MP : EV_CR0_TS;
	}
	return changed & ~(CR0_TS | CR0_WP) ? EV_CR0_OWNED : EV_CR0_WP;
}

static enum model_event cr4_write(const struct vcpu *v, uint32_t val)
{
	/* KVM_POSSIBLE_CR4_GUEST_BITS, less what our CPUID does not offer: PVI, FSGSBASE. */
	const uint32_t guest = CR4_TSD | CR4_DE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	uint32_t changed = v->sh.cr4 ^ val;

	if (!(changed & ~guest))
		return EV_CR4_GUEST;
	return changed & ~(guest | CR4_PGE) ? EV_CR4_OWNED : EV_CR4_PGE;
}

static enum model_event cr0_instruction(struct vcpu *v, const struct insn *in)
{
	uint32_t low = CR0_PE | CR0_MP | CR0_EM | CR0_TS, val;

	switch (in->op) {
	case OP_CLTS: return cr0_write(v, (v->sh.cr0 | CR0_ET) & ~CR0_TS);
	case OP_MOV_TO_CR: return cr0_write(v, v->regs.gpr[in->opnd[1].reg & 7]);
	default: break;
	}
	/* LMSW from memory: which bits it changes is not known here. */
	if (in->opnd[0].kind != OPND_GPR)
		return EV_NONE;
	val = v->regs.gpr[in->opnd[0].reg & 7] & low;
	val |= v->sh.cr0 & CR0_PE; /* which LMSW cannot clear */
	return cr0_write(v, ((v->sh.cr0 | CR0_ET) & ~low) | val);
}

#define ICR_MODE      0x00700u
#define ICR_LEVEL     0x08000u
#define ICR_SHORTHAND 0xc0000u
#define ICR_SELF      0x40000u

static enum model_event icr_write(uint32_t val)
{
	if ((val & ICR_MODE) || (val & ICR_LEVEL) || (val & 0xff) < 16)
		return EV_LAPIC_ICR_OTHER;
	switch (val & ICR_SHORTHAND) {
	case 0: return EV_LAPIC_ICR;
	case ICR_SELF: return EV_LAPIC_ICR_SELF;
	default: return EV_LAPIC_ICR_MANY;
	}
}

static enum model_event eoi_write(const struct vcpu *v, bool msr)
{
	bool level = false;
	int vector = lapic_in_service(v->lapic, &level);

	if (vector >= 0 && level)
		return EV_LAPIC_EOI_LEVEL;
	if (vector >= 0 && v->irq_stats &&
	    v->irq_stats->vector[vector].taken_path == IRQ_PATH_EXTERNAL)
		return EV_LAPIC_EOI_DEVICE;
	return msr ? EV_X2APIC_EOI : EV_LAPIC_EOI;
}

/*
 * Reads that APIC-register virtualization answers: SDM Vol. 3C, "Virtualizing Reads from the
 * APIC-Access Page" (29.4.2).
 */
static bool read_is_virtualized(uint32_t off)
{
	switch (off & ~0xfu) {
	case 0x020:
	case 0x030:
	case 0x0b0:
	case 0x0d0 ... 0x0f0:
	case 0x100 ... 0x270:
	case 0x280:
	case 0x300 ... 0x310:
	case 0x320 ... 0x370:
	case 0x380:
	case 0x3e0: return true;
	default: return false;
	}
}

static enum model_event lapic_access(const struct vcpu *v, uint32_t off, bool write, uint32_t val,
				     bool msr)
{
	switch (off & ~0xfu) {
	case 0x080:
		if (msr)
			return EV_X2APIC_TPR;
		return write ? EV_LAPIC_TPR_WRITE : EV_LAPIC_TPR_READ;
	case 0x0b0:
		if (write)
			return eoi_write(v, msr);
		break;
	case 0x300:
		if (write)
			return icr_write(val);
		break;
	case 0x310:
		if (write)
			return msr ? EV_LAPIC_WRITE : EV_LAPIC_ICR_HIGH;
		break;
	case 0x3f0:
		if (write && msr)
			return EV_X2APIC_SELF;
		break;
	}
	if (write)
		return EV_LAPIC_WRITE;
	/* KVM's MSR bitmap lets all reads pass but that of the timer's count. */
	if (msr && (off & ~0xfu) != 0x390)
		return EV_X2APIC_READ;
	return read_is_virtualized(off) ? EV_LAPIC_READ : EV_LAPIC_READ_OTHER;
}

void model_lapic(struct vcpu *v, uint32_t off, bool write, uint32_t val, bool msr)
{
	struct model_counts *m = counts_of(v);

	if (!m)
		return;
	/* Of an instruction that reads and writes, what the write does decides. */
	if (write || m->event == EV_NONE || m->event == EV_MSR)
		m->event = lapic_access(v, off, write, val, msr);
}

/* By the index.  What is a local APIC's register, model_lapic() says when it is accessed. */
static enum model_event msr_access(const struct vcpu *v, bool write)
{
	switch (v->regs.gpr[ECX]) {
	case 0x10: return write ? EV_MSR : EV_MSR_TSC;
	case 0x174 ... 0x176: return EV_MSR_SYSENTER;
	default: return EV_MSR;
	}
}

static enum model_event instruction(struct vcpu *v, const struct insn *in)
{
	switch (in->sens->hw) {
	case HWC_NATIVE: return EV_NATIVE;
	case HWC_CPUID: return EV_CPUID;
	case HWC_HLT: return EV_HLT;
	case HWC_IO: return EV_IO;
	case HWC_CR0_READ: return v->sh.cr0 & CR0_UNCACHED ? EV_CR0_READ_UNCACHED : EV_CR0_READ;
	case HWC_CR0_WRITE: return cr0_instruction(v, in);
	case HWC_CR3: return EV_CR3;
	case HWC_CR4_READ: return EV_CR4_READ;
	case HWC_CR4_WRITE: return cr4_write(v, v->regs.gpr[in->opnd[1].reg & 7]);
	case HWC_DR: return EV_DR;
	case HWC_CACHE: return EV_CACHE;
	case HWC_INVLPG: return EV_INVLPG;
	case HWC_MSR: return msr_access(v, in->op == OP_WRMSR);
	case HWC_RDPMC: return EV_RDPMC;
	case HWC_XSETBV: return EV_XSETBV;
	case HWC_MWAIT: return EV_MWAIT;
	case HWC_PAUSE: return EV_PAUSE;
	case HWC_IRET: return v->sh.nmi_blocked ? EV_IRET_NMI : EV_NATIVE;
	case HWC_INT1: return EV_INT1;
	case HWC_VMX: return EV_VMX;
	case HWC_SVM: return EV_SVM;
	case HWC_UD: return EV_UD;
	case HWC_UNOFFERED: return EV_UNOFFERED;
	default: return EV_NONE;
	}
}

void model_insn(struct vcpu *v, const struct insn *in)
{
	struct model_counts *m = counts_of(v);

	if (m)
		m->event = in->sens ? instruction(v, in) : EV_NONE;
}

void model_elements(struct vcpu *v, unsigned n)
{
	struct model_counts *m = counts_of(v);

	if (m)
		m->n[NO_EXIT][EV_IO_ELEMENTS] += n;
}

static enum model_event exception(uint8_t vector)
{
	switch (vector) {
	case VEC_UD: return EV_EXC_UD;
	case VEC_DB: return EV_EXC_DB;
	case VEC_AC: return EV_EXC_AC;
	case VEC_MC: return EV_EXC_MC;
	case VEC_PF: return EV_EXC_PF;
	default: return EV_EXC;
	}
}

/*
 * The instruction faulted.  Faults by privilege, by I/O permission and #UD come before an exit, and
 * so do those of operands; others after it.  MOV DR exits before all.  SDM Vol. 3C, "Relative
 * Priority of Faults and VM Exits" (26.1.1), and MOV DR in 26.1.3.
 */
void model_fault(struct vcpu *v, const struct insn *in)
{
	struct model_counts *m = counts_of(v);
	bool at_cpl0 = v->sh.cpl == 0 && v->fault.vector == VEC_GP;

	if (!m || !in->sens)
		return;
	switch (in->sens->hw) {
	case HWC_DR:
	case HWC_MWAIT:
	case HWC_UD:
	case HWC_UNOFFERED:
	case HWC_VMX:
	case HWC_SVM: return; /* the class has its answer: the guest's #UD is our way to say it */
	case HWC_CR0_WRITE:
	case HWC_CR4_WRITE:
		if (!at_cpl0 || in->op != OP_MOV_TO_CR)
			m->event = exception(v->fault.vector);
		else
			m->event = in->sens->hw == HWC_CR0_WRITE ? EV_CR0_FAULT : EV_CR4_FAULT;
		return;
	case HWC_CR3:
	case HWC_MSR:
	case HWC_RDPMC:
	case HWC_XSETBV:
		if (at_cpl0)
			return;
		break;
	default: break;
	}
	m->event = exception(v->fault.vector);
}

/* ---- exits ---- */

/* What an exit is that no instruction of the sensitive ones caused. */
static enum model_event by_cause(unsigned cause)
{
	if (cause >= CAUSE_EXC(0) && cause < CAUSE_EXC(32))
		return exception((uint8_t)(cause - CAUSE_EXC(0)));
	if (cause >= CAUSE_INT(0) && cause < CAUSE_EXC(0))
		return EV_NATIVE;
	switch (cause) {
	case CAUSE_MMIO: return EV_MMIO;
	case CAUSE_FILL: return EV_FILL;
	case CAUSE_LOW:
	case CAUSE_SCAN:
	case CAUSE_CODE_WRITE:
	case CAUSE_ORIGINAL:
	case CAUSE_EXIT(EXIT_STEP):
	case CAUSE_EXIT(EXIT_RECONCILED): return EV_ARTEFACT;
	case CAUSE_EXIT(EXIT_KICK): return EV_KICK;
	/* A handler that could not go on: the run ends with it. */
	case CAUSE_EXIT(EXIT_PRIVILEGED):
	case CAUSE_EXIT(EXIT_PAGE_FAULT):
	case CAUSE_EXIT(EXIT_SOFT_INT):
	case CAUSE_EXIT(EXIT_SYSENTER):
	case CAUSE_EXIT(EXIT_SYSCALL):
	case CAUSE_EXIT(EXIT_EXCEPTION):
	case CAUSE_EXIT(EXIT_NO_PAGE):
	case CAUSE_EXIT(EXIT_BREACH):
	case CAUSE_EXIT(EXIT_DEAD): return EV_END;
	default: return EV_NONE;
	}
}

/* Events that stand though the cause is a memory access or an exception, not an instruction. */
static bool is_lapic(unsigned event)
{
	return event > EV_MMIO && event <= EV_LAPIC_WRITE;
}

enum model_event model_event_of(unsigned cause, enum model_event noted)
{
	if (cause < OP_COUNT || (cause >= CAUSE_INT(0) && cause < CAUSE_EXC(0)))
		return noted != EV_NONE ? noted : by_cause(cause);
	if (cause == CAUSE_MMIO && is_lapic(noted))
		return noted;
	if (cause == CAUSE_EXC(VEC_DB) && noted == EV_INT1)
		return noted;
	return by_cause(cause);
}

void model_exit(struct vcpu *v, unsigned cause)
{
	struct model_counts *m = counts_of(v);

	if (!m || cause >= CAUSE_COUNT)
		return;
	m->n[cause][model_event_of(cause, m->event)]++;
	m->event = EV_NONE;
	m->last_cause = (uint16_t)cause;
}

/* ---- interrupts ---- */

void model_leave(struct vcpu *v)
{
	struct model_counts *m = counts_of(v);

	if (m)
		m->last_cause = NO_EXIT;
}

void model_waits(struct vcpu *v)
{
	struct model_counts *m = counts_of(v);

	/* Asked once: what is not deliverable yet takes the hint back, and gives it again. */
	if (!m || m->waits || !v->vm->machine || !machine_has_interrupt(v->vm, v))
		return;
	m->waits = true;
	m->kicked = m->last_cause == CAUSE_EXIT(EXIT_KICK);
}

void model_interrupt(struct vcpu *v, bool pic, uint8_t vector)
{
	struct model_counts *m = counts_of(v);
	bool timer, running;
	uint64_t *n;

	if (!m)
		return;
	n = m->n[NO_EXIT];
	timer = !pic && v->irq_stats && v->irq_stats->vector[vector].taken_path == IRQ_PATH_SYSTEM;
	running = m->kicked || m->last_cause == CAUSE_EXIT(EXIT_KICK);
	if (v->halted)
		n[EV_IRQ_HALTED]++;
	else if (running)
		n[pic ? EV_IRQ_RUNNING_PIC : timer ? EV_IRQ_RUNNING_TIMER : EV_IRQ_RUNNING]++;
	else
		n[pic ? EV_IRQ_STOPPED_PIC : timer ? EV_IRQ_STOPPED_TIMER : EV_IRQ_STOPPED]++;
	if (m->waits)
		n[pic ? EV_WINDOW_PIC : EV_WINDOW]++;
	m->waits = m->kicked = false;
	m->last_cause = NO_EXIT;
}

void model_nmi(struct vcpu *v)
{
	struct model_counts *m = counts_of(v);

	if (m)
		m->n[NO_EXIT][EV_NMI]++;
}

void model_shutdown(struct vcpu *v)
{
	struct model_counts *m = counts_of(v);

	if (m)
		m->n[NO_EXIT][EV_SHUTDOWN]++;
}
