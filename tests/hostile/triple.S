/* SPDX-License-Identifier: MIT */
/*
 * An exception with no IDT to take it: triple fault.
 *
 * MUST: end this VM with a report.  Status 3.
 */
#include "tests/hostile/hostile.h"

hostile:
	lidt	nothing
	ud2
	FAIL
	.data
nothing: .skip	6
