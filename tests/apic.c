/* SPDX-License-Identifier: MIT */
/*
 * guest/apic (interrupt controllers, timers, when interrupts are taken) on QEMU (TCG) and on
 * Ringside, line by line, with four processors each.  They must be equal but for exactly the
 * differences of tests/apic.expected-differences, each of which says who is right.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/compare.h"

#define QEMU           "/usr/bin/qemu-system-i386"
#define EXPECTED       "tests/apic.expected-differences"
#define CASES_AT_LEAST 860

/*
 * Lists of guest/apic/main.c, in a few runs.  "base" is alone because QEMU cannot switch a local
 * APIC on again.
 */
static const char *const groups[] = {
	"registers priority eoi self disable lvt",
	"timer nmi windows pic picmodes",
	"ioapic uart pit pitmodes rtc",
	"ipi logical init iosmp",
	"base",
};
#define GROUPS (sizeof(groups) / sizeof(groups[0]))

/* What QEMU's TCG does not have, or what it hangs in: what must be instead. */
static const char *const without_qemu[] = { "alone", "x2apic", "deadline" };

TestSuite(apic, .timeout = 300);

static struct compare_run theirs, ours;

static void run_qemu(struct compare_run *r, const char *lists)
{
	struct child qemu = { .argv = { QEMU,
					"-accel",
					"tcg,thread=single",
					"-cpu",
					"max,-x2apic",
					"-m",
					"64",
					"-smp",
					"4",
					"-kernel",
					child_guest("apic"),
					"-append",
					lists,
					"-display",
					"none",
					"-serial",
					"stdio",
					"-no-reboot",
					"-device",
					"isa-debug-exit,iobase=0xf4,iosize=4",
					NULL },
			      .seconds = 60 };

	r->c = qemu;
	compare_run(r, "qemu", "apic");
}

static void run_ringside(struct compare_run *r, const char *lists)
{
	struct child ringside = { .argv = { child_ringside(), "run", "-m", "64", "--smp=4",
					    child_guest("apic"), "-append", lists, NULL },
				  .seconds = 60 };

	r->c = ringside;
	compare_run(r, "ringside", "apic");
}

Test(apic, equals_qemu_but_for_the_explained_differences)
{
	for (size_t i = 0; i < GROUPS; i++) {
		run_qemu(&theirs, groups[i]);
		run_ringside(&ours, groups[i]);
	}
	compare_runs(&ours, &theirs, EXPECTED, CASES_AT_LEAST);
}

/* guest/apic names its lists itself: none is forgotten above. */
Test(apic, no_list_is_left_out)
{
	run_ringside(&ours, "lists");
	cr_assert_geq(ours.lines, 20);
	for (unsigned i = 0; i < ours.lines; i++) {
		const char *name = ours.line[i].name;

		cr_expect(compare_is_listed(name, groups, GROUPS) ||
				  compare_is_listed(name, without_qemu, 3),
			  "list \"%s\" is not compared", name);
	}
}

/* Each case of @lists must give what @must says, and there is no other. */
static void check_alone(const char *lists, const struct compare_line *must, size_t count)
{
	run_ringside(&ours, lists);
	for (unsigned i = 0; i < ours.lines && i < count; i++) {
		cr_expect_str_eq(ours.line[i].name, must[i].name);
		cr_expect_str_eq(ours.line[i].result, must[i].result, "%s: %s, not %s",
				 must[i].name, ours.line[i].result, must[i].result);
	}
	cr_expect_eq(ours.lines, count);
}

/* SDM Vol. 3A, 10.5.1; MC146818A data sheet, "Register C"; 8254 data sheet, modes 1 and 5. */
Test(apic, cases_without_qemu)
{
	static const struct compare_line must[] = {
		{ "extint/masked before it was taken", "none, pic irr 02" },
		{ "rtc/periodic/flag alone", "40" },
		{ "rtc/periodic/enabled with the flag set", "irr 01" },
		{ "rtc/periodic/disabled again", "irr 00" },
		{ "rtc/periodic/c unread", "none" },
		{ "pit/irq/mode 1", "none" },
		{ "pit/irq/mode 5", "none" },
	};

	check_alone("alone", must, sizeof(must) / sizeof(must[0]));
}

