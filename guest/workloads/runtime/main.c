/* SPDX-License-Identifier: MIT */
/* Read the command line, do the work, say so. */
#include "workload.h"

/* The number behind the word "n=", or @other. */
static uint32_t operations(const char *line, uint32_t other)
{
	for (const char *p = line; *p; p++) {
		const char *rest = p == line || p[-1] == ' ' ? after_prefix(p, "n=") : NULL;
		uint32_t n = 0;

		if (!rest)
			continue;
		for (; *rest >= '0' && *rest <= '9'; rest++)
			n = n * 10 + (uint32_t)(*rest - '0');
		return n;
	}
	return other;
}

void workload_main(uint32_t magic, const uint32_t *info) __attribute__((noreturn));
void workload_main(uint32_t magic, const uint32_t *info)
{
	uint32_t n = operations(command_line(magic, info), workload.n), sum;

	machine_init();
	if (workload.paging)
		paging_start();
	sum = workload.run(n);
	print("%s: %u operations, checksum 0x%x\n", workload.name, n, sum);
	machine_exit(EXIT_GOOD);
}
