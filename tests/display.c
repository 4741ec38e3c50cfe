/* SPDX-License-Identifier: MIT */
/*
 * The text screen: registers (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"),
 * painting (ECMA-48), and both on a board with pipes.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/devices.h"
#include "vmm/dev/devices.h"
#include "vmm/display.h"
#include "vmm/machine.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

static struct display ds_d;
static struct display_screen ds_s;
static char ds_out[DISPLAY_UPDATE_MAX + 1];

static const char *ds_update(void)
{
	ds_out[display_update(&ds_d, &ds_s, ds_out)] = '\0';
	return ds_out;
}

static void ds_setup(void)
{
	for (unsigned i = 0; i < DISPLAY_CELLS; i++)
		ds_s.cell[i] = 0x0720;
	ds_s.cursor_on = true;
	ds_s.blink = true;
	ds_update();
}

TestSuite(display, .init = ds_setup);

Test(display, the_first_picture_clears_the_screen)
{
	static const char begin[] = "\033[0m\033[2J\033[1;1H\033[0;37;40m ";

	cr_expect_eq(strncmp(ds_out, begin, strlen(begin)), 0);
	cr_expect_str_eq(ds_update(), "", "and then nothing changed");
}

Test(display, only_changed_cells_are_painted)
{
	ds_s.cell[2 * 80 + 3] = 0x0700 | 'X';
	ds_s.cell[2 * 80 + 4] = 0x0700 | 'Y';
	cr_expect_str_eq(ds_update(), "\033[3;4H\033[0;37;40mXY\033[1;1H\033[?25h");
}

/* Attribute: blink, background, intensity, foreground; blue is bit 0 there, bit 2 in ANSI. */
Test(display, attributes_become_ansi_colours)
{
	ds_s.cell[0] = 0x9e00 | 'a'; /* blinking yellow on blue */
	cr_expect_not_null(strstr(ds_update(), "\033[0;5;93;44ma"));
	ds_s.blink = false;
	cr_expect_not_null(strstr(ds_update(), "\033[0;93;104ma"));
}

Test(display, code_page_437_becomes_utf8)
{
	ds_s.cell[0] = 0x07c9; /* double box drawings: corner */
	cr_expect_not_null(strstr(ds_update(), "\xe2\x95\x94"));
	ds_s.cell[0] = 0x0781;
	cr_expect_not_null(strstr(ds_update(), "\xc3\xbc"));
	for (unsigned c = 0; c < 256; c++) {
		ds_s.cell[0] = (uint16_t)(0x0700 | c);
		for (const char *p = ds_update(); *p; p++)
			cr_expect(*p == '\033' || (unsigned char)*p >= 0x20, "%#x", c);
	}
}

Test(display, the_cursor_moves_and_hides)
{
	ds_s.cursor = 80 * 24 + 79;
	cr_expect_str_eq(ds_update(), "\033[25;80H\033[?25h");
	ds_s.cursor = 5000;
	cr_expect_str_eq(ds_update(), "\033[?25l");
	ds_s.cursor = 0;
	ds_s.cursor_on = false;
	cr_expect_str_eq(ds_update(), "");
}

/* Every cell different from its neighbours: the bound on one update holds. */
Test(display, the_worst_picture_fits)
{
	for (unsigned i = 0; i < DISPLAY_CELLS; i++)
		ds_s.cell[i] = (uint16_t)(i % 2 ? 0xfeb0 : 0x89b1);
	ds_d.valid = false;
	cr_expect_lt(display_update(&ds_d, &ds_s, ds_out), DISPLAY_UPDATE_MAX);
	for (unsigned i = 1; i < DISPLAY_CELLS; i += 2)
		ds_s.cell[i] ^= 0x7700;
	cr_expect_lt(display_update(&ds_d, &ds_s, ds_out), DISPLAY_UPDATE_MAX);
}

Test(vga, crtc_keeps_cursor_and_start_address)
{
	struct bench b;
	struct vga *v;

	bench_init(&b);
	v = vga_new(&b.pio);
	cr_expect(vga_text(v).cursor_on);
	bus_write(&b.pio, 0x3d4, 2, 0x120e); /* index and data in one word */
	bus_write(&b.pio, 0x3d4, 2, 0x340f);
	bus_write(&b.pio, 0x3d4, 2, 0x010c);
	bus_write(&b.pio, 0x3d4, 2, 0x200a);
	cr_expect_eq(vga_text(v).cursor, 0x1234);
	cr_expect_eq(vga_text(v).start, 0x0100);
	cr_expect_not(vga_text(v).cursor_on);
	bench_out(&b, 0x3d4, 0x0f);
	cr_expect_eq(bench_in(&b, 0x3d5), 0x34);
	vga_free(v);
}

