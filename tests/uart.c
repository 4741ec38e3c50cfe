/* SPDX-License-Identifier: MIT */
/* Expectations: PC16550D data sheet; section numbers are of its "Registers" (8). */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/devices.h"
#include "vmm/dev/devices.h"

#define U_BASE 0x3f8
#define U_RBR  (U_BASE + 0)
#define U_IER  (U_BASE + 1)
#define U_IIR  (U_BASE + 2)
#define U_LCR  (U_BASE + 3)
#define U_MCR  (U_BASE + 4)
#define U_LSR  (U_BASE + 5)
#define U_MSR  (U_BASE + 6)
#define U_SCR  (U_BASE + 7)

static struct bench u_b;
static struct uart *u_dev;
static char u_sent[64];
static unsigned u_sent_len, u_room_calls;

static void u_tx(void *arg, uint8_t byte)
{
	(void)arg;
	u_sent[u_sent_len++ % sizeof(u_sent)] = (char)byte;
}

static void u_room(void *arg)
{
	(void)arg;
	u_room_calls++;
}

static void u_setup(void)
{
	const struct uart_backend be = { u_tx, u_room, NULL };

	bench_init(&u_b);
	u_dev = uart_new(&u_b.pio, U_BASE, bench_line(&u_b), &u_b.timers, &be);
	bench_in(&u_b, U_LSR); /* the guest looks at its receiver */
	bench_out(&u_b, U_MCR, 0x08);
	u_room_calls = 0;
}

static void u_teardown(void)
{
	uart_free(u_dev);
	cr_expect_eq(timers_next(&u_b.timers), TIMER_NEVER, "a timer outlived the chip");
}

static uint8_t u_in(uint16_t port)
{
	return bench_in(&u_b, port);
}

static void u_out(uint16_t port, uint8_t val)
{
	bench_out(&u_b, port, val);
}

static size_t u_rx(const char *s)
{
	return uart_rx(u_dev, (const uint8_t *)s, strlen(s));
}

TestSuite(uart, .init = u_setup, .fini = u_teardown);

Test(uart, transmission_is_immediate_and_the_line_is_always_ready)
{
	u_out(U_RBR, 'H');
	cr_expect_eq(u_in(U_LSR), 0x60);
	cr_expect_eq(u_sent_len, 1);
	cr_expect_eq(u_sent[0], 'H');
}

/* 8.3 "Programmable baud generator": DLAB maps the divisor over RBR/THR and IER. */
Test(uart, dlab_reaches_the_divisor_and_neither_data_nor_ier)
{
	u_out(U_LCR, 0x83);
	u_out(U_RBR, 0x34);
	u_out(U_IER, 0x12);
	cr_expect_eq(u_in(U_RBR), 0x34);
	cr_expect_eq(u_in(U_IER), 0x12);
	u_out(U_LCR, 0x03);
	cr_expect_eq(u_in(U_IER), 0);
	cr_expect_eq(u_sent_len, 0);
	cr_expect_eq(u_in(U_LCR), 0x03);
}

Test(uart, scratch_holds_and_the_upper_bits_of_ier_and_mcr_do_not_exist)
{
	u_out(U_SCR, 0xa5);
	u_out(U_IER, 0xff);
	u_out(U_MCR, 0xef);
	cr_expect_eq(u_in(U_SCR), 0xa5);
	cr_expect_eq(u_in(U_IER), 0x0f);
	cr_expect_eq(u_in(U_MCR), 0x0f);
}

/* 8.5: the interrupt comes from enabling it while empty, and goes with the IIR read that names it.
 */
Test(uart, thre_interrupt_is_set_by_enabling_and_cleared_by_reading_iir)
{
	u_out(U_IER, 0x02);
	cr_expect(u_b.line);
	cr_expect_eq(u_in(U_IIR), 0x02);
	cr_expect_not(u_b.line);
	cr_expect_eq(u_in(U_IIR), 0x01);
	u_out(U_RBR, 'x');
	cr_expect(u_b.line, "sent, so empty again");
	u_out(U_IER, 0x02);
	cr_expect_eq(u_in(U_IIR), 0x02);
	u_out(U_IER, 0x02);
	cr_expect_not(u_b.line, "it was enabled already");
}

