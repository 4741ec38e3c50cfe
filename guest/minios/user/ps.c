/* SPDX-License-Identifier: MIT */
/*
 * ps: the processes and their states, and on a machine with several processors on which they run or
 * ran last.  ps -t: also how many clock ticks each has had.
 */
#include "user.h"

static const char *const states[] = {
	[READY] = "READY", [RUNNING] = "RUNNING", [BLOCKED] = "BLOCKED", [ZOMBIE] = "ZOMBIE"
};

int main(int argc, char **argv)
{
	bool ticks = argc > 1 && !strcmp(argv[1], "-t");
	bool several = cpus() > 1;
	struct process_info p;
	printf("  PID PARENT STATE   WAITS    %s%sNAME\n", several ? "CPU " : "",
	       ticks ? "TICKS " : "");
	for (uint32_t slot = 0; process(slot, &p) == 0; slot++) {
		if (p.state == UNUSED)
			continue;
		printf("%5d %6d %-7s %-8s ", p.pid, p.parent, states[p.state], p.waits_for);
		if (several)
			printf("%3d ", p.cpu);
		if (ticks)
			printf("%5u ", p.ticks);
		printf("%s\n", p.name);
	}
	return 0;
}
