/* SPDX-License-Identifier: MIT */
/*
 * Exits of the hardware in `ringside compare`: the verdict, from accounts that are written here;
 * and real runs, where this machine's KVM tells its exits.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/compare_cmd.h"
#include "vmm/cli.h"
#include "vmm/compare/compare.h"
#include "vmm/kvm/kvm.h"

TestSuite(compare_hardware, .timeout = 120);

/* ---- the verdict ---- */

#define RANGE(config, min, max) "\"exits\": {\"" config "\": [" min ", " max "]}"

/* One run of each engine.  @kvm is what the account of kvm has as "kvm". */
static struct json_object *ch_report(const char *rows, const char *kvm)
{
	struct compare_options opt = { .repeat = 1 };
	struct compare_run w = { 0 }, k = { 0 };
	struct compare c = { .opt = &opt };
	struct json_object *o;
	char text[2048];

	snprintf(text, sizeof(text), "{\"model\": {\"rows\": [%s]}}", rows);
	w.account = json_tokener_parse(text);
	cr_assert_not_null(w.account, "%s", text);
	snprintf(text, sizeof(text), "{\"kvm\": %s}", kvm);
	k.account = json_tokener_parse(text);
	cr_assert_not_null(k.account, "%s", text);
	c.engine[COMPARE_WORLD] = (struct compare_engine){ "world", &w, 1, 0 };
	c.engine[COMPARE_KVM] = (struct compare_engine){ "kvm", &k, 1, 0 };
	o = compare_hardware(&c);
	json_object_put(w.account);
	json_object_put(k.account);
	return o;
}

static struct json_object *ch_cause(struct json_object *hw, const char *cause)
{
	struct json_object *list = compare_at(hw, "causes");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (!strcmp(compare_str(o, "cause"), cause))
			return o;
	}
	return NULL;
}

static const char *ch_agree(struct json_object *hw, const char *cause)
{
	struct json_object *o = ch_cause(hw, cause), *yes;

	if (!o)
		return "absent";
	yes = compare_at(o, "agree");
	return !yes ? "not judged" : json_object_get_boolean(yes) ? "yes" : "no";
}

#define ROWS                                                                                                                                                         \
	"{\"cause\": \"cpuid\", \"event\": \"cpuid\", " RANGE(                                                                                                       \
		"svm-npt", "20",                                                                                                                                     \
		"20") "},"                                                                                                                                           \
		      "{\"cause\": \"mov to cr\", \"event\": \"CR3\", " RANGE(                                                                                       \
			      "svm-npt", "0",                                                                                                                        \
			      "0") "},"                                                                                                                              \
				   "{\"cause\": \"hlt\", \"event\": \"hlt\", " RANGE(                                                                                \
					   "svm-npt", "100",                                                                                                         \
					   "100") "},"                                                                                                               \
						  "{\"cause\": \"rdmsr\", \"event\": "                                                                               \
						  "\"MSR\", " RANGE(                                                                                                 \
							  "svm-npt", "2",                                                                                            \
							  "2") "},"                                                                                                  \
							       "{\"cause\": \"wrmsr\", "                                                                             \
							       "\"event\": \"LAPIC EOI, "                                                                            \
							       "level\", " RANGE(                                                                                    \
								       "svm-npt", "3",                                                                               \
								       "3") "},"                                                                                     \
									    "{\"cause\": "                                                                           \
									    "\"mmio\", "                                                                             \
									    "\"event\": \"LAPIC "                                                                    \
									    "EOI\", " RANGE(                                                                         \
										    "svm-npt",                                                                       \
										    "7",                                                                             \
										    "7") "},"                                                                        \
											 "{\"caus"                                                                   \
											 "e\": "                                                                     \
											 "null, "                                                                    \
											 "\"event"                                                                   \
											 "\": "                                                                      \
											 "\"RAM "                                                                    \
											 "first "                                                                    \
											 "touched"                                                                   \
											 "\","                                                                       \
											 " " RANGE(                                                                  \
												 "svm-npt",                                                          \
												 "1",                                                                \
												 "9") "},"                                                           \
												      "{\"cause\": null, \"event\": \"interrupt, running\", " RANGE( \
													      "svm-npt",                                             \
													      "4",                                                   \
													      "4") "}"

