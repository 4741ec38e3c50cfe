/* SPDX-License-Identifier: MIT */
/* Read the command line, run the measurements, print what came of them. */
#include "irqbench.h"

#define WARM_UP        5u /* samples not counted: code and tables are fresh */
#define ASSIGNED       300u
#define ASSIGNED_BRIEF 20u

static const char *words;

/* What follows @name on the command line, or NULL.  Words are separated by blanks. */
static const char *option(const char *name)
{
	for (const char *p = words; *p; p++) {
		const char *rest = p == words || p[-1] == ' ' ? after_prefix(p, name) : NULL;

		if (rest)
			return rest;
	}
	return NULL;
}

/* Is @word, up to a blank, the string @s? */
static bool is(const char *word, const char *s)
{
	const char *rest = word ? after_prefix(word, s) : NULL;

	return rest && (!*rest || *rest == ' ');
}

static void sort(int32_t *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned k = i; k && v[k] < v[k - 1]; k--) {
			int32_t x = v[k];

			v[k] = v[k - 1];
			v[k - 1] = x;
		}
}

static void run(const struct measure *m, bool brief)
{
	static int32_t v[SAMPLES_MAX];
	unsigned n = brief ? m->brief : m->full;

	route_irqs(m->route);
	sti();
	m->collect(m, v, WARM_UP);
	m->collect(m, v, n);
	cli();
	route_irqs(ROUTE_NONE);
	sort(v, n);
	print("%s %d %d %d %d %u\n", m->name, v[0], v[n / 2], v[n * 99 / 100], v[n - 1], n);
}

/* Take what the host posts. */
static void assigned(enum mode mode, bool brief)
{
	unsigned n = brief ? ASSIGNED_BRIEF : ASSIGNED;

	print("ready\n");
	sti();
	for (unsigned i = 1; i <= n; i++)
		wait_for(&cpu[0].count, i, mode);
	cli();
	print("assigned %u\n", n);
}

void irqbench_main(uint32_t magic, const uint32_t *info)
{
	const char *wanted, *device, *number;
	unsigned cpus = 1;
	bool brief;

	words = command_line(magic, info);
	number = option("cpus=");
	if (number)
		cpus = (unsigned)(*number - '0');
	if (!cpus || cpus > CPUS_MAX)
		cpus = CPUS_MAX;
	brief = is(option("brief"), "");
	wanted = option("only=");
	device = option("assigned=");
	machine_init();
	print("tsc_khz %u\n", tsc_khz);
	if (device) {
		assigned(is(device, "busy") ? MODE_BUSY : MODE_HALTED, brief);
	} else {
		smp_start(cpus);
		for (const struct measure *m = measures; m->name; m++)
			if (m->cpus <= cpus && (!wanted || is(wanted, m->name)))
				run(m, brief);
	}
	print("done\n");
	machine_exit(EXIT_GOOD);
}
