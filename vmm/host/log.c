/* SPDX-License-Identifier: MIT */
#include "vmm/host/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/*
 * Would a line block?  A pipe that is writable has room for PIPE_BUF bytes, which is 4096, see
 * pipe(7), and a line is shorter.
 */
static bool has_room(void)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&p, 1, 0) > 0 && p.revents & POLLOUT;
}

void host_log(const char *vm, const char *fmt, ...)
{
	/* Lines that nobody took; the log is the process's, and so is this. */
	static _Atomic unsigned lost;
	char line[2048];
	unsigned n;
	va_list ap;

	if (!has_room()) {
		atomic_fetch_add(&lost, 1);
		return;
	}
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	n = atomic_exchange(&lost, 0);
	if (n)
		fprintf(stderr, "ringside: %u lines are missing here: nobody took them\n", n);
	/* One call, so that lines of several threads stay whole. */
	fprintf(stderr, "ringside: %s%s%s\n", vm ? vm : "", vm ? ": " : "", line);
}
