/* SPDX-License-Identifier: MIT */
/* The guest's registers, between struct vcpu and KVM. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#include "vmm/kvm/priv.h"
#include "vmm/mem.h"
#include "vmm/vcpu.h"

#define MSR_TSC          0x10
#define MSR_SYSENTER_CS  0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define MSR_PAT          0x277
#define MSR_EFER         0xc0000080

static int refused(struct kvm_engine *e, const char *what)
{
	return vm_host_fail(e->v->vm, "KVM (%s) refuses %s of vCPU %u: %s", e->kvm->module, what,
			    e->v->id, strerror(errno));
}

static struct kvm_segment to_kvm(const struct segment *s)
{
	return (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->sel,
		.type = s->type,
		.present = s->present,
		.dpl = s->dpl,
		.db = s->db,
		.s = s->s,
		.g = s->g,
		.avl = s->avl,
		.unusable = s->unusable,
	};
}

static struct segment from_kvm(const struct kvm_segment *s)
{
	return (struct segment){
		.sel = s->selector,
		.type = s->type,
		.dpl = s->dpl,
		.s = s->s,
		.present = s->present,
		.db = s->db,
		.g = s->g,
		.avl = s->avl,
		.unusable = s->unusable,
		.base = (uint32_t)s->base,
		.limit = s->limit,
	};
}

/* The segment registers of @sr by enum seg. */
static void by_seg(struct kvm_sregs *sr, struct kvm_segment *seg[SEG_COUNT])
{
	seg[SEG_ES] = &sr->es;
	seg[SEG_CS] = &sr->cs;
	seg[SEG_SS] = &sr->ss;
	seg[SEG_DS] = &sr->ds;
	seg[SEG_FS] = &sr->fs;
	seg[SEG_GS] = &sr->gs;
}

/* ---- to KVM ---- */

static int load_sregs(struct kvm_engine *e)
{
	const struct vcpu *v = e->v;
	const struct shadow *sh = &v->sh;
	struct kvm_segment *seg[SEG_COUNT];
	struct kvm_sregs sr = {
		.ldt = to_kvm(&sh->ldtr),
		.tr = to_kvm(&sh->tr),
		.gdt = { .base = sh->gdtr.base, .limit = sh->gdtr.limit },
		.idt = { .base = sh->idtr.base, .limit = sh->idtr.limit },
		.cr0 = sh->cr0,
		.cr2 = sh->cr2,
		.cr3 = sh->cr3,
		.cr4 = sh->cr4,
		.efer = sh->efer,
		.apic_base = sh->apic_base,
	};

	by_seg(&sr, seg);
	for (int i = 0; i < SEG_COUNT; i++)
		*seg[i] = to_kvm(&v->regs.seg[i]);
	if (ioctl(e->fd, KVM_SET_SREGS, &sr) < 0)
		return refused(e, "the system registers");
	e->apic_base = sh->apic_base;
	e->efer = sh->efer;
	return 0;
}

static int load_regs(struct kvm_engine *e)
{
	const struct cpu_regs *r = &e->v->regs;
	struct kvm_regs regs = {
		.rax = r->gpr[EAX],
		.rbx = r->gpr[EBX],
		.rcx = r->gpr[ECX],
		.rdx = r->gpr[EDX],
		.rsi = r->gpr[ESI],
		.rdi = r->gpr[EDI],
		.rsp = r->gpr[ESP],
		.rbp = r->gpr[EBP],
		.rip = r->eip,
		.rflags = r->eflags,
	};

	return ioctl(e->fd, KVM_SET_REGS, &regs) < 0 ? refused(e, "the registers") : 0;
}

static int set_msrs(struct kvm_engine *e, const struct kvm_msr_entry *msr, uint32_t n)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[4];
	} m = { .head = { .nmsrs = n } };
	int done;

	memcpy(m.entry, msr, n * sizeof(*msr));
	done = ioctl(e->fd, KVM_SET_MSRS, &m);
	if (done == (int)n)
		return 0;
	if (done >= 0)
		return vm_host_fail(e->v->vm, "KVM (%s) refuses MSR %#x of vCPU %u", e->kvm->module,
				    msr[done].index, e->v->id);
	return refused(e, "the MSRs");
}

