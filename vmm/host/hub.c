/* SPDX-License-Identifier: MIT */
#include "vmm/host/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/host/log.h"
#include "vmm/host/socket.h"
#include "vmm/tsc.h"

/* A file that could not be written is tried again so much later. */
#define FILE_RETRY_NS 1000000000u

enum sink_kind { SINK_STREAM, SINK_PTY, SINK_FILE };

struct hub_sink {
	struct hub *hub;
	enum sink_kind kind;
	struct watch w; /* not of a file */
	int fd, slave;  /* @slave: of a terminal, held so that it stays usable with nobody there */
	uint64_t pos;   /* of the next byte for it, counted as hub->end is */
	bool blocked;
	bool eof;      /* it types no more */
	bool deaf;     /* a stream that reads no more; what it typed before counts */
	char note[64]; /* to be written before what is at @pos */
	size_t note_off, note_len;
	uint64_t lost;     /* bytes it will not see, not yet told of */
	uint64_t retry_ns; /* of a file that cannot be written */
	struct hub_sink *next;
};

static void pump(struct hub_sink *s);

/* ---- input ---- */

/* While something typed waits for the guest nothing more is read. */
static void update_events(struct hub *h)
{
	for (struct hub_sink *s = h->sinks; s; s = s->next)
		watch_events(&s->w,
			     (h->input_len || s->eof ? 0 : EPOLLIN) | (s->blocked ? EPOLLOUT : 0));
	watch_events(&h->guest, EPOLLIN | (h->input_len ? EPOLLOUT : 0));
}

static void offer_input(struct hub *h)
{
	while (h->input_len && h->guest.loop) {
		ssize_t n = send(h->guest.fd, h->input + h->input_off, h->input_len,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0)
			n = (ssize_t)h->input_len; /* it ends just now */
		h->input_off += (size_t)n;
		h->input_len -= (size_t)n;
	}
	/* Nobody is there to take it. */
	if (!h->guest.loop)
		h->input_len = 0;
	update_events(h);
}

static void type(struct hub *h, const void *buf, size_t len)
{
	memcpy(h->input, buf, len);
	h->input_off = 0;
	h->input_len = len;
	offer_input(h);
}

/* ---- sinks ---- */

