/* SPDX-License-Identifier: MIT */
/*
 * I/O APIC: 24 pins, each with a redirection entry that makes a message of it.
 * Source: Intel 82093AA data sheet (290566-001), sections 3.1 and 3.2; EOI register and version
 * 0x20 of the ICH data sheet (290655), "APIC Registers": directed EOI (SDM Vol. 3A, 10.8.5) needs
 * it.
 *
 * A level pin sends once and then waits, with remote IRR set, for an EOI of its vector; each EOI
 * sends at most once for each pin.  So a guest can keep itself busy with a line nobody lowers, but
 * not this code.
 */
#include "vmm/dev/devices.h"

#include <stdlib.h>

#define IOAPIC_LEN    0x1000u
#define IOAPIC_SELECT 0x00
#define IOAPIC_WINDOW 0x10
#define IOAPIC_EOI    0x40

/* Behind the window; 3.1. */
#define REG_ID      0x00u
#define REG_VERSION 0x01u
#define REG_ARB     0x02u
#define REG_TABLE   0x10u

#define VERSION 0x00170020u /* maximum redirection entry 23 */

/* Redirection entry, low half; 3.2.4. */
#define RTE_VECTOR     0x000ffu
#define RTE_MODE       0x00700u
#define RTE_LOGICAL    0x00800u
#define RTE_STATUS     0x01000u /* read-only: a message waits to be accepted */
#define RTE_LOW        0x02000u /* polarity: active low */
#define RTE_REMOTE_IRR 0x04000u /* read-only */
#define RTE_LEVEL      0x08000u
#define RTE_MASK       0x10000u
#define RTE_WRITABLE   (RTE_VECTOR | RTE_MODE | RTE_LOGICAL | RTE_LOW | RTE_LEVEL | RTE_MASK)

#define MODE_FIXED  0x000u
#define MODE_LOWEST 0x100u
#define MODE_EXTINT 0x700u

#define ICR_ASSERT 0x4000u

struct ioapic {
	struct ioapic_host host;
	uint32_t select;
	uint32_t id;    /* bits 27:24 */
	uint32_t wired; /* pins with something behind them; the others are never active */
	uint32_t lines; /* levels */
	uint32_t lo[IOAPIC_PINS], hi[IOAPIC_PINS];
};

static bool is_active(const struct ioapic *io, unsigned pin)
{
	bool high = io->lines >> pin & 1;

	return (io->wired >> pin & 1) && high != !!(io->lo[pin] & RTE_LOW);
}

/* 3.2.4: NMI, INIT, SMI and ExtINT are edges whatever the trigger mode says. */
static bool is_level(uint32_t rte)
{
	uint32_t mode = rte & RTE_MODE;

	return (rte & RTE_LEVEL) && (mode == MODE_FIXED || mode == MODE_LOWEST);
}

/* Make a message of @pin. */
static void pin_send(struct ioapic *io, unsigned pin)
{
	uint32_t rte = io->lo[pin],
		 icr = (rte & (RTE_VECTOR | RTE_MODE | RTE_LOGICAL)) | ICR_ASSERT;

	if (!is_level(rte)) {
		io->host.send(io->host.arg, icr, (uint8_t)(io->hi[pin] >> 24));
		return;
	}
	/*
	 * Before sending: the local APIC may end the interrupt at once.  (It does not today, but
	 * then this order matters.)
	 */
	io->lo[pin] |= RTE_REMOTE_IRR;
	io->lo[pin] &= ~RTE_STATUS;
	if (!io->host.send(io->host.arg, icr | RTE_LEVEL, (uint8_t)(io->hi[pin] >> 24))) {
		io->lo[pin] &= ~RTE_REMOTE_IRR;
		io->lo[pin] |= RTE_STATUS;
	}
}

/* Send if a level pin asks, is let through and nobody is at it. */
static void pin_level(struct ioapic *io, unsigned pin)
{
	uint32_t rte = io->lo[pin];

	if (is_level(rte) && is_active(io, pin) && !(rte & (RTE_MASK | RTE_REMOTE_IRR)))
		pin_send(io, pin);
}

static void ioapic_set_line(void *controller, unsigned pin, bool level)
{
	struct ioapic *io = controller;
	bool was;

	if (pin >= IOAPIC_PINS)
		return;
	was = is_active(io, pin);
	io->lines = level ? io->lines | 1u << pin : io->lines & ~(1u << pin);
	if (!is_active(io, pin)) {
		io->lo[pin] &= ~RTE_STATUS;
		return;
	}
	if (is_level(io->lo[pin]))
		pin_level(io, pin);
	/* 3.2.4, bit 16: edges on a masked pin are ignored, not held. */
	else if (!was && !(io->lo[pin] & RTE_MASK))
		pin_send(io, pin);
}

