/* SPDX-License-Identifier: MIT */
/*
 * The serial port, polled, and the way in and out.
 * Source: PC16550D data sheet, "Line Status Register" (8.6.3); Multiboot Specification 0.6.96,
 * "Boot information format" (3.3).
 */
#include "runtime.h"

#define LSR_THRE 0x20 /* there is room */
#define LSR_TEMT 0x40 /* all of it is out */

void uart_init(void)
{
	outb(COM1_IER, 0);
	outb(COM1_LCR, 0x80);
	outb(COM1, 1);
	outb(COM1_IER, 0); /* the divisor's high byte */
	outb(COM1_LCR, 0x03);
	outb(COM1_MCR, 0x0b); /* DTR, RTS, OUT2 */
}

void putc(char c)
{
	while (!(inb(COM1_LSR) & LSR_THRE))
		;
	outb(COM1, (uint8_t)c);
}

void print(const char *fmt, ...)
{
	char buf[512];
	__builtin_va_list ap;

	__builtin_va_start(ap, fmt);
	format(buf, sizeof(buf), fmt, ap);
	__builtin_va_end(ap);
	for (const char *p = buf; *p; p++)
		putc(*p);
	while (!(inb(COM1_LSR) & LSR_TEMT))
		;
}

void machine_exit(uint8_t code)
{
	outb(0xf4, code);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

const char *command_line(uint32_t magic, const uint32_t *info)
{
	return magic == 0x2badb002 && (info[0] & 4) ? (const char *)info[4] : "";
}