static void sink_free(struct hub_sink *s)
{
	struct hub *h = s->hub;

	for (struct hub_sink **p = &h->sinks; *p; p = &(*p)->next)
		if (*p == s) {
			*p = s->next;
			break;
		}
	watch_del(&s->w);
	h->streams -= s->kind == SINK_STREAM;
	if (s->slave >= 0)
		close(s->slave);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

static void on_sink(struct watch *w, uint32_t events)
{
	struct hub_sink *s = (struct hub_sink *)((char *)w - offsetof(struct hub_sink, w));
	struct hub *h = s->hub;
	uint8_t buf[HUB_INPUT];
	ssize_t n;

	if (events & EPOLLIN && !h->input_len) {
		n = read(s->fd, buf, sizeof(buf));
		if (n > 0)
			type(h, buf, (size_t)n);
		else if (n == 0)
			s->eof = true; /* it has no more to say, but may listen on */
	} else if (events & (EPOLLHUP | EPOLLERR) && s->kind == SINK_STREAM) {
		sink_free(s);
		return;
	}
	if (events & EPOLLOUT)
		s->blocked = false;
	pump(s);
	update_events(h);
}

static struct hub_sink *sink_new(struct hub *h, enum sink_kind kind, int fd)
{
	struct hub_sink *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->hub = h;
	s->kind = kind;
	s->fd = fd;
	s->slave = -1;
	s->pos = kind == SINK_STREAM && h->end > HUB_RING ? h->end - HUB_RING : 0;
	if (kind != SINK_FILE && watch_add(h->loop, &s->w, fd, EPOLLIN, on_sink) < 0) {
		free(s);
		return NULL;
	}
	h->streams += kind == SINK_STREAM;
	s->next = h->sinks;
	h->sinks = s;
	return s;
}

/* It fell behind by more than the ring holds: what is gone is gone, but say so. */
static void skip(struct hub_sink *s)
{
	uint64_t oldest = s->hub->end > HUB_RING ? s->hub->end - HUB_RING : 0;

	if (s->pos < oldest) {
		s->lost += oldest - s->pos;
		s->pos = oldest;
	}
	if (!s->lost || s->note_len || s->kind == SINK_FILE)
		return;
	s->note_off = 0;
	s->note_len = (size_t)snprintf(s->note, sizeof(s->note),
				       "\r\n[ringside: %llu bytes lost]\r\n",
				       (unsigned long long)s->lost);
	s->lost = 0;
}

/* Returns what write() does. */
static ssize_t sink_write(const struct hub_sink *s, const void *buf, size_t len)
{
	return s->kind == SINK_STREAM ? send(s->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL)
				      : write(s->fd, buf, len);
}

/* A full disk must not end the VM: drop what there is, and try again later. */
static void file_failed(struct hub_sink *s)
{
	if (!s->lost)
		host_log(s->hub->cfg->name,
			 "console file %s: %s; output is dropped until it can be written",
			 s->hub->cfg->console_path, strerror(errno));
	s->lost += s->hub->end - s->pos;
	s->pos = s->hub->end;
	s->retry_ns = host_ns() + FILE_RETRY_NS;
}

static void file_written(struct hub_sink *s)
{
	if (s->lost)
		host_log(s->hub->cfg->name, "console file %s is written again; %llu bytes are lost",
			 s->hub->cfg->console_path, (unsigned long long)s->lost);
	s->lost = 0;
}

/* Returns whether to go on. */
static bool write_piece(struct hub_sink *s)
{
	struct hub *h = s->hub;
	size_t at = s->pos % HUB_RING, len = h->end - s->pos;
	const void *buf = h->ring + at;
	ssize_t n;

	if (len > HUB_RING - at)
		len = HUB_RING - at;
	if (s->note_len) {
		buf = s->note + s->note_off;
		len = s->note_len;
	}
	n = sink_write(s, buf, len);
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && s->kind != SINK_FILE) {
		s->blocked = true;
		return false;
	}
	if (n <= 0 && s->kind == SINK_FILE) {
		file_failed(s);
		return false;
	}
	if (n <= 0) { /* the terminal is not for us to close; a stream's end is on_sink()'s */
		s->deaf = s->kind == SINK_STREAM;
		s->pos = h->end;
		s->lost = s->note_len = 0;
		return false;
	}
	if (s->kind == SINK_FILE)
		file_written(s);
	if (s->note_len) {
		s->note_off += (size_t)n;
		s->note_len -= (size_t)n;
	} else {
		s->pos += (uint64_t)n;
	}
	return true;
}

/* Write what @s has not seen, as far as it takes it. */
static void pump(struct hub_sink *s)
{
	if (s->deaf) {
		s->pos = s->hub->end;
		return;
	}
	if (s->kind == SINK_FILE && (s->fd < 0 || (s->lost && host_ns() < s->retry_ns))) {
		s->lost += s->hub->end - s->pos;
		s->pos = s->hub->end;
		return;
	}
	do
		skip(s);
	while (!s->blocked && (s->note_len || s->pos != s->hub->end) && write_piece(s));
}

static void pump_all(struct hub *h)
{
	for (struct hub_sink *s = h->sinks; s; s = s->next)
		pump(s);
	update_events(h);
}

/* ---- the guest ---- */

/* Returns whether there may be more. */
static bool read_guest(struct hub *h)
{
	size_t at = h->end % HUB_RING;
	ssize_t n = recv(h->guest.fd, h->ring + at, HUB_RING - at, MSG_DONTWAIT);

	if (n <= 0)
		return n < 0 && errno == EINTR;
	h->end += (uint64_t)n;
	pump_all(h);
	return true;
}

static void on_guest(struct watch *w, uint32_t events)
{
	struct hub *h = (struct hub *)((char *)w - offsetof(struct hub, guest));

	if (events & EPOLLOUT)
		offer_input(h);
	if (!(events & (EPOLLIN | EPOLLHUP)))
		return;
	/* Hung up and empty: hub_disconnect() will come. */
	if (!read_guest(h) && events & EPOLLHUP)
		watch_del(w);
}