#define KVM(irqchip, config, causes)                                                            \
	"{\"module\": \"kvm_amd\", \"irqchip\": \"" irqchip "\", \"config\": " config           \
	", \"config_why\": null, \"hardware_why\": null, \"hardware\": {\"exits\": 150, "       \
	"\"lost\": 0, \"reasons\": [{\"reason\": \"npf\", \"code\": 1024, \"count\": 12, "      \
	"\"causes\": {\"memory fault\": 5, \"local APIC\": 7}}], \"symbols\": [], \"causes\": " \
	"{" causes "}}}"

Test(compare_hardware, each_cause_is_judged_by_its_own_rule)
{
	struct json_object *hw = ch_report(ROWS, KVM("kernel", "\"svm-npt\"",
						     "\"cpuid\": 20, \"hlt\": 92, \"MSR\": 5, "
						     "\"local APIC\": 7, \"memory fault\": 5, "
						     "\"host's interrupt\": 900, \"CR4\": 1"));

	cr_expect_null(compare_at(hw, "why"));
	cr_expect_str_eq(compare_str(hw, "config"), "svm-npt");
	cr_expect_str_eq(ch_agree(hw, "cpuid"), "yes");
	cr_expect_str_eq(ch_agree(hw, "hlt"), "yes", "within a tenth");
	cr_expect_str_eq(ch_agree(hw, "MSR"), "yes", "two MSRs, and three of the local APIC's");
	cr_expect_eq(compare_num(ch_cause(hw, "MSR"), "measured/n"), 5);
	cr_expect_str_eq(ch_agree(hw, "local APIC"), "yes");
	cr_expect_str_eq(ch_agree(hw, "memory fault"), "yes");
	cr_expect_str_eq(ch_agree(hw, "host's interrupt"), "not judged");
	cr_expect_str_eq(ch_agree(hw, "CR4"), "no", "the model knows of none");
	cr_expect_str_eq(ch_agree(hw, "CR3"), "absent", "nowhere");
	cr_expect_eq(compare_num(ch_cause(hw, "memory fault"), "reasons/npf"), 5);
	json_object_put(hw);
	hw = ch_report(ROWS, KVM("kernel", "\"svm-npt\"",
				 "\"cpuid\": 21, \"hlt\": 89, \"MSR\": 4, \"memory fault\": 13"));
	cr_expect_str_eq(ch_agree(hw, "cpuid"), "no");
	cr_expect_str_eq(ch_agree(hw, "hlt"), "no");
	cr_expect_str_eq(ch_agree(hw, "MSR"), "no");
	cr_expect_str_eq(ch_agree(hw, "memory fault"), "no");
	cr_expect_str_eq(ch_agree(hw, "local APIC"), "no", "expected, and none came");
	json_object_put(hw);
}

Test(compare_hardware, without_a_configuration_nothing_is_judged)
{
	struct json_object *hw = ch_report(ROWS, KVM("user", "null", "\"cpuid\": 20"));

	cr_expect_str_eq(ch_agree(hw, "cpuid"), "not judged");
	cr_expect_null(compare_at(ch_cause(hw, "cpuid"), "model"));
	json_object_put(hw);
}

