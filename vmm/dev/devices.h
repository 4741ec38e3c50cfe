/* SPDX-License-Identifier: MIT */
/*
 * The chips of the virtual PC.  One file each in vmm/dev/; each attaches itself to the buses, has
 * no global state, and is called under the VM's device lock.  PC addresses, so that the same image
 * also boots under QEMU.
 */
#ifndef RINGSIDE_VMM_DEVICES_H
#define RINGSIDE_VMM_DEVICES_H

#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/irq_stats.h"
#include "vmm/timer.h"
#include "vmm/types.h"

/* ---- 16550A UART (PC16550D data sheet), COM1: ports 0x3f8-0x3ff, IRQ 4 ---- */
struct uart;
struct uart_backend {
	/* One byte out.  Never blocks. */
	void (*tx)(void *arg, uint8_t byte);
	/*
	 * The receiver has room again after it had none (so uart_rx() may have refused bytes).  May
	 * be NULL.
	 */
	void (*rx_room)(void *arg);
	void *arg;
};
struct uart *uart_new(struct bus *pio, uint16_t base, struct irq_line irq, struct timers *ts,
		      const struct uart_backend *be);
/*
 * Offer received bytes; returns how many the receive FIFO took.  None before the guest has looked
 * at the receiver (read LSR or RBR, or enabled its interrupt) and none in loopback: the terminal at
 * the other end holds them, so that a driver's FIFO reset at start does not eat piped input.
 */
size_t uart_rx(struct uart *u, const uint8_t *buf, size_t len);
/* How many bytes uart_rx() would take now. */
size_t uart_rx_room(const struct uart *u);
void uart_free(struct uart *u);

/* ---- 8259A pair (Intel 8259A data sheet): ports 0x20/21, 0xa0/a1, ELCR 0x4d0/1 ---- */
struct pic;
/* @intr is called with the level of the master's INT output whenever it changes. */
struct pic *pic_new(struct bus *pio, void (*intr)(void *arg, bool level), void *arg);
struct irq_line pic_line(struct pic *p, unsigned irq); /* 0-15 */
bool pic_pending(const struct pic *p);
/* Interrupt acknowledge cycle: the vector; the spurious one (IRQ 7/15) if nothing is pending. */
uint8_t pic_ack(struct pic *p);
/* The same; *@irq is the request that was acknowledged, -1 if it was a spurious one. */
uint8_t pic_ack_irq(struct pic *p, int *irq);
/* Is @irq (0-15) requested and let through by the masks? */
bool pic_requests(const struct pic *p, unsigned irq);
void pic_free(struct pic *p);

/* ---- 8254 PIT (Intel 8254 data sheet): ports 0x40-0x43, 0x61; IRQ 0; 1193182 Hz ---- */
struct pit;
struct pit *pit_new(struct bus *pio, struct irq_line irq0, struct timers *ts);
void pit_free(struct pit *p);

/* ---- MC146818 RTC and CMOS: ports 0x70/0x71, IRQ 8 ---- */
struct rtc;
/* @wall_ns: host wall clock in ns since the epoch (tests drive it); memory sizes go to CMOS. */
struct rtc *rtc_new(struct bus *pio, struct irq_line irq8, struct timers *ts,
		    uint64_t (*wall_ns)(void *arg), void *arg, uint64_t ram_len);
void rtc_free(struct rtc *r);

/* ---- i8042 keyboard controller and a US keyboard: ports 0x60/0x64, IRQ 1, port 0x92 ---- */
struct i8042;
struct i8042 *i8042_new(struct bus *pio, struct irq_line irq1, void (*reset)(void *arg), void *arg);
/* Call @room when i8042_type() may take more than it did last time. */
void i8042_on_room(struct i8042 *k, void (*room)(void *arg), void *arg);
/* Will i8042_type() take something now? */
bool i8042_wants(const struct i8042 *k);
/*
 * Somebody types these bytes of a terminal.  Returns how many were taken: none before the guest
 * looked at the controller or enabled its interrupt, none while the keyboard is disabled.
 */
size_t i8042_type(struct i8042 *k, const uint8_t *buf, size_t len);
void i8042_free(struct i8042 *k);

/* ---- VGA registers in text mode: ports 0x3c0-0x3cf, 0x3d4/0x3d5, 0x3da ---- */
struct vga;
struct vga_text {
	unsigned start, cursor; /* in cells from 0xb8000 */
	bool cursor_on, blink;
};
struct vga *vga_new(struct bus *pio);
struct vga_text vga_text(const struct vga *v);
void vga_free(struct vga *v);

