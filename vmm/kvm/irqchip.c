/* SPDX-License-Identifier: MIT */
/*
 * --irqchip=kernel: KVM's own PIC pair, IOAPIC, local APICs and 8254.  Lines of our other devices
 * go there by ioctl; the doorbell of an assigned device goes straight to a local APIC, without this
 * process.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/dev/assign.h"
#include "vmm/kvm/priv.h"
#include "vmm/machine.h"

#define ISA_IRQS   16u
#define PIT_PIN    2u
#define MSI_GSI    24u         /* behind the IOAPIC's pins */
#define MSI_ADDR   0xfee00000u /* SDM Vol. 3A, "Message Address Register Format" (10.11.1) */
#define ROUTES_MAX (2 * ISA_IRQS + ASSIGN_MAX)

static const struct kvm_need needs[] = {
	{ KVM_CAP_IRQCHIP, "interrupt controllers in the kernel", "2.6.24" },
	{ KVM_CAP_PIT2, "an 8254 in the kernel", "2.6.31" },
	{ KVM_CAP_IRQ_ROUTING, "routes of interrupts", "2.6.30" },
	{ KVM_CAP_IRQFD, "interrupts from descriptors", "2.6.32" },
};

struct routes {
	struct kvm_irq_routing head;
	struct kvm_irq_routing_entry entry[ROUTES_MAX];
};

static int chip_ioctl(struct kvm_vm *k, int fd, unsigned long request, void *arg, const char *what)
{
	if (ioctl(fd, request, arg) >= 0)
		return 0;
	return vm_host_fail(k->vm, "KVM (%s) refuses %s: %s; --irqchip=user has it in this program",
			    k->module, what, strerror(errno));
}

static void add_pin(struct routes *r, uint32_t gsi, uint32_t chip, uint32_t pin)
{
	r->entry[r->head.nr++] = (struct kvm_irq_routing_entry){ .gsi = gsi,
								 .type = KVM_IRQ_ROUTING_IRQCHIP,
								 .u.irqchip = { chip, pin } };
}

/* As the board is wired, and as firmware.c says: every ISA line to both chips, IRQ 0 to pin 2. */
static void route_isa(struct routes *r)
{
	for (uint32_t irq = 0; irq < ISA_IRQS; irq++) {
		if (irq == 2) /* the cascade */
			continue;
		add_pin(r, irq, irq < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, irq % 8);
		add_pin(r, irq, KVM_IRQCHIP_IOAPIC, irq ? irq : PIT_PIN);
	}
}

static int route_assigned(struct kvm_vm *k, struct routes *r)
{
	const struct assign *a;

	for (unsigned i = 0; (a = machine_assigned(k->vm, i)); i++)
		r->entry[r->head.nr++] = (struct kvm_irq_routing_entry){
			.gsi = MSI_GSI + i,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = MSI_ADDR | a->cfg.vcpu << 12,
				   .data = a->cfg.vector },
		};
	return chip_ioctl(k, k->fd, KVM_SET_GSI_ROUTING, r, "the routes of interrupts");
}

static int connect_assigned(struct kvm_vm *k)
{
	const struct assign *a;
	int res = 0;

	for (unsigned i = 0; !res && (a = machine_assigned(k->vm, i)); i++) {
		struct kvm_irqfd fd = { .fd = (uint32_t)a->cfg.eventfd, .gsi = MSI_GSI + i };

		res = chip_ioctl(k, k->fd, KVM_IRQFD, &fd, "the eventfd of an assigned device");
	}
	return res;
}

int kvm_irqchip_create(struct kvm_vm *k)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY }; /* port 0x61, too */
	struct routes routes = { 0 };
	char err[sizeof(k->vm->death)];
	int res;

	if (kvm_require(k->dev_fd, needs, sizeof(needs) / sizeof(needs[0]), err, sizeof(err)))
		return vm_host_fail(k->vm, "--irqchip=kernel: %s", err);
	res = chip_ioctl(k, k->fd, KVM_CREATE_IRQCHIP, NULL, "interrupt controllers in the kernel");
	if (!res)
		res = chip_ioctl(k, k->fd, KVM_CREATE_PIT2, &pit, "an 8254 in the kernel");
	route_isa(&routes);
	if (!res)
		res = route_assigned(k, &routes);
	return res;
}

/* ---- what the firmware leaves behind, as board_firmware() in machine.c ---- */

static int set_pic(struct kvm_vm *k, uint32_t chip_id, uint8_t base, uint8_t mask)
{
	struct kvm_irqchip chip = { .chip_id = chip_id };
	int res = chip_ioctl(k, k->fd, KVM_GET_IRQCHIP, &chip, "reading the PIC");

	if (res)
		return res;
	chip.chip.pic.irq_base = base;
	chip.chip.pic.imr = mask;
	chip.chip.pic.init4 = 1;
	return chip_ioctl(k, k->fd, KVM_SET_IRQCHIP, &chip, "the PIC");
}

static int set_ioapic_id(struct kvm_vm *k)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	int res = chip_ioctl(k, k->fd, KVM_GET_IRQCHIP, &chip, "reading the IOAPIC");

	if (res)
		return res;
	chip.chip.ioapic.id = k->vm->vcpus;
	return chip_ioctl(k, k->fd, KVM_SET_IRQCHIP, &chip, "the IOAPIC");
}

/* Virtual wire: software enabled, LINT0 ExtINT, LINT1 NMI; SDM Vol. 3A, 10.4 and 10.5. */
static int set_virtual_wire(struct kvm_vm *k)
{
	struct kvm_lapic_state lapic;
	const struct {
		unsigned reg;
		uint32_t val;
	} set[] = { { 0xf0, 0x1ff }, { 0x350, 0x700 }, { 0x360, 0x400 } };
	int res = chip_ioctl(k, k->vcpu_fd[0], KVM_GET_LAPIC, &lapic, "reading the local APIC");

	if (res)
		return res;
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		memcpy(lapic.regs + set[i].reg, &set[i].val, sizeof(set[i].val));
	return chip_ioctl(k, k->vcpu_fd[0], KVM_SET_LAPIC, &lapic, "the local APIC");
}

int kvm_irqchip_firmware(struct kvm_vm *k)
{
	int res = set_pic(k, KVM_IRQCHIP_PIC_MASTER, 0x08, 0xfb);

	if (!res)
		res = set_pic(k, KVM_IRQCHIP_PIC_SLAVE, 0x70, 0xff);
	if (!res)
		res = set_ioapic_id(k);
	if (!res)
		res = set_virtual_wire(k);
	/* Targets exist now. */
	return res ? res : connect_assigned(k);
}

void kvm_isa_line(struct vm *vm, unsigned irq, bool level)
{
	struct kvm_irq_level line = { .irq = irq, .level = level };

	/* Before there is a KVM VM, lines are low. */
	if (vm->kvm && ioctl(vm->kvm->fd, KVM_IRQ_LINE, &line) < 0)
		vm_host_fail(vm, "KVM (%s) does not take IRQ %u: %s", vm->kvm->module, irq,
			     strerror(errno));
}
