/* SPDX-License-Identifier: MIT */
/*
 * Interrupts raised at exact instruction boundaries of small guests, in the real run loop and a
 * real world.  An engine between the two single-steps the guest, counts the boundaries, and at the
 * one it was told posts a vector or an NMI, as another thread could have done just then.
 */
#ifndef RINGSIDE_TESTS_DELIVER_H
#define RINGSIDE_TESTS_DELIVER_H

#include "tests/raw_guest.h"
#include "vmm/dev/devices.h"
#include "vmm/irq_stats.h"
#include "vmm/machine.h"

#define DL_IRQ            0x60 /* the vector that is raised */
#define DL_OTHER          0x61 /* one of the same class, whose handler sends no EOI */
#define DL_NEVER          -1   /* raise nothing */
#define DL_LOG            64   /* boundaries and events remembered */
#define DL_INTERRUPT_GATE 0xe
#define DL_TRAP_GATE      0xf
#define DL_TEXT_MAX       0x800u /* the guest's code; the handlers are behind it */

enum dl_what { DL_RAISE_IRQ = 1, DL_RAISE_NMI = 2 };

/*
 * When: seen before the instruction at that boundary, or while it executes (not counted if it turns
 * out that it did not, for a page the monitor had to map).
 */
enum dl_when { DL_BEFORE, DL_DURING };

/* What a handler saw: its vector and the frame; written by the guest. */
struct dl_event {
	uint32_t vector, eip, ecx, eflags;
};

struct dl_boundary {
	uint32_t eip, ecx;
};

struct dl {
	struct vm vm;
	struct vcpu v;
	struct engine step; /* what the run loop sees */
	struct engine *world;
	/* What to do. */
	int at; /* DL_NEVER, or the number of the boundary; with @dry that or the next there is */
	unsigned what;
	enum dl_when when;
	const struct dl *dry; /* boundaries are those of that run; NULL: count */
	/* What came of it. */
	bool raised;
	unsigned boundaries, events;
	struct dl_boundary boundary[DL_LOG];
	struct dl_event event[DL_LOG];
};

/* Load @code as cg_load() does, into a machine with its local APIC on.  dl_free() in any case. */
void dl_load(struct dl *d, const uint8_t *code, const uint8_t *end);
/* All vectors with a handler below have an interrupt gate to it at first. */
void dl_gate(struct dl *d, unsigned vector, uint32_t handler, unsigned type);
void dl_go(struct dl *d);
void dl_free(struct dl *d);
/* The same without the steps in between: the boundaries are the CPU's. */
void dl_load_bare(struct dl *d, const uint8_t *code, const uint8_t *end);
void dl_free_bare(struct dl *d);

/* Post what @what says to the vCPU, as its own thread. */
void dl_raise(struct dl *d, unsigned what);
/* The first event of @vector, or NULL. */
const struct dl_event *dl_find(const struct dl *d, unsigned vector);
/* Where the handlers begin: EIP of the first instruction of @vector's. */
uint32_t dl_handler(unsigned vector);

#endif
