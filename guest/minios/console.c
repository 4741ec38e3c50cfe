/* SPDX-License-Identifier: MIT */
/*
 * The console is the first serial port, a 16550 UART.
 *
 * Output is polled: wait until the transmitter is empty, write.  Input comes by interrupt into a
 * ring buffer, so that waiting for a key can be sleeping.
 *
 * The receive FIFO stays as the firmware left it: switching it on empties it (16550D data sheet,
 * "FIFO Control Register"), and a byte typed before we got here would be lost.
 * Source: National Semiconductor PC16550D data sheet, "Registers" (8.0).
 */
#include "minios.h"
#include "x86.h"

enum {
	COM1 = 0x3f8,
	UART_DATA = COM1 + 0,
	UART_IER = COM1 + 1, /* interrupt enable; divisor high while DLAB */
	UART_LCR = COM1 + 3, /* line control */
	UART_MCR = COM1 + 4, /* modem control */
	UART_LSR = COM1 + 5, /* line status */
};
#define LCR_8N1  0x03
#define LCR_DLAB 0x80 /* ports 0 and 1 are the divisor */
#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT2 0x08 /* on a PC this gates the interrupt line */
#define LSR_DATA 0x01
#define LSR_THRE 0x20
#define IER_DATA 0x01

static volatile char ring[256];
static volatile unsigned ring_in, ring_out; /* ever growing; modulo the size on use */

void console_init(void)
{
	outb(UART_IER, 0);
	outb(UART_LCR, LCR_DLAB);
	outb(UART_DATA, 1); /* divisor 1: 115200 baud */
	outb(UART_IER, 0);
	outb(UART_LCR, LCR_8N1);
	outb(UART_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
}

static void on_com1(struct frame *f)
{
	(void)f;
	while (inb(UART_LSR) & LSR_DATA) {
		char c = (char)inb(UART_DATA);
		if (ring_in - ring_out < sizeof(ring)) /* else dropped, as hardware would */
			ring[ring_in++ % sizeof(ring)] = c;
	}
	pic_eoi(IRQ_COM1);
}

void console_enable_input(void)
{
	trap_handle(IRQ_BASE + IRQ_COM1, on_com1);
	outb(UART_IER, IER_DATA);
	pic_unmask(IRQ_COM1);
}

static char getc(void)
{
	char c;
	cli();
	while (ring_in == ring_out)
		sti_hlt_cli();
	c = ring[ring_out++ % sizeof(ring)];
	sti();
	return c;
}

void putc(char c)
{
	while (!(inb(UART_LSR) & LSR_THRE))
		;
	outb(UART_DATA, (uint8_t)c);
}

void read_line(char *buf, size_t size)
{
	size_t n = 0;
	for (;;) {
		char c = getc();
		if (c == '\r' || c == '\n') /* a terminal sends the first, a pipe the second */
			break;
		if (c == '\b' || c == 0x7f) {
			if (n) {
				n--;
				print("\b \b");
			}
		} else if (n + 1 < size) {
			buf[n++] = c;
			putc(c);
		}
	}
	buf[n] = 0;
	putc('\n');
}

/* Digits of @v from the least significant; returns the first of them. */
static const char *number(char end[12], uint32_t v, unsigned base)
{
	char *p = end + 11;
	*p = 0;
	do {
		*--p = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	return p;
}

int format(char *buf, size_t size, const char *fmt, __builtin_va_list ap)
{
	size_t n = 0;
	char digits[12], one[2] = { 0 };
	for (; *fmt; fmt++) {
		const char *s = one;
		one[0] = *fmt;
		if (*fmt == '%' && fmt[1]) {
			int d;
			switch (*++fmt) {
			case 's': s = __builtin_va_arg(ap, const char *); break;
			case 'c': one[0] = (char)__builtin_va_arg(ap, int); break;
			case 'u': s = number(digits, __builtin_va_arg(ap, uint32_t), 10); break;
			case 'x': s = number(digits, __builtin_va_arg(ap, uint32_t), 16); break;
			case 'd':
				d = __builtin_va_arg(ap, int);
				if (d < 0 && n + 1 < size)
					buf[n++] = '-';
				s = number(digits, d < 0 ? 0u - (uint32_t)d : (uint32_t)d, 10);
				break;
			default: one[0] = *fmt;
			}
		}
		while (*s && n + 1 < size)
			buf[n++] = *s++;
	}
	if (size)
		buf[n] = 0;
	return (int)n;
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
}
