/* SPDX-License-Identifier: MIT */
/*
 * National PC16550D UART ("16550A") as wired on a PC: the INTR pin reaches the interrupt line only
 * while OUT2 is active.  Transmission completes at once: the line is infinitely fast towards the
 * outside, and only the receive time-out knows the baud rate.
 * Source: PC16550D data sheet, section 8.0 "Registers"; numbers below are of its subsections.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/dev/devices.h"

#define UART_PORTS 8
#define UART_FIFO  16

/* Register offsets with DLAB = 0 (data sheet, table II). */
enum { RBR = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

#define IER_RDA  0x01 /* received data available, and the time-out */
#define IER_THRE 0x02
#define IER_RLS  0x04 /* receiver line status */
#define IER_MS   0x08 /* modem status */
#define IER_ALL  0x0f

#define IIR_NONE    0x01
#define IIR_MS      0x00
#define IIR_THRE    0x02
#define IIR_RDA     0x04
#define IIR_RLS     0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO    0xc0

#define FCR_ENABLE   0x01
#define FCR_RX_RESET 0x02

#define LCR_STOP   0x04
#define LCR_PARITY 0x08
#define LCR_DLAB   0x80

#define MCR_DTR  0x01
#define MCR_RTS  0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_ALL  0x1f

#define LSR_DR   0x01
#define LSR_OE   0x02
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

#define MSR_DELTAS 0x0f
#define MSR_TERI   0x04 /* trailing edge of RI: set when RI goes away, unlike the other three */
#define MSR_CTS    0x10
#define MSR_DSR    0x20
#define MSR_RI     0x40
#define MSR_DCD    0x80

#define UART_CLOCK_HZ      1843200u
#define UART_DIVISOR_RESET 12 /* 9600 baud, as firmware leaves it */

struct uart {
	struct irq_line irq;
	struct timers *timers;
	struct uart_backend be;
	struct vtimer rx_timer;
	uint8_t rx[UART_FIFO];
	unsigned rx_head, rx_count;
	unsigned trigger; /* bytes in the FIFO that raise RDA */
	uint16_t divisor;
	uint8_t ier, lcr, mcr, lsr_oe, msr, scr;
	bool fifo;
	bool thre_pending; /* the THRE interrupt was not seen yet */
	bool rx_timeout;
	bool had_room;   /* what the backend knows of uart_rx_room() */
	bool rx_watched; /* the guest has looked at the receiver; see uart_rx() */
};

static unsigned rx_size(const struct uart *u)
{
	return u->fifo ? UART_FIFO : 1;
}

/* 8.5 "Interrupt identification register": the highest-priority condition that is enabled. */
static uint8_t uart_iir(const struct uart *u)
{
	if ((u->ier & IER_RLS) && u->lsr_oe)
		return IIR_RLS;
	if ((u->ier & IER_RDA) && u->rx_count >= (u->fifo ? u->trigger : 1))
		return IIR_RDA;
	if ((u->ier & IER_RDA) && u->rx_timeout)
		return IIR_TIMEOUT;
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((u->ier & IER_MS) && (u->msr & MSR_DELTAS))
		return IIR_MS;
	return IIR_NONE;
}

/* 8.7: loopback forces the OUT2 pin inactive, and with it the PC's interrupt gate. */
static void uart_update_irq(struct uart *u)
{
	bool gate = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	irq_set(&u->irq, gate && uart_iir(u) != IIR_NONE);
}

/* Four character times of the programmed format, in ns (8.11 "FIFO interrupt mode operation"). */
static uint64_t uart_timeout_ns(const struct uart *u)
{
	/* Start bit, 5-8 data bits, parity, 1 or 2 stop bits. */
	unsigned bits = 1 + 5 + (u->lcr & 3) + !!(u->lcr & LCR_PARITY) + 1 + !!(u->lcr & LCR_STOP);
	uint64_t divisor = u->divisor ? u->divisor
				      : 1; /* 0 is not a rate; do not stop time for it */

	return 4 * bits * divisor * 16 * 1000000000ull / UART_CLOCK_HZ;
}

/* The receiver was touched (byte in, byte out, reset): the time-out starts over. */
static void uart_rx_touched(struct uart *u)
{
	u->rx_timeout = false;
	if (u->fifo && u->rx_count)
		timer_set(u->timers, &u->rx_timer, timers_now(u->timers) + uart_timeout_ns(u));
	else
		timer_cancel(u->timers, &u->rx_timer);
}

static void uart_rx_timeout(void *arg, uint64_t now_ns)
{
	struct uart *u = arg;

	(void)now_ns;
	u->rx_timeout = u->rx_count > 0;
	uart_update_irq(u);
}

static void uart_rx_push(struct uart *u, uint8_t byte)
{
	u->rx[(u->rx_head + u->rx_count) % UART_FIFO] = byte;
	u->rx_count++;
}

static uint8_t uart_rx_pop(struct uart *u)
{
	uint8_t byte = u->rx[u->rx_head];

	if (!u->rx_count)
		return 0;
	u->rx_head = (u->rx_head + 1) % UART_FIFO;
	u->rx_count--;
	return byte;
}

size_t uart_rx_room(const struct uart *u)
{
	if (!u->rx_watched || (u->mcr & MCR_LOOP))
		return 0;
	return rx_size(u) - u->rx_count;
}

size_t uart_rx(struct uart *u, const uint8_t *buf, size_t len)
{
	size_t n = uart_rx_room(u);

	if (n > len)
		n = len;
	for (size_t i = 0; i < n; i++)
		uart_rx_push(u, buf[i]);
	u->had_room = uart_rx_room(u) > 0;
	if (n)
		uart_rx_touched(u);
	uart_update_irq(u);
	return n;
}

/* Tell the backend, once, that there is room where there was none. */
static void uart_tell_room(struct uart *u)
{
	bool had = u->had_room;

	u->had_room = uart_rx_room(u) > 0;
	if (!had && u->had_room && u->be.rx_room)
		u->be.rx_room(u->be.arg);
}

/* 8.7 "Modem control register", bit 4: what is sent comes back; nothing holds it off. */
static void uart_loop_byte(struct uart *u, uint8_t byte)
{
	if (u->rx_count == rx_size(u)) {
		u->lsr_oe = LSR_OE;
		/* 8.4, bit 1: the lone RBR is overwritten; with the FIFO the new byte is lost. */
		if (!u->fifo)
			u->rx[u->rx_head] = byte;
	} else {
		uart_rx_push(u, byte);
	}
	uart_rx_touched(u);
}

/* 8.9 "Modem status register": the inputs, from a terminal that is there, or from the MCR. */
static void uart_update_msr(struct uart *u)
{
	uint8_t in = MSR_CTS | MSR_DSR | MSR_DCD;
	uint8_t was = u->msr & ~MSR_DELTAS, delta;

	if (u->mcr & MCR_LOOP)
		in = (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
		     (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
	delta = (was ^ in) >> 4;
	if (in & MSR_RI)
		delta &= ~MSR_TERI;
	u->msr = in | (u->msr & MSR_DELTAS) | delta;
}

static void uart_write_fcr(struct uart *u, uint8_t val)
{
	static const uint8_t triggers[4] = { 1, 4, 8, 14 };
	bool enable = val & FCR_ENABLE;

	/* 8.10 "FIFO control register": a mode change clears both FIFOs; else bit 1 clears one. */
	if (enable != u->fifo || (enable && (val & FCR_RX_RESET))) {
		u->rx_head = u->rx_count = 0;
		u->fifo = enable;
		uart_rx_touched(u);
	}
	/* Without bit 0 the other bits are not programmed. */
	if (enable)
		u->trigger = triggers[val >> 6];
}

static void uart_write(void *dev, uint64_t off, unsigned width, uint32_t val32)
{
	struct uart *u = dev;
	uint8_t val = (uint8_t)val32, old;

	(void)width;
	switch (off) {
	case RBR:
		if (u->lcr & LCR_DLAB) {
			u->divisor = (u->divisor & 0xff00) | val;
			break;
		}
		if (u->mcr & MCR_LOOP)
			uart_loop_byte(u, val);
		else if (u->be.tx)
			u->be.tx(u->be.arg, val);
		u->thre_pending = true; /* sent already: the register is empty again */
		break;
	case IER:
		if (u->lcr & LCR_DLAB) {
			u->divisor = (uint16_t)(u->divisor & 0x00ff) | (uint16_t)(val << 8);
			break;
		}
		old = u->ier;
		u->ier = val & IER_ALL;
		/* THR is always empty, so enabling the interrupt raises it (8.6). */
		if (u->ier & ~old & IER_THRE)
			u->thre_pending = true;
		if (u->ier & IER_RDA)
			u->rx_watched = true;
		break;
	case IIR: uart_write_fcr(u, val); break;
	case LCR: u->lcr = val; break;
	case MCR:
		u->mcr = val & MCR_ALL;
		uart_update_msr(u);
		break;
	case SCR: u->scr = val; break;
	default: break; /* LSR and MSR: the data sheet keeps writes for factory tests */
	}
	uart_tell_room(u);
	uart_update_irq(u);
}

static uint32_t uart_read(void *dev, uint64_t off, unsigned width)
{
	struct uart *u = dev;
	uint8_t val = 0xff;

	(void)width;
	switch (off) {
	case RBR:
		if (u->lcr & LCR_DLAB) {
			val = u->divisor & 0xff;
			break;
		}
		val = uart_rx_pop(u);
		uart_rx_touched(u);
		u->rx_watched = true;
		break;
	case IER: val = u->lcr & LCR_DLAB ? u->divisor >> 8 : u->ier; break;
	case IIR:
		val = uart_iir(u);
		/* 8.5: reading IIR resets the THRE interrupt, if that is what it said. */
		if (val == IIR_THRE)
			u->thre_pending = false;
		if (u->fifo)
			val |= IIR_FIFO;
		break;
	case LCR: val = u->lcr; break;
	case MCR: val = u->mcr; break;
	case LSR:
		val = LSR_THRE | LSR_TEMT | u->lsr_oe | (u->rx_count ? LSR_DR : 0);
		u->lsr_oe = 0;
		u->rx_watched = true;
		break;
	case MSR:
		val = u->msr;
		u->msr &= ~MSR_DELTAS;
		break;
	case SCR: val = u->scr; break;
	}
	uart_tell_room(u);
	uart_update_irq(u);
	return val;
}

struct uart *uart_new(struct bus *pio, uint16_t base, struct irq_line irq, struct timers *ts,
		      const struct uart_backend *be)
{
	struct uart *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->irq = irq;
	u->timers = ts;
	u->be = *be;
	u->trigger = 1;
	u->divisor = UART_DIVISOR_RESET;
	u->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	timer_init(&u->rx_timer, uart_rx_timeout, u);
	if (bus_add(pio, &(struct bus_range){ .name = "uart0",
					      .base = base,
					      .len = UART_PORTS,
					      .dev = u,
					      .read = uart_read,
					      .write = uart_write,
					      .split = 1 })) {
		free(u);
		return NULL;
	}
	return u;
}

void uart_free(struct uart *u)
{
	if (!u)
		return;
	timer_cancel(u->timers, &u->rx_timer);
	free(u);
}
