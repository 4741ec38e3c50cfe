/* SPDX-License-Identifier: MIT */
/*
 * The control socket of `ringside host`: one JSON object a line, one answer for each, in order.
 * The protocol is described in docs/host.md.
 *
 * Clients are our own user's, but may be broken: lines, answers and connections are bounded, one
 * that does not read its answer is dropped after a while, and nobody waits for a client.
 */
#ifndef RINGSIDE_VMM_HOST_CONTROL_H
#define RINGSIDE_VMM_HOST_CONTROL_H

#include "vmm/host/host.h"

#define CONTROL_LINE_MAX    4096u /* bytes, with the newline */
#define CONTROL_CLIENTS_MAX 64u   /* the one that was silent longest makes room for a new one */
#define CONTROL_PATIENCE_NS 10000000000ull /* to read a piece of an answer */

struct json_object;
struct control;
struct client;

/* Listen at @path.  NULL with a sentence in @err. */
struct control *control_new(struct host *h, const char *path, char *err, size_t err_size);
void control_free(struct control *c);
/* @vm has ended and is taken down: tell those who wait for it. */
void control_vm_ended(struct control *c, struct host_vm *vm);

/* ---- between control.c and commands.c ---- */

/*
 * What a command does: the answer's object, without "ok"; NULL if it has called one of the
 * functions below.
 */
struct json_object *command_run(struct host *h, struct client *c, struct json_object *request);
/* The answer is an error sentence. */
void client_refuse(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The answer comes when @vm has ended. */
void client_wait(struct client *c, struct host_vm *vm);
/* From now on it is a stream to @vm's console. */
void client_attach(struct client *c, struct host_vm *vm);
/* What became of @vm, for those who waited. */
struct json_object *command_ended(const struct host_vm *vm);

#endif
