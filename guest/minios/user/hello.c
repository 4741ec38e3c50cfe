/* SPDX-License-Identifier: MIT */
/* The smallest program that shows something: who it is, and what it was given. */
#include "user.h"

int main(int argc, char **argv)
{
	printf("hello from process %d\n", getpid());
	for (int i = 1; i < argc; i++)
		printf("argument %d: %s\n", i, argv[i]);
	return 0;
}
