/* SPDX-License-Identifier: MIT */
/* Expectations: Intel 8259A data sheet; Intel 82371 (PIIX) data sheet for the ELCR. */
#include <criterion/criterion.h>

#include "tests/devices.h"
#include "vmm/dev/devices.h"

static struct bench p_b;
static struct pic *p_dev;

static void p_intr(void *arg, bool level)
{
	bench_set_line(arg, 0, level);
}

static void p_out(uint16_t port, uint8_t val)
{
	bench_out(&p_b, port, val);
}

static void p_init_chips(uint8_t master_icw4)
{
	static const uint16_t m = 0x20, s = 0xa0;

	p_out(m, 0x11);
	p_out(m + 1, 0x20);
	p_out(m + 1, 0x04);
	p_out(m + 1, master_icw4);
	p_out(s, 0x11);
	p_out(s + 1, 0x28);
	p_out(s + 1, 0x02);
	p_out(s + 1, 0x01);
}

static void p_setup(void)
{
	bench_init(&p_b);
	p_dev = pic_new(&p_b.pio, p_intr, &p_b);
	p_init_chips(0x01);
}

static void p_teardown(void)
{
	pic_free(p_dev);
}

static void p_line(unsigned irq, bool level)
{
	struct irq_line l = pic_line(p_dev, irq);

	irq_set(&l, level);
}

static void p_pulse(unsigned irq)
{
	p_line(irq, false);
	p_line(irq, true);
}

static uint8_t p_irr(uint16_t chip)
{
	p_out(chip, 0x0a);
	return bench_in(&p_b, chip);
}

static uint8_t p_isr(uint16_t chip)
{
	p_out(chip, 0x0b);
	return bench_in(&p_b, chip);
}

TestSuite(pic, .init = p_setup, .fini = p_teardown);

Test(pic, a_request_raises_intr_and_the_ack_gives_base_plus_input)
{
	p_line(4, true);
	cr_expect(p_b.line);
	cr_expect(pic_pending(p_dev));
	cr_expect_eq(p_irr(0x20), 0x10);
	cr_expect_eq(pic_ack(p_dev), 0x24);
	cr_expect_not(p_b.line);
	cr_expect_eq(p_irr(0x20), 0);
	cr_expect_eq(p_isr(0x20), 0x10);
}

/* "Edge and Level Triggered Modes": the input must fall before it can ask again. */
Test(pic, an_edge_input_that_stays_high_interrupts_once)
{
	p_line(4, true);
	pic_ack(p_dev);
	p_out(0x20, 0x20);
	cr_expect_not(pic_pending(p_dev));
	p_line(4, true);
	cr_expect_not(pic_pending(p_dev));
	p_pulse(4);
	cr_expect(pic_pending(p_dev));
}

/* The mask gates delivery, not latching. */
Test(pic, edge_while_masked_fires_after_unmask)
{
	p_out(0x21, 0x10);
	p_line(4, true);
	cr_expect_not(pic_pending(p_dev));
	cr_expect_eq(p_irr(0x20), 0x10);
	p_out(0x21, 0x00);
	cr_expect_eq(pic_ack(p_dev), 0x24);
}

Test(pic, the_imr_reads_back_as_written)
{
	p_out(0x21, 0xa5);
	p_out(0xa1, 0x5a);
	cr_expect_eq(bench_in(&p_b, 0x21), 0xa5);
	cr_expect_eq(bench_in(&p_b, 0xa1), 0x5a);
}

/* "If the IR input goes low before [the INTA pulse], a DEFAULT IR7 will occur." */
Test(pic, a_request_that_goes_away_leaves_the_spurious_vector_and_no_isr_bit)
{
	p_line(4, true);
	p_line(4, false);
	cr_expect_not(pic_pending(p_dev));
	cr_expect_eq(pic_ack(p_dev), 0x27);
	cr_expect_eq(p_isr(0x20), 0);
}

/* "Fully Nested Mode". */
Test(pic, only_a_higher_priority_interrupts_one_in_service)
{
	p_line(4, true);
	pic_ack(p_dev);
	p_line(5, true);
	cr_expect_not(pic_pending(p_dev));
	p_line(3, true);
	cr_expect_eq(pic_ack(p_dev), 0x23);
	p_out(0x20, 0x20); /* ends 3 */
	cr_expect_eq(p_isr(0x20), 0x10);
	cr_expect_not(pic_pending(p_dev));
	p_out(0x20, 0x20); /* ends 4 */
	cr_expect_eq(pic_ack(p_dev), 0x25);
}

Test(pic, a_specific_eoi_ends_the_level_it_names)
{
	p_line(4, true);
	pic_ack(p_dev);
	p_line(1, true);
	pic_ack(p_dev);
	p_out(0x20, 0x60 | 4);
	cr_expect_eq(p_isr(0x20), 0x02);
}

Test(pic, eoi_with_nothing_in_service_is_harmless)
{
	p_out(0x20, 0x20);
	p_out(0x20, 0xa0);
	p_line(0, true);
	cr_expect_eq(pic_ack(p_dev), 0x20);
}

/* "The Cascade Buffer/Comparator": the slave supplies the vector, both are in service. */
Test(pic, a_slave_input_comes_through_the_masters_ir2)
{
	p_line(8, true);
	cr_expect_eq(p_irr(0x20), 0x04);
	cr_expect_eq(pic_ack(p_dev), 0x28);
	cr_expect_eq(p_isr(0x20), 0x04);
	cr_expect_eq(p_isr(0xa0), 0x01);
	p_line(12, true);
	p_line(3, true);
	cr_expect_not(pic_pending(p_dev), "IR2 in service holds off 3 and the slave's lower ones");
	p_out(0xa0, 0x20);
	p_out(0x20, 0x20);
	cr_expect_eq(pic_ack(p_dev), 0x2c);
}

