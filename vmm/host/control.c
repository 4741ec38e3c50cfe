/* SPDX-License-Identifier: MIT */
#include "vmm/host/control.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/host/log.h"
#include "vmm/host/socket.h"
#include "vmm/tsc.h"

/* Requests are flat objects; affinity is a list in one. */
#define REQUEST_DEPTH 4

struct client {
	struct control *control;
	struct watch w;
	struct loop_timer timer; /* runs while an answer waits to be read */
	char in[CONTROL_LINE_MAX];
	size_t in_len;
	char *out; /* the answer; NULL: none is due */
	size_t out_off, out_len;
	bool eof, closing;         /* after the answer */
	struct host_vm *waits;     /* for its end */
	struct host_vm *attaching; /* a stream to it, after the answer */
	uint64_t heard_ns;
	struct client *next;
};

struct control {
	struct host *host;
	struct watch listener;
	char *path;
	struct client *clients;
	unsigned count;
};

/* ---- clients ---- */

/* Forget it; @close_fd: and hang up. */
static void client_free(struct client *c, bool close_fd)
{
	struct control *ctl = c->control;

	for (struct client **p = &ctl->clients; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	ctl->count--;
	timer_off(&ctl->host->loop, &c->timer);
	watch_del(&c->w);
	if (close_fd)
		close(c->w.fd);
	free(c->out);
	free(c);
}

static void on_impatience(struct loop_timer *t)
{
	client_free((struct client *)((char *)t - offsetof(struct client, timer)), true);
}

/* Becomes the answer, behind "ok"; takes @o, which may be NULL. */
static void answer(struct client *c, struct json_object *o, bool ok)
{
	const int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *text = o ? json_object_to_json_string_ext(o, flags) : "{}";

	free(c->out);
	c->out = NULL;
	c->out_off = c->out_len = 0;
	/* "{...}" without its brace. */
	if (text && asprintf(&c->out, "{\"ok\":%s%s%s\n", ok ? "true" : "false",
			     text[1] == '}' ? "" : ",", text + 1) >= 0)
		c->out_len = strlen(c->out);
	else
		c->out = NULL;
	/* Out of memory: better no connection than one answer less. */
	c->closing |= !c->out;
	json_object_put(o);
}

void client_refuse(struct client *c, const char *fmt, ...)
{
	struct json_object *o = json_object_new_object();
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_object_object_add(o, "error", json_object_new_string(text));
	answer(c, o, false);
}

void client_wait(struct client *c, struct host_vm *vm)
{
	c->waits = vm;
}

void client_attach(struct client *c, struct host_vm *vm)
{
	c->attaching = vm;
	answer(c, NULL, true);
}

/* ---- requests ---- */

static void handle_line(struct client *c, const char *line, size_t len)
{
	struct json_tokener *tok = json_tokener_new_ex(REQUEST_DEPTH);
	struct json_object *request, *reply;

	if (!tok) {
		c->closing = true;
		return;
	}
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	request = json_tokener_parse_ex(tok, line, (int)len);
	/* A number alone could go on; nothing else can end a line and not be complete. */
	if (json_tokener_get_error(tok) != json_tokener_success ||
	    !json_object_is_type(request, json_type_object)) {
		client_refuse(c, "that is no JSON object on a line of its own");
	} else {
		reply = command_run(c->control->host, c, request);
		if (reply)
			answer(c, reply, true);
	}
	json_object_put(request);
	json_tokener_free(tok);
}

/* Hand it over to the hub, with what it may have said already. */
static void become_stream(struct client *c)
{
	struct host_vm *vm = c->attaching;
	char typed[CONTROL_LINE_MAX];
	size_t len = c->in_len;
	int fd = c->w.fd;

	memcpy(typed, c->in, len);
	client_free(c, false);
	if (hub_attach(&vm->hub, fd, typed, len) < 0)
		close(fd);
}

enum flushed { FLUSH_DONE, FLUSH_LATER, FLUSH_GONE };

/* Write the answer.  FLUSH_GONE: the client is, and freed. */
static enum flushed flush(struct client *c)
{
	while (c->out) {
		ssize_t n = send(c->w.fd, c->out + c->out_off, c->out_len - c->out_off,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			if (!c->timer.listed)
				timer_at(&c->control->host->loop, &c->timer,
					 host_ns() + CONTROL_PATIENCE_NS, on_impatience);
			return FLUSH_LATER;
		}
		if (n < 0) {
			client_free(c, true);
			return FLUSH_GONE;
		}
		timer_off(&c->control->host->loop, &c->timer);
		c->out_off += (size_t)n;
		if (c->out_off < c->out_len)
			continue;
		free(c->out);
		c->out = NULL;
	}
	return FLUSH_DONE;
}

/* The next line, if there is a whole one.  Returns whether there was. */
static bool take_line(struct client *c)
{
	char *end = memchr(c->in, '\n', c->in_len);
	char line[CONTROL_LINE_MAX];
	size_t len;

	if (!end) {
		if (c->in_len < sizeof(c->in))
			return false;
		client_refuse(c, "a line has at most %u bytes", CONTROL_LINE_MAX);
		c->closing = true;
		return true;
	}
	len = (size_t)(end - c->in);
	memcpy(line, c->in, len);
	c->in_len -= len + 1;
	memmove(c->in, end + 1, c->in_len);
	handle_line(c, line, len);
	return true;
}

/* Do what can be done; @c may be gone afterwards. */
static void serve(struct client *c)
{
	enum flushed flushed;

	do {
		flushed = flush(c);
		if (flushed == FLUSH_GONE)
			return;
		if (flushed == FLUSH_LATER)
			break;
		if (c->closing) {
			client_free(c, true);
			return;
		}
		if (c->attaching) {
			become_stream(c);
			return;
		}
	} while (!c->waits && take_line(c));
	if (c->eof && !c->waits && !c->out) {
		client_free(c, true);
		return;
	}
	/* One request at a time: what else it says waits in its socket. */
	watch_events(&c->w, (c->out ? EPOLLOUT : 0) | (c->out || c->waits || c->eof ? 0 : EPOLLIN));
}

static void on_client(struct watch *w, uint32_t events)
{
	struct client *c = (struct client *)((char *)w - offsetof(struct client, w));
	ssize_t n;

	if (events & (EPOLLHUP | EPOLLERR) && !(events & EPOLLIN)) {
		client_free(c, true);
		return;
	}
	if (events & EPOLLIN && c->in_len < sizeof(c->in)) {
		n = recv(w->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			client_free(c, true);
			return;
		}
		c->eof |= n == 0;
		c->in_len += n > 0 ? (size_t)n : 0;
		c->heard_ns = host_ns();
	}
	serve(c);
}

/* ---- the socket ---- */

/* The one that was silent longest, but those who wait for something. */
static struct client *most_silent(struct control *ctl)
{
	struct client *silent = NULL;

	for (struct client *c = ctl->clients; c; c = c->next)
		if (!c->waits && (!silent || c->heard_ns < silent->heard_ns))
			silent = c;
	return silent;
}

static void on_listener(struct watch *w, uint32_t events)
{
	struct control *ctl = (struct control *)((char *)w - offsetof(struct control, listener));
	struct client *c, *silent;
	int fd = socket_accept(w->fd);

	(void)events;
	if (fd < 0)
		return;
	if (ctl->count >= CONTROL_CLIENTS_MAX && (silent = most_silent(ctl)))
		client_free(silent, true);
	c = ctl->count < CONTROL_CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c || watch_add(&ctl->host->loop, &c->w, fd, EPOLLIN, on_client) < 0) {
		free(c);
		close(fd);
		return;
	}
	c->control = ctl;
	c->heard_ns = host_ns();
	c->next = ctl->clients;
	ctl->clients = c;
	ctl->count++;
}

