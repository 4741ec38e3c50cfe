/* SPDX-License-Identifier: MIT */
/* State of a virtual CPU: reset, faults, kick.  The loop that runs it is in run.c. */
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/engine.h"
#include "vmm/sched/dispatch.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define SPIN_YIELDS 16u    /* pauses in one place before it sleeps */
#define SPIN_NAP_NS 50000u /* the host's timer slack is as much again */

/* SDM Vol. 3A, "Processor State After Reset" (9.1.1), table 9-1. */
void vcpu_reset(struct vcpu *v)
{
	static const struct segment data = {
		.type = 3, .s = true, .present = true, .limit = 0xffff
	};
	struct shadow *sh = &v->sh;

	memset(&v->regs, 0, sizeof(v->regs));
	memset(sh, 0, sizeof(*sh));
	for (int i = 0; i < SEG_COUNT; i++)
		v->regs.seg[i] = data;
	v->regs.seg[SEG_CS].sel = 0xf000;
	v->regs.seg[SEG_CS].base = 0xffff0000u;
	v->regs.seg[SEG_CS].type = 0xb;
	v->regs.eip = 0xfff0;
	v->regs.eflags = FL_FIXED;
	v->regs.gpr[EDX] = 0x600;
	sh->cr0 = CR0_ET | CR0_NW | CR0_CD;
	sh->dr[6] = 0xffff0ff0u;
	sh->dr[7] = 0x400;
	sh->gdtr.limit = sh->idtr.limit = 0xffff;
	sh->ldtr = (struct segment){ .type = 2, .present = true, .limit = 0xffff };
	sh->tr = (struct segment){ .type = 11, .present = true, .limit = 0xffff };
	sh->apic_base = 0xfee00000u | 1u << 11 | (v->id == 0 ? 1u << 8 : 0);
	sh->pat = 0x0007040600070406u;
	sh->xcr0 = 1;
	sh->misc_enable = 1;
	v->halted = false;
	v->shutdown = false;
}

void vcpu_init(struct vcpu *v)
{
	struct shadow kept = v->sh, *sh = &v->sh;

	vcpu_reset(v);
	sh->apic_base = kept.apic_base;
	sh->tsc_offset = kept.tsc_offset;
	sh->tsc_adjust = kept.tsc_adjust;
	sh->tsc_aux = kept.tsc_aux;
	sh->pat = kept.pat;
	sh->misc_enable = kept.misc_enable;
	sh->mtrr_def_type = kept.mtrr_def_type;
	memcpy(sh->mtrr_fix, kept.mtrr_fix, sizeof(sh->mtrr_fix));
	memcpy(sh->mtrr_var, kept.mtrr_var, sizeof(sh->mtrr_var));
	sh->cr0 |= kept.cr0 & (CR0_CD | CR0_NW);
}

int vcpu_fault(struct vcpu *v, unsigned vector, bool has_error, uint32_t error)
{
	v->fault =
		(struct event){ .vector = (uint8_t)vector, .has_error = has_error, .error = error };
	return EMU_FAULT;
}

enum deliver vcpu_deliver_next(const struct vcpu *v)
{
	struct deliver_state s = {
		.nmi = atomic_load(&v->nmi_pending),
		.irq = atomic_load(&v->irq_pending),
		.eflags = v->regs.eflags,
		.nmi_blocked = v->sh.nmi_blocked,
		.sti_shadow = v->sh.sti_shadow,
		/* Nothing comes between an instruction's patch and its original. */
		.movss_shadow = v->sh.movss_shadow || v->step_original,
	};

	return deliver_next(&s);
}

/*
 * With a dispatcher another vCPU gets the pCPU.  A vCPU with a thread of its own yields, which is
 * enough if the one that is waited for has just lost its CPU; who goes on spinning sleeps a little,
 * until a kick: the host gives a yielding thread the CPU again before others have had their slice.
 */
void vcpu_spin_hint(struct vcpu *v)
{
	const struct timespec nap = { .tv_nsec = SPIN_NAP_NS };

	if (v->dispatch) {
		dispatch_spin(v);
		return;
	}
	if (v->spin_eip != v->regs.eip)
		v->spin_count = 0;
	v->spin_eip = v->regs.eip;
	if (++v->spin_count <= SPIN_YIELDS) {
		sched_yield();
		return;
	}
	atomic_store(&v->state, VCPU_BLOCKED);
	if (!atomic_load(&v->kicked))
		syscall(SYS_futex, &v->kicked, FUTEX_WAIT_PRIVATE, 0, &nap, NULL, 0);
	atomic_store(&v->state, VCPU_RUNNING);
}

void vcpu_kick(struct vcpu *v)
{
	void (*wake)(struct vcpu *);
	bool running;

	atomic_store(&v->kicked, 1);
	running = atomic_load(&v->state) == VCPU_RUNNING;
	/* After @kicked, which a dispatcher that takes the vCPU just now looks at when it runs it.
	 */
	wake = __atomic_load_n(&v->wake, __ATOMIC_SEQ_CST);
	if (!running && wake)
		wake(v);
	else if (atomic_load(&v->state) == VCPU_BLOCKED)
		syscall(SYS_futex, &v->kicked, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	else {
		/* The vCPU may be switching worlds; one it has just left ignores the kick, and the
		 * next looks at @kicked before it runs. */
		struct engine *e = __atomic_load_n(&v->engine, __ATOMIC_SEQ_CST);

		if (e)
			e->ops->kick(e);
	}
}

void vcpu_boot_multiboot(struct vcpu *v, uint32_t entry, uint32_t magic, uint32_t info_gpa)
{
	struct segment flat = {
		.type = 3, .s = true, .present = true, .db = true, .g = true, .limit = UINT32_MAX
	};

	vcpu_reset(v);
	for (int i = 0; i < SEG_COUNT; i++) {
		flat.sel = i == SEG_CS ? 0x08 : 0x10;
		flat.type = i == SEG_CS ? 0xb : 3;
		v->regs.seg[i] = flat;
	}
	v->sh.cr0 = CR0_PE | CR0_ET;
	/* The GDTR is the kernel's to load: an empty one makes a forgotten lgdt show at once. */
	v->sh.gdtr = (struct desc_table){ 0 };
	v->regs.eip = entry;
	v->regs.gpr[EAX] = magic;
	v->regs.gpr[EBX] = info_gpa;
}

void vcpu_init_ipi(struct vcpu *v)
{
	atomic_store(&v->ipi, VCPU_INIT); /* forgets an earlier SIPI */
	vcpu_kick(v);
}

void vcpu_sipi(struct vcpu *v, uint8_t vector)
{
	uint32_t old = atomic_load(&v->ipi);

	/* The first one wins; the second of the usual two is ignored, as by a CPU that already
	 * runs. */
	do {
		if (old & VCPU_SIPI)
			return;
	} while (!atomic_compare_exchange_weak(&v->ipi, &old,
					       (old & VCPU_INIT) | VCPU_SIPI | vector));
	vcpu_kick(v);
}
