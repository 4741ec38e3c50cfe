/* SPDX-License-Identifier: MIT */
/* A virtual machine of KVM: memory, vCPUs, and which of its exits come to us. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/kvm/priv.h"
#include "vmm/kvm/trace.h"

/*
 * Three pages for a TSS and one for page tables, which KVM on Intel needs to run real mode where
 * the CPU cannot: out of the way of RAM, IOAPIC and LAPIC.  Where QEMU has them.
 */
#define TSS_ADDR      0xfeffd000u
#define IDENTITY_ADDR 0xfeffc000u

static const uint8_t all_ones[1] = { 0xff };

/*
 * MSRs that stay KVM's: those that the CPU itself reads, and that hardware lets the guest write
 * without an exit.  The rest is the table of vmm/emu/msr.c, as on every engine.
 */
static const struct kvm_msr_filter_range own_msrs[] = {
	{ KVM_MSR_FILTER_READ, 1, 0x10, (uint8_t *)all_ones }, /* TSC */
	{ KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, 3, 0x174,
	  (uint8_t *)all_ones }, /* SYSENTER */
	{ KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, 1, 0xc0000103,
	  (uint8_t *)all_ones }, /* TSC_AUX */
};

/* With KVM's local APICs: what these and their timers depend on, too. */
static const struct kvm_msr_filter_range irqchip_msrs[] = {
	{ KVM_MSR_FILTER_WRITE, 1, 0x10, (uint8_t *)all_ones },
	{ KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, 1, 0x1b,
	  (uint8_t *)all_ones }, /* APIC_BASE */
	{ KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, 1, 0x3b,
	  (uint8_t *)all_ones }, /* TSC_ADJUST */
	{ KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, 1, 0x6e0,
	  (uint8_t *)all_ones }, /* deadline */
};

static int vm_ioctl(struct kvm_vm *k, unsigned long request, unsigned long arg, const char *what)
{
	int res = ioctl(k->fd, request, arg);

	if (res >= 0)
		return res;
	return vm_host_fail(k->vm, "KVM (%s) refuses %s: %s", k->module, what, strerror(errno));
}

static int enable(struct kvm_vm *k, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return ioctl(k->fd, KVM_ENABLE_CAP, &c) < 0 ? -errno : 0;
}

static int add_memory(struct kvm_vm *k, gpa_t gpa, uint64_t len, void *hva)
{
	struct kvm_userspace_memory_region slot = { .slot = k->slots,
						    .guest_phys_addr = gpa,
						    .memory_size = len,
						    .userspace_addr = (uintptr_t)hva };
	int res = vm_ioctl(k, KVM_SET_USER_MEMORY_REGION, (uintptr_t)&slot, "guest memory");

	if (res < 0)
		return res;
	k->slots++;
	return 0;
}

/*
 * MSR accesses that come to us: those that KVM does not know, finds wrong, or that the filter
 * denies.  Accesses to x2APIC registers cannot be filtered, but without KVM's local APIC they are
 * wrong.  A kernel without all that (before Linux 5.10) keeps the MSRs to itself.
 */
static int route_msrs(struct kvm_vm *k)
{
	const uint64_t why = KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
			     KVM_MSR_EXIT_REASON_FILTER;
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };
	size_t n = sizeof(own_msrs) / sizeof(own_msrs[0]);

	if (ioctl(k->fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_MSR_FILTER) <= 0 ||
	    ioctl(k->fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_USER_SPACE_MSR) <= 0)
		return 0;
	memcpy(filter.ranges, own_msrs, sizeof(own_msrs));
	if (k->vm->kernel_irqchip)
		memcpy(filter.ranges + n, irqchip_msrs, sizeof(irqchip_msrs));
	if (enable(k, KVM_CAP_X86_USER_SPACE_MSR, why))
		return 0;
	k->msr_exits = true;
	return vm_ioctl(k, KVM_X86_SET_MSR_FILTER, (uintptr_t)&filter, "a filter for MSRs");
}

/*
 * KVM's favours to old guests, which the manual does not know: monitor and mwait without #UD,
 * hypercall instructions rewritten in guest memory, port 0x7e.
 */
static void drop_quirks(struct kvm_vm *k)
{
	const int unwanted = KVM_X86_QUIRK_OUT_7E_INC_RIP | KVM_X86_QUIRK_FIX_HYPERCALL_INSN |
			     KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS;
	int known = ioctl(k->fd, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);

	/* Without them is better, with them no reason to stop. */
	if (known > 0)
		(void)enable(k, KVM_CAP_DISABLE_QUIRKS2, (uint64_t)(known & unwanted));
}

