/* SPDX-License-Identifier: MIT */
#include "vmm/host_cpus.h"

#include <pthread.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cpu_set_t allowed;

static void read_allowed(void)
{
	/* It fails where the machine has more than 1024 CPUs. */
	if (sched_getaffinity(getpid(), sizeof(allowed), &allowed) < 0)
		CPU_SET(sched_getcpu(), &allowed);
}

const cpu_set_t *host_cpus(void)
{
	pthread_once(&once, read_allowed);
	return &allowed;
}

unsigned host_cpu_count(void)
{
	return (unsigned)CPU_COUNT(host_cpus());
}

int host_cpu_at(unsigned i)
{
	const cpu_set_t *set = host_cpus();

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, set) && i-- == 0)
			return cpu;
	return -1;
}

void host_cpu_pin_self(int cpu)
{
	cpu_set_t set = *host_cpus();

	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
	}
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}
