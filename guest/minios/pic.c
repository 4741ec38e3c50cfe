/* SPDX-License-Identifier: MIT */
/*
 * The 8259A interrupt controllers, a master with a slave on its line 2, and the 8254 timer whose
 * channel 0 drives line 0.
 * Source: Intel 8259A data sheet, "Initialization Command Words"; Intel 8254 data sheet, "Mode 2".
 */
#include "minios.h"
#include "x86.h"

enum { PIC1 = 0x20, PIC2 = 0xa0, PIT_CH0 = 0x40, PIT_MODE = 0x43 };
#define PIT_HZ 1193182u

static uint8_t mask[2] = { 0xff, 0xff };

void pic_init(void)
{
	outb(PIC1, 0x11); /* ICW1: edge triggered, cascaded, ICW4 follows */
	outb(PIC2, 0x11);
	outb(PIC1 + 1, IRQ_BASE); /* ICW2: vectors, clear of the exceptions 0-31 */
	outb(PIC2 + 1, IRQ_BASE + 8);
	outb(PIC1 + 1, 1 << 2); /* ICW3: a slave on line 2 */
	outb(PIC2 + 1, 2);      /* ICW3: I am the slave on line 2 */
	outb(PIC1 + 1, 0x01);   /* ICW4: 8086 mode, EOI by hand */
	outb(PIC2 + 1, 0x01);
	outb(PIC1 + 1, mask[0]);
	outb(PIC2 + 1, mask[1]);
}

static void write_mask(unsigned irq)
{
	outb((irq < 8 ? PIC1 : PIC2) + 1, mask[irq / 8]);
}

void pic_unmask(unsigned irq)
{
	mask[irq / 8] &= (uint8_t) ~(1u << irq % 8);
	write_mask(irq);
}

void pic_mask(unsigned irq)
{
	mask[irq / 8] |= (uint8_t)(1u << irq % 8);
	write_mask(irq);
}

void pic_eoi(unsigned irq)
{
	if (irq >= 8)
		outb(PIC2, 0x20);
	outb(PIC1, 0x20); /* OCW2: non-specific end of interrupt */
}

void pit_start(unsigned hz)
{
	unsigned divisor = PIT_HZ / hz;
	outb(PIT_MODE, 0x34); /* channel 0, low then high byte, mode 2: a pulse every divisor */
	outb(PIT_CH0, (uint8_t)divisor);
	outb(PIT_CH0, (uint8_t)(divisor >> 8));
}
