/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of every kind on four vCPUs at once, for SOAK_SECONDS (5): none is lost, and the
 * guest's book and the VMM's agree.  `make soak` runs the same for a minute.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/child.h"
#include "tests/soak/drive.h"

TestSuite(soak, .timeout = 300);

static unsigned soak_seconds(unsigned otherwise)
{
	const char *text = getenv("SOAK_SECONDS");

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

Test(soak, no_interrupt_is_lost)
{
	const struct soak_config c = { .ringside = child_ringside(),
				       .guest = child_guest("soak"),
				       .seconds = soak_seconds(5),
				       .shm = true };
	static struct soak_result r;

	cr_assert(soak_run(&c, &r), "%s", r.wrong);
	cr_expect_gt(r.coalesced, 0, "bursts are to coalesce, or this tests less than it means to");
	cr_expect_eq(r.interrupts, r.delivered);
}

/* What the guest and the driver expect is what a machine does, not only ours. */
Test(soak, and_in_qemu_neither)
{
	const struct soak_config c = { .guest = child_guest("soak"), .seconds = 1 };
	static struct soak_result r;

	cr_assert(soak_run(&c, &r), "%s", r.wrong);
}

/* A guest that is silent: the watchdog ends it, and says where its vCPUs are. */
Test(soak, a_hang_is_found_and_described)
{
	const struct soak_config c = { .ringside = child_ringside(),
				       .guest = child_guest("minios"),
				       .patience_s = 2 };
	static struct soak_result r;

	cr_assert_not(soak_run(&c, &r));
	cr_expect_not_null(strstr(r.wrong, "no progress in 2 s"), "%s", r.wrong);
	cr_expect_not_null(strstr(r.wrong, "registers of vCPU 3"), "%s", r.wrong);
	cr_expect_not_null(strstr(r.wrong, "last 16 exits"), "%s", r.wrong);
}
