/* SPDX-License-Identifier: MIT */
/* `ringside ctl attach`: the user's terminal is a VM's console for a while. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/cli.h"
#include "vmm/console.h"
#include "vmm/host/client.h"

#define CTRL_A       1
#define CTRL_BRACKET 0x1d
#define PIECE        4096

struct attach {
	int fd;
	bool tty;
	bool after_ctrl_a;
	bool detached;
};

static bool write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		/* Standard output may be shared with who made it non-blocking. */
		if (n < 0 && errno == EAGAIN)
			poll(&p, 1, -1);
		else if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
	return true;
}

/*
 * Take the escapes out of what was typed, in place: Ctrl-] and Ctrl-A d detach, Ctrl-A Ctrl-A (or
 * a) is a Ctrl-A; another key behind Ctrl-A is sent with it.  Returns what is to be sent.
 */
static size_t filter(struct attach *a, const char *in, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len && !a->detached; i++) {
		char c = in[i];

		if (a->after_ctrl_a) {
			a->after_ctrl_a = false;
			if (c == 'd') {
				a->detached = true;
				break;
			}
			out[n++] = CTRL_A;
			if (c != CTRL_A && c != 'a')
				out[n++] = c;
		} else if (c == CTRL_BRACKET) {
			a->detached = true;
		} else if (c == CTRL_A) {
			a->after_ctrl_a = true;
		} else {
			out[n++] = c;
		}
	}
	return n;
}

/* Returns false at the end of the input. */
static bool from_user(struct attach *a)
{
	char in[PIECE], out[2 * PIECE];
	ssize_t n = read(STDIN_FILENO, in, sizeof(in));
	size_t len;

	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	if (!a->tty)
		return write_all(a->fd, in, (size_t)n);
	len = filter(a, in, (size_t)n, out);
	return write_all(a->fd, out, len);
}

/* Returns false when the stream has ended, or nobody reads our output. */
static bool to_user(const struct attach *a)
{
	char buf[PIECE];
	ssize_t n = recv(a->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	return write_all(STDOUT_FILENO, buf, (size_t)n);
}

static void on_end(int signo)
{
	console_restore();
	signal(signo, SIG_DFL);
	raise(signo);
}

int attach_stream(struct ctl_conn *c, const char *vm)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct attach a = { .fd = c->fd, .tty = isatty(STDIN_FILENO) };
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
			       { .fd = c->fd, .events = POLLIN } };

	signal(SIGPIPE, SIG_IGN);
	if (a.tty) {
		fprintf(stderr, "ringside: attached to %s; Ctrl-] detaches\n", vm);
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
			signal(ends[i], on_end);
		if (console_raw(STDIN_FILENO) < 0)
			a.tty = false;
	}
	while (!a.detached) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents && !to_user(&a))
			break;
		/* At the end of the input the rest of the output is still of interest. */
		if (p[0].revents && !from_user(&a))
			p[0].fd = -1;
	}
	console_restore();
	if (a.tty)
		fprintf(stderr, "\nringside: %s\n", a.detached ? "detached" : "the host has gone");
	return STATUS_OK;
}
