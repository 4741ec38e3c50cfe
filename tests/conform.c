/* SPDX-License-Identifier: MIT */
/*
 * guest/conform on QEMU (TCG) and on Ringside, line by line.  They must be equal but for exactly
 * the differences of tests/conform.expected-differences, each of which says who is right.
 */
#include <cpuid.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/compare.h"

#define QEMU           "/usr/bin/qemu-system-i386"
#define EXPECTED       "tests/conform.expected-differences"
#define CASES_AT_LEAST 3600 /* without those that need XSAVE */

/* Every list of guest/conform/main.c, in a few runs: the output of one must fit in struct child. */
static const char *const groups[] = {
	"flags interrupts io dtable control msr probe segload segstore",
	"far softint iret exceptions step undefined limits prefix",
	"pfmatrix paging pae pdpte",
	"user restart userseg",
	"rings inner tss",
};
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

/*
 * "max" less what Ringside's CPUID policy never offers and what would show: so both have DE, PSE,
 * PAE, PGE, MCE, PAT, MTRR, SSE, XSAVE (if the host has), and neither VME, SEP, SMAP, UMIP, ...
 */
static const char *qemu_cpu(void)
{
	static char cpu[256];
	unsigned a, b, c = 0, d;

	__get_cpuid(1, &a, &b, &c, &d);
	snprintf(cpu, sizeof(cpu),
		 "max,-vme,-sep,-smap,-smep,-umip,-fsgsbase,-monitor,-rdpid,-svm,-pku,-invpcid,"
		 "-pcid,-x2apic%s",
		 c & (1u << 27) ? "" : ",-xsave");
	return cpu;
}

static void run_qemu(struct compare_run *r, const char *lists)
{
	struct child qemu = { .argv = { QEMU, "-accel", "tcg", "-cpu", qemu_cpu(), "-m", "64",
					"-kernel", child_guest("conform"), "-append", lists,
					"-display", "none", "-serial", "stdio", "-no-reboot",
					"-device", "isa-debug-exit,iobase=0xf4,iosize=4", NULL },
			      .seconds = 60 };

	r->c = qemu;
	compare_run(r, "qemu", "conform");
}

static void run_ringside(struct compare_run *r, const char *lists)
{
	struct child ringside = { .argv = { child_ringside(), "run", "-m", "64", "--cpuid",
					    "-x2apic", child_guest("conform"), "-append", lists,
					    NULL },
				  .seconds = 60 };

	r->c = ringside;
	compare_run(r, "ringside", "conform");
}

/* ---- the tests ---- */

TestSuite(conform, .timeout = 300);

static struct compare_run theirs, ours;

Test(conform, equals_qemu_but_for_the_explained_differences)
{
	for (size_t i = 0; i < GROUPS; i++) {
		run_qemu(&theirs, groups[i]);
		run_ringside(&ours, groups[i]);
	}
	compare_runs(&ours, &theirs, EXPECTED, CASES_AT_LEAST);
}

/* guest/conform names its lists itself: none is forgotten above. */
Test(conform, no_list_is_left_out)
{
	run_ringside(&ours, "lists");
	cr_assert_geq(ours.lines, 20);
	for (unsigned i = 0; i < ours.lines; i++) {
		const char *name = ours.line[i].name;
		bool found = !strcmp(name, "alone") || /* cases_without_qemu */
			     compare_is_listed(name, groups, GROUPS);

		cr_expect(found, "list \"%s\" is not compared", name);
	}
}

/* Cases that QEMU cannot run: reserved bits of CR4, CR0 without sense, LOCK with control flow. */
Test(conform, cases_without_qemu)
{
	static const char *const must[] = {
		"mov cr0/80000010: #GP(0000) +0", /* PG without PE */
		"mov cr0/a0000011: #GP(0000) +0", /* NW without CD */
		"lock hlt: #UD +0",
		"lock lgdt: #UD +0",
		"lock iret: #UD +0",
		"lock lret: #UD +0",
	};
	unsigned cr4 = 0;

	run_ringside(&ours, "alone");
	for (size_t i = 0; i < sizeof(must) / sizeof(must[0]); i++)
		cr_expect_not_null(strstr(ours.c.out, must[i]), "no \"%s\" in\n%s", must[i],
				   ours.c.out);
	for (unsigned i = 0; i < ours.lines; i++) {
		if (strncmp(ours.line[i].name, "mov cr4/", 8))
			continue;
		cr4++;
		cr_expect_str_eq(ours.line[i].result, "#GP(0000) +0", "%s: %s", ours.line[i].name,
				 ours.line[i].result);
	}
	cr_expect_eq(cr4, 21);
}