/* 8.5, table IV: line status over data over THRE over modem status. */
Test(uart, iir_names_the_highest_priority_and_a_read_of_it_spares_the_lower)
{
	u_out(U_MCR, 0x18); /* loopback: overrun and modem deltas are easy to make */
	u_out(U_IER, 0x0f);
	u_out(U_RBR, 'a');
	u_out(U_RBR, 'b');
	cr_expect_eq(u_in(U_IIR), 0x06);
	cr_expect_eq(u_in(U_LSR) & 0x02, 0x02);
	cr_expect_eq(u_in(U_IIR), 0x04);
	cr_expect_eq(u_in(U_RBR), 'b', "8.4: the overrun character is destroyed by the next");
	cr_expect_eq(u_in(U_IIR), 0x02);
	cr_expect_eq(u_in(U_IIR), 0x00);
	u_in(U_MSR);
	cr_expect_eq(u_in(U_IIR), 0x01);
}

/* IBM PC/AT Technical Reference, asynchronous adapter: OUT2 gates INTR onto the bus. */
Test(uart, out2_gates_the_interrupt_line)
{
	u_out(U_MCR, 0);
	u_out(U_IER, 0x02);
	cr_expect_not(u_b.line);
	u_out(U_MCR, 0x08);
	cr_expect(u_b.line);
	u_out(U_MCR, 0x18);
	cr_expect_not(u_b.line, "8.7: loopback makes the OUT2 pin inactive");
}

Test(uart, without_fifo_one_byte_fits_and_raises_rda)
{
	u_out(U_IER, 0x01);
	cr_expect_eq(u_rx("abc"), 1);
	cr_expect(u_b.line);
	cr_expect_eq(u_in(U_IIR), 0x04);
	cr_expect_eq(u_in(U_LSR) & 1, 1);
	cr_expect_eq(u_in(U_RBR), 'a');
	cr_expect_not(u_b.line);
	cr_expect_eq(u_in(U_LSR) & 1, 0);
}

/* 8.10: triggers 1, 4, 8, 14. */
Test(uart, the_fifo_raises_rda_at_its_trigger_level)
{
	static const unsigned levels[4] = { 1, 4, 8, 14 };

	for (unsigned i = 0; i < 4; i++) {
		u_out(U_IIR, (uint8_t)(0x03 | i << 6));
		u_out(U_IER, 0x01);
		for (unsigned n = 1; n < levels[i]; n++)
			cr_assert_eq(u_rx("x"), 1);
		cr_expect_not(u_b.line, "level %u", levels[i]);
		cr_assert_eq(u_rx("x"), 1);
		cr_expect(u_b.line, "level %u", levels[i]);
		cr_expect_eq(u_in(U_IIR), 0xc4);
		u_in(U_RBR);
		cr_expect_not(u_b.line, "below the level again");
	}
}

/* 8.11 "FIFO interrupt mode operation": 4 character times without a touch, cleared by a read. */
Test(uart, bytes_below_the_trigger_raise_the_timeout_after_four_character_times)
{
	const uint64_t char_ns = 10 * 1000000000ull / 9600;

	u_out(U_LCR, 0x83);
	u_out(U_RBR, 12); /* 9600 baud, 8N1: 10 bits a character */
	u_out(U_IER, 0);
	u_out(U_LCR, 0x03);
	u_out(U_IIR, 0xc1);
	u_out(U_IER, 0x01);
	u_rx("ab");
	bench_advance(&u_b, 3 * char_ns);
	u_rx("c"); /* starts over */
	bench_advance(&u_b, 4 * char_ns - 1000);
	cr_expect_not(u_b.line);
	bench_advance(&u_b, 2000);
	cr_expect(u_b.line);
	cr_expect_eq(u_in(U_IIR), 0xcc);
	cr_expect_eq(u_in(U_RBR), 'a');
	cr_expect_not(u_b.line, "a read resets it");
	bench_advance(&u_b, 5 * char_ns);
	cr_expect(u_b.line, "and the rest times out again");
}

Test(uart, a_divisor_of_zero_is_survived)
{
	u_out(U_LCR, 0x80);
	u_out(U_RBR, 0);
	u_out(U_IER, 0);
	u_out(U_LCR, 0x03);
	u_out(U_IIR, 0xc1);
	u_out(U_IER, 0x01);
	u_rx("a");
	bench_advance(&u_b, 1000000);
	cr_expect_eq(u_in(U_IIR), 0xcc);
}

