/* SPDX-License-Identifier: MIT */
/*
 * uptime: how long the machine has been running, and, if it is a virtual one that tells, how much
 * of that its processors really had.  Steal: one had something to do, and somebody else had its
 * CPU.
 */
#include "../activation.h"
#include "user.h"

static void show(const char *what, uint64_t us)
{
	uint32_t ms = (uint32_t)us / 1000; /* of 71 minutes: no library for 64-bit division here */
	printf("  %s %u.%c%c%c s", what, ms / 1000, '0' + ms / 100 % 10, '0' + ms / 10 % 10,
	       '0' + ms % 10);
}

int main(int argc, char **argv)
{
	struct processor_info p;
	uint32_t now = (uint32_t)time(), count = (uint32_t)cpus();
	(void)argc;
	(void)argv;
	printf("up %u.%c%c s, %u processor%s\n", now / 1000, '0' + now / 100 % 10,
	       '0' + now / 10 % 10, count, count > 1 ? "s" : "");
	for (uint32_t i = 0; i < count; i++) {
		if (syscall(SYS_PROCESSOR, i, (uint32_t)&p, 0)) {
			printf("nothing is known of other users of the processors\n");
			return 0;
		}
		printf("%u:", i);
		show("run", p.run_us);
		show("steal", p.steal_us);
		show("idle", p.idle_us);
		printf("\n");
	}
	return 0;
}
