/* SPDX-License-Identifier: MIT */
/*
 * Machines whose CPU has hardware virtualization, emulated (tests/nested/boot): what KVM, which has
 * only its software module where we test, does there with the engine `kvm`.
 */
#ifndef RINGSIDE_TESTS_NESTED_H
#define RINGSIDE_TESTS_NESTED_H

#include <stdbool.h>

#define NESTED_OUTPUT_MAX (256u << 10)

/* A machine that did its job. */
struct nested {
	char dir[64];
};

/*
 * Boot a machine with the CPU @cpu, "amd" (SVM) or "intel" (VT-x), and let it do
 * tests/nested/jobs/@job.sh, for @seconds at most.  The test fails if it does not come to the end.
 * nested_free() removes what it wrote.
 */
void nested_run(struct nested *n, const char *cpu, const char *job, unsigned seconds);
void nested_free(struct nested *n);

/*
 * What the job's command @name printed, in a static buffer that the next call takes, and its exit
 * status.  The test fails if there was no such command.
 */
char *nested_output(const struct nested *n, const char *name, int *status);

#endif