struct irq_line ioapic_line(struct ioapic *io, unsigned pin)
{
	if (pin < IOAPIC_PINS)
		io->wired |= 1u << pin;
	return (struct irq_line){ .set = ioapic_set_line, .controller = io, .input = pin };
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (!(io->lo[pin] & RTE_REMOTE_IRR) || (io->lo[pin] & RTE_VECTOR) != vector)
			continue;
		io->lo[pin] &= ~RTE_REMOTE_IRR;
		pin_level(io, pin);
	}
}

void ioapic_retry(struct ioapic *io)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		if (io->lo[pin] & RTE_STATUS)
			pin_level(io, pin);
}

bool ioapic_extint(const struct ioapic *io, unsigned pin, uint32_t *icr, uint8_t *dest)
{
	uint32_t rte = io->lo[pin % IOAPIC_PINS];

	if ((rte & RTE_MASK) || (rte & RTE_MODE) != MODE_EXTINT)
		return false;
	*icr = rte & (RTE_VECTOR | RTE_MODE | RTE_LOGICAL);
	*dest = (uint8_t)(io->hi[pin % IOAPIC_PINS] >> 24);
	return true;
}

void ioapic_set_id(struct ioapic *io, uint8_t id)
{
	io->id = (uint32_t)(id & 0xf) << 24;
}

/* ---- registers ---- */

static uint32_t reg_read(const struct ioapic *io)
{
	unsigned n = io->select - REG_TABLE;

	switch (io->select) {
	case REG_ID:
	case REG_ARB: return io->id; /* the arbitration id is loaded with the id */
	case REG_VERSION: return VERSION;
	default: break;
	}
	if (io->select < REG_TABLE || n / 2 >= IOAPIC_PINS)
		return 0;
	return n % 2 ? io->hi[n / 2] : io->lo[n / 2];
}

static void write_lo(struct ioapic *io, unsigned pin, uint32_t val)
{
	uint32_t rte = val & RTE_WRITABLE;

	/*
	 * An edge entry has no remote IRR: switching to edge and back is how kernels that do not
	 * use the EOI register clear a stuck one.
	 */
	if (is_level(rte))
		rte |= io->lo[pin] & RTE_REMOTE_IRR;
	io->lo[pin] = rte;
	pin_level(io, pin);
	/* INTR is a level to the processor: it must hear of one that waited for this. */
	if (!(rte & RTE_MASK) && (rte & RTE_MODE) == MODE_EXTINT && is_active(io, pin))
		pin_send(io, pin);
}

static void reg_write(struct ioapic *io, uint32_t val)
{
	unsigned n = io->select - REG_TABLE;

	if (io->select == REG_ID)
		io->id = val & 0x0f000000;
	if (io->select < REG_TABLE || n / 2 >= IOAPIC_PINS)
		return;
	if (n % 2)
		io->hi[n / 2] = val & 0xff000000;
	else
		write_lo(io, n / 2, val);
}

/* 3.1: IOREGSEL has 8 bits; the window is accessed by 32. */
static uint32_t ioapic_read(void *dev, uint64_t off, unsigned width)
{
	const struct ioapic *io = dev;

	if (off == IOAPIC_SELECT)
		return io->select;
	return off == IOAPIC_WINDOW && width == 4 ? reg_read(io) : 0;
}

static void ioapic_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct ioapic *io = dev;

	if (off == IOAPIC_SELECT)
		io->select = val & 0xff;
	else if (off == IOAPIC_WINDOW && width == 4)
		reg_write(io, val);
	else if (off == IOAPIC_EOI && width == 4)
		ioapic_eoi(io, val & 0xff);
}

struct ioapic *ioapic_new(struct bus *mmio, const struct ioapic_host *host)
{
	struct ioapic *io = calloc(1, sizeof(*io));

	if (!io)
		return NULL;
	io->host = *host;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->lo[pin] = RTE_MASK;
	if (bus_add(mmio, &(struct bus_range){ .name = "ioapic",
					       .base = IOAPIC_BASE,
					       .len = IOAPIC_LEN,
					       .dev = io,
					       .read = ioapic_read,
					       .write = ioapic_write })) {
		free(io);
		return NULL;
	}
	return io;
}

void ioapic_free(struct ioapic *io)
{
	free(io);
}
