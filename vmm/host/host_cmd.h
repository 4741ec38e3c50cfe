/* SPDX-License-Identifier: MIT */
/* The commands of this directory: `ringside host`, `ctl` and `top`.  They return exit statuses. */
#ifndef RINGSIDE_VMM_HOST_HOST_CMD_H
#define RINGSIDE_VMM_HOST_HOST_CMD_H

#include <stdbool.h>

int host_main(int argc, char **argv);
int ctl_main(int argc, char **argv);
int top_main(int argc, char **argv);

/* An option, given as "--name VALUE" or "--name=VALUE" (@takes_value), or "--name". */
struct host_option {
	const char *name; /* with its dashes */
	const char **value;
	bool *flag; /* of one without a value */
};

/*
 * Take the options out of @argv, anywhere in it; "--" ends them.  What is left are argv[1] and so
 * on.  Returns how many, or -1 after a sentence on standard error.  @options end with a name of
 * NULL.
 */
int host_options(int argc, char **argv, const struct host_option *options);

/* "ringside: sentence" on standard error; returns @status. */
int host_complain(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
