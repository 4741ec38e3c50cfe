/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of the board: the wires between devices, PIC, IOAPIC and the local APICs, messages
 * among the latter, and what a vCPU acknowledges.
 *
 * Every ISA line goes to both the PIC and the IOAPIC (IRQ 0 to its pin 2, as the tables in
 * firmware.c say); the PIC's INTR goes to LINT0 of every local APIC and to pin 0 of the IOAPIC.
 */
#include <errno.h>

#include "vmm/irq_stats.h"
#include "vmm/kvm/kvm.h"
#include "vmm/machine_priv.h"
#include "vmm/model.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"

#define PIT_IRQ     0
#define PIT_PIN     2
#define INTR_PIN    0
#define ICR_MODE    0x700u
#define ICR_LOWEST  0x100u
#define ICR_EXTINT  0x700u
#define CASCADE_IRQ 2

void board_raise(struct machine *m, struct vcpu *v)
{
	atomic_store(&v->irq_pending, true);
	/* The vCPU that is making this very access looks by itself before it resumes. */
	if (v != m->accessing)
		vcpu_kick(v);
}

/* Does the PIC's INTR reach @v's processor: through its LINT0, or as a message of the IOAPIC? */
static bool extint_reaches(const struct machine *m, const struct vcpu *v)
{
	uint32_t icr;
	uint8_t dest;

	if (lapic_accepts_extint(v->lapic))
		return true;
	return ioapic_extint(m->ioapic, INTR_PIN, &icr, &dest) && lapic_enabled(v->lapic) &&
	       lapic_ipi_targets(v->lapic, NULL, icr, dest);
}

static bool has_interrupt(const struct machine *m, const struct vcpu *v)
{
	lapic_posted_take(v->lapic);
	return lapic_pending(v->lapic) >= 0 || (pic_pending(m->pic) && extint_reaches(m, v));
}

/*
 * Take the hint back if nothing is there.  Setters hold the lock too, so that loses nothing; but
 * who posts does not, so look again whether somebody did: he sets the outstanding bit before the
 * hint.
 */
static bool update_hint(const struct machine *m, struct vcpu *v)
{
	bool has = has_interrupt(m, v);

	atomic_store(&v->irq_pending, has);
	if (!has && lapic_posted_outstanding(v->lapic))
		atomic_store(&v->irq_pending, true);
	return has;
}

/* ---- The wires ---- */

/* The PIC's INTR. */
static void wire_intr(void *arg, bool level)
{
	struct machine *m = arg;

	for (unsigned i = 0; i < m->vm->vcpus; i++) {
		struct vcpu *v = m->vm->vcpu[i];

		lapic_lint(v->lapic, 0, level);
		if (level && lapic_accepts_extint(v->lapic))
			board_raise(m, v);
	}
	irq_set(&m->intr_pin, level);
}

static void wire_isa(void *arg, unsigned irq, bool level)
{
	struct machine *m = arg;
	bool rises = level && !m->isa[irq].level;

	m->isa[irq].level = level;
	irq_set(&m->isa[irq].pic, level);
	if (rises && pic_requests(m->pic, irq)) {
		if (!m->isa[irq].times++)
			m->isa[irq].since_ns = timers_now(&m->vm->timers);
	}
	irq_set(&m->isa[irq].ioapic, level);
}

static void wire_isa_kernel(void *arg, unsigned irq, bool level)
{
	struct machine *m = arg;

	if (m->isa[irq].level != level)
		kvm_isa_line(m->vm, irq, level);
	m->isa[irq].level = level;
}

struct irq_line board_isa_line(struct machine *m, unsigned irq)
{
	irq %= ISA_IRQS;
	if (m->vm->kernel_irqchip)
		return (struct irq_line){ .set = wire_isa_kernel, .controller = m, .input = irq };
	m->isa[irq].pic = pic_line(m->pic, irq);
	if (irq != CASCADE_IRQ)
		m->isa[irq].ioapic = ioapic_line(m->ioapic, irq == PIT_IRQ ? PIT_PIN : irq);
	return (struct irq_line){ .set = wire_isa, .controller = m, .input = irq };
}

/*
 * A message from the local APIC @from, or from the IOAPIC (NULL).  Lowest priority goes to one: the
 * lowest arbitration priority wins, among equals the lowest APIC id; SDM Vol. 3A, 10.6.2.4.
 * True if one accepted it.
 */
