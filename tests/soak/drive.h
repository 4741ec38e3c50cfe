/* SPDX-License-Identifier: MIT */
/*
 * Drives guest/soak from outside and checks its book against the VMM's: lines on the console,
 * doorbells of assigned devices, an orderly stop, and then every number.  No test framework, so
 * that the same code is a test (tests/soak.c) and a program that runs for minutes
 * (tests/soak/main.c).
 */
#ifndef RINGSIDE_TESTS_SOAK_DRIVE_H
#define RINGSIDE_TESTS_SOAK_DRIVE_H

#include <stdbool.h>
#include <stdint.h>

struct soak_config {
	const char
		*ringside;   /* the program under test; NULL: QEMU, for which there is no account */
	const char *guest;   /* guest/soak's image */
	unsigned seconds;    /* of interrupts; starting and stopping come on top */
	unsigned hz;         /* of each timer; 0: 1000 */
	unsigned patience_s; /* for a word of the guest; 0: 30 */
	bool shm;            /* the devices count in shared memory, and the guest reads it */
	bool progress;       /* a line on standard error every five seconds */
};

struct soak_result {
	uint64_t interrupts; /* handled by the guest */
	uint64_t raised, coalesced, delivered;
	uint32_t lines, rings;
	char wrong[32768]; /* sentences; empty: all is well */
};

/*
 * Returns whether all is well; else @r->wrong says what is not, with what the program printed.
 * Leaves no process behind: a program that is silent for too long is first asked for its last
 * exits (SIGQUIT) and then killed.
 */
bool soak_run(const struct soak_config *c, struct soak_result *r);

#endif
