/* SPDX-License-Identifier: MIT */
/*
 * Threads in user space: as many as you like, on as many threads of the kernel as there are
 * processors ("workers").  To switch between two is a function call.  uthread.c tells the story.
 *
 * What a thread may use: all registers of user mode that the kernel saves, so no x87, MMX or SSE.
 * A thread that blocks in a system call blocks its worker.
 */
#ifndef MINIOS_UTHREAD_H
#define MINIOS_UTHREAD_H

#include "user.h"

#define UT_THREADS 64
#define UT_WORKERS 8

struct uthread;

/* A lock that a thread waits for while others run. */
struct ut_mutex {
	uint32_t taken;
	struct uthread *first, *last; /* who waits */
};

struct ut_barrier {
	uint32_t size, here; /* how many must come, and how many have */
	struct uthread *first, *last;
};

struct ut_stats {
	bool activations;  /* they were used */
	uint32_t switches; /* to a thread */
	uint32_t taken;    /* threads of preempted processors that went on elsewhere */
	uint32_t lost;     /* times a worker came back and its thread was gone */
	uint32_t yields;   /* to a preempted processor */
	uint32_t spins;    /* times nobody was ready, and a worker looked around */
	uint32_t sleeps;   /* in the kernel, because it found nobody for long */
};

/* A thread that will call fn(arg); false: too many.  Before ut_run(). */
bool ut_create(void (*fn)(uint32_t arg), uint32_t arg);
/*
 * Run all threads until they have returned.  @activations: use what the machine says about its
 * processors.  @spins: how often an idle worker looks around before it sleeps.
 * Returns 0, or an error.
 */
int ut_run(bool activations, uint32_t spins, struct ut_stats *stats);

void ut_yield(void);
/* The same for who spins: what it waits for may be with a thread whose processor is preempted. */
void ut_spun(void);
void ut_lock(struct ut_mutex *m);
void ut_unlock(struct ut_mutex *m);
void ut_wait(struct ut_barrier *b);

#endif
