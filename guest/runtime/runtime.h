/* SPDX-License-Identifier: MIT */
/*
 * What the small guests share in C.  All of it, and lib.c and format.c of guest/minios, is an
 * archive, of which an image has what it calls (guest/guest.mk).
 */
#ifndef GUEST_RUNTIME_H
#define GUEST_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include "../minios/x86.h"
#include "start.h"

/* ---- guest/minios: lib.c, format.c ---- */

void *memset(void *dst, int c, size_t n);
void *memcpy(void *dst, const void *src, size_t n);
int strcmp(const char *a, const char *b);
const char *after_prefix(const char *s, const char *prefix);
int format(char *buf, size_t size, const char *fmt, __builtin_va_list ap);

/* ---- machine.c ---- */

enum {
	COM1 = 0x3f8,
	COM1_IER = COM1 + 1, /* interrupt enable; divisor high while LCR says so */
	COM1_IIR = COM1 + 2,
	COM1_LCR = COM1 + 3,
	COM1_MCR = COM1 + 4,
	COM1_LSR = COM1 + 5,
};
/* 115200 baud, 8N1, no interrupts; on a PC, OUT2 would let them pass. */
void uart_init(void);
/* By polling.  print() returns when all of it is out, at most 511 bytes. */
void putc(char c);
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* End the machine: the host sees (code << 1) | 1. */
#define EXIT_GOOD 0x10
#define EXIT_BAD  0x11
void machine_exit(uint8_t code) __attribute__((noreturn));

/* The command line, or "".  @magic and @info: what the loader left in EAX and EBX. */
const char *command_line(uint32_t magic, const uint32_t *info);

/* The quotient must fit; there is no libgcc to divide 64-bit numbers. */
static inline uint32_t div64(uint64_t n, uint32_t d)
{
	uint32_t q, rest;

	__asm__("divl %4"
		: "=a"(q), "=d"(rest)
		: "0"((uint32_t)n), "1"((uint32_t)(n >> 32)), "rm"(d)
		: "cc");
	return q;
}

/* ---- gates.c ---- */

/* An interrupt gate: interrupts are off in the handler.  @dpl: 3 if ring 3 may call it by INT. */
void idt_gate(unsigned vector, const void *entry, unsigned dpl);
/* Each CPU for itself; all have the same table. */
void idt_load(void);

#endif