/* SDM Vol. 3A, "Extended XAPIC (x2APIC)" (10.12), tables 10-5 and 10-6; "x2APIC State Transitions".
 */
Test(apic, x2apic_without_qemu)
{
	static const struct compare_line must[] = {
		{ "x2apic/base", "fee00d00" },
		{ "x2apic/id", "00000000" },
		{ "x2apic/ldr", "00000001" },
		{ "x2apic/svr kept", "000001ff" },
		{ "x2apic/logical, itself", "51 isr 00020000" },
		{ "x2apic/self ipi", "52 isr 00040000" },
		{ "x2apic/eoi", "isr 00000000" },
		{ "x2apic/read/id", "ok" },
		{ "x2apic/read/version", "ok" },
		{ "x2apic/read/eoi", "#GP(0000) +0" },
		{ "x2apic/read/apr", "#GP(0000) +0" },
		{ "x2apic/read/dfr", "#GP(0000) +0" },
		{ "x2apic/read/icr", "ok" },
		{ "x2apic/read/icr high", "#GP(0000) +0" },
		{ "x2apic/read/self ipi", "#GP(0000) +0" },
		{ "x2apic/read/absent", "#GP(0000) +0" },
		{ "x2apic/write/id", "#GP(0000) +0" },
		{ "x2apic/write/ldr", "#GP(0000) +0" },
		{ "x2apic/write/dfr", "#GP(0000) +0" },
		{ "x2apic/write/tpr", "ok" },
		{ "x2apic/write/tpr, reserved", "#GP(0000) +0" },
		{ "x2apic/write/eoi", "ok" },
		{ "x2apic/write/eoi, not zero", "#GP(0000) +0" },
		{ "x2apic/write/esr", "ok" },
		{ "x2apic/write/esr, not zero", "#GP(0000) +0" },
		{ "x2apic/write/svr, reserved", "#GP(0000) +0" },
		{ "x2apic/write/lvt timer, reserved", "#GP(0000) +0" },
		{ "x2apic/write/tpr, high half", "#GP(0000) +0" },
		{ "x2apic/write/isr", "#GP(0000) +0" },
		{ "x2apic/write/base, back to xapic", "#GP(0000) +0" },
		{ "x2apic/back by way of off", "fee00900 svr 000001ff" },
		{ "x2apic/cpu 1", "id 00000001 ldr 00000002" },
		{ "x2apic/cpu 2", "id 00000002 ldr 00000004" },
		{ "x2apic/cpu 3", "id 00000003 ldr 00000008" },
		{ "x2apic/physical from an xapic", "00000000 00020000 00000000" },
	};

	check_alone("x2apic", must, sizeof(must) / sizeof(must[0]));
}

/* SDM Vol. 3A, "TSC-Deadline Mode" (10.5.4.1). */
Test(apic, tsc_deadline_without_qemu)
{
	static const struct compare_line must[] = {
		{ "deadline/other mode", "not armed" },
		{ "deadline/lvt", "40048" },
		{ "deadline/mode alone", "not armed" },
		{ "deadline/initial count ignored", "0" },
		{ "deadline/far away", "armed irr -" },
		{ "deadline/zero disarms", "not armed irr -" },
		{ "deadline/past", "not armed irr 48" },
		{ "deadline/past, taken", "48" },
		{ "deadline/ahead", "not early, not armed" },
		{ "deadline/wakes from hlt", "48 not early" },
		{ "deadline/mode left", "not armed" },
		{ "deadline/mode entered again", "not armed" },
		{ "deadline/masked", "not armed irr -" },
	};

	check_alone("deadline", must, sizeof(must) / sizeof(must[0]));
}
