/* SPDX-License-Identifier: MIT */
/*
 * guest/conform and guest/apic on the engine `kvm`, on kvm_amd in a machine with AMD's SVM that
 * QEMU emulates: line by line as on the world engine, or as QEMU's CPU does it without Ringside, or
 * as tests/nested/kvm-amd.expected-differences says, with the reason.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/compare.h"
#include "tests/nested.h"

#define EXPECTED "tests/nested/kvm-amd.expected-differences"

TestSuite(nested_cases, .timeout = 500);

/* As in tests/nested/jobs/cases.sh. */
static const char *const conform[] = {
	"flags",     "interrupts", "io",     "dtable",   "control", "msr",        "probe",
	"segload",   "segstore",   "far",    "softint",  "iret",    "exceptions", "step",
	"undefined", "limits",     "prefix", "pfmatrix", "paging",  "pdpte",      "user",
	"restart",   "userseg",    "rings",  "inner",    "tss",     "pae",
};

/*
 * Without "timer" and "deadline": the machine's time goes by in leaps, and what must happen within
 * a microsecond of it sometimes does not.
 */
static const char *const apic[] = {
	"registers", "priority", "eoi",    "self", "disable", "lvt",      "nmi", "windows",
	"pic",       "picmodes", "ioapic", "uart", "pit",     "pitmodes", "rtc", "ipi",
	"logical",   "init",     "iosmp",  "base", "alone",   "x2apic",
};

static struct compare_run kvm, world;

static void both(const struct nested *n, const char *image, const char *list)
{
	bool is_apic = !strcmp(image, "apic");
	char name[64], *out;
	int status;

	snprintf(name, sizeof(name), "%s-%s", image, list);
	out = nested_output(n, name, &status);
	compare_take(&kvm, name, image, out, status);
	world.c = (struct child){
		.argv = { child_ringside(), "run", "-m", "64", is_apic ? "--smp" : "--cpuid",
			  is_apic ? "4" : "-x2apic", child_guest(image), "-append", list, NULL },
		.seconds = 60
	};
	compare_run(&world, "world", image);
}

static void compare_image(const struct nested *n, const char *image, const char *const *lists,
			  size_t count, const char *known, const char *expected, unsigned at_least)
{
	memset(&kvm, 0, sizeof(kvm));
	memset(&world, 0, sizeof(world));
	for (size_t i = 0; i < count; i++)
		both(n, image, lists[i]);
	compare_third(&world, &kvm, "kvm_amd", known, expected, at_least);
}

Test(nested_cases, results_are_ours_or_explained_on_kvm_amd)
{
	struct nested n;

	nested_run(&n, "amd", "cases", 400);
	compare_image(&n, "conform", conform, sizeof(conform) / sizeof(conform[0]),
		      "tests/conform.expected-differences", EXPECTED, 3600);
	compare_image(&n, "apic", apic, sizeof(apic) / sizeof(apic[0]),
		      "tests/apic.expected-differences", "/dev/null", 840);
	nested_free(&n);
}