Test(uart, a_full_fifo_refuses_and_tells_once_when_there_is_room)
{
	u_out(U_IIR, 0x01);
	u_room_calls = 0;
	cr_expect_eq(uart_rx_room(u_dev), 16);
	cr_expect_eq(u_rx("0123456789abcdefXYZ"), 16);
	cr_expect_eq(u_rx("X"), 0);
	cr_expect_eq(u_in(U_LSR) & 0x02, 0, "refused is not overrun");
	cr_expect_eq(u_in(U_RBR), '0');
	cr_expect_eq(u_room_calls, 1);
	cr_expect_eq(u_in(U_RBR), '1');
	cr_expect_eq(u_room_calls, 1);
	cr_expect_eq(u_rx("XYZ"), 2);
	for (const char *p = "23456789abcdefXY"; *p; p++)
		cr_expect_eq(u_in(U_RBR), (uint8_t)*p);
}

/* 8.10: bit 1 clears the receiver, and a change of bit 0 clears both. */
Test(uart, fcr_resets_the_receive_fifo)
{
	u_out(U_IIR, 0x01);
	u_rx("abc");
	u_out(U_IIR, 0x03);
	cr_expect_eq(u_in(U_LSR) & 1, 0);
	u_rx("abc");
	u_out(U_IIR, 0x00);
	cr_expect_eq(u_in(U_LSR) & 1, 0);
	cr_expect_eq(u_in(U_IIR), 0x01, "and without bits 7:6");
}

/* 8.7, bit 4: the modem outputs are the modem inputs. */
Test(uart, loopback_returns_data_and_modem_lines)
{
	u_in(U_MSR);
	u_out(U_MCR, 0x10);
	cr_expect_eq(u_in(U_MSR), 0x0b, "CTS, DSR and DCD went; RI was not there to end");
	u_out(U_MCR, 0x10 | 0x0a); /* RTS, OUT2 */
	cr_expect_eq(u_in(U_MSR), 0x90 | 0x09);
	u_out(U_MCR, 0x10 | 0x04); /* OUT1: RI rises, which is no event */
	cr_expect_eq(u_in(U_MSR), 0x40 | 0x09);
	u_out(U_MCR, 0x10);
	cr_expect_eq(u_in(U_MSR), 0x04, "the trailing edge of RI");
	u_out(U_RBR, 0x5a);
	cr_expect_eq(u_sent_len, 0, "nothing leaves the chip");
	cr_expect_eq(u_in(U_LSR) & 1, 1);
	cr_expect_eq(u_in(U_RBR), 0x5a);
	cr_expect_eq(u_rx("x"), 0, "and nothing comes in");
}

Test(uart, a_full_fifo_in_loopback_overruns_and_keeps_what_it_has)
{
	u_out(U_IIR, 0x01);
	u_out(U_MCR, 0x10);
	for (unsigned i = 0; i < 17; i++)
		u_out(U_RBR, (uint8_t)i);
	cr_expect_eq(u_in(U_LSR) & 0x02, 0x02);
	cr_expect_eq(u_in(U_LSR) & 0x02, 0, "reading LSR clears it");
	for (unsigned i = 0; i < 16; i++)
		cr_expect_eq(u_in(U_RBR), i);
	cr_expect_eq(u_in(U_LSR) & 1, 0);
}

Test(uart, a_connected_terminal_shows_in_msr)
{
	cr_expect_eq(u_in(U_MSR), 0xb0);
}

/* Ringside's own rule, see uart_rx() in devices.h. */
Test(uart, nothing_is_received_before_the_guest_looks)
{
	const struct uart_backend be = { u_tx, u_room, NULL };
	struct uart *fresh = uart_new(&u_b.pio, 0x2f8, (struct irq_line){ 0 }, &u_b.timers, &be);

	cr_expect_eq(uart_rx(fresh, (const uint8_t *)"a", 1), 0);
	bench_out(&u_b, 0x2f8 + 2, 0x07);
	cr_expect_eq(u_room_calls, 0);
	bench_in(&u_b, 0x2f8 + 5);
	cr_expect_eq(u_room_calls, 1);
	cr_expect_eq(uart_rx(fresh, (const uint8_t *)"a", 1), 1);
	uart_free(fresh);
}
