/* SPDX-License-Identifier: MIT */
/* A very small printf, for the kernel and, linked a second time, for the programs in user/. */
#include "minios.h"

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
		unsigned width = 0, len = 0;
		bool left = false;
		char fill = ' ';
		one[0] = *fmt;
		if (*fmt == '%' && fmt[1]) {
			int d;
			fmt++;
			if (*fmt == '-') {
				left = true;
				fmt++;
			}
			if (*fmt == '0')
				fill = '0';
			for (; *fmt >= '0' && *fmt <= '9'; fmt++)
				width = width * 10 + (unsigned)(*fmt - '0');
			switch (*fmt) {
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
		while (s[len])
			len++;
		for (unsigned pad = len; !left && pad < width && n + 1 < size; pad++)
			buf[n++] = fill;
		while (*s && n + 1 < size)
			buf[n++] = *s++;
		for (unsigned pad = len; left && pad < width && n + 1 < size; pad++)
			buf[n++] = ' ';
	}
	if (size)
		buf[n] = 0;
	return (int)n;
}
