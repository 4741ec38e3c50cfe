/* SPDX-License-Identifier: MIT */
/* apic's main program: runs the lists of cases that the command line names. */
#include "apic.h"

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "registers", cases_registers },
	{ "priority", cases_priority },
	{ "eoi", cases_eoi },
	{ "lvt", cases_lvt },
	{ "timer", cases_timer },
	{ "self", cases_self },
	{ "disable", cases_disable },
	{ "ioapic", cases_ioapic },
	{ "pic", cases_pic },
	{ "picmodes", cases_pic_modes },
	{ "pit", cases_pit },
	{ "pitmodes", cases_pit_modes },
	{ "rtc", cases_rtc },
	{ "uart", cases_uart },
	{ "windows", cases_windows },
	{ "nmi", cases_nmi },
	{ "ipi", cases_ipi },
	{ "logical", cases_logical },
	{ "init", cases_init },
	{ "iosmp", cases_ioapic_smp },
	{ "base", cases_base },
	{ "alone", cases_lvt_alone },
	{ "alone", cases_rtc_alone },
	{ "alone", cases_pit_alone },
	{ "x2apic", cases_x2apic },
	{ "deadline", cases_deadline },
};

/* Is @word one of the words of @args? */
static bool named(const char *args, const char *word)
{
	while (*args) {
		const char *w = word;

		while (*w && *args == *w)
			args++, w++;
		if (!*w && (!*args || *args == ' '))
			return true;
		while (*args && *args != ' ')
			args++;
		while (*args == ' ')
			args++;
	}
	return false;
}

void conform_main(uint32_t magic, const uint32_t *info) __attribute__((noreturn));

/* @info: flags, and from offset 16 the command line if flag 2 says that there is one. */
void conform_main(uint32_t magic, const uint32_t *info)
{
	const char *args = magic == 0x2badb002 && (info[0] & 4) ? (const char *)info[4] : "";

	outb(0x3f9, 0);    /* COM1: no interrupts */
	outb(0x3fb, 0x03); /* eight bits, no parity */
	outb(0x3fc, 0x0b); /* DTR, RTS, OUT2 */
	tables_init();
	fill();
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (named(args, "lists")) {
			line(groups[i].name, "list");
		} else if (named(args, groups[i].name)) {
			quiet();
			groups[i].run();
		}
	}
	print("apic: %u cases\n", cases_run());
	uart_drain();
	outl(0xf4, 0x10); /* status 33 */
	for (;;)
		__asm__ volatile("cli; hlt");
}
