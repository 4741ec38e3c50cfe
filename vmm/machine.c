/* SPDX-License-Identifier: MIT */
/* The board: which chips there are and how they are wired.  The I/O thread is in io.c. */
#include "vmm/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "vmm/machine_priv.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"

#define COM1_BASE     0x3f8
#define COM1_LEN      8
#define COM1_IRQ      4
#define PIT_IRQ       0
#define I8042_IRQ     1
#define RTC_IRQ       8
#define DEBUGCON_PORT 0xe9

#define APIC_BASE_ENABLE 0x800u
#define APIC_BASE_ADDR   0xffffff000u

/* Ask @v to look at its interrupt controllers. */
static void board_raise(struct machine *m, struct vcpu *v)
{
	atomic_store(&v->irq_pending, true);
	/* The vCPU that is making this very access looks by itself before it resumes. */
	if (v != m->accessing)
		vcpu_kick(v);
}

static bool has_interrupt_locked(const struct machine *m, const struct vcpu *v)
{
	return lapic_pending(v->lapic) >= 0 ||
	       (lapic_accepts_extint(v->lapic) && pic_pending(m->pic));
}

/* ---- The wires ---- */

/* The PIC's INTR goes to LINT0 of every LAPIC. */
static void wire_intr(void *arg, bool level)
{
	struct machine *m = arg;

	for (unsigned i = 0; i < m->vm->vcpus; i++) {
		struct vcpu *v = m->vm->vcpu[i];

		lapic_lint(v->lapic, 0, level);
		if (level && lapic_accepts_extint(v->lapic))
			board_raise(m, v);
	}
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

static void wire_lapic_send_ipi(void *arg, uint32_t icr, uint8_t dest)
{
	struct vcpu *from = arg;
	struct vm *vm = from->vm;
	struct lapic *lowest = NULL;
	bool one = (icr & 0x700) == 0x100; /* lowest priority: a single one of the targets */

	for (unsigned i = 0; i < vm->vcpus; i++) {
		struct lapic *l = vm->vcpu[i]->lapic;

		if (!lapic_ipi_targets(l, from->lapic, icr, dest))
			continue;
		if (!one)
			lapic_receive_ipi(l, icr);
		else if (!lowest || lapic_tpr(l) < lapic_tpr(lowest))
			lowest = l;
	}
	if (lowest)
		lapic_receive_ipi(lowest, icr);
}

static void wire_uart_tx(void *arg, uint8_t byte)
{
	io_put(arg, OUT_COM1, byte);
}

static void wire_uart_room(void *arg)
{
	io_wake(arg);
}

static void wire_debugcon_tx(void *arg, uint8_t byte)
{
	io_put(arg, OUT_DEBUGCON, byte);
}

static void wire_exit(void *arg, uint32_t status)
{
	struct machine *m = arg;

	vm_end(m->vm, VM_EXITED, (int)(status & 0xff));
}

/* A reset ends the VM, as under qemu -no-reboot. */
static void wire_reset(void *arg)
{
	struct machine *m = arg;

	vm_end(m->vm, VM_EXITED, 0);
}

static uint64_t wall_ns(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- Power-on ---- */

/*
 * What a BIOS leaves behind: the PICs at vectors 0x08 and 0x70 with everything but the cascade
 * masked, the boot processor's LAPIC in virtual-wire mode.  (SeaBIOS leaves IRQ 0 and 1 unmasked;
 * a Multiboot kernel has no handlers for them and reprograms both chips anyway.)
 */
static void board_firmware(struct machine *m)
{
	static const struct {
		uint16_t port;
		uint8_t val;
	} setup[] = {
		{ 0x20, 0x11 }, { 0x21, 0x08 }, { 0x21, 0x04 }, { 0x21, 0x01 }, { 0x21, 0xfb },
		{ 0xa0, 0x11 }, { 0xa1, 0x70 }, { 0xa1, 0x02 }, { 0xa1, 0x01 }, { 0xa1, 0xff },
	};
	struct bus *pio = &m->vm->pio;

	for (size_t i = 0; i < sizeof(setup) / sizeof(setup[0]); i++)
		bus_write(pio, setup[i].port, 1, setup[i].val);
	/* The account is the guest's. */
	for (size_t i = 0; i < pio->count; i++)
		pio->range[i].reads = pio->range[i].writes = 0;
	if (m->vm->vcpus)
		lapic_set_virtual_wire(m->vm->vcpu[0]->lapic);
}

static int board_lapics(struct machine *m)
{
	for (unsigned i = 0; i < m->vm->vcpus; i++) {
		struct vcpu *v = m->vm->vcpu[i];
		const struct lapic_host host = {
			.notify = wire_lapic_notify,
			.nmi = wire_lapic_nmi,
			.tsc = wire_lapic_tsc,
			.tsc_to_ns = wire_lapic_tsc_to_ns,
			.send_ipi = wire_lapic_send_ipi,
			.arg = v,
		};

		v->lapic = lapic_new((uint8_t)v->id, &m->vm->timers, &host);
		if (!v->lapic)
			return -ENOMEM;
	}
	return 0;
}

static int board_chips(struct machine *m)
{
	const struct uart_backend com1 = { wire_uart_tx, wire_uart_room, m };
	struct bus *pio = &m->vm->pio;
	struct timers *ts = &m->vm->timers;

	if (!(m->pic = pic_new(pio, wire_intr, m)) ||
	    !(m->pit = pit_new(pio, pic_line(m->pic, PIT_IRQ), ts)) ||
	    !(m->rtc = rtc_new(pio, pic_line(m->pic, RTC_IRQ), ts, wall_ns, NULL,
			       m->vm->ram_len)) ||
	    !(m->i8042 = i8042_new(pio, pic_line(m->pic, I8042_IRQ), wire_reset, m)) ||
	    !(m->uart = uart_new(pio, COM1_BASE, pic_line(m->pic, COM1_IRQ), ts, &com1)) ||
	    !(m->debugcon = debugcon_new(pio, wire_debugcon_tx, m)) ||
	    !(m->exitport = exitport_new(pio, wire_exit, m)))
		return -ENOMEM;
	return 0;
}

int machine_create(struct vm *vm, const struct machine_config *cfg)
{
	struct machine *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->vm = vm;
	m->cfg = *cfg;
	vm->machine = m;
	err = io_init(m);
	if (!err)
		err = board_lapics(m);
	if (!err)
		err = board_chips(m);
	if (err) {
		machine_destroy(vm);
		return err;
	}
	board_firmware(m);
	return 0;
}

int machine_start(struct vm *vm)
{
	struct machine *m = vm->machine;
	int err;

	if (m->cfg.console_escape && m->cfg.console_in >= 0 && isatty(m->cfg.console_in)) {
		err = console_raw(m->cfg.console_in);
		if (err)
			return err;
	}
	err = io_start(m);
	if (err)
		console_restore();
	return err;
}

void machine_stop(struct vm *vm)
{
	/* The terminal first: flushing may take as long as its reader likes. */
	if (vm->machine->cfg.console_escape)
		console_restore();
	io_stop(vm->machine);
}

void machine_destroy(struct vm *vm)
{
	struct machine *m = vm->machine;

	if (!m)
		return;
	exitport_free(m->exitport);
	debugcon_free(m->debugcon);
	uart_free(m->uart);
	i8042_free(m->i8042);
	rtc_free(m->rtc);
	pit_free(m->pit);
	pic_free(m->pic);
	for (unsigned i = 0; i < vm->vcpus; i++) {
		lapic_free(vm->vcpu[i]->lapic);
		vm->vcpu[i]->lapic = NULL;
	}
	io_destroy(m);
	/* The ranges point at what was just freed. */
	bus_init(&vm->pio, vm->pio.name);
	free(m);
	vm->machine = NULL;
}

/* ---- Interrupts ---- */

int machine_ack_interrupt(struct vm *vm, struct vcpu *v)
{
	struct machine *m = vm->machine;
	int vector = -1;

	vm_lock(vm);
	if (lapic_pending(v->lapic) >= 0)
		vector = lapic_ack(v->lapic);
	else if (lapic_accepts_extint(v->lapic) && pic_pending(m->pic))
		vector = pic_ack(m->pic);
	/* Setters hold the lock too, so taking the hint back loses nothing. */
	atomic_store(&v->irq_pending, has_interrupt_locked(m, v));
	vm_unlock(vm);
	return vector;
}

bool machine_has_interrupt(struct vm *vm, struct vcpu *v)
{
	bool has;

	vm_lock(vm);
	has = has_interrupt_locked(vm->machine, v);
	atomic_store(&v->irq_pending, has);
	vm_unlock(vm);
	return has;
}

/* ---- Accesses ---- */

/* Lock, and note who is at it. */
static void access_begin(struct vm *vm, struct vcpu *v)
{
	vm_lock(vm);
	vm->machine->accessing = v;
}

static void access_end(struct vm *vm)
{
	vm->machine->accessing = NULL;
	vm_unlock(vm);
}

uint32_t machine_pio_read(struct vm *vm, struct vcpu *v, uint16_t port, unsigned width)
{
	uint32_t val;

	access_begin(vm, v);
	val = bus_read(&vm->pio, port, width);
	access_end(vm);
	return val;
}

void machine_pio_write(struct vm *vm, struct vcpu *v, uint16_t port, unsigned width, uint32_t val)
{
	vm_lock(vm);
	if (port - COM1_BASE < COM1_LEN && port >= COM1_BASE)
		io_wait_room(vm->machine, OUT_COM1);
	else if (port == DEBUGCON_PORT)
		io_wait_room(vm->machine, OUT_DEBUGCON);
	vm->machine->accessing = v;
	bus_write(&vm->pio, port, width, val);
	access_end(vm);
}

/* Is @gpa in the page of @v's own LAPIC?  Then *@off is the register. */
static bool is_lapic(const struct vcpu *v, gpa_t gpa, unsigned width, uint32_t *off)
{
	uint64_t base = v->sh.apic_base;

	if (!v->lapic || !(base & APIC_BASE_ENABLE) || gpa < (base & APIC_BASE_ADDR) ||
	    gpa - (base & APIC_BASE_ADDR) > PAGE_SIZE - width)
		return false;
	*off = (uint32_t)(gpa - (base & APIC_BASE_ADDR));
	return true;
}

uint32_t machine_mmio_read(struct vm *vm, struct vcpu *v, gpa_t gpa, unsigned width)
{
	uint32_t val, off;

	access_begin(vm, v);
	if (is_lapic(v, gpa, width, &off))
		val = lapic_mmio_read(v->lapic, off, width);
	else
		val = bus_read(&vm->mmio, gpa, width);
	access_end(vm);
	return val;
}

void machine_mmio_write(struct vm *vm, struct vcpu *v, gpa_t gpa, unsigned width, uint32_t val)
{
	uint32_t off;

	access_begin(vm, v);
	if (is_lapic(v, gpa, width, &off)) {
		lapic_mmio_write(v->lapic, off, width, val);
		/* Unmasking LINT0, say, lets through what waited at the PIC. */
		if (has_interrupt_locked(vm->machine, v))
			atomic_store(&v->irq_pending, true);
	} else {
		bus_write(&vm->mmio, gpa, width, val);
	}
	access_end(vm);
}

void machine_set_apic_base(struct vm *vm, struct vcpu *v, uint64_t val)
{
	access_begin(vm, v);
	v->sh.apic_base = val;
	lapic_set_hw_enabled(v->lapic, val & APIC_BASE_ENABLE);
	if (has_interrupt_locked(vm->machine, v))
		atomic_store(&v->irq_pending, true);
	access_end(vm);
}

void machine_set_tsc_deadline(struct vm *vm, struct vcpu *v, uint64_t tsc)
{
	access_begin(vm, v);
	lapic_set_tsc_deadline(v->lapic, tsc);
	access_end(vm);
}

uint64_t machine_tsc_deadline(struct vm *vm, struct vcpu *v)
{
	uint64_t tsc;

	access_begin(vm, v);
	tsc = lapic_tsc_deadline(v->lapic);
	access_end(vm);
	return tsc;
}

void machine_tsc_changed(struct vm *vm, struct vcpu *v)
{
	access_begin(vm, v);
	lapic_tsc_changed(v->lapic);
	access_end(vm);
}
