/* SPDX-License-Identifier: MIT */
#include "vmm/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/*
 * POLLOUT promises room for this much in a pipe (PIPE_BUF), so that a write of it does not block
 * while nobody else writes there; a terminal promises less, but takes what a line is long.
 */
#define POLLED_PIECE 256u
#define PIECE        4096u

#define CTRL_A 1

/*
 * The one piece of static state in the VMM: a signal handler has no other way to know which
 * terminal to restore.  Written only by console_raw(), before @active is set.
 */
static struct {
	atomic_int active; /* of any thread's handler: it publishes the others */
	int fd;
	struct termios saved;
} console_tty;

/*
 * Open the file behind @fd once more, with an open file description (and so an O_NONBLOCK flag) of
 * our own.  Only for pipes and terminals: a regular file would be written from offset 0 again.
 */
static enum console_kind console_reopen(int fd, int flags, int *out, bool *own)
{
	char path[32];
	struct stat st;
	int again;

	*out = fd;
	*own = false;
	if (fd < 0 || fstat(fd, &st) < 0)
		return CONSOLE_NONE;
	if (S_ISSOCK(st.st_mode))
		return CONSOLE_SOCKET;
	if (!S_ISFIFO(st.st_mode) && !isatty(fd))
		return S_ISCHR(st.st_mode) || S_ISREG(st.st_mode) ? CONSOLE_DIRECT : CONSOLE_POLLED;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (again < 0)
		return CONSOLE_POLLED;
	*out = again;
	*own = true;
	return CONSOLE_NONBLOCK;
}

void console_out_open(struct console_out *o, int fd)
{
	o->head = o->count = 0;
	o->blocked = false;
	o->error = 0;
	o->kind = console_reopen(fd, O_WRONLY, &o->fd, &o->own_fd);
}

void console_out_close(struct console_out *o)
{
	if (o->own_fd)
		close(o->fd);
	o->own_fd = false;
	o->kind = CONSOLE_NONE;
}

size_t console_out_room(const struct console_out *o)
{
	return CONSOLE_OUT_SIZE - o->count;
}

size_t console_out_put(struct console_out *o, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	if (o->kind == CONSOLE_NONE || o->error)
		return len;
	if (len > console_out_room(o))
		len = console_out_room(o);
	for (size_t i = 0; i < len; i++)
		o->buf[(o->head + o->count + i) % CONSOLE_OUT_SIZE] = p[i];
	o->count += (uint32_t)len;
	return len;
}

size_t console_out_peek(const struct console_out *o, const uint8_t **buf)
{
	size_t len = o->count;

	*buf = o->buf + o->head;
	if (len > CONSOLE_OUT_SIZE - o->head)
		len = CONSOLE_OUT_SIZE - o->head;
	return len < PIECE ? len : PIECE;
}

void console_out_advance(struct console_out *o, size_t len)
{
	o->head = (uint32_t)((o->head + len) % CONSOLE_OUT_SIZE);
	o->count -= (uint32_t)len;
}

static bool ready(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) > 0;
}

long console_out_write(const struct console_out *o, const uint8_t *buf, size_t len)
{
	ssize_t n;

	switch (o->kind) {
	case CONSOLE_NONE: return (long)len;
	case CONSOLE_SOCKET: n = send(o->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL); break;
	case CONSOLE_POLLED:
		if (!ready(o->fd, POLLOUT))
			return -EAGAIN;
		n = write(o->fd, buf, len < POLLED_PIECE ? len : POLLED_PIECE);
		break;
	default: n = write(o->fd, buf, len); break;
	}
	if (n >= 0)
		return n;
	return errno == EINTR ? 0 : -errno;
}

void console_in_open(struct console_in *c, int fd, bool escape)
{
	c->head = c->count = 0;
	c->after_ctrl_a = false;
	c->escape = escape;
	c->kind = console_reopen(fd, O_RDONLY, &c->fd, &c->own_fd);
	c->eof = c->kind == CONSOLE_NONE;
}