static bool route(struct machine *m, const struct lapic *from, uint32_t icr, uint32_t dest,
		  enum irq_path path)
{
	struct lapic *lowest = NULL;
	bool one = (icr & ICR_MODE) == ICR_LOWEST, accepted = false;

	for (unsigned i = 0; i < m->vm->vcpus; i++) {
		struct lapic *l = m->vm->vcpu[i]->lapic;

		if (!lapic_ipi_targets(l, from, icr, dest))
			continue;
		if (!one)
			accepted |= lapic_receive(l, icr, path);
		else if (lapic_enabled(l) && (!lowest || lapic_apr(l) < lapic_apr(lowest)))
			lowest = l;
	}
	return lowest ? lapic_receive(lowest, icr, path) : accepted;
}

static bool wire_ioapic_send(void *arg, uint32_t icr, uint8_t dest)
{
	struct machine *m = arg;

	if ((icr & ICR_MODE) != ICR_EXTINT)
		return route(m, NULL, icr, dest, IRQ_PATH_EXTERNAL);
	/* The processor will ask the PIC for the vector. */
	for (unsigned i = 0; i < m->vm->vcpus; i++)
		if (has_interrupt(m, m->vm->vcpu[i]))
			board_raise(m, m->vm->vcpu[i]);
	return true;
}

static void wire_lapic_notify(void *arg)
{
	struct vcpu *v = arg;

	board_raise(v->vm->machine, v);
}

static void wire_lapic_nmi(void *arg)
{
	struct vcpu *v = arg;

	atomic_store(&v->nmi_pending, true);
	vcpu_kick(v);
}

static uint64_t wire_lapic_tsc(void *arg)
{
	struct vcpu *v = arg;

	/* The vCPU's thread may be writing it: either value is right then, a torn one is not. */
	return tsc_read() + __atomic_load_n(&v->sh.tsc_offset, __ATOMIC_RELAXED);
}

static uint64_t wire_lapic_tsc_to_ns(void *arg, uint64_t tsc)
{
	struct vcpu *v = arg;
	uint64_t tsc_now = wire_lapic_tsc(v), now = timers_now(&v->vm->timers);
	uint64_t ahead = tsc > tsc_now ? tsc - tsc_now : 0;

	/* A deadline centuries away must not wrap into the past. */
	if (ahead > UINT64_MAX / 8)
		return TIMER_NEVER;
	/* Rounded up: waking before the deadline would only mean waking twice. */
	return now + tsc_to_ns(ahead) + 1;
}

static void wire_lapic_send_ipi(void *arg, uint32_t icr, uint32_t dest)
{
	struct vcpu *from = arg;

	route(from->vm->machine, from->lapic, icr, dest, IRQ_PATH_IPI);
}

static void wire_lapic_init_sipi(void *arg, int sipi)
{
	struct vcpu *v = arg;

	if (sipi < 0)
		vcpu_init_ipi(v);
	else
		vcpu_sipi(v, (uint8_t)sipi);
}

static void wire_lapic_eoi(void *arg, uint8_t vector)
{
	struct vcpu *v = arg;

	ioapic_eoi(v->vm->machine->ioapic, vector);
}

void board_lapic_written(struct machine *m, struct vcpu *v)
{
	/* Software-enabling it may be what a level at the IOAPIC waits for. */
	ioapic_retry(m->ioapic);
	/* Unmasking LINT0, say, lets through what waited at the PIC. */
	if (has_interrupt(m, v))
		atomic_store(&v->irq_pending, true);
}

/* ---- Power-on ---- */

static int board_lapic(struct machine *m, struct vcpu *v)
{
	const struct lapic_host host = {
		.notify = wire_lapic_notify,
		.nmi = wire_lapic_nmi,
		.tsc = wire_lapic_tsc,
		.tsc_to_ns = wire_lapic_tsc_to_ns,
		.send_ipi = wire_lapic_send_ipi,
		.init_sipi = wire_lapic_init_sipi,
		.level_eoi = wire_lapic_eoi,
		.arg = v,
	};

	v->lapic = lapic_new((uint8_t)v->id, &m->vm->timers, &host);
	v->irq_stats = irq_stats_new();
	if (!v->lapic || !v->irq_stats)
		return -ENOMEM;
	lapic_set_stats(v->lapic, v->irq_stats);
	return 0;
}

