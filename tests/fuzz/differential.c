/* SPDX-License-Identifier: MIT */
/*
 * fuzz-differential [--seed S] [--count N] [--start K]: the cases K .. K+N-1 of seed S, each run in
 * a world and emulated (tests/diff.h).  Stops at the first that differs, prints it and exits 1.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/diff.h"

static unsigned long long number(int argc, char **argv, const char *name, unsigned long long def)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		char *end;

		if (strcmp(argv[i], name))
			continue;
		errno = 0;
		def = strtoull(argv[i + 1], &end, 0);
		if (errno || *end || end == argv[i + 1]) {
			fprintf(stderr, "%s: %s is not a number\n", name, argv[i + 1]);
			exit(2);
		}
	}
	return def;
}

static void check_arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2)
		if (i + 1 == argc || (strcmp(argv[i], "--seed") && strcmp(argv[i], "--count") &&
				      strcmp(argv[i], "--start"))) {
			fprintf(stderr, "usage: %s [--seed S] [--count N] [--start K]\n", argv[0]);
			exit(2);
		}
}

int main(int argc, char **argv)
{
	unsigned long long seed, count, start;
	bool tty = isatty(STDERR_FILENO);
	struct diff_case c;
	static struct diff d;
	int ret = 0;

	check_arguments(argc, argv);
	seed = number(argc, argv, "--seed", 1);
	count = number(argc, argv, "--count", 1000000);
	start = number(argc, argv, "--start", 0);
	if (diff_open(&d, stdout))
		return 2;
	for (unsigned long long i = 0; i < count && ret >= 0 && ret != DIFF_MISMATCH; i++) {
		diff_generate(&c, seed, (unsigned long)(start + i));
		ret = diff_run(&d, &c);
		if (tty && i % 10000 == 0)
			fprintf(stderr, "\r%llu of %llu", i, count);
	}
	if (tty)
		fprintf(stderr, "\r");
	if (ret < 0)
		printf("the world failed at case %lu (%s)\n", c.index, d.native_vm.death);
	printf("seed %llu, %u forms: %lu equal, %lu equal faults, %lu equal page fault addresses, "
	       "%lu of equal length only, %lu not comparable, %lu mismatches\n",
	       seed, diff_templates(), d.count[DIFF_SAME], d.count[DIFF_FAULT],
	       d.count[DIFF_ADDRESS], d.count[DIFF_LENGTH], d.count[DIFF_OUTSIDE],
	       d.count[DIFF_MISMATCH]);
	diff_close(&d);
	return ret < 0 ? 2 : ret == DIFF_MISMATCH;
}
