/* SPDX-License-Identifier: MIT */
/*
 * Interrupt lines that can be raised and lowered when a case wants it, and the PIT as a watch.
 * Source: 8259A, 8254, MC146818A and PC16550D data sheets; IBM PC/AT Technical Reference for the
 * keyboard controller's command 0xd2; 82093AA for the redirection table.
 */
#include "apic.h"

enum { IER = COM1 + 1, LSR = COM1 + 5, KBD_DATA = 0x60, KBD = 0x64, PORT_B = 0x61 };

void pic_init(uint8_t icw4, uint8_t mask0, uint8_t mask1)
{
	outb(0x4d0, 0); /* all edges */
	outb(0x4d1, 0);
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, PIC_BASE);
	outb(0xa1, PIC_BASE + 8);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, icw4);
	outb(0xa1, 1);
	outb(0x21, mask0);
	outb(0xa1, mask1);
}

void pic_start(uint8_t icw4, uint8_t mask0, uint8_t mask1)
{
	pic_init(icw4 | 1, mask0, mask1);
	wr(LVT_LINT0, EXTINT);
	for (unsigned v = PIC_BASE; v < PIC_BASE + 16; v++)
		ends[v] = END_NOT;
}

uint8_t pic_irr(unsigned chip)
{
	uint16_t port = chip ? 0xa0 : 0x20;

	outb(port, 0x0a);
	return inb(port) & (chip ? 0xff : 0xfe);
}

uint8_t pic_isr(unsigned chip)
{
	uint16_t port = chip ? 0xa0 : 0x20;

	outb(port, 0x0b);
	return inb(port);
}

static void kbd_ready(void)
{
	while (inb(KBD) & 2)
		;
}

void kbd_lower(void)
{
	while (inb(KBD) & 1)
		inb(KBD_DATA);
}

void kbd_raise(void)
{
	kbd_ready();
	outb(KBD, 0x60); /* command byte: interrupt on, no translation */
	kbd_ready();
	outb(KBD_DATA, 0x01);
	kbd_ready();
	outb(KBD, 0xd2); /* as if the keyboard had sent it */
	kbd_ready();
	outb(KBD_DATA, 0x1e);
	while (!(inb(KBD) & 1))
		;
}

void uart_lower(void)
{
	outb(IER, 0);
}

void uart_drain(void)
{
	while (!(inb(LSR) & 0x40))
		;
}

void uart_raise(void)
{
	uart_drain();
	outb(IER, 0);
	outb(IER, 2);
}

uint8_t cmos(unsigned reg)
{
	outb(0x70, (uint8_t)reg);
	return inb(0x71);
}

void cmos_write(unsigned reg, uint8_t val)
{
	outb(0x70, (uint8_t)reg);
	outb(0x71, val);
}

void rtc_lower(void)
{
	cmos_write(0xb, 0x02);
	cmos(0xc);
}

void rtc_raise(void)
{
	cmos_write(0xa, 0x23); /* 8192 Hz */
	cmos(0xc);
	cmos_write(0xb, 0x42);
	while (!(pic_irr(1) & 1))
		;
	cmos_write(0xa, 0x20); /* no other */
}

/* A long count in mode 0: the output falls, and does not rise soon. */
void pit_lower(void)
{
	outb(0x43, 0x30);
	outb(0x40, 0xff);
	outb(0x40, 0xff);
}

void pit_start(void)
{
	outb(0x43, 0x30);
	outb(0x40, 100);
	outb(0x40, 0);
}

void watch_start(void)
{
	outb(PORT_B, 1); /* gate open, no sound */
	outb(0x43, 0xb0);
	outb(0x42, 0xff);
	outb(0x42, 0xff);
}

bool watch(uint32_t *ticks)
{
	uint32_t low;

	outb(0x43, 0x80);
	low = inb(0x42);
	*ticks = 0xffff - (low | (uint32_t)inb(0x42) << 8);
	return !(inb(PORT_B) & 0x20);
}

void wait_us(unsigned us)
{
	uint32_t ticks, want = us * (PIT_HZ / 1000) / 1000 + 1;

	watch_start();
	while (watch(&ticks) && ticks < want)
		;
}

uint32_t io_rd(unsigned reg)
{
	*(volatile uint32_t *)IOAPIC_BASE = reg;
	return *(volatile uint32_t *)(IOAPIC_BASE + 0x10);
}

void io_wr(unsigned reg, uint32_t val)
{
	*(volatile uint32_t *)IOAPIC_BASE = reg;
	*(volatile uint32_t *)(IOAPIC_BASE + 0x10) = val;
}

/* The destination first: the low half unmasks. */
void entry(unsigned pin, uint32_t lo, unsigned dest)
{
	io_wr(0x11 + 2 * pin, dest << 24);
	io_wr(0x10 + 2 * pin, lo);
}
