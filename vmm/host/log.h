/* SPDX-License-Identifier: MIT */
/* What `ringside host` says on standard error: a line for each event. */
#ifndef RINGSIDE_VMM_HOST_LOG_H
#define RINGSIDE_VMM_HOST_LOG_H

/* "ringside: VM: sentence"; @vm NULL: without it. */
void host_log(const char *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
