/* SPDX-License-Identifier: MIT */
/* Run the measurements, or with only=NAME on the command line that one, and print their medians. */
#include "bench.h"

uint64_t median(uint64_t *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned k = i; k && v[k] < v[k - 1]; k--) {
			uint64_t x = v[k];

			v[k] = v[k - 1];
			v[k - 1] = x;
		}
	return v[n / 2];
}

static void run(const struct bench *b)
{
	static uint64_t cycles[BATCHES_MAX];

	b->fn(b->n); /* so that code and tables are warm */
	for (unsigned i = 0; i < b->batches; i++)
		cycles[i] = b->fn(b->n);
	print("%s %u %u\n", b->name, div64(median(cycles, b->batches), b->n), b->n * b->batches);
}

/* What follows "only=" on the command line. */
static const char *only(const char *p)
{
	for (; *p; p++) {
		const char *name = after_prefix(p, "only=");

		if (name)
			return name;
	}
	return NULL;
}

static void run_table(const struct bench *b, const char *wanted)
{
	for (; b->name; b++) {
		const char *rest = wanted ? after_prefix(wanted, b->name) : "";

		if (rest && (!*rest || *rest == ' '))
			run(b);
	}
}

void bench_main(uint32_t magic, const uint32_t *info);
void bench_main(uint32_t magic, const uint32_t *info)
{
	const char *wanted = only(command_line(magic, info));

	machine_init();
	print("tsc_khz %u 1\n", tsc_khz());
	memory_init();
	apic_init();
	run_table(trap_benches, wanted);
	run_table(paging_benches, wanted);
	print("done 0 0\n");
	machine_exit(EXIT_GOOD);
}
