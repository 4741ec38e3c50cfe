/* SPDX-License-Identifier: MIT */
/* The CPUs of the host that this process may use. */
#ifndef RINGSIDE_VMM_HOST_CPUS_H
#define RINGSIDE_VMM_HOST_CPUS_H

#include <sched.h>

/* As they were at the first call: make that before any thread is pinned.  Any thread. */
const cpu_set_t *host_cpus(void);
/* How many they are: at least 1. */
unsigned host_cpu_count(void);
/* The number of the @i-th of them, or -1. */
int host_cpu_at(unsigned i);
/* Bind the calling thread to one CPU, or to all that the process may use again (-1). */
void host_cpu_pin_self(int cpu);

#endif
