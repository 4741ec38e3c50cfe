/* SPDX-License-Identifier: MIT */
/*
 * The PC's pair of 8259A interrupt controllers, the slave on the master's IR2.
 * Source: Intel 8259A data sheet (231468-003); Intel 82371 (PIIX) data sheet for the edge/level
 * control registers at 0x4d0 and 0x4d1, which replace the chip's own LTIM bit.
 */
#include <stdlib.h>

#include "vmm/dev/devices.h"

#define PIC_MASTER_BASE 0x20
#define PIC_SLAVE_BASE  0xa0
#define PIC_ELCR_BASE   0x4d0
#define PIC_CASCADE     2 /* master input of the slave's INT */

#define ICW1_INIT 0x10
#define ICW1_SNGL 0x02
#define ICW1_IC4  0x01
#define ICW4_SFNM 0x10
#define ICW4_AEOI 0x02

#define OCW3_SELECT 0x08
#define OCW3_ESMM   0x40
#define OCW3_SMM    0x20
#define OCW3_POLL   0x04
#define OCW3_RR     0x02
#define OCW3_RIS    0x01

/* OCW2 bits 7:5: rotate, specific, end of interrupt. */
enum {
	OCW2_CLEAR_ROTATE_AEOI = 0,
	OCW2_EOI = 1,
	OCW2_NOP = 2,
	OCW2_SPECIFIC_EOI = 3,
	OCW2_SET_ROTATE_AEOI = 4,
	OCW2_ROTATE_EOI = 5,
	OCW2_SET_PRIORITY = 6,
	OCW2_ROTATE_SPECIFIC_EOI = 7
};

/* Which initialization command word the data port expects. */
enum init_step { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

struct pic_chip {
	struct pic *pic;
	bool master;
	uint8_t lines; /* levels at the inputs */
	uint8_t irr, isr, imr;
	uint8_t elcr, elcr_mask; /* 1: level; which bits the board lets the guest set */
	uint8_t base;            /* vector of input 0 */
	uint8_t lowest;          /* input of lowest priority; 7 unless rotated */
	enum init_step step;
	bool want_icw4, single;
	bool read_isr, poll;
	bool auto_eoi, rotate_aeoi;
	bool special_mask, special_nested;
};

struct pic {
	struct pic_chip chip[2]; /* master, slave */
	bool intr;               /* the master's INT output */
	void (*intr_fn)(void *arg, bool level);
	void *intr_arg;
};

/* The set bit of @set with the highest priority, or -1.  Fully nested mode with rotation. */
static int highest(const struct pic_chip *c, uint8_t set)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned input = (c->lowest + i) & 7;

		if (set & 1u << input)
			return (int)input;
	}
	return -1;
}

/* 0 (highest) to 7 for an input; 8 for none. */
static unsigned rank(const struct pic_chip *c, int input)
{
	return input < 0 ? 8 : ((unsigned)input - c->lowest - 1) & 7;
}

/* The input to be serviced next, or -1 when nothing beats what is in service. */
static int chip_request(const struct pic_chip *c)
{
	uint8_t blocking = c->isr;
	int input = highest(c, c->irr & (uint8_t)~c->imr);

	/* Special mask mode: a masked level in service inhibits nobody. */
	if (c->special_mask)
		blocking &= (uint8_t)~c->imr;
	/* Special fully nested mode: the slave may interrupt its own service routine. */
	if (c->special_nested && c->master)
		blocking &= (uint8_t) ~(1u << PIC_CASCADE);
	return rank(c, input) < rank(c, highest(c, blocking)) ? input : -1;
}

/* Edge inputs latch the rising edge, and only as long as the line stays high. */
static void chip_set_line(struct pic_chip *c, unsigned input, bool level)
{
	uint8_t bit = (uint8_t)(1u << input);
	bool rising = level && !(c->lines & bit);

	c->lines = level ? c->lines | bit : c->lines & (uint8_t)~bit;
	if (!level)
		c->irr &= (uint8_t)~bit;
	else if (rising || (c->elcr & bit))
		c->irr |= bit;
}

