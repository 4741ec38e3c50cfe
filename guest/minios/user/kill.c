/* SPDX-License-Identifier: MIT */
/* kill PID... */
#include "user.h"

int main(int argc, char **argv)
{
	int failed = 0;
	for (int i = 1; i < argc; i++) {
		int error = kill((int)number(argv[i]));
		if (error)
			printf("kill: no process %s\n", argv[i]);
		failed |= error;
	}
	return failed != 0;
}