void console_in_close(struct console_in *c)
{
	if (c->own_fd)
		close(c->fd);
	c->own_fd = false;
	c->kind = CONSOLE_NONE;
	c->eof = true;
}

static void in_put(struct console_in *c, uint8_t byte)
{
	if (c->count == CONSOLE_IN_SIZE)
		return;
	c->buf[(c->head + c->count) % CONSOLE_IN_SIZE] = byte;
	c->count++;
}

/* One byte typed at a terminal; Ctrl-A is QEMU's and so in people's fingers. */
static enum console_command in_typed(struct console_in *c, uint8_t byte)
{
	if (!c->after_ctrl_a) {
		c->after_ctrl_a = byte == CTRL_A;
		if (byte != CTRL_A)
			in_put(c, byte);
		return CONSOLE_NOTHING;
	}
	c->after_ctrl_a = false;
	switch (byte) {
	case 'x': return CONSOLE_QUIT;
	case 'h':
	case '?': return CONSOLE_HELP;
	case 'a':
	case CTRL_A: in_put(c, CTRL_A); return CONSOLE_NOTHING;
	default: return CONSOLE_HELP;
	}
}

enum console_command console_in_read(struct console_in *c, size_t want)
{
	enum console_command cmd = CONSOLE_NOTHING;
	uint8_t buf[256];
	ssize_t n;

	if (c->eof)
		return CONSOLE_NOTHING;
	if (c->escape)
		want = sizeof(buf);
	else if (want > CONSOLE_IN_SIZE - c->count)
		want = CONSOLE_IN_SIZE - c->count;
	if (want > sizeof(buf))
		want = sizeof(buf);
	/* Whoever else reads from a shared descriptor may have been faster than the epoll event. */
	if (c->kind == CONSOLE_POLLED && !ready(c->fd, POLLIN))
		return CONSOLE_NOTHING;
	if (!want)
		return CONSOLE_NOTHING;
	n = c->kind == CONSOLE_SOCKET ? recv(c->fd, buf, want, MSG_DONTWAIT)
				      : read(c->fd, buf, want);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return CONSOLE_NOTHING;
	/* End of file; or the terminal hung up (EIO): no more input either way, the guest goes on.
	 */
	if (n <= 0)
		c->eof = true;
	for (ssize_t i = 0; i < n; i++) {
		enum console_command this = CONSOLE_NOTHING;

		if (c->escape)
			this = in_typed(c, buf[i]);
		else
			in_put(c, buf[i]);
		if (cmd != CONSOLE_QUIT && this != CONSOLE_NOTHING)
			cmd = this;
	}
	return cmd;
}

size_t console_in_peek(const struct console_in *c, const uint8_t **buf)
{
	*buf = c->buf + c->head;
	return c->count < CONSOLE_IN_SIZE - c->head ? c->count : CONSOLE_IN_SIZE - c->head;
}

void console_in_advance(struct console_in *c, size_t len)
{
	c->head = (uint32_t)((c->head + len) % CONSOLE_IN_SIZE);
	c->count -= (uint32_t)len;
}

int console_raw(int fd)
{
	struct termios t;

	if (atomic_load(&console_tty.active))
		return -EBUSY;
	if (tcgetattr(fd, &t) < 0)
		return -errno;
	console_tty.saved = t;
	console_tty.fd = fd;
	/* Every key goes to the guest.  OPOST stays: our own messages end lines with \n alone. */
	t.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
	t.c_cflag = (t.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	atomic_store(&console_tty.active, 1);
	if (tcsetattr(fd, TCSANOW, &t) < 0) {
		int err = errno;

		atomic_store(&console_tty.active, 0);
		return -err;
	}
	return 0;
}

void console_restore(void)
{
	int saved_errno = errno;

	/* tcsetattr() is async-signal-safe (POSIX.1-2017, section 2.4.3). */
	if (atomic_exchange(&console_tty.active, 0))
		tcsetattr(console_tty.fd, TCSANOW, &console_tty.saved);

	errno = saved_errno;
}