Test(pic, a_slave_request_that_goes_away_is_not_there_any_more)
{
	p_line(14, true);
	p_line(14, false);
	cr_expect_not(pic_pending(p_dev));
	cr_expect_eq(p_irr(0x20), 0);
}

/* ICW4 bit 4, "Special Fully Nested Mode": the slave may interrupt its own handler at the master.
 */
Test(pic, special_fully_nested_mode_lets_a_higher_slave_input_through)
{
	p_init_chips(0x11);
	p_line(12, true);
	cr_expect_eq(pic_ack(p_dev), 0x2c);
	p_line(9, true);
	cr_expect_eq(pic_ack(p_dev), 0x29);
	p_init_chips(0x01);
	p_pulse(12);
	cr_expect_eq(pic_ack(p_dev), 0x2c);
	p_pulse(9);
	cr_expect_not(pic_pending(p_dev), "and without it not");
}

Test(pic, auto_eoi_leaves_nothing_in_service)
{
	p_init_chips(0x03);
	p_line(4, true);
	cr_expect_eq(pic_ack(p_dev), 0x24);
	cr_expect_eq(p_isr(0x20), 0);
	p_line(5, true);
	cr_expect_eq(pic_ack(p_dev), 0x25);
}

/* "Automatic Rotation": the level just served becomes the lowest. */
Test(pic, rotation_on_eoi_makes_the_served_level_the_lowest)
{
	p_line(4, true);
	pic_ack(p_dev);
	p_out(0x20, 0xa0);
	p_pulse(4);
	p_pulse(5);
	cr_expect_eq(pic_ack(p_dev), 0x25);
	p_out(0x20, 0xe0 | 5); /* rotate on specific EOI: 5 is lowest, 6 highest */
	p_pulse(6);
	p_pulse(3);
	cr_expect_eq(pic_ack(p_dev), 0x26);
}

Test(pic, rotation_in_auto_eoi_mode)
{
	p_init_chips(0x03);
	p_out(0x20, 0x80);
	p_line(1, true);
	cr_expect_eq(pic_ack(p_dev), 0x21);
	p_pulse(1);
	p_line(5, true);
	cr_expect_eq(pic_ack(p_dev), 0x25);
	cr_expect_eq(pic_ack(p_dev), 0x21);
}

Test(pic, set_priority_names_the_lowest_level)
{
	p_out(0x20, 0xc0 | 3);
	p_line(3, true);
	p_line(4, true);
	p_line(0, true);
	cr_expect_eq(pic_ack(p_dev), 0x24);
}

/* "Special Mask Mode": a masked level in service inhibits none, and survives a non-specific EOI. */
Test(pic, special_mask_mode_lets_lower_levels_through)
{
	p_line(4, true);
	pic_ack(p_dev);
	p_out(0x21, 0x10);
	p_line(6, true);
	cr_expect_not(pic_pending(p_dev));
	p_out(0x20, 0x68);
	cr_expect_eq(pic_ack(p_dev), 0x26);
	p_out(0x20, 0x20);
	cr_expect_eq(p_isr(0x20), 0x10);
	p_out(0x20, 0x20);
	cr_expect_eq(p_isr(0x20), 0x10);
}

/* "Poll Command": the next read is the acknowledge. */
Test(pic, poll_mode_acknowledges_on_read)
{
	p_line(4, true);
	p_out(0x20, 0x0c);
	cr_expect_eq(bench_in(&p_b, 0x20), 0x84);
	cr_expect_eq(p_isr(0x20), 0x10);
	cr_expect_not(pic_pending(p_dev));
	p_out(0x20, 0x0c);
	cr_expect_eq(bench_in(&p_b, 0x20), 0);
}

/* PIIX: 0x4d0/0x4d1; the timer, keyboard, cascade, RTC and FPU inputs stay edges. */
Test(pic, elcr_selects_level_for_the_inputs_that_may_be)
{
	p_out(0x4d0, 0xff);
	p_out(0x4d1, 0xff);
	cr_expect_eq(bench_in(&p_b, 0x4d0), 0xf8);
	cr_expect_eq(bench_in(&p_b, 0x4d1), 0xde);
	p_line(5, true);
	cr_expect_eq(pic_ack(p_dev), 0x25);
	cr_expect_not(pic_pending(p_dev), "in service");
	p_out(0x20, 0x20);
	cr_expect(pic_pending(p_dev), "still high, so asks again");
	p_line(5, false);
	cr_expect_not(pic_pending(p_dev));
}

/* "ICW1": clears IMR, resets the edge sense, priority and special mask mode. */
Test(pic, icw1_forgets_masks_requests_and_rotation)
{
	p_out(0x21, 0xff);
	p_out(0x20, 0xc0 | 3);
	p_line(4, true);
	p_init_chips(0x01);
	cr_expect_eq(bench_in(&p_b, 0x21), 0);
	cr_expect_not(pic_pending(p_dev), "the high line must fall first");
	p_pulse(4);
	p_pulse(0);
	cr_expect_eq(pic_ack(p_dev), 0x20);
}

Test(pic, before_any_initialization_it_is_silent)
{
	struct bench b;
	struct pic *p;
	struct irq_line l;

	bench_init(&b);
	p = pic_new(&b.pio, p_intr, &b);
	l = pic_line(p, 1);
	irq_set(&l, true);
	cr_expect_not(b.line);
	pic_free(p);
}
