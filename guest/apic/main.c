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

void conform_main(uint32_t magic, const uint32_t *info)
{
	const char *args = command_line(magic, info);

	uart_init();
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
	machine_exit(EXIT_GOOD);
}
