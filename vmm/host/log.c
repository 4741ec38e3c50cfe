/* SPDX-License-Identifier: MIT */
#include "vmm/host/log.h"

#include <stdarg.h>
#include <stdio.h>

void host_log(const char *vm, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* One call, so that lines of several threads stay whole. */
	fprintf(stderr, "ringside: %s%s%s\n", vm ? vm : "", vm ? ": " : "", line);
}
