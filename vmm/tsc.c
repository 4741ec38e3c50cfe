/* SPDX-License-Identifier: MIT */
/* Calibration of the time-stamp counter. */
#include <pthread.h>
#include <time.h>

#include "vmm/tsc.h"

static pthread_once_t tsc_once = PTHREAD_ONCE_INIT;
static uint64_t tsc_ticks_per_s;
static uint64_t ns_per_tick, ticks_per_ns; /* 32.32 fixed point: no division on the trap path */

uint64_t host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A (tsc, ns) pair taken as closely together as this machine allows. */
static void tsc_sample(uint64_t *tsc, uint64_t *ns)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 16; i++) {
		uint64_t t0 = tsc_read(), n = host_ns(), t1 = tsc_read();

		if (t1 - t0 < best) {
			best = t1 - t0;
			*tsc = t0 + (t1 - t0) / 2;
			*ns = n;
		}
	}
}

static void tsc_calibrate(void)
{
	uint64_t t0 = 0, n0 = 0, t1 = 0, n1 = 0;

	tsc_sample(&t0, &n0);
	while (host_ns() - n0 < 2000000)
		;
	tsc_sample(&t1, &n1);
	tsc_ticks_per_s = (uint64_t)((unsigned __int128)(t1 - t0) * 1000000000u / (n1 - n0));
	if (!tsc_ticks_per_s)
		tsc_ticks_per_s = 1;
	ns_per_tick = (uint64_t)(((unsigned __int128)1000000000u << 32) / tsc_ticks_per_s);
	ticks_per_ns = (uint64_t)(((unsigned __int128)tsc_ticks_per_s << 32) / 1000000000u);
}

uint64_t tsc_hz(void)
{
	pthread_once(&tsc_once, tsc_calibrate);
	return tsc_ticks_per_s;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	tsc_hz();
	return (uint64_t)((unsigned __int128)ticks * ns_per_tick >> 32);
}

uint64_t tsc_from_ns(uint64_t ns)
{
	tsc_hz();
	return (uint64_t)((unsigned __int128)ns * ticks_per_ns >> 32);
}