int hub_connect(struct hub *h)
{
	int fds[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	err = watch_add(h->loop, &h->guest, fds[0], EPOLLIN, on_guest);
	if (err) {
		close(fds[0]);
		close(fds[1]);
		h->guest.fd = -1;
		return err;
	}
	h->input_len = 0;
	return fds[1];
}

void hub_disconnect(struct hub *h)
{
	if (h->guest.fd < 0)
		return;
	while (read_guest(h))
		;
	watch_del(&h->guest);
	close(h->guest.fd);
	h->guest.fd = -1;
	offer_input(h); /* forgets it */
}

/* ---- streams ---- */

int hub_attach(struct hub *h, int fd, const void *typed, size_t len)
{
	struct hub_sink *s;

	if (h->streams >= HUB_STREAMS_MAX)
		return -EMFILE;
	s = sink_new(h, SINK_STREAM, fd);
	if (!s)
		return -ENOMEM;
	if (typed && len && !h->input_len)
		type(h, typed, len < HUB_INPUT ? len : HUB_INPUT);
	pump(s);
	update_events(h);
	return 0;
}

static void on_listener(struct watch *w, uint32_t events)
{
	struct hub *h = (struct hub *)((char *)w - offsetof(struct hub, listener));
	int fd = socket_accept(w->fd);

	(void)events;
	if (fd >= 0 && hub_attach(h, fd, NULL, 0) < 0)
		close(fd);
}

/* ---- opening and closing ---- */

/* Raw, so that what the guest prints is not echoed back to it. */
static bool open_pty(struct hub *h)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), slave = -1;
	struct hub_sink *s;
	struct termios t;

	if (fd < 0)
		return false;
	if (grantpt(fd) == 0 && unlockpt(fd) == 0 && ptsname_r(fd, h->pty, sizeof(h->pty)) == 0)
		slave = open(h->pty, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave >= 0 && tcgetattr(slave, &t) == 0) {
		cfmakeraw(&t);
		if (tcsetattr(slave, TCSANOW, &t) == 0 && (s = sink_new(h, SINK_PTY, fd))) {
			s->slave = slave;
			return true;
		}
	}
	if (slave >= 0)
		close(slave);
	close(fd);
	*h->pty = '\0';
	return false;
}

static int open_file(const char *path)
{
	/* O_NONBLOCK: a FIFO without a reader is refused, not waited for. */
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0600);
}

int hub_open(struct hub *h, struct loop *l, const struct host_vm_config *cfg, char *err,
	     size_t err_size)
{
	int fd;

	h->loop = l;
	h->cfg = cfg;
	h->guest.fd = -1;
	switch (cfg->console) {
	case HOST_CONSOLE_NONE: return 0;
	case HOST_CONSOLE_PTY:
		if (open_pty(h))
			return 0;
		snprintf(err, err_size, "cannot open a pseudo-terminal: %s", strerror(errno));
		return -1;
	case HOST_CONSOLE_FILE:
		fd = open_file(cfg->console_path);
		if (fd >= 0 && sink_new(h, SINK_FILE, fd))
			return 0;
		snprintf(err, err_size, "cannot write the console to %s: %s", cfg->console_path,
			 strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	default:
		fd = socket_listen(cfg->console_path, err, err_size);
		if (fd < 0)
			return -1;
		if (watch_add(l, &h->listener, fd, EPOLLIN, on_listener) == 0)
			return 0;
		snprintf(err, err_size, "epoll: %s", strerror(errno));
		socket_unlisten(fd, cfg->console_path);
		return -1;
	}
}

void hub_reopen(struct hub *h)
{
	for (struct hub_sink *s = h->sinks; s; s = s->next) {
		int fd;

		if (s->kind != SINK_FILE)
			continue;
		fd = open_file(h->cfg->console_path);
		if (fd < 0) {
			host_log(h->cfg->name, "console file %s: %s", h->cfg->console_path,
				 strerror(errno));
			continue;
		}
		close(s->fd);
		s->fd = fd;
		s->retry_ns = 0;
	}
}

bool hub_settled(const struct hub *h)
{
	for (const struct hub_sink *s = h->sinks; s; s = s->next)
		if (s->kind == SINK_STREAM && s->pos != h->end)
			return false;
	return true;
}

void hub_close(struct hub *h)
{
	if (!h->loop)
		return;
	hub_disconnect(h);
	while (h->sinks)
		sink_free(h->sinks);
	if (h->listener.loop) {
		watch_del(&h->listener);
		socket_unlisten(h->listener.fd, h->cfg->console_path);
	}
}
