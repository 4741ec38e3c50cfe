/* SPDX-License-Identifier: MIT */
/* sleep MS: be BLOCKED for so many milliseconds. */
#include "user.h"

int main(int argc, char **argv)
{
	uint32_t ms = argc > 1 ? number(argv[1]) : 1000;
	int before = time(), passed;
	sleep(ms);
	passed = time() - before;
	if (passed < 0 || (uint32_t)passed < ms) {
		printf("sleep: woken up after %d ms\n", passed);
		return 1;
	}
	return 0;
}