static int load_debug(struct kvm_engine *e)
{
	const uint32_t *dr = e->v->sh.dr;
	struct kvm_debugregs regs = { .db = { dr[0], dr[1], dr[2], dr[3] },
				      .dr6 = dr[6],
				      .dr7 = dr[7] };

	return ioctl(e->fd, KVM_SET_DEBUGREGS, &regs) < 0 ? refused(e, "the debug registers") : 0;
}

int kvm_state_load(struct kvm_engine *e)
{
	const struct shadow *sh = &e->v->sh;
	const struct kvm_msr_entry msrs[] = {
		{ .index = MSR_SYSENTER_CS, .data = sh->sysenter_cs },
		{ .index = MSR_SYSENTER_ESP, .data = sh->sysenter_esp },
		{ .index = MSR_SYSENTER_EIP, .data = sh->sysenter_eip },
		{ .index = MSR_PAT, .data = sh->pat },
	};
	struct kvm_vcpu_events ev = { 0 };
	int res = load_sregs(e);

	if (!res)
		res = load_regs(e);
	if (!res)
		res = load_debug(e);
	if (!res)
		res = set_msrs(e, msrs, sizeof(msrs) / sizeof(msrs[0]));
	/* After a reset nothing of what went before is pending; else an NMI stays as KVM has it. */
	if (e->keep_events)
		ev = e->events;
	ev.flags = KVM_VCPUEVENT_VALID_SHADOW |
		   (e->keep_events ? 0 : KVM_VCPUEVENT_VALID_NMI_PENDING);
	e->keep_events = false;
	ev.nmi.masked = sh->nmi_blocked;
	ev.interrupt.shadow = (sh->sti_shadow ? KVM_X86_SHADOW_INT_STI : 0) |
			      (sh->movss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0);
	if (!res && ioctl(e->fd, KVM_SET_VCPU_EVENTS, &ev) < 0)
		res = refused(e, "the pending events");
	e->run->ready_for_interrupt_injection = 0;
	e->tsc_offset = ~sh->tsc_offset; /* not KVM's yet */
	return res;
}

/* Guest TSC = host TSC + offset, exactly where KVM has that attribute (Linux 5.16). */
static int load_tsc(struct kvm_engine *e)
{
	uint64_t offset = e->v->sh.tsc_offset;
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)&offset };
	struct kvm_msr_entry msr = { .index = MSR_TSC };

	e->tsc_offset = offset;
	if (ioctl(e->fd, KVM_SET_DEVICE_ATTR, &attr) == 0)
		return 0;
	msr.data = __rdtsc() + offset;
	return set_msrs(e, &msr, 1);
}

/* Only KVM's answer to CPUID, whose APIC bit follows the register, depends on it. */
static int load_apic_base(struct kvm_engine *e)
{
	struct kvm_sregs sr;

	if (kvm_complete(e) || ioctl(e->fd, KVM_GET_SREGS, &sr) < 0)
		return refused(e, "reading the system registers");
	sr.apic_base = e->v->sh.apic_base;
	if (ioctl(e->fd, KVM_SET_SREGS, &sr) < 0)
		return refused(e, "the APIC base");
	e->apic_base = sr.apic_base;
	return 0;
}

int kvm_state_msrs(struct kvm_engine *e)
{
	const struct shadow *sh = &e->v->sh;
	struct kvm_msr_entry efer = { .index = MSR_EFER, .data = sh->efer };
	bool ours = !e->v->vm->kernel_irqchip; /* the local APIC and its clock */
	int res = 0;

	if (ours && sh->tsc_offset != e->tsc_offset)
		res = load_tsc(e);
	if (!res && e->kvm->msr_exits && sh->efer != e->efer) {
		res = set_msrs(e, &efer, 1);
		e->efer = sh->efer;
	}
	if (!res && ours && e->kvm->msr_exits && sh->apic_base != e->apic_base)
		res = load_apic_base(e);
	return res;
}

