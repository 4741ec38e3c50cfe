/* SPDX-License-Identifier: MIT */
/*
 * From KVM's exits to ours.  What a guest can do to end up here is the guest's end (vm_kill); that
 * KVM cannot go on is the host's refusal, with what KVM said about it.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/kvm/priv.h"
#include "vmm/vcpu.h"

/*
 * KVM emulates what the CPU cannot execute, and has failed.  Perhaps there is nothing to execute,
 * since the guest is where there is no RAM; else our emulator has a try.
 */
static int not_emulated(struct kvm_engine *e, struct exit *x)
{
	struct kvm_translation tr = { 0 };
	struct vcpu *v = e->v;
	gva_t at;

	/* The exit stored only the general registers. */
	if (kvm_state_save(e) < 0)
		return -EIO;
	x->reason = EXIT_EMULATION;
	e->keep_events = true;
	at = v->regs.seg[SEG_CS].base + v->regs.eip;
	tr.linear_address = at;
	if (ioctl(e->fd, KVM_TRANSLATE, &tr) < 0 || !tr.valid ||
	    tr.physical_address < v->vm->ram_len)
		return 0;
	if (v->sh.cr0 & CR0_PG)
		return vm_kill(v->vm,
			       "executes at %#x, mapped to physical %#llx, where there is no RAM",
			       at, (unsigned long long)tr.physical_address);
	return vm_kill(v->vm, "jumped to %#x, where there is no RAM (RAM ends at %#llx)", at,
		       (unsigned long long)v->vm->ram_len);
}

static int internal_error(struct kvm_engine *e, struct exit *x)
{
	const struct kvm_run *run = e->run;
	uint32_t n = run->internal.ndata;
	const __u64 *data = run->internal.data;

	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
		return not_emulated(e, x);
	return vm_host_fail(
		e->v->vm,
		"KVM (%s) gave up at %#x: internal error %u, data %#llx %#llx %#llx; this "
		"is KVM's to explain, in the kernel's log; --engine world does without",
		e->kvm->module, e->v->regs.eip, run->internal.suberror,
		n > 0 ? (unsigned long long)data[0] : 0, n > 1 ? (unsigned long long)data[1] : 0,
		n > 2 ? (unsigned long long)data[2] : 0);
}

/*
 * Reasons of Intel with bit 31 are failed checks of the guest's state; SDM Vol. 3C, "VM-Entry
 * Failures During or After Loading Guest State" (26.8).
 */
static int failed_entry(struct kvm_engine *e)
{
	uint64_t why = e->run->fail_entry.hardware_entry_failure_reason;

	return vm_host_fail(
		e->v->vm,
		"the CPU refused to enter the guest at %#x: KVM (%s) reports hardware "
		"reason %#llx%s; the kernel's log may say more, and --engine world does "
		"without hardware",
		e->v->regs.eip, e->kvm->module, (unsigned long long)why,
		why >> 31 & 1 ? " (invalid guest state)" : "");
}

static void decode_msr(struct kvm_run *run, struct exit *x)
{
	x->reason = EXIT_MSR;
	x->access.msr.index = run->msr.index;
	x->access.msr.write = run->exit_reason == KVM_EXIT_X86_WRMSR;
	x->access.msr.data = (uint64_t *)&run->msr.data;
	x->access.msr.refused = &run->msr.error;
}

int kvm_exit_decode(struct kvm_engine *e, struct exit *x)
{
	struct kvm_run *run = e->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		x->reason = EXIT_IO;
		x->access.io.port = run->io.port;
		x->access.io.width = run->io.size;
		x->access.io.in = run->io.direction == KVM_EXIT_IO_IN;
		x->access.io.count = run->io.count;
		x->access.io.data = (uint8_t *)run + run->io.data_offset;
		e->incomplete = true;
		return 0;
	case KVM_EXIT_MMIO:
		x->reason = EXIT_MMIO;
		x->access.mmio.gpa = run->mmio.phys_addr;
		x->access.mmio.len = (uint8_t)run->mmio.len;
		x->access.mmio.write = run->mmio.is_write;
		x->access.mmio.data = run->mmio.data;
		e->incomplete = true;
		return 0;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		decode_msr(run, x);
		e->incomplete = true;
		return 0;
	case KVM_EXIT_HLT: x->reason = EXIT_HLT; return 0;
	case KVM_EXIT_IRQ_WINDOW_OPEN: x->reason = EXIT_IRQ_WINDOW; return 0;
	case KVM_EXIT_DEBUG: x->reason = EXIT_STEP; return 0;
	case KVM_EXIT_SHUTDOWN: x->reason = EXIT_SHUTDOWN; return 0;
	case KVM_EXIT_INTR: x->reason = EXIT_KICK; return 0;
	case KVM_EXIT_FAIL_ENTRY: return failed_entry(e);
	case KVM_EXIT_INTERNAL_ERROR: return internal_error(e, x);
	default:
		return vm_host_fail(e->v->vm,
				    "KVM (%s) ended a run at %#x with exit reason %u, which this "
				    "program does not know",
				    e->kvm->module, e->v->regs.eip, run->exit_reason);
	}
}
