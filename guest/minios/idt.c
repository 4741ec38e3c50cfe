/* SPDX-License-Identifier: MIT */
/*
 * The interrupt descriptor table: where the CPU goes for each of its 256 vectors.
 * Source: SDM Vol. 3A, "IDT Descriptors" (6.11), "Exception- or Interrupt-Handler Procedures"
 * (6.12.1).
 */
#include "os.h"
#include "trap.h"
#include "x86.h"

struct gate_descriptor {
	uint16_t offset_low, selector;
	uint8_t zero, access;
	uint16_t offset_high;
} __attribute__((packed));

static struct gate_descriptor idt[256];
static trap_fn *handler[256];
extern char trap_stubs[]; /* vectors.S: 256 stubs of 16 bytes */

struct trap trap_seen;
uint32_t trap_at, trap_next;
volatile uint8_t trap_armed;

void idt_set_gate(unsigned vector, enum gate kind)
{
	uint32_t entry = (uint32_t)trap_stubs + 16 * vector;
	idt[vector] = (struct gate_descriptor){
		.offset_low = (uint16_t)entry,
		.selector = SEL_CODE,
		.access = (uint8_t)kind,
		.offset_high = (uint16_t)(entry >> 16),
	};
}

void trap_handle(unsigned vector, trap_fn *fn)
{
	handler[vector] = fn;
}

void trap_dispatch(struct frame *f)
{
	/* Interrupts are off and no user memory is touched while a lock is held: os.h. */
	if (locks_held())
		panic("trap %u at %x with %u locks held", f->vector, f->eip, locks_held());
	if (os_runs && from_user(f))
		activation_enter(f);
	if (handler[f->vector]) {
		handler[f->vector](f);
	} else if (trap_armed) {
		/* A self-check provoked this: note what came and carry on behind it. */
		trap_armed = 0;
		trap_seen = (struct trap){ f->vector, f->error, f->eip, f->cs, f->eflags };
		f->eip = trap_next;
	} else {
		panic("unexpected trap %u, error %x, at %x", f->vector, f->error, f->eip);
	}
}

void idt_load(void)
{
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uint32_t)idt };

	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void idt_init(void)
{
	for (unsigned v = 0; v < 256; v++)
		idt_set_gate(v, GATE_INTERRUPT);
	idt_load();
}
