/* SPDX-License-Identifier: MIT */
/* ps: the processes and their states.  ps -t: also how many clock ticks each has had. */
#include "user.h"

static const char *const states[] = {
	[READY] = "READY", [RUNNING] = "RUNNING", [BLOCKED] = "BLOCKED", [ZOMBIE] = "ZOMBIE"
};

int main(int argc, char **argv)
{
	bool ticks = argc > 1 && !strcmp(argv[1], "-t");
	struct process_info p;
	printf("  PID PARENT STATE   WAITS    %sNAME\n", ticks ? "TICKS " : "");
	for (uint32_t slot = 0; process(slot, &p) == 0; slot++) {
		if (p.state == UNUSED)
			continue;
		printf("%5d %6d %-7s %-8s ", p.pid, p.parent, states[p.state], p.waits_for);
		if (ticks)
			printf("%5u ", p.ticks);
		printf("%s\n", p.name);
	}
	return 0;
}
