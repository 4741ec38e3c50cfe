/* SPDX-License-Identifier: MIT */
/* What `ringside host` says on standard error: a line for each event. */
#ifndef RINGSIDE_VMM_HOST_LOG_H
#define RINGSIDE_VMM_HOST_LOG_H

/*
 * "ringside: VM: sentence"; @vm NULL: without it.  Never waits: a line that a pipe has no room for
 * is dropped, and counted in the next that it has room for.  Any thread.
 */
void host_log(const char *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