/* Recompute the cascade and the INT output. */
static void pic_update(struct pic *p)
{
	struct pic_chip *m = &p->chip[0], *s = &p->chip[1];
	bool intr;
	bool slave_int = chip_request(s) >= 0;

	/*
	 * The slave drops INT while it is acknowledged, so a second request of its makes a new edge
	 * at the master; here that is the master's latch being set whenever the slave wants it.
	 */
	m->lines = slave_int ? m->lines | 1u << PIC_CASCADE : m->lines & ~(1u << PIC_CASCADE);
	m->irr = slave_int ? m->irr | 1u << PIC_CASCADE : m->irr & ~(1u << PIC_CASCADE);
	intr = chip_request(m) >= 0;
	if (intr == p->intr)
		return;
	p->intr = intr;
	if (p->intr_fn)
		p->intr_fn(p->intr_arg, intr);
}

/* The acknowledge cycle of one chip for @input: into service, or over at once with AEOI. */
static void chip_ack(struct pic_chip *c, unsigned input)
{
	uint8_t bit = (uint8_t)(1u << input);

	if (!(c->elcr & bit))
		c->irr &= (uint8_t)~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_aeoi)
		c->lowest = (uint8_t)input;
}

bool pic_pending(const struct pic *p)
{
	return p->intr;
}

bool pic_requests(const struct pic *p, unsigned irq)
{
	const struct pic_chip *c = &p->chip[irq >> 3 & 1];
	bool cascade = c->master || !(p->chip[0].imr & 1u << PIC_CASCADE);

	return (c->irr & (uint8_t)~c->imr & 1u << (irq & 7)) && cascade;
}

uint8_t pic_ack(struct pic *p)
{
	int irq;

	return pic_ack_irq(p, &irq);
}

uint8_t pic_ack_irq(struct pic *p, int *irq)
{
	struct pic_chip *m = &p->chip[0], *s = &p->chip[1];
	int input = chip_request(m);
	uint8_t vector;

	*irq = input;
	if (input < 0) {
		/* "A default IR7": the request went away; no ISR bit is set. */
		vector = m->base | 7;
	} else if (input != PIC_CASCADE || m->single) {
		chip_ack(m, (unsigned)input);
		vector = m->base | (uint8_t)input;
	} else {
		int slave_input = chip_request(s);

		chip_ack(m, PIC_CASCADE);
		if (slave_input >= 0)
			chip_ack(s, (unsigned)slave_input);
		*irq = slave_input < 0 ? -1 : slave_input + 8;
		vector = s->base | (slave_input < 0 ? 7 : (uint8_t)slave_input);
	}
	pic_update(p);
	return vector;
}

/* "Initialization Command Words 1": what the chip forgets. */
static void chip_icw1(struct pic_chip *c, uint8_t val)
{
	c->step = INIT_ICW2;
	c->want_icw4 = val & ICW1_IC4;
	c->single = val & ICW1_SNGL;
	/* The edge sense circuit is reset: a line that is high must fall first.  Level lines do
	 * not. */
	c->irr = c->lines & c->elcr;
	c->isr = c->imr = 0;
	c->lowest = 7;
	c->special_mask = c->read_isr = c->poll = false;
	/* Without ICW4 its functions are zero; with it, it is about to set them. */
	c->auto_eoi = c->special_nested = c->rotate_aeoi = false;
}

/* What a non-specific EOI ends: in special mask mode not a masked level. */
static int chip_eoi_input(const struct pic_chip *c)
{
	return highest(c, c->special_mask ? c->isr & (uint8_t)~c->imr : c->isr);
}

static void chip_ocw2(struct pic_chip *c, uint8_t val)
{
	int input = val & 7;

	switch (val >> 5) {
	case OCW2_CLEAR_ROTATE_AEOI: c->rotate_aeoi = false; break;
	case OCW2_SET_ROTATE_AEOI: c->rotate_aeoi = true; break;
	case OCW2_SET_PRIORITY: c->lowest = (uint8_t)input; break;
	case OCW2_EOI:
	case OCW2_ROTATE_EOI:
		input = chip_eoi_input(c);
		if (input < 0)
			break;
		/* fall through */
	case OCW2_SPECIFIC_EOI:
	case OCW2_ROTATE_SPECIFIC_EOI:
		c->isr &= (uint8_t) ~(1u << input);
		if (val >> 5 == OCW2_ROTATE_EOI || val >> 5 == OCW2_ROTATE_SPECIFIC_EOI)
			c->lowest = (uint8_t)input;
		break;
	case OCW2_NOP: break;
	}
}

static void chip_ocw3(struct pic_chip *c, uint8_t val)
{
	if (val & OCW3_ESMM)
		c->special_mask = val & OCW3_SMM;
	if (val & OCW3_POLL)
		c->poll = true;
	else if (val & OCW3_RR)
		c->read_isr = val & OCW3_RIS;
}