/* ---- Debug console, port 0xe9 (Bochs): writes go to @tx, reads give 0xe9 ---- */
struct debugcon;
struct debugcon *debugcon_new(struct bus *pio, void (*tx)(void *arg, uint8_t byte), void *arg);
void debugcon_free(struct debugcon *d);

/* ---- Exit port 0xf4 (QEMU isa-debug-exit, iosize 4): status (v << 1) | 1 ---- */
struct exitport;
struct exitport *exitport_new(struct bus *pio, void (*done)(void *arg, uint32_t status), void *arg);
void exitport_free(struct exitport *x);

/*
 * ---- I/O APIC with 24 pins (Intel 82093AA data sheet; version 0x20 with an EOI register, as in
 * the ICH and ICH2 data sheets and in QEMU): 0xfec00000 ----
 */
struct ioapic;
struct ioapic_host {
	/*
	 * A message to the local APICs: @icr in the form of an ICR's low half (vector, delivery and
	 * destination mode, trigger mode), @dest the 8-bit destination.  True if one accepted it.
	 */
	bool (*send)(void *arg, uint32_t icr, uint8_t dest);
	void *arg;
};
#define IOAPIC_BASE 0xfec00000u
#define IOAPIC_PINS 24u
struct ioapic *ioapic_new(struct bus *mmio, const struct ioapic_host *host);
/* Wire something to @pin (0-23): its line is active high and starts low. */
struct irq_line ioapic_line(struct ioapic *io, unsigned pin);
/* A local APIC broadcasts the end of a level-triggered @vector. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);
/* Level interrupts that nobody accepted (all local APICs were off): try again. */
void ioapic_retry(struct ioapic *io);
/* Pin @pin is unmasked in ExtINT mode: then *@icr and *@dest say for whom. */
bool ioapic_extint(const struct ioapic *io, unsigned pin, uint32_t *icr, uint8_t *dest);
void ioapic_set_id(struct ioapic *io, uint8_t id);
void ioapic_free(struct ioapic *io);

/* ---- Local APIC (SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)" 10) ---- */
struct lapic;
struct lapic_host {
	/* Something became deliverable, or NMI/INIT arrived: the vCPU should look. */
	void (*notify)(void *arg);
	void (*nmi)(void *arg);
	/* Guest TSC now and the host-ns at which it will reach @tsc (TSC-deadline timer). */
	uint64_t (*tsc)(void *arg);
	uint64_t (*tsc_to_ns)(void *arg, uint64_t tsc);
	void *arg;
	/*
	 * An interprocessor interrupt that is not the sender's alone: @icr as written to the low
	 * half of the ICR, @dest its destination (8 bits, in x2APIC mode 32).  The host finds the
	 * targets with lapic_ipi_targets() and calls lapic_receive() on each.  NULL: there is no
	 * other processor.
	 */
	void (*send_ipi)(void *arg, uint32_t icr, uint32_t dest);
	/*
	 * INIT (@sipi -1; the local APIC has been reset already) or a start-up IPI with its vector
	 * arrived.  NULL: ignored.
	 */
	void (*init_sipi)(void *arg, int sipi);
	/* EOI of a level-triggered vector, for the IOAPIC.  NULL: nobody listens. */
	void (*level_eoi)(void *arg, uint8_t vector);
};
#define LAPIC_BASE     0xfee00000u
#define LAPIC_TIMER_HZ 1000000000u /* bus clock of the timer before the divider */
/*
 * A periodic timer interrupts at most this often, whatever the guest programs: with a shorter
 * period only every n-th expiry interrupts (smallest n); the current count is not affected.
 */
