/* SPDX-License-Identifier: MIT */
/* The board through its public face: pipes for the console, a real I/O thread. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "vmm/machine.h"
#include "vmm/machine_priv.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define COM1 0x3f8
#define LSR  (COM1 + 5)

static struct vm mach_vm;
static struct vcpu *mach_v;
static int mach_in[2], mach_out[2]; /* pipes: [0] reads, [1] writes */

static void mach_create(int in, int out, bool escape)
{
	const struct machine_config cfg = {
		.console_in = in, .console_out = out, .debugcon_out = -1, .console_escape = escape
	};

	cr_assert_eq(vm_init(&mach_vm, VM_RAM_MIN), 0);
	mach_vm.dead_quietly = true;
	mach_v = calloc(1, sizeof(*mach_v));
	cr_assert_not_null(mach_v);
	mach_v->vm = &mach_vm;
	vcpu_reset(mach_v);
	mach_vm.vcpu[0] = mach_v;
	mach_vm.vcpus = 1;
	cr_assert_eq(machine_create(&mach_vm, &cfg), 0);
}

static void mach_pipes(void)
{
	cr_assert_eq(pipe2(mach_in, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(mach_out, O_CLOEXEC), 0);
}

static void mach_setup(void)
{
	mach_pipes();
	mach_create(mach_in[0], mach_out[1], false);
}

static void mach_close(void)
{
	machine_destroy(&mach_vm);
	vm_destroy(&mach_vm);
	free(mach_v);
}

static void mach_teardown(void)
{
	mach_close();
	for (int i = 0; i < 2; i++) {
		close(mach_in[i]);
		close(mach_out[i]);
	}
}

static uint8_t mach_inb(uint16_t port)
{
	return (uint8_t)machine_pio_read(&mach_vm, mach_v, port, 1);
}

static void mach_outb(uint16_t port, uint8_t val)
{
	machine_pio_write(&mach_vm, mach_v, port, 1, val);
}

/* Read the UART by polling until @want bytes came (the test's time-out is the other end). */
static void mach_poll_rx(char *buf, size_t want)
{
	for (size_t n = 0; n < want;) {
		if (mach_inb(LSR) & 1)
			buf[n++] = (char)mach_inb(COM1);
		else
			sched_yield();
	}
}

static size_t mach_read_all(int fd, char *buf, size_t want)
{
	size_t n = 0;
	ssize_t got;

	while (n < want && (got = read(fd, buf + n, want - n)) > 0)
		n += (size_t)got;
	return n;
}

static void mach_wait_end(void)
{
	while (atomic_load(&mach_vm.end) == VM_RUNNING)
		sched_yield();
}

/* Interrupts on from the PIC: vectors 0x20 and 0x28, all lines unmasked. */
static void mach_program_pic(void)
{
	static const uint8_t setup[][2] = { { 0x20, 0x11 }, { 0x21, 0x20 }, { 0x21, 4 },
					    { 0x21, 1 },    { 0xa0, 0x11 }, { 0xa1, 0x28 },
					    { 0xa1, 2 },    { 0xa1, 1 },    { 0x21, 0 },
					    { 0xa1, 0 } };

	for (size_t i = 0; i < sizeof(setup) / sizeof(setup[0]); i++)
		mach_outb(setup[i][0], setup[i][1]);
}

TestSuite(machine, .init = mach_setup, .fini = mach_teardown, .timeout = 30);
TestSuite(machine_tty, .timeout = 30);

Test(machine, what_com1_prints_arrives_while_running)
{
	char buf[6] = "";

	cr_assert_eq(machine_start(&mach_vm), 0);
	for (const char *p = "hello"; *p; p++)
		mach_outb(COM1, (uint8_t)*p);
	cr_expect_eq(mach_read_all(mach_out[0], buf, 5), 5);
	cr_expect_str_eq(buf, "hello");
	machine_stop(&mach_vm);
}

Test(machine, stop_flushes_what_was_just_printed)
{
	char buf[3] = "";

	cr_assert_eq(machine_start(&mach_vm), 0);
	mach_outb(COM1, 'o');
	mach_outb(COM1, 'k');
	machine_stop(&mach_vm);
	cr_expect_eq(mach_read_all(mach_out[0], buf, 2), 2);
	cr_expect_str_eq(buf, "ok");
}

#define MACH_MUCH 300000u

static void *mach_slow_reader(void *arg)
{
	uint8_t *buf = arg;
	size_t n = 0;

	/* Reading in dribs, so that pipe and buffer are full most of the time. */
	while (n < MACH_MUCH) {
		ssize_t got = read(mach_out[0], buf + n, MACH_MUCH - n < 97 ? MACH_MUCH - n : 97);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	return (void *)n;
}

/* More than pipe and buffer hold: the vCPU waits, and every byte arrives in order. */
Test(machine, output_is_never_lost_to_a_slow_reader)
{
	uint8_t *buf = malloc(MACH_MUCH);
	pthread_t reader;
	void *n;

	cr_assert_eq(machine_start(&mach_vm), 0);
	cr_assert_eq(pthread_create(&reader, NULL, mach_slow_reader, buf), 0);
	for (uint32_t i = 0; i < MACH_MUCH; i++)
		mach_outb(COM1, (uint8_t)(i % 251));
	machine_stop(&mach_vm);
	pthread_join(reader, &n);
	cr_assert_eq((size_t)n, MACH_MUCH);
	for (uint32_t i = 0; i < MACH_MUCH; i++)
		cr_assert_eq(buf[i], i % 251, "byte %u", i);
	free(buf);
}

static void *mach_endless_printer(void *arg)
{
	(void)arg;
	while (!atomic_load(&mach_vm.stop))
		mach_outb(COM1, 'x');
	return NULL;
}

/* Nobody reads: the printing vCPU hangs in back-pressure, other accesses do not, and stop works. */
Test(machine, a_stuck_reader_blocks_only_the_printer_and_not_the_stop)
{
	pthread_t printer;
	bool full = false;

	cr_assert_eq(machine_start(&mach_vm), 0);
	cr_assert_eq(pthread_create(&printer, NULL, mach_endless_printer, NULL), 0);
	while (!full) {
		vm_lock(&mach_vm);
		full = console_out_room(&mach_vm.machine->io.out[OUT_COM1]) < 16 &&
		       mach_vm.machine->io.out[OUT_COM1].blocked;
		vm_unlock(&mach_vm);
		sched_yield();
	}
	cr_expect_eq(mach_inb(0xe9), 0xe9, "the device lock is free");
	vm_end(&mach_vm, VM_STOPPED, 0);
	pthread_join(printer, NULL);
	machine_stop(&mach_vm); /* gives up on the reader after a second */
}

/* O_NONBLOCK would be seen by everyone who shares the user's stdout. */
Test(machine, the_users_descriptors_stay_blocking)
{
	cr_assert_eq(machine_start(&mach_vm), 0);
	mach_outb(COM1, 'x');
	machine_stop(&mach_vm);
	cr_expect_eq(fcntl(mach_out[1], F_GETFL) & O_NONBLOCK, 0);
	cr_expect_eq(fcntl(mach_in[0], F_GETFL) & O_NONBLOCK, 0);
}

Test(machine, a_reader_that_left_ends_the_vm_with_a_sentence)
{
	cr_assert_eq(machine_start(&mach_vm), 0);
	close(mach_out[0]);
	mach_out[0] = -1;
	mach_outb(COM1, 'x');
	mach_wait_end();
	machine_stop(&mach_vm);
	cr_expect_eq(atomic_load(&mach_vm.end), VM_HOST_FAIL);
	cr_expect_not_null(strstr(mach_vm.death, "console output"));
}

Test(machine, input_beyond_the_fifo_waits_and_arrives_in_order)
{
	char text[101] = "", got[101] = "";

	for (int i = 0; i < 100; i++)
		text[i] = (char)('!' + i % 90);
	cr_assert_eq(machine_start(&mach_vm), 0);
	cr_assert_eq(write(mach_in[1], text, 100), 100);
	mach_poll_rx(got, 100);
	cr_expect_str_eq(got, text);
	machine_stop(&mach_vm);
}

/* A shell that feeds several commands from one pipe keeps what the guest did not ask for. */
Test(machine, input_is_left_alone_until_the_guest_looks_at_the_uart)
{
	int waiting = 0;

	cr_assert_eq(write(mach_in[1], "precious", 8), 8);
	cr_assert_eq(machine_start(&mach_vm), 0);
	machine_stop(&mach_vm);
	cr_assert_eq(ioctl(mach_in[0], FIONREAD, &waiting), 0);
	cr_expect_eq(waiting, 8);
}

Test(machine, end_of_input_leaves_the_guest_running)
{
	char got[2] = "", out[2] = "";

	cr_assert_eq(machine_start(&mach_vm), 0);
	cr_assert_eq(write(mach_in[1], "q", 1), 1);
	close(mach_in[1]);
	mach_in[1] = -1;
	mach_poll_rx(got, 1);
	mach_inb(LSR);
	mach_outb(COM1, '!');
	cr_expect_eq(mach_read_all(mach_out[0], out, 1), 1);
	cr_expect_eq(atomic_load(&mach_vm.end), VM_RUNNING);
	machine_stop(&mach_vm);
}

/* epoll refuses regular files (epoll_ctl(2), EPERM); they are always readable. */
Test(machine, input_from_a_regular_file_arrives_whole)
{
	char path[] = "/tmp/ringside-machine-XXXXXX", got[51] = "";
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	unlink(path);
	for (int i = 0; i < 50; i++)
		cr_assert_eq(write(fd, &"0123456789"[i % 10], 1), 1);
	lseek(fd, 0, SEEK_SET);
	mach_close();
	mach_create(fd, mach_out[1], false);
	cr_assert_eq(machine_start(&mach_vm), 0);
	mach_poll_rx(got, 50);
	cr_expect_str_eq(got, "01234567890123456789012345678901234567890123456789");
	machine_stop(&mach_vm);
	close(fd);
}

/* Appending to a log that others write too: the file offset is shared, not our own. */
Test(machine, output_to_a_regular_file_goes_on_where_the_file_stands)
{
	char path[] = "/tmp/ringside-machine-XXXXXX", got[7] = "";
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	unlink(path);
	cr_assert_eq(write(fd, "abc", 3), 3);
	mach_close();
	mach_create(-1, fd, false);
	cr_assert_eq(machine_start(&mach_vm), 0);
	for (const char *p = "def"; *p; p++)
		mach_outb(COM1, (uint8_t)*p);
	machine_stop(&mach_vm);
	cr_assert_eq(pread(fd, got, 6, 0), 6);
	cr_expect_str_eq(got, "abcdef");
	close(fd);
}

/* The thread sleeps: closed input, a guest that waits.  (A loop would use all of the 100 ms.) */
Test(machine, an_idle_machine_uses_no_cpu)
{
	struct timespec before, after;
	clockid_t clock;

	close(mach_in[1]);
	mach_in[1] = -1;
	cr_assert_eq(machine_start(&mach_vm), 0);
	mach_inb(LSR);
	cr_assert_eq(pthread_getcpuclockid(mach_vm.machine->io.thread, &clock), 0);
	clock_gettime(clock, &before);
	cr_expect_eq(poll(&(struct pollfd){ .fd = mach_out[0], .events = POLLIN }, 1, 100), 0);
	clock_gettime(clock, &after);
	cr_expect_lt((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec,
		     20000000);
	machine_stop(&mach_vm);
}

/* QEMU isa-debug-exit: (v << 1) | 1, of which a process's exit status keeps 8 bits. */
Test(machine, the_exit_port_ends_the_vm_with_its_status)
{
	machine_pio_write(&mach_vm, mach_v, 0xf4, 4, 0x10);
	cr_expect_eq(atomic_load(&mach_vm.end), VM_EXITED);
	cr_expect_eq(mach_vm.status, 0x21);
	cr_expect(atomic_load(&mach_vm.stop));
}

Test(machine, a_keyboard_controller_reset_ends_the_vm_with_status_0)
{
	mach_outb(0x64, 0xfe);
	cr_expect_eq(atomic_load(&mach_vm.end), VM_EXITED);
	cr_expect_eq(mach_vm.status, 0);
}

/* COM1 is IRQ 4; LINT0 in virtual-wire mode lets the PIC through (SDM Vol. 3A, 10.4). */
Test(machine, a_uart_interrupt_reaches_the_vcpu_through_pic_and_lint0)
{
	mach_program_pic();
	cr_expect_not(machine_has_interrupt(&mach_vm, mach_v));
	mach_outb(COM1 + 4, 0x08); /* OUT2 */
	mach_outb(COM1 + 1, 0x02); /* THRE: the register is empty, so at once */
	cr_expect(atomic_load(&mach_v->irq_pending));
	cr_expect(machine_has_interrupt(&mach_vm, mach_v));
	cr_expect_eq(machine_ack_interrupt(&mach_vm, mach_v), 0x24);
	cr_expect_eq(machine_ack_interrupt(&mach_vm, mach_v), -1);
	cr_expect_not(atomic_load(&mach_v->irq_pending));
}

Test(machine, the_pic_comes_before_the_lapic)
{
	mach_program_pic();
	mach_outb(COM1 + 4, 0x08);
	mach_outb(COM1 + 1, 0x02);
	machine_mmio_write(&mach_vm, mach_v, LAPIC_BASE + 0x300, 4, 0x00040041); /* self-IPI */
	cr_expect_eq(machine_ack_interrupt(&mach_vm, mach_v), 0x24);
	cr_expect_eq(machine_ack_interrupt(&mach_vm, mach_v), 0x41);
	cr_expect_eq(machine_ack_interrupt(&mach_vm, mach_v), -1);
}

/* With LINT0 masked the PIC waits; unmasking it must raise the hint again. */
Test(machine, unmasking_lint0_lets_a_waiting_pic_interrupt_through)
{
	mach_program_pic();
	machine_mmio_write(&mach_vm, mach_v, LAPIC_BASE + 0x350, 4, 0x10700);
	mach_outb(COM1 + 4, 0x08);
	mach_outb(COM1 + 1, 0x02);
	cr_expect_not(machine_has_interrupt(&mach_vm, mach_v));
	machine_mmio_write(&mach_vm, mach_v, LAPIC_BASE + 0x350, 4, 0x700);
	cr_expect(atomic_load(&mach_v->irq_pending));
	cr_expect_eq(machine_ack_interrupt(&mach_vm, mach_v), 0x24);
}

/* SDM Vol. 3A, "Relocating the Local APIC Registers" (10.4.5). */
Test(machine, the_lapic_page_follows_ia32_apic_base)
{
	machine_set_apic_base(&mach_vm, mach_v, 0xfed40000u | 0x900);
	cr_expect_eq(machine_mmio_read(&mach_vm, mach_v, 0xfed40030, 4), 0x01050014);
	cr_expect_eq(machine_mmio_read(&mach_vm, mach_v, 0xfee00030, 4), 0xffffffff);
	machine_set_apic_base(&mach_vm, mach_v, 0xfed40000u | 0x100);
	cr_expect_eq(machine_mmio_read(&mach_vm, mach_v, 0xfed40030, 4), 0xffffffff);
}

/* The I/O thread sleeps; arming a timer from the vCPU's side must re-program it. */
Test(machine, a_lapic_timer_kicks_the_vcpu)
{
	cr_assert_eq(machine_start(&mach_vm), 0);
	atomic_store(&mach_v->kicked, 0);
	machine_mmio_write(&mach_vm, mach_v, LAPIC_BASE + 0x3e0, 4, 0xb); /* divide by 1 */
	machine_mmio_write(&mach_vm, mach_v, LAPIC_BASE + 0x320, 4, 0x55);
	machine_mmio_write(&mach_vm, mach_v, LAPIC_BASE + 0x380, 4, 2000000); /* 2 ms */
	while (!atomic_load(&mach_v->kicked))
		sched_yield();
	cr_expect_eq(machine_ack_interrupt(&mach_vm, mach_v), 0x55);
	machine_stop(&mach_vm);
}

/* IA32_TSC_DEADLINE: fires when the guest's own TSC gets there, not before. */
Test(machine, a_tsc_deadline_counts_the_guests_tsc)
{
	uint64_t tsc, deadline;

	mach_v->sh.tsc_offset = 0x123456789abcull;
	cr_assert_eq(machine_start(&mach_vm), 0);
	machine_mmio_write(&mach_vm, mach_v, LAPIC_BASE + 0x320, 4, 0x40066);
	tsc = __builtin_ia32_rdtsc() + mach_v->sh.tsc_offset;
	deadline = tsc + 3000000;
	machine_set_tsc_deadline(&mach_vm, mach_v, deadline);
	while (!machine_has_interrupt(&mach_vm, mach_v))
		sched_yield();
	cr_expect_geq(__builtin_ia32_rdtsc() + mach_v->sh.tsc_offset, deadline);
	cr_expect_eq(machine_ack_interrupt(&mach_vm, mach_v), 0x66);
	cr_expect_eq(machine_tsc_deadline(&mach_vm, mach_v), 0);
	machine_stop(&mach_vm);
}

/* A guest that moves its TSC past a pending deadline gets the interrupt now. */
Test(machine, a_moved_tsc_moves_the_deadline)
{
	uint64_t tsc = __builtin_ia32_rdtsc();

	machine_mmio_write(&mach_vm, mach_v, LAPIC_BASE + 0x320, 4, 0x40067);
	machine_set_tsc_deadline(&mach_vm, mach_v, tsc + (1ull << 50));
	cr_assert_not(machine_has_interrupt(&mach_vm, mach_v));
	mach_v->sh.tsc_offset = 1ull << 51;
	machine_tsc_changed(&mach_vm, mach_v);
	cr_expect_eq(machine_ack_interrupt(&mach_vm, mach_v), 0x67);
}

static int mach_pty(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	cr_assert_geq(master, 0);
	cr_assert_eq(grantpt(master) | unlockpt(master), 0);
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	cr_assert_geq(*slave, 0);
	return master;
}

Test(machine_tty, ctrl_a_x_quits_even_when_the_guest_never_reads)
{
	struct termios before, during, after;
	char junk[3000];
	int slave, master = mach_pty(&slave);

	memset(junk, 'j', sizeof(junk));
	tcgetattr(slave, &before);
	mach_create(slave, slave, true);
	cr_assert_eq(machine_start(&mach_vm), 0);
	tcgetattr(slave, &during);
	cr_expect_eq(during.c_lflag & (ICANON | ECHO | ISIG), 0);
	/* Typed ahead, more than anything takes. */
	for (int i = 0; i < 3; i++)
		cr_assert_eq(write(master, junk, sizeof(junk)), (ssize_t)sizeof(junk));
	cr_assert_eq(write(master, "\001x", 2), 2);
	mach_wait_end();
	machine_stop(&mach_vm);
	cr_expect_eq(atomic_load(&mach_vm.end), VM_STOPPED);
	tcgetattr(slave, &after);
	cr_expect_eq(after.c_lflag, before.c_lflag);
	cr_expect_eq(after.c_iflag, before.c_iflag);
	mach_close();
	close(slave);
	close(master);
}

Test(machine_tty, ctrl_a_twice_sends_one_and_ctrl_c_is_the_guests)
{
	char got[5] = "";
	int slave, master = mach_pty(&slave);

	mach_create(slave, slave, true);
	cr_assert_eq(machine_start(&mach_vm), 0);
	cr_assert_eq(write(master, "a\001\001\003z", 5), 5);
	mach_poll_rx(got, 4);
	cr_expect_eq(memcmp(got, "a\001\003z", 4), 0);
	machine_stop(&mach_vm);
	mach_close();
	close(slave);
	close(master);
}

Test(machine_tty, ctrl_a_h_prints_help)
{
	char buf[512] = "";
	size_t n = 0;
	int slave, master = mach_pty(&slave);

	mach_create(slave, slave, true);
	cr_assert_eq(machine_start(&mach_vm), 0);
	cr_assert_eq(write(master, "\001h", 2), 2);
	while (n < sizeof(buf) - 1 && !strstr(buf, "Ctrl-A x")) {
		ssize_t got = read(master, buf + n, sizeof(buf) - 1 - n);

		cr_assert_gt(got, 0);
		n += (size_t)got;
	}
	machine_stop(&mach_vm);
	mach_close();
	close(slave);
	close(master);
}