static void chip_write_data(struct pic_chip *c, uint8_t val)
{
	switch (c->step) {
	case INIT_ICW2:
		c->base = val & 0xf8;
		if (!c->single)
			c->step = INIT_ICW3;
		else
			c->step = c->want_icw4 ? INIT_ICW4 : INIT_DONE;
		break;
	case INIT_ICW3: /* the cascade is wired; what the guest says of it changes nothing */
		c->step = c->want_icw4 ? INIT_ICW4 : INIT_DONE;
		break;
	case INIT_ICW4:
		c->auto_eoi = val & ICW4_AEOI;
		c->special_nested = val & ICW4_SFNM;
		c->step = INIT_DONE;
		break;
	case INIT_DONE: c->imr = val; break;
	}
}

static void chip_write(void *dev, uint64_t off, unsigned width, uint32_t val32)
{
	struct pic_chip *c = dev;
	uint8_t val = (uint8_t)val32;

	(void)width;
	if (off)
		chip_write_data(c, val);
	else if (val & ICW1_INIT)
		chip_icw1(c, val);
	else if (val & OCW3_SELECT)
		chip_ocw3(c, val);
	else
		chip_ocw2(c, val);
	pic_update(c->pic);
}

/* "Poll command": the read is the acknowledge; bit 7 says whether there was something. */
static uint8_t chip_poll(struct pic_chip *c)
{
	int input = chip_request(c);

	c->poll = false;
	if (input < 0)
		return 0;
	chip_ack(c, (unsigned)input);
	return 0x80 | (uint8_t)input;
}

static uint32_t chip_read(void *dev, uint64_t off, unsigned width)
{
	struct pic_chip *c = dev;
	uint8_t val;

	(void)width;
	if (c->poll)
		val = chip_poll(c);
	else if (off)
		val = c->imr;
	else
		val = c->read_isr ? c->isr : c->irr;
	pic_update(c->pic);
	return val;
}

static uint32_t elcr_read(void *dev, uint64_t off, unsigned width)
{
	struct pic *p = dev;

	(void)width;
	return p->chip[off & 1].elcr;
}

static void elcr_write(void *dev, uint64_t off, unsigned width, uint32_t val)
{
	struct pic *p = dev;
	struct pic_chip *c = &p->chip[off & 1];

	(void)width;
	c->elcr = (uint8_t)val & c->elcr_mask;
	c->irr |= c->lines & c->elcr;
	pic_update(p);
}

static void pic_set_line(void *controller, unsigned irq, bool level)
{
	struct pic *p = controller;

	if (irq > 15 || irq == PIC_CASCADE)
		return;
	chip_set_line(&p->chip[irq >> 3], irq & 7, level);
	pic_update(p);
}

struct irq_line pic_line(struct pic *p, unsigned irq)
{
	return (struct irq_line){ .set = pic_set_line, .controller = p, .input = irq };
}

struct pic *pic_new(struct bus *pio, void (*intr)(void *arg, bool level), void *arg)
{
	struct pic *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->intr_fn = intr;
	p->intr_arg = arg;
	/* Power-up is undefined on the chip; here it is silent until ICW1. */
	for (unsigned i = 0; i < 2; i++) {
		p->chip[i].pic = p;
		p->chip[i].imr = 0xff;
		p->chip[i].lowest = 7;
	}
	p->chip[0].master = true;
	/* PIIX: IRQ 0, 1, 2, 8 and 13 are always edges. */
	p->chip[0].elcr_mask = 0xf8;
	p->chip[1].elcr_mask = 0xde;
	if (bus_add(pio, &(struct bus_range){ .name = "pic0",
					      .base = PIC_MASTER_BASE,
					      .len = 2,
					      .dev = &p->chip[0],
					      .read = chip_read,
					      .write = chip_write,
					      .split = 1 }) ||
	    bus_add(pio, &(struct bus_range){ .name = "pic1",
					      .base = PIC_SLAVE_BASE,
					      .len = 2,
					      .dev = &p->chip[1],
					      .read = chip_read,
					      .write = chip_write,
					      .split = 1 }) ||
	    bus_add(pio, &(struct bus_range){ .name = "elcr",
					      .base = PIC_ELCR_BASE,
					      .len = 2,
					      .dev = p,
					      .read = elcr_read,
					      .write = elcr_write,
					      .split = 1 })) {
		free(p);
		return NULL;
	}
	return p;
}

void pic_free(struct pic *p)
{
	free(p);
}
