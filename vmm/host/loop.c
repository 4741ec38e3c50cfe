/* SPDX-License-Identifier: MIT */
#include "vmm/host/loop.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "vmm/tsc.h"

int loop_init(struct loop *l)
{
	*l = (struct loop){ .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	return l->epoll_fd < 0 ? -errno : 0;
}

void loop_free(struct loop *l)
{
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	l->epoll_fd = -1;
}

/* ---- descriptors ---- */

int watch_add(struct loop *l, struct watch *w, int fd, uint32_t events,
	      void (*on)(struct watch *w, uint32_t events))
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	*w = (struct watch){ .fd = fd, .events = events, .on = on };
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	w->loop = l;
	return 0;
}

void watch_events(struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (!w->loop || w->events == events)
		return;
	w->events = events;
	/* Cannot fail: the descriptor is there, and nothing is allocated. */
	epoll_ctl(w->loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev);
}

void watch_del(struct watch *w)
{
	struct loop *l = w->loop;

	if (!l)
		return;
	w->loop = NULL;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	for (int i = l->next; i < l->count; i++)
		if (l->ev[i].data.ptr == w)
			l->ev[i].data.ptr = NULL;
}

/* ---- times ---- */

void timer_off(struct loop *l, struct loop_timer *t)
{
	t->at_ns = LOOP_NEVER;
	if (!t->listed)
		return;
	t->listed = false;
	for (struct loop_timer **p = &l->timers; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			return;
		}
}

void timer_at(struct loop *l, struct loop_timer *t, uint64_t at_ns,
	      void (*on)(struct loop_timer *t))
{
	t->at_ns = at_ns;
	t->on = on;
	if (t->listed)
		return;
	t->listed = true;
	t->next = l->timers;
	l->timers = t;
}

static struct loop_timer *earliest(const struct loop *l)
{
	struct loop_timer *first = l->timers;

	for (struct loop_timer *t = first; t; t = t->next)
		if (t->at_ns < first->at_ns)
			first = t;
	return first;
}

/* Milliseconds, rounded up, until the first time; -1: there is none. */
static int patience(const struct loop *l)
{
	const struct loop_timer *t = earliest(l);
	uint64_t now = host_ns();

	if (!t)
		return -1;
	if (t->at_ns <= now)
		return 0;
	/* A day at most: the loop comes back and looks again. */
	return t->at_ns - now > 86400000000000u ? 86400000
						: (int)((t->at_ns - now + 999999) / 1000000);
}

int loop_turn(struct loop *l)
{
	struct loop_timer *t;
	uint64_t now;
	int n = epoll_wait(l->epoll_fd, l->ev, LOOP_EVENTS, patience(l));

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	l->count = n;
	for (l->next = 0; l->next < l->count;) {
		const struct epoll_event *ev = &l->ev[l->next++];
		struct watch *w = ev->data.ptr;

		if (w)
			w->on(w, ev->events);
	}
	l->next = l->count = 0;
	now = host_ns();
	while ((t = earliest(l)) && t->at_ns <= now) {
		timer_off(l, t);
		t->on(t);
	}
	return 0;
}
