/* SPDX-License-Identifier: MIT */
/*
 * The model of hardware against hardware that others have made: exits by reason, as kvm_amd and
 * kvm_intel tell them in machines whose SVM QEMU emulates, and whose VT-x Bochs does.
 */
#include <criterion/criterion.h>
#include <json-c/json.h>
#include <string.h>

#include "tests/compare_cmd.h"
#include "tests/nested.h"
#include "vmm/cli.h"

TestSuite(nested_exits, .timeout = 400);

/* What @name wrote is, behind whatever the guest printed, one JSON object. */
static struct json_object *ne_report(const struct nested *n, const char *name, int *status)
{
	char *out = nested_output(n, name, status), *json = strchr(out, '{');
	struct json_object *o = json ? json_tokener_parse(json) : NULL;

	cr_assert_not_null(o, "%s: status %d\n%s", name, *status, out);
	return o;
}

static struct json_object *ne_cause(struct json_object *o, const char *cause)
{
	struct json_object *list = compare_at(o, "hardware/causes");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *c = json_object_array_get_idx(list, i);

		if (!strcmp(compare_str(c, "cause"), cause))
			return c;
	}
	return NULL;
}

static uint64_t ne_measured(struct json_object *o, const char *cause)
{
	return compare_num(ne_cause(o, cause), "measured/n");
}

/*
 * All exits have a reason, and model and measurement agree on each cause that is judged: at least
 * @causes.  With @exact only those that are the guest's doing alone.
 */
static void ne_agree(const struct nested *n, const char *name, const char *config, bool exact,
		     unsigned causes)
{
	struct json_object *o, *list;
	unsigned judged = 0;
	uint64_t sum = 0;
	int status;

	o = ne_report(n, name, &status);
	cr_assert_str_empty(compare_str(o, "hardware/why"), "%s: %s", name,
			    compare_str(o, "hardware/why"));
	cr_expect_str_eq(compare_str(o, "hardware/config"), config, "%s", name);
	list = compare_at(o, "hardware/causes");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *c = json_object_array_get_idx(list, i);
		struct json_object *yes = compare_at(c, "agree");

		sum += compare_num(c, "measured/n");
		if (!yes || (exact && strncmp(compare_str(c, "rule"), "exact", 5) != 0))
			continue;
		judged++;
		cr_expect(json_object_get_boolean(yes), "%s on %s: %s", name, config,
			  json_object_to_json_string(c));
	}
	cr_expect_geq(judged, causes, "%s: only %u causes", name, judged);
	cr_expect_eq(sum, compare_num(o, "hardware/exits/n"), "%s", name);
	cr_expect_eq(sum, compare_num(o, "engines/kvm/counters/exits"), "%s: KVM counted %lu", name,
		     (unsigned long)compare_num(o, "engines/kvm/counters/exits"));
	cr_expect_eq(compare_num(o, "hardware/lost/max"), 0, "%s", name);
	json_object_put(o);
}

/* guest/exits: what is beside its instructions. */
static void ne_windows(const struct nested *n, const char *name)
{
	int status;
	struct json_object *o = ne_report(n, name, &status);

	cr_expect_eq(status, STATUS_OK, "%s", name);
	cr_expect_eq(ne_measured(o, "hlt"), 20, "%s", name);
	cr_expect_eq(ne_measured(o, "interrupt window"), 40, "%s", name);
	json_object_put(o);
}

/* So many that somebody must empty the ring while KVM_RUN goes on. */
static void ne_many(const struct nested *n)
{
	struct json_object *o, *hw;
	int status;

	o = ne_report(n, "many", &status);
	hw = compare_at(o, "kvm/hardware");
	cr_assert_not_null(hw);
	cr_expect_geq(compare_num(hw, "causes/cpuid") + compare_num(hw, "lost"), 100000);
	cr_expect_eq(compare_num(hw, "exits") + compare_num(hw, "lost"),
		     compare_num(o, "kvm/stats/exits"));
	cr_expect_geq(compare_num(hw, "causes/cpuid"), 50000, "most are seen");
	json_object_put(o);
}

static void ne_machine(struct nested *n, const char *cpu, const char *config, unsigned seconds)
{
	static const char *const storms[] = { "apic-icr", "context-switch-paging", "mmio",
					      "page-fault", "popf" };

	nested_run(n, cpu, "exits", seconds);
	ne_agree(n, "causes-user", config, false, 11);
	ne_agree(n, "causes-kernel", config, false, 11);
	ne_agree(n, "exits-user", config, false, 4);
	ne_agree(n, "exits-kernel", config, false, 4);
	ne_windows(n, "exits-user");
	ne_windows(n, "exits-kernel");
	for (size_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++)
		ne_agree(n, storms[i], config, false, 2);
	/* Its timers end when they do. */
	ne_agree(n, "minios-user", config, true, 5);
	ne_agree(n, "minios-kernel", config, true, 5);
	ne_many(n);
}

Test(nested_exits, svm_with_nested_paging_exits_as_modelled)
{
	struct json_object *o;
	struct nested n;
	int status;

	ne_machine(&n, "amd", "svm-npt", 180);
	/* Shadow paging on SVM is no configuration of the model: it is told, and not judged. */
	o = ne_report(&n, "shadow", &status);
	cr_expect_null(compare_at(o, "hardware/config"));
	cr_expect_not_null(strstr(compare_str(o, "hardware/config_why"), "npt=0"));
	cr_expect_null(compare_at(ne_cause(o, "CR3"), "agree"));
	cr_expect_eq(ne_measured(o, "CR3"), 5);
	cr_expect_eq(ne_measured(o, "TLB flush"), 2);
	json_object_put(o);
	nested_free(&n);
}

Test(nested_exits, vtx_with_ept_and_with_shadow_paging_exits_as_modelled)
{
	struct nested n;

	ne_machine(&n, "intel", "vtx-ept", 350);
	ne_agree(&n, "shadow", "vtx-shadow", false, 11);
	nested_free(&n);
}
