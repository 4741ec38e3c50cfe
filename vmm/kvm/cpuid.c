/* SPDX-License-Identifier: MIT */
/*
 * CPUID of a guest on KVM: the policy of every engine (vmm/emu/cpuid.c), without the features that
 * this KVM cannot run.  KVM itself keeps what depends on the moment: OSXSAVE, the APIC bit, sizes
 * by XCR0.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/emu/emulate.h"
#include "vmm/kvm/priv.h"
#include "vmm/vcpu.h"

#define ENTRIES_MAX 256u

#define BIT(n) (1u << (n))

/* Features that this program or the topology provides, whether or not KVM lists them. */
static const uint32_t ours[CPUID_WORDS] = {
	[CPUID_1_ECX] = BIT(21) | BIT(24) | BIT(31), /* x2APIC, TSC_DEADLINE, hypervisor */
	[CPUID_1_EDX] = BIT(28),                     /* HTT: several logical processors */
	[CPUID_6_EAX] = BIT(2),                      /* ARAT */
	[CPUID_7_EBX] = BIT(1),                      /* TSC_ADJUST */
};

static struct kvm_cpuid2 *new_list(void)
{
	struct kvm_cpuid2 *list = calloc(1, sizeof(*list) +
						    ENTRIES_MAX * sizeof(struct kvm_cpuid_entry2));

	if (list)
		list->nent = ENTRIES_MAX;
	return list;
}

/* What KVM can run of @word. */
static uint32_t supported(const struct kvm_cpuid2 *list, enum cpuid_word word)
{
	uint32_t leaf, sub;
	unsigned reg;

	cpuid_word_at(word, &leaf, &sub, &reg);
	for (uint32_t i = 0; i < list->nent && i < ENTRIES_MAX; i++) {
		const struct kvm_cpuid_entry2 *e = &list->entries[i];
		const uint32_t regs[] = { e->eax, e->ebx, e->ecx, e->edx };
		bool by_index = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

		if (e->function == leaf && (!by_index || e->index == sub))
			return regs[reg];
	}
	return 0;
}

/* Who provides the local APIC's registers and timer?  KVM, we by exits, or nobody. */
static uint32_t apic_features(const struct kvm_vm *k)
{
	if (!k->vm->kernel_irqchip)
		return k->msr_exits ? BIT(21) | BIT(24) : 0;
	return BIT(21) |
	       (ioctl(k->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0 ? BIT(24) : 0);
}

int kvm_cpuid_limit(struct kvm_vm *k)
{
	struct cpuid_mask *m = &k->vm->cpuid_mask;
	struct kvm_cpuid2 *list = new_list();
	int res = list ? ioctl(k->dev_fd, KVM_GET_SUPPORTED_CPUID, list) : -1;

	if (res < 0)
		res = vm_host_fail(k->vm, "KVM (%s) does not say which CPUID it supports: %s",
				   k->module, list ? strerror(errno) : "out of memory");
	for (int w = 0; w < CPUID_WORDS && res >= 0; w++)
		m->off[w] |= ~(supported(list, (enum cpuid_word)w) | ours[w]);
	if (res >= 0)
		m->off[CPUID_1_ECX] |= (BIT(21) | BIT(24)) & ~apic_features(k);
	free(list);
	return res < 0 ? res : 0;
}

static void add(struct kvm_cpuid2 *list, const struct vcpu *v, uint32_t leaf, uint32_t sub,
		bool by_index)
{
	struct kvm_cpuid_entry2 *e = &list->entries[list->nent];
	uint32_t out[4];

	if (list->nent == ENTRIES_MAX)
		return;
	cpuid_policy(v, leaf, sub, out);
	*e = (struct kvm_cpuid_entry2){
		.function = leaf,
		.index = sub,
		.flags = by_index ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = out[0],
		.ebx = out[1],
		.ecx = out[2],
		.edx = out[3],
	};
	/* KVM takes 48 or 57 bits of linear address or none said, not a 32-bit CPU's 32. */
	if (leaf == 0x80000008)
		e->eax &= ~0xff00u;
	list->nent++;
}

/* Subleaves of @leaf that the policy tells apart; 0: it has none. */
static unsigned subleaves(uint32_t leaf)
{
	switch (leaf) {
	case 4: return 8;
	case 7: return 2;
	case 0xb: return 3;
	case 0xd: return 8;
	default: return 0;
	}
}

static void add_range(struct kvm_cpuid2 *list, const struct vcpu *v, uint32_t first)
{
	uint32_t out[4];

	cpuid_policy(v, first, 0, out);
	for (uint32_t leaf = first; leaf <= out[0] && leaf - first < 0x40; leaf++) {
		unsigned n = subleaves(leaf);

		for (unsigned sub = 0; sub < (n ? n : 1); sub++)
			add(list, v, leaf, sub, n != 0);
	}
}

int kvm_cpuid_set(struct kvm_vm *k, unsigned vcpu)
{
	struct kvm_cpuid2 *list = new_list();
	const struct vcpu *v = k->vm->vcpu[vcpu];
	int res = 0;

	if (!list)
		return vm_host_fail(k->vm, "out of memory for CPUID");
	list->nent = 0;
	add_range(list, v, 0);
	add_range(list, v, 0x40000000);
	add_range(list, v, 0x80000000);
	if (ioctl(k->vcpu_fd[vcpu], KVM_SET_CPUID2, list) < 0)
		res = vm_host_fail(k->vm, "KVM (%s) refuses the guest's CPUID: %s", k->module,
				   strerror(errno));
	free(list);
	return res;
}