/* The attribute controller's one port takes index and data in turn; 0x3da starts over. */
Test(vga, attribute_flip_flop)
{
	struct bench b;
	struct vga *v;

	bench_init(&b);
	v = vga_new(&b.pio);
	bench_in(&b, 0x3da);
	bench_out(&b, 0x3c0, 0x30);
	bench_out(&b, 0x3c0, 0x04);
	cr_expect_not(vga_text(v).blink);
	bench_out(&b, 0x3c0, 0x30);
	bench_in(&b, 0x3da);
	bench_out(&b, 0x3c0, 0x30);
	cr_expect_eq(bench_in(&b, 0x3c1), 0x04);
	vga_free(v);
}

Test(vga, every_port_and_index_is_survived)
{
	struct bench b;
	struct vga *v;

	bench_init(&b);
	v = vga_new(&b.pio);
	for (unsigned index = 0; index < 256; index++) {
		for (uint16_t port = 0x3c0; port <= 0x3da; port++) {
			bench_out(&b, port, (uint8_t)index);
			bench_in(&b, port);
			bench_in(&b, port);
		}
	}
	for (unsigned i = 0; i < 2000; i++) {
		bench_out(&b, 0x3c9, (uint8_t)i);
		bench_in(&b, 0x3c9);
	}
	vga_free(v);
}

static struct vm ds_vm;
static struct vcpu *ds_v;
static int ds_in[2], ds_term[2];

static void ds_board(void)
{
	struct machine_config cfg = { .debugcon_out = -1, .display = true };

	cr_assert_eq(pipe2(ds_in, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(ds_term, O_CLOEXEC), 0);
	cfg.console_in = ds_in[0];
	cfg.console_out = ds_term[1];
	cr_assert_eq(vm_init(&ds_vm, VM_RAM_MIN), 0);
	ds_v = calloc(1, sizeof(*ds_v));
	ds_v->vm = &ds_vm;
	vcpu_reset(ds_v);
	ds_vm.vcpu[0] = ds_v;
	ds_vm.vcpus = 1;
	cr_assert_eq(machine_create(&ds_vm, &cfg), 0);
}

static void ds_board_free(void)
{
	machine_destroy(&ds_vm);
	vm_destroy(&ds_vm);
	free(ds_v);
}

TestSuite(display_board, .init = ds_board, .fini = ds_board_free, .timeout = 30);

/* Wait for @text on the terminal. */
static void ds_expect(const char *text)
{
	static char got[200000];
	size_t len = 0;

	while (len < sizeof(got) - 1) {
		ssize_t n = read(ds_term[0], got + len, sizeof(got) - 1 - len);

		cr_assert_gt(n, 0, "no \"%s\"", text);
		len += (size_t)n;
		got[len] = '\0';
		if (strstr(got, text))
			return;
	}
}

Test(display_board, what_the_guest_writes_at_b8000_is_shown)
{
	static const char hello[] = "Hello";

	for (unsigned i = 0; hello[i]; i++) {
		ds_vm.ram[0xb8000 + 2 * i] = (uint8_t)hello[i];
		ds_vm.ram[0xb8000 + 2 * i + 1] = 0x1f;
	}
	cr_assert_eq(machine_start(&ds_vm), 0);
	ds_expect("\033[0;97;44mHello");
	machine_pio_write(&ds_vm, ds_v, 0x3f8, 1, '!'); /* COM1 is not shown */
	/* As a guest would: the I/O thread is looking at it. */
	__atomic_store_n((uint16_t *)(void *)(ds_vm.ram + 0xb8000), (uint16_t)(0x1f00 | 'J'),
			 __ATOMIC_RELAXED);
	ds_expect("\033[1;1H\033[0;97;44mJ");
	machine_stop(&ds_vm);
	ds_expect("\033[25;1H\r\n");
}

Test(display_board, typing_reaches_a_guest_that_wants_it)
{
	uint8_t got[4];

	cr_assert_eq(machine_start(&ds_vm), 0);
	cr_assert_eq(write(ds_in[1], "a\r", 2), 2);
	for (unsigned n = 0; n < 4;) {
		if (machine_pio_read(&ds_vm, ds_v, 0x64, 1) & 1)
			got[n++] = (uint8_t)machine_pio_read(&ds_vm, ds_v, 0x60, 1);
	}
	cr_expect_arr_eq(got, "\x1e\x9e\x1c\x9c", 4);
	machine_stop(&ds_vm);
}
