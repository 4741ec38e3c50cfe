/* SPDX-License-Identifier: MIT */
/*
 * guest/conform and guest/apic on the engine `kvm`, on kvm_amd and kvm_intel in machines with SVM
 * and VT-x that QEMU and Bochs emulate: line by line as on the world engine, or as QEMU's CPU does
 * it without Ringside, or as tests/nested/kvm-*.expected-differences say, with the reason.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/compare.h"
#include "tests/nested.h"

TestSuite(nested_cases, .timeout = 1000);

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

static void compare_image(const struct nested *n, const char *module, const char *image,
			  const char *const *lists, size_t count, const char *expected,
			  unsigned at_least)
{
	char known[64];

	memset(&kvm, 0, sizeof(kvm));
	memset(&world, 0, sizeof(world));
	for (size_t i = 0; i < count; i++)
		both(n, image, lists[i]);
	snprintf(known, sizeof(known), "tests/%s.expected-differences", image);
	compare_third(&world, &kvm, module, known, expected, at_least);
}

static void compare_all(const char *cpu, unsigned seconds)
{
	char module[16], expected[64];
	struct nested n;

	snprintf(module, sizeof(module), "kvm_%s", cpu);
	snprintf(expected, sizeof(expected), "tests/nested/kvm-%s.expected-differences", cpu);
	nested_run(&n, cpu, "cases", seconds);
	compare_image(&n, module, "conform", conform, sizeof(conform) / sizeof(conform[0]),
		      expected, 3600);
	compare_image(&n, module, "apic", apic, sizeof(apic) / sizeof(apic[0]), "/dev/null", 840);
	nested_free(&n);
}

Test(nested_cases, results_are_ours_or_explained_on_kvm_amd)
{
	compare_all("amd", 500);
}

Test(nested_cases, results_are_ours_or_explained_on_kvm_intel)
{
	compare_all("intel", 900);
}
