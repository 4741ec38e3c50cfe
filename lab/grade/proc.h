/* SPDX-License-Identifier: MIT */
/*
 * Run a program that may do anything - loop, crash, write without end, fork, ignore signals - in
 * bounded time, memory and output, and leave nothing of it behind.
 */
#ifndef RINGSIDE_LAB_GRADE_PROC_H
#define RINGSIDE_LAB_GRADE_PROC_H

#include <stdbool.h>
#include <stddef.h>

#define PROC_OUT     32768 /* of the output the last so many bytes */
#define PROC_VERDICT 16384
#define PROC_FD      3 /* where the child reports, with @verdict */

struct proc {
	const char *const *argv; /* ends with NULL; argv[0] is a path or found in PATH */
	unsigned seconds;        /* on the wall, then everything of it is killed */
	/* May it write files?  Then only below this directory, if the kernel has Landlock. */
	const char *scratch; /* NULL: as the caller */
	/*
	 * The word that it reads from PROC_FD first and must begin its verdict with, so that a word
	 * printed by accident is none.  NULL: no PROC_FD.
	 */
	const char *word;

	/* What came of it. */
	bool hung;                  /* it was killed for time */
	int status;                 /* exit status; 128 + signal */
	bool reported;              /* the verdict began with the word; what follows it: */
	char verdict[PROC_VERDICT]; /* terminated, as is */
	char out[PROC_OUT];         /* standard output and error */
	size_t out_len;
};

/* Returns 0, or negative errno if it could not be started.  One at a time in a process. */
int proc_run(struct proc *p);

#endif