/* CPUID offers no performance counters (leaf 0xa; AMD's four have no bit): neither shall KVM. */
static void drop_counters(struct kvm_vm *k)
{
	if (ioctl(k->fd, KVM_CHECK_EXTENSION, KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE)
		(void)enable(k, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE);
}

/*
 * The shared memory of an assigned device, mapped for KVM alone: whoever shares the file may shrink
 * it, so this program does not touch it (region.h).
 */
static int add_window(struct kvm_vm *k, unsigned i)
{
	const struct vm_region *r = &k->vm->region[i];
	void *hva = mmap(NULL, r->len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);

	if (hva == MAP_FAILED)
		return vm_host_fail(k->vm, "cannot map %s for assigned device %u: %s", r->file,
				    r->device, strerror(errno));
	k->window[i] = hva;
	return add_memory(k, r->gpa, r->len, hva);
}

static int make_vm(struct kvm_vm *k)
{
	uint64_t identity = IDENTITY_ADDR;
	int res;

	do
		k->fd = ioctl(k->dev_fd, KVM_CREATE_VM, 0);
	while (k->fd < 0 && errno == EINTR);
	if (k->fd < 0 && errno == EBUSY)
		return vm_host_fail(k->vm, "another hypervisor has the CPU's virtualization "
					   "extensions: end it, or use --engine world");
	if (k->fd < 0)
		return vm_host_fail(k->vm, "KVM (%s) makes no virtual machine: %s", k->module,
				    strerror(errno));
	if (ioctl(k->fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0) {
		res = vm_ioctl(k, KVM_SET_IDENTITY_MAP_ADDR, (uintptr_t)&identity, "page tables");
		if (res < 0)
			return res;
	}
	res = vm_ioctl(k, KVM_SET_TSS_ADDR, TSS_ADDR, "a TSS");
	if (res < 0)
		return res;
	drop_quirks(k);
	drop_counters(k);
	k->sync_regs = ioctl(k->fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) & KVM_SYNC_X86_REGS;
	res = route_msrs(k);
	if (!res && k->vm->kernel_irqchip)
		res = kvm_irqchip_create(k);
	if (!res)
		res = add_memory(k, 0, k->vm->ram_len, k->vm->ram);
	for (unsigned i = 0; i < k->vm->regions && !res; i++)
		res = add_window(k, i);
	return res;
}

/* All at once: with KVM's local APICs an INIT must not come before its target. */
static int make_vcpu(struct kvm_vm *k, unsigned i)
{
	int fd = vm_ioctl(k, KVM_CREATE_VCPU, i, "a virtual CPU");

	if (fd < 0)
		return fd;
	k->vcpu_fd[i] = fd;
	fd = ioctl(fd, KVM_GET_STATS_FD, 0);
	if (fd >= 0)
		k->vcpu_stats[i] = kvm_stats_open(fd);
	return kvm_cpuid_set(k, i);
}

static int make_all(struct kvm_vm *k)
{
	int len, fd, res;

	res = make_vm(k);
	if (res)
		return res;
	len = ioctl(k->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (len < (int)sizeof(struct kvm_run))
		return vm_host_fail(k->vm, "KVM (%s) shares %d bytes of a virtual CPU", k->module,
				    len);
	k->run_len = (size_t)len;
	res = kvm_cpuid_limit(k);
	for (unsigned i = 0; i < k->vm->vcpus && !res; i++)
		res = make_vcpu(k, i);
	if (!res && k->vm->kernel_irqchip)
		res = kvm_irqchip_firmware(k);
	if (res)
		return res;
	fd = ioctl(k->fd, KVM_GET_STATS_FD, 0);
	if (fd >= 0)
		k->stats = kvm_stats_open(fd);
	if (k->vm->count_hardware) {
		k->hw = kvm_hw_new(k, NULL);
		if (!k->hw)
			return vm_host_fail(k->vm, "out of memory for counting exits");
	}
	return 0;
}

int kvm_vm_create(struct vm *vm)
{
	struct kvm_vm *k = calloc(1, sizeof(*k));
	char err[sizeof(vm->death)];
	int res;

	if (!k)
		return vm_host_fail(vm, "out of memory for KVM");
	k->vm = vm;
	k->fd = k->dev_fd = -1;
	for (unsigned i = 0; i < VM_VCPUS_MAX; i++)
		k->vcpu_fd[i] = -1;
	vm->kvm = k;
	k->dev_fd = kvm_open(KVM_PATH, err, sizeof(err));
	if (k->dev_fd >= 0)
		k->module = kvm_module(KVM_MODULES, err, sizeof(err));
	k->batches = k->module && !strcmp(k->module, "kvm_pvm");
	res = k->module ? make_all(k) : vm_host_fail(vm, "%s", err);
	if (res)
		kvm_vm_free(vm);
	return res;
}

const char *kvm_caveat(const struct vm *vm)
{
	if (!vm->kvm || strcmp(vm->kvm->module, "kvm_pvm"))
		return NULL;
	return "kvm_pvm is KVM in software: a 32-bit guest gets #GP when it turns on paging, sees "
	       "the host's CPUID and time-stamp counter, and its times are not those of hardware";
}

void kvm_vm_free(struct vm *vm)
{
	struct kvm_vm *k = vm->kvm;

	if (!k)
		return;
	kvm_hw_free(k->hw);
	for (unsigned i = 0; i < VM_VCPUS_MAX; i++) {
		kvm_stats_free(k->vcpu_stats[i]);
		if (k->vcpu_fd[i] >= 0)
			close(k->vcpu_fd[i]);
	}
	kvm_stats_free(k->stats);
	if (k->fd >= 0)
		close(k->fd);
	for (unsigned i = 0; i < vm->regions; i++)
		if (k->window[i])
			munmap(k->window[i], vm->region[i].len);
	if (k->dev_fd >= 0)
		close(k->dev_fd);
	free(k);
	vm->kvm = NULL;
}
