/* SPDX-License-Identifier: MIT */
/*
 * spin [WORKERS [TICKS]]: see the time slices.  Each worker computes without end, never giving
 * the CPU away, and says its letter whenever it sees that the clock has ticked.  Round robin
 * with slices of three ticks looks like this: aaabbbcccaaabbbccc
 */
#include "user.h"

static void work(char letter, uint32_t ticks)
{
	int seen = time();
	while (ticks) {
		int now;
		for (volatile uint32_t i = 0; i < 10000; i++)
			;
		now = time();
		if (now != seen) {
			seen = now;
			ticks--;
			write(1, &letter, 1);
		}
	}
}

int main(int argc, char **argv)
{
	uint32_t workers = argc > 1 ? number(argv[1]) : 3, ticks = argc > 2 ? number(argv[2]) : 12;
	for (uint32_t i = 0; i < workers; i++) {
		int pid = fork();
		if (pid < 0)
			printf("spin: fork: error %d\n", pid);
		if (pid == 0) {
			work((char)('a' + i % 26), ticks);
			exit(0);
		}
	}
	while (wait(-1, NULL, false) > 0)
		;
	printf("\n");
	return 0;
}
