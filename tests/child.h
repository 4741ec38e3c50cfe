/* SPDX-License-Identifier: MIT */
/*
 * Run a program as a user would, with bounded time, and see what it printed, how it ended and what
 * it left behind.
 */
#ifndef RINGSIDE_TESTS_CHILD_H
#define RINGSIDE_TESTS_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#define CHILD_OUTPUT_MAX (256u << 10)

struct child {
	/* What to run. */
	const char *argv[24]; /* ends with NULL; argv[0] is a path or found in PATH */
	const char *input;    /* fed to standard input, which is then closed; NULL: none */
	unsigned seconds;     /* killed after so many; 0: 30 */
	bool unprivileged;    /* as user nobody (only root can ask for it) */
	/* What came of it. */
	bool hung;       /* had to be killed */
	int status;      /* exit status; 128 + signal if a signal ended it */
	unsigned cpu_ms; /* CPU time it used, with the children it waited for */
	unsigned wall_ms;
	char out[CHILD_OUTPUT_MAX], err[CHILD_OUTPUT_MAX]; /* always terminated */
};

/*
 * Run @c to its end.  Fails the test if it hangs (printing its output), if a descendant of it is
 * alive a second after its end, or if a descriptor of ours was lost on the way.
 */
void child_run(struct child *c);

/*
 * Start @c, wait until its standard output contains @until, call @look(pid, arg) and kill it.
 * The same checks.
 */
void child_look(struct child *c, const char *until, void (*look)(int pid, void *arg), void *arg);

/* The binary under test and the directory of guest images: RINGSIDE and GUESTS, or the test fails.
 */
const char *child_ringside(void);
/* Path of guest @name, e.g. "minios"; in one of a few static buffers. */
const char *child_guest(const char *name);

#endif
