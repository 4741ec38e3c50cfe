/* SPDX-License-Identifier: MIT */
/*
 * The thread that waits for the doorbells of assigned devices.  It is not the I/O thread, which
 * would have it wait for the device lock: this one takes no lock at all between a doorbell and the
 * kick.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/machine_priv.h"

static void *assign_main(void *arg)
{
	struct machine *m = arg;
	struct pollfd p[ASSIGN_MAX + 1];
	const unsigned n = m->assigns;
	bool stop = false;

	io_thread_prompt();
	for (unsigned i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = m->assign[i].cfg.eventfd, .events = POLLIN };
	p[n] = (struct pollfd){ .fd = m->assign_stop_fd, .events = POLLIN };
	while (!stop) {
		if (poll(p, n + 1, -1) < 0)
			continue; /* EINTR: all signals are blocked here, but for a debugger's */
		stop = p[n].revents;
		for (unsigned i = 0; i < n; i++) {
			if (p[i].revents & POLLIN)
				assign_ring(&m->assign[i]);
			else if (p[i].revents)
				p[i].fd = -1; /* an eventfd cannot fail; do not spin if it does */
		}
	}
	return NULL;
}

int io_assign_start(struct machine *m)
{
	sigset_t all, old;
	int err;

	if (!m->assigns || m->vm->kernel_irqchip) /* KVM listens itself */
		return 0;
	m->assign_stop_fd = eventfd(0, EFD_CLOEXEC);
	if (m->assign_stop_fd < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&m->assign_thread, NULL, assign_main, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		close(m->assign_stop_fd);
	m->assign_started = !err;
	return -err;
}

void io_assign_stop(struct machine *m)
{
	uint64_t one = 1;

	if (!m->assign_started)
		return;
	m->assign_started = false;
	/* Only fails if the counter would overflow. */
	(void)!write(m->assign_stop_fd, &one, sizeof(one));
	pthread_join(m->assign_thread, NULL);
	close(m->assign_stop_fd);
}