void control_vm_ended(struct control *ctl, struct host_vm *vm)
{
	struct client *next;

	for (struct client *c = ctl->clients; c; c = next) {
		next = c->next;
		if (c->waits != vm)
			continue;
		c->waits = NULL;
		answer(c, command_ended(vm), true);
		serve(c);
	}
}

struct control *control_new(struct host *h, const char *path, char *err, size_t err_size)
{
	struct control *ctl = calloc(1, sizeof(*ctl));
	int fd;

	if (!ctl) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	ctl->host = h;
	snprintf(err, err_size, "out of memory");
	ctl->path = path ? strdup(path) : socket_default(true, err, err_size);
	if (!ctl->path) {
		free(ctl);
		return NULL;
	}
	fd = socket_listen(ctl->path, err, err_size);
	if (fd >= 0 && watch_add(&h->loop, &ctl->listener, fd, EPOLLIN, on_listener) == 0)
		return ctl;
	if (fd >= 0) {
		snprintf(err, err_size, "epoll: %s", strerror(errno));
		socket_unlisten(fd, ctl->path);
	}
	free(ctl->path);
	free(ctl);
	return NULL;
}

void control_free(struct control *ctl)
{
	if (!ctl)
		return;
	while (ctl->clients)
		client_free(ctl->clients, true);
	watch_del(&ctl->listener);
	socket_unlisten(ctl->listener.fd, ctl->path);
	free(ctl->path);
	free(ctl);
}
