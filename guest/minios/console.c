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
struct lock keys_lock = { .rank = RANK_KEYS, .name = "keys" };           /* of the ring */
static struct lock output = { .rank = RANK_CONSOLE, .name = "console" }; /* of the transmitter */

void console_init(void)
{
	outb(UART_IER, 0);
	outb(UART_LCR, LCR_DLAB);
	outb(UART_DATA, 1); /* divisor 1: 115200 baud */
	outb(UART_IER, 0);
	outb(UART_LCR, LCR_8N1);
	outb(UART_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
}

/* How to wait for a key: asleep, until the system calls (syscall.c) put a process to sleep instead.
 */
static void (*wait_for_key)(void) = sti_hlt_cli;
static void (*key_came)(void);
static volatile bool full; /* the ring: no interrupts until there is room */

void console_share(void (*wait)(void), void (*came)(void))
{
	wait_for_key = wait;
	key_came = came;
}

static void on_com1(struct frame *f)
{
	(void)f;
	lock_take(&keys_lock);
	while (inb(UART_LSR) & LSR_DATA) {
		if (ring_in - ring_out == sizeof(ring)) {
			outb(UART_IER, 0); /* the rest stays in the UART until there is room */
			full = true;
			break;
		}
		ring[ring_in++ % sizeof(ring)] = (char)inb(UART_DATA);
	}
	pic_eoi(IRQ_COM1);
	if (key_came)
		key_came();
	lock_drop(&keys_lock);
}

void console_enable_input(void)
{
	trap_handle(IRQ_BASE + IRQ_COM1, on_com1);
	outb(UART_IER, IER_DATA);
	pic_unmask(IRQ_COM1);
}

static char getc(void)
{
	uint32_t flags = irq_save();
	char c;
	lock_take(&keys_lock);
	while (ring_in == ring_out)
		wait_for_key();
	c = ring[ring_out++ % sizeof(ring)];
	if (full) {
		full = false;
		outb(UART_IER, IER_DATA);
	}
	lock_drop(&keys_lock);
	irq_restore(flags);
	return c;
}

static void transmit(char c)
{
	while (!(inb(UART_LSR) & LSR_THRE))
		;
	outb(UART_DATA, (uint8_t)c);
}

void console_write(const char *buf, size_t size)
{
	lock_take(&output);
	while (size--)
		transmit(*buf++);
	lock_drop(&output);
}

void putc(char c)
{
	console_write(&c, 1);
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

void print(const char *fmt, ...)
{
	char buf[512];
	__builtin_va_list ap;
	__builtin_va_start(ap, fmt);
	format(buf, sizeof(buf), fmt, ap);
	__builtin_va_end(ap);
	console_write(buf, strlen(buf));
}

void print_anyhow(const char *fmt, ...)
{
	char buf[512];
	__builtin_va_list ap;
	__builtin_va_start(ap, fmt);
	format(buf, sizeof(buf), fmt, ap);
	__builtin_va_end(ap);
	for (const char *p = buf; *p; p++)
		transmit(*p);
}