/* On VT-x without APICv what is behind a local APIC's page depends on whose the APIC is. */
Test(compare_hardware, on_vtx_the_local_apic_is_a_fault_or_a_device)
{
	static const char rows[] = "{\"cause\": \"mmio\", \"event\": \"LAPIC EOI\", " RANGE(
		"vtx-ept", "80", "80") "},"
				       "{\"cause\": \"mmio\", \"event\": \"device memory\", " RANGE(
					       "vtx-ept", "3", "3") "}";
	struct json_object *hw = ch_report(rows,
					   KVM("user", "\"vtx-ept\"", "\"device memory\": 83"));

	cr_expect_str_eq(ch_agree(hw, "device memory"), "yes");
	cr_expect_str_eq(ch_agree(hw, "memory fault"), "absent");
	json_object_put(hw);
	hw = ch_report(rows,
		       KVM("kernel", "\"vtx-ept\"", "\"device memory\": 3, \"memory fault\": 80"));
	cr_expect_str_eq(ch_agree(hw, "device memory"), "yes");
	cr_expect_str_eq(ch_agree(hw, "memory fault"), "yes");
	json_object_put(hw);
}

Test(compare_hardware, what_was_not_measured_says_why)
{
	struct json_object *hw = ch_report(
		ROWS, "{\"module\": \"kvm_amd\", \"config\": \"svm-npt\", \"hardware\": null, "
		      "\"hardware_why\": \"only root may\"}");

	cr_expect_str_eq(compare_str(hw, "why"), "only root may");
	cr_expect_null(compare_at(hw, "causes"));
	json_object_put(hw);
}

/* ---- this machine's KVM ---- */

/* Were they measured?  If not, a sentence says why, and the text and the page have it too. */
static bool ch_measured(struct json_object *o)
{
	const char *why = compare_str(o, "hardware/why");

	if (!*why)
		return true;
	cr_expect_gt(strlen(why), 10);
	cr_expect_not_null(strstr(compare_child.out, why), "%s", compare_child.out);
	cr_expect_null(compare_at(o, "hardware/causes"));
	return false;
}

/* On kvm_pvm there is no paging, and no window soon enough when the LAPIC is KVM's. */
static bool ch_fails(const char *guest, const char *option)
{
	char err[256];
	const char *module = kvm_module(KVM_MODULES, err, sizeof(err));
	int fd = kvm_open(KVM_PATH, err, sizeof(err));

	if (fd < 0)
		return false;
	close(fd);
	return module && !strcmp(module, "kvm_pvm") && (option || !strcmp(guest, "causes"));
}

/* guest/causes, guest/exits: the guest's doing alone, so that model and measurement are equal. */
static void ch_all_agree(const char *guest, const char *option, unsigned causes)
{
	struct json_object *o = compare_guest(guest, option, NULL,
					      ch_fails(guest, option) ? STATUS_GUEST : STATUS_OK);
	struct json_object *list;
	unsigned judged = 0;
	uint64_t sum = 0;

	if (ch_measured(o)) {
		list = compare_at(o, "hardware/causes");
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *c = json_object_array_get_idx(list, i);
			struct json_object *yes = compare_at(c, "agree");

			sum += compare_num(c, "measured/n");
			judged += yes != NULL;
			cr_expect(!yes || json_object_get_boolean(yes), "%s of %s:\n%s",
				  compare_str(c, "cause"), guest, compare_child.out);
		}
		cr_expect_eq(sum, compare_num(o, "hardware/exits/n"));
		cr_expect_eq(compare_num(o, "hardware/lost/max"), 0);
		/* KVM's own counter of them all. */
		cr_expect_eq(compare_num(o, "hardware/exits/n"),
			     compare_num(o, "engines/kvm/counters/exits"), "%s", compare_child.out);
		if (compare_at(o, "hardware/config"))
			cr_expect_geq(judged, causes, "%u causes:\n%s", judged, compare_child.out);
	}
	json_object_put(o);
}

Test(compare_hardware, every_cause_is_modelled_and_measured_alike)
{
	ch_all_agree("causes", NULL, 11);
}

Test(compare_hardware, and_so_it_is_with_the_interrupt_controllers_of_kvm)
{
	ch_all_agree("causes", "--irqchip=kernel", 11);
}

Test(compare_hardware, windows_and_halts_are_modelled_and_measured_alike)
{
	ch_all_agree("exits", NULL, 5);
	ch_all_agree("exits", "--irqchip=kernel", 5);
}
