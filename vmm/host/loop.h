/* SPDX-License-Identifier: MIT */
/*
 * The event loop of `ringside host`: descriptors to watch and times to wait for, all handled by one
 * thread.  A handler may delete any watch and free what holds it, its own included.
 */
#ifndef RINGSIDE_VMM_HOST_LOOP_H
#define RINGSIDE_VMM_HOST_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_EVENTS 64
#define LOOP_NEVER  UINT64_MAX

struct loop_timer;

struct loop {
	int epoll_fd;
	struct epoll_event ev[LOOP_EVENTS]; /* of this turn; those deleted meanwhile are NULL */
	int next, count;
	struct loop_timer *timers;
};

/* A descriptor and who handles it; embedded by its owner. */
struct watch {
	struct loop *loop; /* NULL: not watched */
	int fd;
	uint32_t events; /* EPOLLIN | EPOLLOUT; EPOLLHUP and EPOLLERR always come, too */
	void (*on)(struct watch *w, uint32_t events);
};

/* A time (CLOCK_MONOTONIC, ns) and who is called then, once; embedded by its owner. */
struct loop_timer {
	uint64_t at_ns; /* LOOP_NEVER: not set */
	void (*on)(struct loop_timer *t);
	struct loop_timer *next;
	bool listed;
};

/* Returns 0 or negative errno. */
int loop_init(struct loop *l);
void loop_free(struct loop *l);
/* Wait for the next event or time, and handle what there is.  Returns 0 or negative errno. */
int loop_turn(struct loop *l);

/* Returns 0 or negative errno: -EPERM for a regular file, which is always ready. */
int watch_add(struct loop *l, struct watch *w, int fd, uint32_t events,
	      void (*on)(struct watch *w, uint32_t events));
void watch_events(struct watch *w, uint32_t events);
/* The descriptor stays open.  Nothing happens if it is not watched. */
void watch_del(struct watch *w);

/* @t must be all zero, or have been set before. */
void timer_at(struct loop *l, struct loop_timer *t, uint64_t at_ns,
	      void (*on)(struct loop_timer *t));
/* Never again, until set anew; @t may be freed. */
void timer_off(struct loop *l, struct loop_timer *t);

#endif
