/* SPDX-License-Identifier: MIT */
/*
 * The board: which chips there are and how they are wired.  Interrupts are in machine_irq.c, the
 * I/O thread in io.c.
 */
#include "vmm/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "vmm/machine_priv.h"
#include "vmm/model.h"
#include "vmm/vcpu.h"

#define COM1_BASE     0x3f8
#define COM1_LEN      8
#define COM1_IRQ      4
#define PIT_IRQ       0
#define I8042_IRQ     1
#define RTC_IRQ       8
#define DEBUGCON_PORT 0xe9

#define APIC_BASE_ADDR 0xffffff000u

/* ---- The wires ---- */

static void wire_uart_tx(void *arg, uint8_t byte)
{
	struct machine *m = arg;

	if (!m->display)
		io_put(m, OUT_COM1, byte);
}

/* The UART or the keyboard takes input again. */
static void wire_room(void *arg)
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

	if (m->vm->kernel_irqchip) /* kvm/irqchip.c does it */
		return;
	for (size_t i = 0; i < sizeof(setup) / sizeof(setup[0]); i++)
		bus_write(pio, setup[i].port, 1, setup[i].val);
	/* The account is the guest's. */
	for (size_t i = 0; i < pio->count; i++)
		pio->range[i].reads = pio->range[i].writes = 0;
	ioapic_set_id(m->ioapic, (uint8_t)m->vm->vcpus); /* unlike any local APIC's */
	if (m->vm->vcpus)
		lapic_set_virtual_wire(m->vm->vcpu[0]->lapic);
}

static int board_chips(struct machine *m)
{
	const struct uart_backend com1 = { wire_uart_tx, wire_room, m };
	struct bus *pio = &m->vm->pio;
	struct timers *ts = &m->vm->timers;

	if ((!m->vm->kernel_irqchip && !(m->pit = pit_new(pio, board_isa_line(m, PIT_IRQ), ts))) ||
	    !(m->rtc = rtc_new(pio, board_isa_line(m, RTC_IRQ), ts, wall_ns, NULL,
			       m->vm->ram_len)) ||
	    !(m->i8042 = i8042_new(pio, board_isa_line(m, I8042_IRQ), wire_reset, m)) ||
	    !(m->uart = uart_new(pio, COM1_BASE, board_isa_line(m, COM1_IRQ), ts, &com1)) ||
	    !(m->vga = vga_new(pio)) || !(m->debugcon = debugcon_new(pio, wire_debugcon_tx, m)) ||
	    !(m->exitport = exitport_new(pio, wire_exit, m)))
		return -ENOMEM;
	i8042_on_room(m->i8042, wire_room, m);
	return io_display_create(m);
}

/* Whoever of two devices reads it first would get the interrupt. */
static bool eventfd_is_taken(const struct machine *m, unsigned i)
{
	for (unsigned k = 0; k < i; k++)
		if (m->cfg.assign[k].eventfd == m->cfg.assign[i].eventfd)
			return true;
	return false;
}

static int board_assigned(struct machine *m)
{
	char err[512];
	int res = 0;

	for (unsigned i = 0; i < m->cfg.assigns && i < ASSIGN_MAX && !res; i++) {
		struct assign *a = &m->assign[i];

		if (eventfd_is_taken(m, i)) {
			vm_host_fail(m->vm, "--assign: eventfd=%d is that of two devices",
				     m->cfg.assign[i].eventfd);
			return -EINVAL;
		}
		m->assigns++;
		res = assign_open(a, &m->cfg.assign[i], m->vm, err, sizeof(err));
		if (!res)
			res = assign_plug(a, i, m->vm, err, sizeof(err));
		if (res)
			vm_host_fail(m->vm, "%s", err);
	}
	return res;
}

const struct assign *machine_assigned(const struct vm *vm, unsigned i)
{
	return vm->machine && i < vm->machine->assigns ? &vm->machine->assign[i] : NULL;
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
		err = board_interrupts(m);
	if (!err)
		err = board_chips(m);
	if (!err)
		err = board_assigned(m);
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
	err = io_assign_start(m);
	if (!err)
		err = io_start(m);
	if (err) {
		io_assign_stop(m);
		console_restore();
	}
	return err;
}

