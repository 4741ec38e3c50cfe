/* SPDX-License-Identifier: MIT */
/*
 * What machine.c (the board), machine_irq.c (its interrupts) and io.c (its I/O thread) share;
 * nobody else includes it.
 */
#ifndef RINGSIDE_VMM_MACHINE_PRIV_H
#define RINGSIDE_VMM_MACHINE_PRIV_H

#include <pthread.h>

#include "vmm/console.h"
#include "vmm/dev/assign.h"
#include "vmm/dev/devices.h"
#include "vmm/display.h"
#include "vmm/machine.h"
#include "vmm/vm.h"

enum { OUT_COM1, OUT_DEBUGCON, OUT_COUNT };

/* All under the VM's device lock, but the descriptors, which do not change while it runs. */
struct io {
	pthread_t thread;
	pthread_cond_t room; /* an output buffer has room again, or is discarded */
	struct vtimer flush;
	uint64_t programmed_ns; /* what the timerfd is armed for; TIMER_NEVER: not */
	int epoll_fd, timer_fd, wake_fd;
	bool started;
	bool stop;
	bool asleep;    /* in epoll_wait(): needs wake_fd to notice anything */
	bool again;     /* io_wake() while not asleep: go round once more before sleeping */
	bool flush_due; /* write what is buffered */
	bool in_ready;  /* epoll said so */
	bool in_watched, out_watched[OUT_COUNT]; /* registered with epoll */
	struct console_in in;
	struct console_out out[OUT_COUNT];
};

#define ISA_IRQS 16

/* IA32_APIC_BASE */
#define APIC_BASE_EXTD   0x400u
#define APIC_BASE_ENABLE 0x800u

struct machine {
	struct vm *vm;
	struct machine_config cfg;
	struct uart *uart;
	struct pic *pic;
	struct ioapic *ioapic;
	struct pit *pit;
	struct rtc *rtc;
	struct i8042 *i8042;
	struct vga *vga;
	struct io_display *display; /* NULL without --display=text */
	struct debugcon *debugcon;
	struct exitport *exitport;
	struct vcpu *accessing; /* on whose behalf a device is being called; NULL: a timer's or
				   input's */
	struct {
		struct irq_line pic, ioapic;
		bool level;
		/* For the account: requests at the PIC since the last acknowledge of this line. */
		uint64_t since_ns, times;
	} isa[ISA_IRQS];
	struct assign assign[ASSIGN_MAX];
	unsigned assigns; /* of them open */
	pthread_t assign_thread;
	int assign_stop_fd;
	bool assign_started;
	struct irq_line intr_pin; /* IOAPIC pin 0: the PIC's INTR */
	struct io io;
};

/* PIC, IOAPIC and local APICs, and the wires between them.  Returns 0 or negative errno. */
int board_interrupts(struct machine *m);
void board_interrupts_free(struct machine *m);
/* ISA interrupt request @irq: to the PIC, and to the IOAPIC (IRQ 0 to pin 2). */
struct irq_line board_isa_line(struct machine *m, unsigned irq);
/* Ask @v to look at its interrupt controllers.  Lock held. */
void board_raise(struct machine *m, struct vcpu *v);
/* @v wrote to its local APIC: what it held off may come through now.  Lock held. */
void board_lapic_written(struct machine *m, struct vcpu *v);

/* Returns 0 or negative errno. */
int io_init(struct machine *m);
void io_destroy(struct machine *m);
int io_start(struct machine *m);
/* Flush all output, end the thread. */
void io_stop(struct machine *m);
/* io_slice.c: have the calling thread preempt others as soon as it wakes, where the host can. */
void io_thread_prompt(void);

/* io_assign.c: the thread of the assigned devices, if there are any.  No lock held. */
int io_assign_start(struct machine *m);
/* What rang before is posted. */
void io_assign_stop(struct machine *m);
/* io_display.c.  All with the lock held but the first. */
int io_display_create(struct machine *m);
void io_display_free(struct machine *m);
void io_display_start(struct machine *m);
/* The last picture, and leave the screen. */
void io_display_stop(struct machine *m);
/* Something else was written to the terminal: leave it there to be read, then paint all anew. */
void io_display_yield(struct machine *m);
/* The I/O thread has something to look at.  Lock held. */
void io_wake(struct machine *m);
/* A byte the guest printed.  Lock held; never blocks. */
void io_put(struct machine *m, unsigned which, uint8_t byte);
/*
 * Wait until output @which can take what one port access may print.  Lock held, but released while
 * waiting, so call it before the device is touched.  Gives up when the VM is to stop.
 */
void io_wait_room(struct machine *m, unsigned which);

#endif