int board_interrupts(struct machine *m)
{
	const struct ioapic_host host = { wire_ioapic_send, m };
	int err = 0;

	if (m->vm->kernel_irqchip)
		return 0;
	for (unsigned i = 0; i < m->vm->vcpus && !err; i++)
		err = board_lapic(m, m->vm->vcpu[i]);
	if (err)
		return err;
	m->pic = pic_new(&m->vm->pio, wire_intr, m);
	m->ioapic = ioapic_new(&m->vm->mmio, &host);
	if (!m->pic || !m->ioapic)
		return -ENOMEM;
	m->intr_pin = ioapic_line(m->ioapic, INTR_PIN);
	return 0;
}

void board_interrupts_free(struct machine *m)
{
	ioapic_free(m->ioapic);
	pic_free(m->pic);
	for (unsigned i = 0; i < m->vm->vcpus; i++) {
		struct vcpu *v = m->vm->vcpu[i];

		lapic_free(v->lapic);
		irq_stats_free(v->irq_stats);
		v->lapic = NULL;
		v->irq_stats = NULL;
	}
}

/* ---- What a vCPU asks ---- */

/* The interrupt acknowledge cycle at the PIC, and its row in the account. */
static int ack_pic(struct machine *m, struct vcpu *v)
{
	uint64_t since, times;
	uint8_t vector;
	int irq;

	vector = pic_ack_irq(m->pic, &irq);
	since = timers_now(&m->vm->timers);
	times = 1;
	if (irq >= 0 && m->isa[irq % ISA_IRQS].times) {
		since = m->isa[irq % ISA_IRQS].since_ns;
		times = m->isa[irq % ISA_IRQS].times;
		m->isa[irq % ISA_IRQS].times = 0;
	}
	irq_stats_raised_many(v->irq_stats, vector, IRQ_PATH_EXTERNAL, times, since);
	irq_stats_acked(v->irq_stats, vector);
	return vector;
}

/*: 160. Who interrupts
 * The processor asks its interrupt controllers, as INTA cycles did: the 8259 through LINT0, or
 * the local APIC.
 */
int machine_ack_interrupt(struct vm *vm, struct vcpu *v)
{
	struct machine *m = vm->machine;
	int vector = -1;

	vm_lock(vm);
	lapic_posted_take(v->lapic);
	/*
	 * ExtINT goes to the processor core directly, past the IRR: SDM Vol. 3A, 10.8.1.  Which of
	 * two that wait comes first the manual leaves open; this is QEMU's and KVM's order.
	 */
	if (pic_pending(m->pic) && extint_reaches(m, v)) {
		vector = ack_pic(m, v);
		model_interrupt(v, true, (uint8_t)vector);
	} else if (lapic_pending(v->lapic) >= 0) {
		vector = lapic_ack(v->lapic);
		model_interrupt(v, false, (uint8_t)vector);
	}
	update_hint(m, v);
	vm_unlock(vm);
	return vector;
}

bool machine_has_interrupt(struct vm *vm, struct vcpu *v)
{
	bool has;

	vm_lock(vm);
	has = update_hint(vm->machine, v);
	vm_unlock(vm);
	return has;
}

void machine_upcall(struct vm *vm, struct vcpu *v, uint8_t vector)
{
	vm_lock(vm);
	if (v->lapic)
		lapic_receive(v->lapic, vector, IRQ_PATH_UPCALL);
	vm_unlock(vm);
}

bool machine_ack_nmi(struct vm *vm, struct vcpu *v)
{
	bool had;

	vm_lock(vm);
	had = atomic_exchange(&v->nmi_pending, false);
	if (had && v->irq_stats)
		irq_stats_acked(v->irq_stats, VEC_NMI);
	vm_unlock(vm);
	return had;
}

void machine_vcpu_init(struct vm *vm, struct vcpu *v)
{
	struct machine *m = vm->machine;
	uint64_t base = v->sh.apic_base;

	if (!m)
		return;
	vm_lock(vm);
	lapic_init_reset(v->lapic);
	lapic_set_mode(v->lapic, base & APIC_BASE_ENABLE, base & APIC_BASE_EXTD);
	if (atomic_exchange(&v->nmi_pending, false))
		irq_stats_dropped(v->irq_stats, VEC_NMI);
	update_hint(m, v);
	vm_unlock(vm);
}
