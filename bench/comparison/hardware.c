/* SPDX-License-Identifier: MIT */
/*
 * From reports of `ringside compare --json`, made on machines where KVM uses a CPU, to
 * docs/comparison-hardware.md: hardware FILE.json...
 * A file's name says what ran, and what it ran on is in it.  `make compare-hardware` runs it.
 */
#include <stdlib.h>

#include "bench/comparison/page.h"

#define FILES_MAX    128
#define MACHINES_MAX 4
#define NAMES_MAX    64

struct report {
	char name[64];
	struct json_object *o;
	unsigned machine;
};

static struct report report[FILES_MAX];
static unsigned reports, machines, names;
static struct json_object *machine[MACHINES_MAX]; /* a report of each */
static const char *name[NAMES_MAX];

static struct json_object *item(struct json_object *list, size_t i)
{
	return json_object_array_get_idx(list, i);
}

/* ---- reading ---- */

static bool read_report(const char *path)
{
	const char *base = strrchr(path, '/'), *dot = strrchr(path, '.');
	struct report *r = &report[reports];
	unsigned i = 0;

	base = base ? base + 1 : path;
	if (!dot || dot < base || strcmp(dot, ".json")) {
		fprintf(stderr, "hardware: %s: the name of a report ends with .json\n", path);
		return false;
	}
	snprintf(r->name, sizeof(r->name), "%.*s", (int)(dot - base), base);
	r->o = json_object_from_file(path);
	if (!get(get(r->o, "hardware"), "causes")) {
		const char *why = str(get(r->o, "hardware"), "why");

		fprintf(stderr, "hardware: %s: a report without exits of the hardware%s%s\n", path,
			why && *why ? ": " : "", why && *why ? why : "");
		return false;
	}
	while (i < machines && !json_object_equal(get(machine[i], "machine"), get(r->o, "machine")))
		i++;
	if (i == MACHINES_MAX) {
		fprintf(stderr, "hardware: %s: from one machine too many\n", path);
		return false;
	}
	if (i == machines)
		machine[machines++] = r->o;
	r->machine = i;
	for (i = 0; i < names && strcmp(name[i], r->name); i++)
		;
	if (i == names && names < NAMES_MAX)
		name[names++] = r->name;
	reports++;
	return true;
}

static const struct report *find(const char *what, unsigned on)
{
	for (unsigned i = 0; i < reports; i++)
		if (report[i].machine == on && !strcmp(report[i].name, what))
			return &report[i];
	return NULL;
}

/* ---- cells ---- */

struct sum {
	uint64_t min, max, measured, host;
	bool open, compared;
	unsigned agree, differ;
};

static void add_cause(struct sum *s, struct json_object *cause)
{
	struct json_object *model = get(cause, "model"), *agree = get(cause, "agree");
	uint64_t measured = num(get(cause, "measured"), "n");

	if (!agree) {
		s->host += measured;
		return;
	}
	s->compared = true;
	s->measured += measured;
	s->min += json_object_get_uint64(item(model, 0));
	s->open |= !item(model, 1);
	s->max += json_object_get_uint64(item(model, 1));
	if (json_object_get_boolean(agree))
		s->agree++;
	else
		s->differ++;
}

static void put_range(uint64_t min, uint64_t max, bool open)
{
	put_grouped(min);
	if (open) {
		printf(" or more");
	} else if (max != min) {
		printf(" to ");
		put_grouped(max);
	}
}

static void put_sum(const struct report *r)
{
	struct json_object *causes = r ? get(get(r->o, "hardware"), "causes") : NULL;
	struct sum s = { 0 };

	for (size_t i = 0; i < length(causes); i++)
		add_cause(&s, item(causes, i));
	if (!s.compared) {
		printf(" | - | -");
		return;
	}
	printf(" | ");
	put_range(s.min, s.max, s.open);
	printf(" | ");
	put_grouped(s.measured);
	if (s.differ)
		printf(" (%u of %u causes differ)", s.differ, s.agree + s.differ);
}

/* ---- the page ---- */

static const char *title_of(struct json_object *o)
{
	struct json_object *configs = get(o, "configs");
	const char *config = str(get(o, "hardware"), "config");

	for (size_t i = 0; i < length(configs); i++)
		if (!strcmp(str(item(configs, i), "name"), config))
			return str(item(configs, i), "title");
	return "no such configuration";
}

