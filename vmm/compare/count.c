/* SPDX-License-Identifier: MIT */
/* The guest's instructions, counted by the CPU. */
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/compare/compare.h"

void compare_count_begin(struct compare_count *c)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.inherit = 1,
		.exclude_host = 1,
	};

	c->fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	c->error = c->fd < 0 ? errno : 0;
}

uint64_t compare_count_end(struct compare_count *c, char *why, size_t size)
{
	uint64_t n = 0;

	*why = '\0';
	if (c->fd >= 0) {
		if (read(c->fd, &n, sizeof(n)) != sizeof(n))
			c->error = errno;
		close(c->fd);
	}
	switch (c->error) {
	case 0:
		if (!n)
			snprintf(why, size,
				 "the CPU's counter of instructions does not count in "
				 "guests here");
		break;
	case ENOENT:
	case EOPNOTSUPP:
	case ENODEV:
		snprintf(why, size, "this machine has no counter of instructions for guests");
		break;
	case EACCES:
	case EPERM:
		snprintf(why, size,
			 "counting instructions is not permitted here "
			 "(kernel.perf_event_paranoid)");
		break;
	default: snprintf(why, size, "counting instructions: %s", strerror(c->error));
	}
	return c->error ? 0 : n;
}
