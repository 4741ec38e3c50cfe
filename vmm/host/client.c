/* SPDX-License-Identifier: MIT */
#include "vmm/host/client.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "vmm/host/socket.h"

int conn_open(struct ctl_conn *c, const char *path)
{
	char *standard = NULL;

	*c = (struct ctl_conn){ .fd = -1, .err = "out of memory" };
	if (!path)
		path = standard = socket_default(false, c->err, sizeof(c->err));
	if (path)
		c->fd = socket_connect(path, c->err, sizeof(c->err));
	free(standard);
	return c->fd < 0 ? -1 : 0;
}

void conn_close(struct ctl_conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	c->fd = -1;
	c->buf = NULL;
}

static int conn_fail(struct ctl_conn *c, int err)
{
	if (err == EAGAIN || err == EWOULDBLOCK)
		snprintf(c->err, sizeof(c->err), "the host does not answer");
	else if (err == 0 || err == EPIPE || err == ECONNRESET)
		snprintf(c->err, sizeof(c->err), "the host has gone");
	else
		snprintf(c->err, sizeof(c->err), "the host: %s", strerror(err));
	return -1;
}

static int send_all(struct ctl_conn *c, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(c->fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return conn_fail(c, errno);
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* One line into c->buf, without its newline; what comes behind it is a stream's, and not read. */
static int read_line(struct ctl_conn *c)
{
	c->len = 0;
	for (;;) {
		char *grown, *end;
		ssize_t n;

		if (c->len == c->size) {
			c->size = c->size ? 2 * c->size : 4096;
			grown = c->size > REPLY_MAX ? NULL : realloc(c->buf, c->size);
			if (!grown)
				return conn_fail(c, ENOMEM);
			c->buf = grown;
		}
		n = recv(c->fd, c->buf + c->len, c->size - c->len, MSG_PEEK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return conn_fail(c, n ? errno : 0);
		end = memchr(c->buf + c->len, '\n', (size_t)n);
		if (end)
			n = end + 1 - (c->buf + c->len);
		n = recv(c->fd, c->buf + c->len, (size_t)n, 0);
		if (n <= 0)
			return conn_fail(c, n ? errno : 0);
		c->len += (size_t)n;
		if (end) {
			*end = '\0';
			return 0;
		}
	}
}

struct json_object *conn_ask(struct ctl_conn *c, struct json_object *request, unsigned seconds)
{
	const char *text = json_object_to_json_string_ext(
		request, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	const struct timeval limit = { .tv_sec = seconds };
	struct json_object *reply = NULL;

	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (!text)
		conn_fail(c, ENOMEM);
	else if (send_all(c, text, strlen(text)) == 0 && send_all(c, "\n", 1) == 0 &&
		 read_line(c) == 0) {
		reply = json_tokener_parse(c->buf);
		if (!json_object_is_type(reply, json_type_object)) {
			snprintf(c->err, sizeof(c->err), "the host answers what is no JSON object");
			json_object_put(reply);
			reply = NULL;
		}
	}
	json_object_put(request);
	return reply;
}

struct json_object *json_get(struct json_object *o, const char *key)
{
	struct json_object *val;

	return json_object_object_get_ex(o, key, &val) ? val : NULL;
}

uint64_t json_u64(struct json_object *o, const char *key)
{
	struct json_object *val = json_get(o, key);

	return json_object_is_type(val, json_type_int) ? json_object_get_uint64(val) : 0;
}

const char *json_str(struct json_object *o, const char *key)
{
	struct json_object *val = json_get(o, key);

	return json_object_is_type(val, json_type_string) ? json_object_get_string(val) : "";
}