static void put_beginning(void)
{
	printf("<!-- Written by `make compare-hardware`; edits are lost. -->\n"
	       "# Model against measurement\n\n"
	       "What hardware exits for, by the model and by the CPU's own account.  The model's "
	       "numbers come from a run on the engine `world` of the same machine, the measured "
	       "ones "
	       "from a run on the engine `kvm` with KVM's interrupt controllers, where the kernel "
	       "notes each exit with its reason ([hardware-assist.md](hardware-assist.md)).  The "
	       "CPUs are emulated, by QEMU (SVM) and Bochs (VT-x): what exits is what the manuals "
	       "say, and no time is worth anything.\n\n"
	       "| machine's CPU | kernel | module | configuration of the model |\n"
	       "| --- | --- | --- | --- |\n");
	for (unsigned i = 0; i < machines; i++) {
		struct json_object *m = get(machine[i], "machine");

		printf("| ");
		put_text(str(m, "cpu"));
		printf(" | Linux ");
		put_text(str(m, "kernel"));
		printf(" | ");
		put_text(str(m, "kvm_module"));
		printf(" | ");
		put_text(title_of(machine[i]));
		printf(" |\n");
	}
}

static void put_overview(void)
{
	printf("\n## Exits\n\n"
	       "Of all causes that can be compared; the host's interrupts cannot.  A guest that "
	       "polls "
	       "or waits for time does so more or less often on a machine that is slower or "
	       "faster: "
	       "where it does, local APIC, hlt and windows differ.\n\n"
	       "| workload");
	for (unsigned i = 0; i < machines; i++)
		printf(" | %s, model | %s, measured", title_of(machine[i]),
		       str(get(machine[i], "machine"), "kvm_module"));
	printf(" |\n| ---");
	for (unsigned i = 0; i < machines; i++)
		printf(" | ---: | ---:");
	printf(" |\n");
	for (unsigned k = 0; k < names; k++) {
		printf("| [%s](#%s)", name[k], name[k]);
		for (unsigned i = 0; i < machines; i++)
			put_sum(find(name[k], i));
		printf(" |\n");
	}
}

/* "npf 108, avic_incomplete_ipi 3" */
static void put_reasons(struct json_object *reasons)
{
	const char *comma = "";

	if (!reasons)
		return;
	json_object_object_foreach(reasons, reason, n)
	{
		printf("%s", comma);
		put_text(reason);
		putchar(' ');
		put_grouped(json_object_get_uint64(n));
		comma = ", ";
	}
}

static void put_cause(const struct report *r, struct json_object *cause)
{
	struct json_object *model = get(cause, "model"), *agree = get(cause, "agree");

	printf("| %s | ", str(get(r->o, "machine"), "kvm_module"));
	put_text(str(cause, "cause"));
	printf(" | ");
	if (length(model) == 2)
		put_range(json_object_get_uint64(item(model, 0)),
			  json_object_get_uint64(item(model, 1)), !item(model, 1));
	else
		putchar('-');
	printf(" | ");
	put_grouped(num(get(cause, "measured"), "n"));
	printf(" | %s | ", !agree                           ? "not compared"
			   : json_object_get_boolean(agree) ? "yes"
							    : "**no**");
	put_reasons(get(cause, "reasons"));
	printf(" |\n");
}

static void put_workload(const char *what)
{
	printf("\n### %s\n\n"
	       "| module | cause | model | measured | agree | the CPU's reasons |\n"
	       "| --- | --- | ---: | ---: | --- | --- |\n",
	       what);
	for (unsigned m = 0; m < machines; m++) {
		const struct report *r = find(what, m);
		struct json_object *causes = r ? get(get(r->o, "hardware"), "causes") : NULL;

		for (size_t i = 0; i < length(causes); i++)
			put_cause(r, item(causes, i));
	}
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > FILES_MAX) {
		fprintf(stderr, "usage: hardware FILE.json..., 1 to %d of them\n", FILES_MAX - 1);
		return 2;
	}
	for (int i = 1; i < argc; i++)
		if (!read_report(argv[i]))
			return 2;
	put_beginning();
	put_overview();
	printf("\n## Workloads\n");
	for (unsigned k = 0; k < names; k++)
		put_workload(name[k]);
	for (unsigned i = 0; i < reports; i++)
		json_object_put(report[i].o);
	return fflush(stdout) ? 1 : 0;
}