#define LAPIC_MIN_PERIOD_NS 20000u
struct lapic *lapic_new(uint8_t apic_id, struct timers *ts, const struct lapic_host *host);
/* MMIO of the page at the APIC base; the machine routes it to the accessing vCPU's own LAPIC. */
uint32_t lapic_mmio_read(struct lapic *l, uint32_t off, unsigned width);
void lapic_mmio_write(struct lapic *l, uint32_t off, unsigned width, uint32_t val);
/* State the firmware would leave: software enabled, LINT0 ExtINT ("virtual wire"), LINT1 NMI. */
void lapic_set_virtual_wire(struct lapic *l);
/* IA32_APIC_BASE bits 11 and 10.  Which transitions are legal is the caller's matter. */
void lapic_set_mode(struct lapic *l, bool enabled, bool x2apic);
void lapic_set_hw_enabled(struct lapic *l, bool on);
/* Enabled, and its registers are MSRs. */
bool lapic_in_x2apic(const struct lapic *l);
/*
 * MSRs 0x800-0x83f.  Return 0, or -EINVAL for what is a #GP: not in x2APIC mode, no such register,
 * read-only or write-only, a reserved bit set.
 */
int lapic_msr_read(struct lapic *l, uint32_t index, uint64_t *val);
int lapic_msr_write(struct lapic *l, uint32_t index, uint64_t val);
/* Enabled in IA32_APIC_BASE and in its SVR: it takes fixed interrupts. */
bool lapic_enabled(const struct lapic *l);
/* Count into @stats, which may be NULL. */
void lapic_set_stats(struct lapic *l, struct irq_stats *stats);
/* Highest vector in IRR with priority above PPR, or -1. */
int lapic_pending(const struct lapic *l);
/* Acknowledge: move that vector from IRR to ISR and return it; spurious vector if none. */
uint8_t lapic_ack(struct lapic *l);
/* A vector arrives over the bus or by self-IPI. */
void lapic_deliver(struct lapic *l, uint8_t vector, bool level);
/* The same, accounted under @path.  True if it was accepted. */
bool lapic_deliver_from(struct lapic *l, uint8_t vector, bool level, enum irq_path path);
/* LINT0 is unmasked in ExtINT mode (or the APIC is disabled): the PIC's INTR reaches the CPU. */
bool lapic_accepts_extint(const struct lapic *l);
void lapic_eoi(struct lapic *l);
/* The vector that an EOI would be for, and whether its interrupt is level-triggered; -1: none. */
int lapic_in_service(const struct lapic *l, bool *level);
uint32_t lapic_tpr(const struct lapic *l);
/* Arbitration priority; the lowest takes a lowest-priority message (10.6.2.4). */
uint32_t lapic_apr(const struct lapic *l);
void lapic_set_tsc_deadline(struct lapic *l, uint64_t tsc);
uint64_t lapic_tsc_deadline(const struct lapic *l);
/* The TSC was written or its offset changed: the deadline now lies at another time. */
void lapic_tsc_changed(struct lapic *l);
/* Level of pin LINT0 or LINT1 (@pin 0 or 1).  ExtINT mode is left to lapic_accepts_extint(). */
void lapic_lint(struct lapic *l, unsigned pin, bool level);
/*
 * Does a message with ICR low half @icr and destination @dest, sent by the LAPIC @from (NULL: by
 * the IOAPIC), concern @l?  Shorthands, physical and logical (flat, cluster, x2APIC) destinations;
 * SDM Vol. 3A, "Determining IPI Destination" (10.6.2).
 */
bool lapic_ipi_targets(const struct lapic *l, const struct lapic *from, uint32_t icr,
		       uint32_t dest);
/*
 * The message arrives: fixed and lowest priority set IRR, NMI, INIT and SIPI go to the host.  True
 * if it was accepted.  From the IOAPIC (@path is external) it may be level-triggered.
 */
bool lapic_receive(struct lapic *l, uint32_t icr, enum irq_path path);
void lapic_receive_ipi(struct lapic *l, uint32_t icr);
void lapic_nmi(struct lapic *l, enum irq_path path);
/* INIT: reset the local APIC and tell the host. */
void lapic_init(struct lapic *l);
void lapic_init_reset(struct lapic *l);
/*
 * Post @vector, @times of them that happened since the last call (coalesced into one).  Any thread,
 * no lock; one thread at a time for each vector.  True if the vCPU has to be told: set its hint and
 * kick it.
 */
bool lapic_post(struct lapic *l, uint8_t vector, uint64_t times, uint64_t now_ns);
/* Something was posted and not taken yet.  No lock. */
bool lapic_posted_outstanding(const struct lapic *l);
/* Merge what was posted into the IRR. */
void lapic_posted_take(struct lapic *l);
/* Nobody posts any more: count what came too late for its own interrupt, too. */
void lapic_posted_settle(struct lapic *l);
void lapic_reset(struct lapic *l);
void lapic_free(struct lapic *l);

#endif