void machine_stop(struct vm *vm)
{
	/* The terminal first: flushing may take as long as its reader likes. */
	if (vm->machine->cfg.console_escape)
		console_restore();
	io_assign_stop(vm->machine);
	io_stop(vm->machine);
	vm_lock(vm);
	for (unsigned i = 0; i < vm->vcpus && !vm->kernel_irqchip; i++)
		lapic_posted_settle(vm->vcpu[i]->lapic);
	vm_unlock(vm);
}

void machine_destroy(struct vm *vm)
{
	struct machine *m = vm->machine;

	if (!m)
		return;
	exitport_free(m->exitport);
	debugcon_free(m->debugcon);
	io_display_free(m);
	vga_free(m->vga);
	uart_free(m->uart);
	i8042_free(m->i8042);
	rtc_free(m->rtc);
	pit_free(m->pit);
	board_interrupts_free(m);
	while (m->assigns)
		assign_close(&m->assign[--m->assigns]);
	io_destroy(m);
	/* The ranges and windows point at what was just freed. */
	vm->regions = 0;
	bus_init(&vm->pio, vm->pio.name);
	bus_init(&vm->mmio, vm->mmio.name);
	free(m);
	vm->machine = NULL;
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
	if (port - COM1_BASE < COM1_LEN && port >= COM1_BASE && !vm->machine->display)
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

	if (!v->lapic || (base & (APIC_BASE_ENABLE | APIC_BASE_EXTD)) != APIC_BASE_ENABLE ||
	    gpa < (base & APIC_BASE_ADDR) || gpa - (base & APIC_BASE_ADDR) > PAGE_SIZE - width)
		return false;
	*off = (uint32_t)(gpa - (base & APIC_BASE_ADDR));
	return true;
}

uint32_t machine_mmio_read(struct vm *vm, struct vcpu *v, gpa_t gpa, unsigned width)
{
	uint32_t val, off;

	access_begin(vm, v);
	if (is_lapic(v, gpa, width, &off)) {
		model_lapic(v, off, false, 0, false);
		val = lapic_mmio_read(v->lapic, off, width);
	} else {
		val = bus_read(&vm->mmio, gpa, width);
	}
	access_end(vm);
	return val;
}

void machine_mmio_write(struct vm *vm, struct vcpu *v, gpa_t gpa, unsigned width, uint32_t val)
{
	uint32_t off;

	access_begin(vm, v);
	if (is_lapic(v, gpa, width, &off)) {
		model_lapic(v, off, true, val, false);
		lapic_mmio_write(v->lapic, off, width, val);
		board_lapic_written(vm->machine, v);
	} else {
		bus_write(&vm->mmio, gpa, width, val);
	}
	access_end(vm);
}

void machine_set_apic_base(struct vm *vm, struct vcpu *v, uint64_t val)
{
	access_begin(vm, v);
	v->sh.apic_base = val;
	lapic_set_mode(v->lapic, val & APIC_BASE_ENABLE, val & APIC_BASE_EXTD);
	board_lapic_written(vm->machine, v);
	access_end(vm);
}

int machine_x2apic_read(struct vm *vm, struct vcpu *v, uint32_t msr, uint64_t *val)
{
	int err;

	access_begin(vm, v);
	if (lapic_in_x2apic(v->lapic))
		model_lapic(v, (msr - 0x800) * 16, false, 0, true);
	err = lapic_msr_read(v->lapic, msr, val);
	access_end(vm);
	return err;
}

int machine_x2apic_write(struct vm *vm, struct vcpu *v, uint32_t msr, uint64_t val)
{
	int err;

	access_begin(vm, v);
	if (lapic_in_x2apic(v->lapic))
		model_lapic(v, (msr - 0x800) * 16, true, (uint32_t)val, true);
	err = lapic_msr_write(v->lapic, msr, val);
	board_lapic_written(vm->machine, v);
	access_end(vm);
	return err;
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
