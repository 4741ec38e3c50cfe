/* SPDX-License-Identifier: MIT */
/*
 * The board: which chips a VM has and how their lines are wired, and the thread that feeds them
 * (console input, timers).
 */
#ifndef RINGSIDE_VMM_MACHINE_H
#define RINGSIDE_VMM_MACHINE_H

#include "vmm/types.h"

struct vm;
struct vcpu;
struct machine;
struct assign_config;

struct machine_config {
	int console_in, console_out; /* descriptors of COM1; -1: none */
	bool console_escape;         /* Ctrl-A x quits, Ctrl-A h helps (a terminal) */
	/* Output that nobody takes is dropped: the guest never waits, nor ends for it. */
	bool console_lossy;
	int debugcon_out; /* descriptor of port 0xe9; -1: discarded */
	/*
	 * The VGA text screen is shown on console_out, console_in types on the keyboard, and COM1
	 * goes nowhere.
	 */
	bool display;
	const struct assign_config *assign; /* assigned devices */
	unsigned assigns;                   /* at most ASSIGN_MAX */
};

/*
 * Create the chips on @vm's buses and one LAPIC per vCPU.  Returns 0 or negative errno, with
 * vm->death set where an assigned device is at fault.
 */
int machine_create(struct vm *vm, const struct machine_config *cfg);
/* Start and stop the I/O thread: an epoll loop over console, timers and stop requests. */
int machine_start(struct vm *vm);
void machine_stop(struct vm *vm);
void machine_destroy(struct vm *vm);

/*
 * What interrupt should @v take now?  Acknowledges it at its controller: the PIC, if its ExtINT
 * reaches
 * @v, then the LAPIC.  Call only when the vCPU can take it (IF set, no shadow).
 * Returns the vector, or -1.  Takes the device lock.
 */
int machine_ack_interrupt(struct vm *vm, struct vcpu *v);
/* Is there one to take?  Same rules, without acknowledging. */
bool machine_has_interrupt(struct vm *vm, struct vcpu *v);
/*
 * @v takes the NMI it was told of: v->nmi_pending goes back to false, and the account knows.
 * Returns whether there was one.  Takes the device lock.
 */
bool machine_ack_nmi(struct vm *vm, struct vcpu *v);
/*
 * @v has taken an INIT and is reset.  Its local APIC was reset when the INIT arrived; since then
 * the guest may have written to it, so this resets it again and has its mode follow
 * v->sh.apic_base. A pending NMI is forgotten.  Call from the vCPU's thread.  Source: SDM Vol.
 * 3A, 10.4.7.3.
 */
void machine_vcpu_init(struct vm *vm, struct vcpu *v);

/*
 * Send @vector to @v's local APIC: an upcall of vmm/activations.c.  Nothing happens without
 * devices. Takes the device lock.  Any thread.
 */
void machine_upcall(struct vm *vm, struct vcpu *v, uint8_t vector);

/* Port and memory I/O on behalf of @v; take the device lock, route the LAPIC page to v's own. */
uint32_t machine_pio_read(struct vm *vm, struct vcpu *v, uint16_t port, unsigned width);
void machine_pio_write(struct vm *vm, struct vcpu *v, uint16_t port, unsigned width, uint32_t val);
uint32_t machine_mmio_read(struct vm *vm, struct vcpu *v, gpa_t gpa, unsigned width);
void machine_mmio_write(struct vm *vm, struct vcpu *v, gpa_t gpa, unsigned width, uint32_t val);

/* The local APIC's MSRs in x2APIC mode, 0x800-0x8ff.  Return 0, or -EINVAL for #GP. */
int machine_x2apic_read(struct vm *vm, struct vcpu *v, uint32_t msr, uint64_t *val);
int machine_x2apic_write(struct vm *vm, struct vcpu *v, uint32_t msr, uint64_t val);

/* IA32_APIC_BASE (a legal value: msr.c checks the transition) and IA32_TSC_DEADLINE. */
void machine_set_apic_base(struct vm *vm, struct vcpu *v, uint64_t val);
void machine_set_tsc_deadline(struct vm *vm, struct vcpu *v, uint64_t tsc);
uint64_t machine_tsc_deadline(struct vm *vm, struct vcpu *v);
/* The guest moved its TSC (v->sh.tsc_offset is new): a pending deadline comes at another time. */
void machine_tsc_changed(struct vm *vm, struct vcpu *v);

/* Assigned device @i; NULL: there are no more. */
const struct assign *machine_assigned(const struct vm *vm, unsigned i);

#endif
