/* SPDX-License-Identifier: MIT */
/* Output on COM1, polled. */
#include "conform.h"
#include "../minios/x86.h"

enum { COM1 = 0x3f8, UART_LSR = COM1 + 5, LSR_THRE = 0x20 };

static void putc(char c)
{
	while (!(inb(UART_LSR) & LSR_THRE))
		;
	outb(COM1, (uint8_t)c);
}

static char *number(char end[12], uint32_t v, unsigned base, unsigned width)
{
	char *p = end + 11;

	*p = 0;
	do {
		*--p = "0123456789abcdef"[v % base];
		v /= base;
	} while (v || end + 11 - p < (int)width);
	return p;
}

/* %s %c %u %d %x; %02x, %04x and %08x. */
int format(char *buf, size_t size, const char *fmt, __builtin_va_list ap)
{
	char digits[12], one[2] = { 0 };
	size_t n = 0;

	for (; *fmt; fmt++) {
		const char *s = one;
		unsigned width = 0;
		int d;

		one[0] = *fmt;
		if (*fmt == '%') {
			for (fmt++; *fmt >= '0' && *fmt <= '9'; fmt++)
				width = width * 10 + (unsigned)(*fmt - '0');
			switch (*fmt) {
			case 's': s = __builtin_va_arg(ap, const char *); break;
			case 'c': one[0] = (char)__builtin_va_arg(ap, int); break;
			case 'u': s = number(digits, __builtin_va_arg(ap, uint32_t), 10, 0); break;
			case 'x':
				s = number(digits, __builtin_va_arg(ap, uint32_t), 16, width);
				break;
			case 'd':
				d = __builtin_va_arg(ap, int);
				if (d < 0 && n + 1 < size)
					buf[n++] = '-';
				s = number(digits, d < 0 ? 0u - (uint32_t)d : (uint32_t)d, 10, 0);
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
