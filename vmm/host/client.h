/* SPDX-License-Identifier: MIT */
/* The other end of the control socket: what `ringside ctl` and `ringside top` have in common. */
#ifndef RINGSIDE_VMM_HOST_CLIENT_H
#define RINGSIDE_VMM_HOST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLY_MAX (16u << 20) /* bytes: no answer is as long */

struct json_object;

struct ctl_conn {
	int fd;
	char *buf; /* of the next line, as far as it has come */
	size_t len, size;
	char err[512];
};

/* @path NULL: the default.  Returns 0, or -1 with a sentence in @c->err; conn_close() in any case.
 */
int conn_open(struct ctl_conn *c, const char *path);
void conn_close(struct ctl_conn *c);
/*
 * Send @request, which is taken, and wait for the answer.  NULL with a sentence in @c->err: the
 * host has gone, or does not answer within @seconds (0: wait as long as it takes).
 */
struct json_object *conn_ask(struct ctl_conn *c, struct json_object *request, unsigned seconds);

/* Members of an object; absent or of another kind: 0, "" or NULL. */
uint64_t json_u64(struct json_object *o, const char *key);
const char *json_str(struct json_object *o, const char *key);
struct json_object *json_get(struct json_object *o, const char *key);

/*
 * Standard input and output become those of the stream @c, until it ends or, on a terminal, the
 * user types Ctrl-] (or Ctrl-A d).  Returns an exit status.  attach.c
 */
int attach_stream(struct ctl_conn *c, const char *vm);

#endif
