/* SPDX-License-Identifier: MIT */
/* conform's main program: runs all lists of cases, or those named on the command line. */
#include "conform.h"
#include "../minios/x86.h"

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "flags", cases_flags },
	{ "interrupts", cases_interrupts },
	{ "io", cases_io },
	{ "dtable", cases_dtable },
	{ "control", cases_control },
	{ "msr", cases_msr },
	{ "probe", cases_probe },
	{ "segload", cases_segload },
	{ "segstore", cases_segstore },
	{ "far", cases_far },
	{ "softint", cases_softint },
	{ "iret", cases_iret },
	{ "exceptions", cases_exceptions },
	{ "step", cases_step },
	{ "undefined", cases_undefined },
	{ "limits", cases_limits },
	{ "prefix", cases_prefix },
	{ "pfmatrix", cases_pf_matrix },
	{ "paging", cases_paging },
	{ "pae", cases_pae },
	{ "pdpte", cases_pdpte },
	{ "user", cases_user_insn },
	{ "user", cases_user_io },
	{ "rings", cases_rings },
	{ "inner", cases_inner },
	{ "tss", cases_tss },
	{ "tss", cases_user_step },
	{ "restart", cases_restart },
	{ "userseg", cases_user_seg },
	{ "alone", cases_control_alone },
	{ "alone", cases_prefix_alone },
};

/* Is @word one of the words behind the first (the image's name) of @args?  *@any: there are some.
 */
static bool named(const char *args, const char *word, bool *any)
{
	*any = false;
	while (*args && *args != ' ')
		args++;
	while (*args) {
		const char *w = word;

		while (*args == ' ')
			args++;
		if (!*args)
			break;
		*any = true;
		while (*w && *args == *w)
			args++, w++;
		if (!*w && (!*args || *args == ' '))
			return true;
		while (*args && *args != ' ')
			args++;
	}
	return false;
}

/* With no name on the command line, all lists but "alone"; with "lists", only their names. */
static void run_group(const char *args, const char *group, void (*cases)(void))
{
	bool any;

	if (named(args, "lists", &any))
		line(group, "list");
	else if (named(args, group, &any) || (!any && strcmp(group, "alone")))
		cases();
}

void conform_main(uint32_t magic, const uint32_t *info) __attribute__((noreturn));

void conform_main(uint32_t magic, const uint32_t *info)
{
	const char *args = command_line(magic, info);

	uart_init();
	outb(0x21, 0xff); /* both PICs: nothing */
	outb(0xa1, 0xff);
	tables_init();
	fill();
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		run_group(args, groups[i].name, groups[i].run);
	print("conform: %u cases\n", cases_run());
	machine_exit(EXIT_GOOD);
}