/* ---- from KVM ---- */

void kvm_state_regs(struct vcpu *v, const struct kvm_regs *r)
{
	v->regs.gpr[EAX] = (uint32_t)r->rax;
	v->regs.gpr[EBX] = (uint32_t)r->rbx;
	v->regs.gpr[ECX] = (uint32_t)r->rcx;
	v->regs.gpr[EDX] = (uint32_t)r->rdx;
	v->regs.gpr[ESI] = (uint32_t)r->rsi;
	v->regs.gpr[EDI] = (uint32_t)r->rdi;
	v->regs.gpr[ESP] = (uint32_t)r->rsp;
	v->regs.gpr[EBP] = (uint32_t)r->rbp;
	v->regs.eip = (uint32_t)r->rip;
	v->regs.eflags = (uint32_t)r->rflags;
}

static int save_system(struct kvm_engine *e)
{
	struct vcpu *v = e->v;
	struct shadow *sh = &v->sh;
	struct kvm_segment *seg[SEG_COUNT];
	struct kvm_sregs sr;
	const void *pdpt;

	if (ioctl(e->fd, KVM_GET_SREGS, &sr) < 0)
		return refused(e, "reading the system registers");
	by_seg(&sr, seg);
	for (int i = 0; i < SEG_COUNT; i++)
		v->regs.seg[i] = from_kvm(seg[i]);
	sh->ldtr = from_kvm(&sr.ldt);
	sh->tr = from_kvm(&sr.tr);
	sh->gdtr = (struct desc_table){ (uint32_t)sr.gdt.base, sr.gdt.limit };
	sh->idtr = (struct desc_table){ (uint32_t)sr.idt.base, sr.idt.limit };
	sh->cr0 = (uint32_t)sr.cr0;
	sh->cr2 = (uint32_t)sr.cr2;
	sh->cr3 = (uint32_t)sr.cr3;
	sh->cr4 = (uint32_t)sr.cr4;
	/* The PDPTE registers, which KVM_GET_SREGS does not show, as MOV CR3 has read them. */
	pdpt = vm_ptr(v->vm, sh->cr3 & ~31u, sizeof(sh->pdpte));
	if ((sh->cr0 & CR0_PG) && (sh->cr4 & CR4_PAE) && pdpt)
		memcpy(sh->pdpte, pdpt, sizeof(sh->pdpte));
	sh->cpl = sh->cr0 & CR0_PE ? v->regs.seg[SEG_SS].dpl : 0;
	return 0;
}

int kvm_state_save(struct kvm_engine *e)
{
	struct shadow *sh = &e->v->sh;
	struct kvm_vcpu_events *ev = &e->events;
	struct kvm_debugregs dr;
	struct kvm_regs regs;

	if (ioctl(e->fd, KVM_GET_REGS, &regs) < 0)
		return refused(e, "reading the registers");
	kvm_state_regs(e->v, &regs);
	if (ioctl(e->fd, KVM_GET_DEBUGREGS, &dr) < 0)
		return refused(e, "reading the debug registers");
	for (int i = 0; i < 4; i++)
		sh->dr[i] = (uint32_t)dr.db[i];
	sh->dr[6] = (uint32_t)dr.dr6;
	sh->dr[7] = (uint32_t)dr.dr7;
	if (ioctl(e->fd, KVM_GET_VCPU_EVENTS, ev) < 0)
		return refused(e, "reading the pending events");
	sh->sti_shadow = ev->interrupt.shadow & KVM_X86_SHADOW_INT_STI;
	sh->movss_shadow = ev->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
	sh->nmi_blocked = ev->nmi.masked;
	return save_system(e);
}
