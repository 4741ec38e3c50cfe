/* SPDX-License-Identifier: MIT */
/* What a fuzz target promises.  Not assert(): this says why, and NDEBUG cannot remove it. */
#ifndef RINGSIDE_TESTS_FUZZ_REQUIRE_H
#define RINGSIDE_TESTS_FUZZ_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(cond, ...)                                                         \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond); \
			fprintf(stderr, __VA_ARGS__);                              \
			fprintf(stderr, "\n");                                     \
			abort();                                                   \
		}                                                                  \
	} while (0)

#endif
