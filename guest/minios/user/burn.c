/* SPDX-License-Identifier: MIT */
/* burn MS: compute for so many milliseconds and never give the CPU away; see it READY in ps. */
#include "user.h"

int main(int argc, char **argv)
{
	uint32_t ms = argc > 1 ? number(argv[1]) : 1000;
	uint32_t start = (uint32_t)time();
	while ((uint32_t)time() - start < ms)
		for (volatile uint32_t i = 0; i < 10000; i++)
			;
	return 0;
}
