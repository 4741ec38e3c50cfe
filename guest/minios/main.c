/* SPDX-License-Identifier: MIT */
/*
 * The kernel proper: set the machine up, then do what the command line says.
 *
 *     (nothing)   run the self-checks, echo one line from the console, leave
 *     demo        run the self-checks, leave
 *     echo        echo lines until one says quit
 *     idle        sleep for ever, with nothing to wake up for
 *     spin        compute for ever, under timer interrupts
 *     storm=N     N times cli and sti, then leave
 *     triple      break everything: triple fault
 *
 * or, when the first word is one of these, become an operating system (os.c):
 *
 *     sh                   a shell on the console
 *     run=PROGRAM ARGS     one program
 *     script=LINE;LINE...  the shell on these lines
 *     smp-stress=N         no program: the processors test each other, N rounds of everything
 *     smp-break=N          break rule N of smp_stress.c, to see that it is noticed
 */
#include "minios.h"
#include "os.h"
#include "x86.h"

enum { EXIT_PORT = 0xf4 };

void machine_exit(uint8_t code)
{
	outb(EXIT_PORT, code);
	for (;;) { /* a machine without that port: stay asleep */
		cli();
		__asm__ volatile("hlt");
	}
}

void panic(const char *fmt, ...)
{
	char buf[256];
	__builtin_va_list ap;
	__builtin_va_start(ap, fmt);
	format(buf, sizeof(buf), fmt, ap);
	__builtin_va_end(ap);
	print_anyhow("panic: %s\n",
		     buf); /* whoever holds the console's lock may be waiting for us */
	machine_exit(EXIT_BAD);
}

static void idle(void) __attribute__((noreturn));
static void idle(void)
{
	print("idle\n");
	for (;;)
		__asm__ volatile("sti\n\thlt");
}

static void spin(void) __attribute__((noreturn));
static void spin(void)
{
	print("spin\n");
	lapic_timer(true, 62500);
	sti();
	for (;;)
		__asm__ volatile("");
}

static void storm(uint32_t n) __attribute__((noreturn));
static void storm(uint32_t n)
{
	print("storm of %u\n", n);
	while (n--) {
		cli();
		sti();
	}
	print("storm over\n");
	machine_exit(EXIT_GOOD);
}

/* With an empty IDT no exception can be delivered, nor the one about that: shutdown. */
static void triple(void) __attribute__((noreturn));
static void triple(void)
{
	static const uint8_t none[6];
	print("triple fault\n");
	__asm__ volatile("lidt %0\n\tint3" : : "m"(none));
	panic("survived a triple fault");
}

static void echo(void) __attribute__((noreturn));
static void echo(void)
{
	char line[128];
	console_enable_input();
	do {
		print("> ");
		read_line(line, sizeof(line));
		print("echo: %s\n", line);
	} while (strcmp(line, "quit"));
	machine_exit(EXIT_GOOD);
}

static void echo_once(void)
{
	char line[128];
	console_enable_input();
	print("type a line: ");
	read_line(line, sizeof(line));
	print("echo: %s\n", line);
}

void minios_main(uint32_t magic, uint32_t info)
{
	unsigned total = 0, failed = 0;
	uint32_t n;

	console_init();
	boot_init(magic, info);
	gdt_init(0);
	idt_init();
	pic_init();
	lapic_init();

	os_start_if_asked();
	if (boot_arg("idle", NULL))
		idle();
	if (boot_arg("spin", NULL))
		spin();
	if (boot_arg("storm=", &n))
		storm(n);
	if (boot_arg("triple", NULL))
		triple();
	if (boot_arg("echo", NULL))
		echo();

	print("minios: booted\n");
	print("command line: %s\n", boot.args);
	boot_show_modules();
	failed += run_checks(segment_checks, &total);
	failed += run_checks(cpu_checks, &total);
	failed += run_checks(device_checks, &total);
	failed += run_checks(irq_checks, &total);
	if (!boot_arg("demo", NULL))
		echo_once();
	print("minios: %u checks, %u failed\n", total, failed);
	machine_exit(failed ? EXIT_BAD : EXIT_GOOD);
}
