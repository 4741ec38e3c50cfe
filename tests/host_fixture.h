/* SPDX-License-Identifier: MIT */
/*
 * A real `ringside host` in a directory of its own, and connections to it.  Everything waits for
 * events, with a limit; what takes longer fails the test and shows what the host said.
 */
#ifndef RINGSIDE_TESTS_HOST_FIXTURE_H
#define RINGSIDE_TESTS_HOST_FIXTURE_H

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HF_PATIENCE_MS 20000

struct hf {
	char dir[64], conf[96], sock[96];
	pid_t pid;
	int err;          /* its standard error */
	char said[65536]; /* what came from there */
	size_t said_len;
};

/* An empty directory; nothing is started. */
void hf_dir(struct hf *h);
/* Start a host with @config, in which %D is the directory and %T the ticker's image. */
void hf_start(struct hf *h, const char *config, const char *option);
/* Start one with the files that are there already. */
void hf_start_again(struct hf *h, const char *option);
/* Wait until it says @what. */
void hf_expect(struct hf *h, const char *what);
/* How often it has said it, up to now. */
unsigned hf_count(struct hf *h, const char *what);
/* Wait for its end and see that nothing of it is left; its exit status, or 128 + signal. */
int hf_end(struct hf *h);
/* Remove the directory, whatever is in it. */
void hf_remove(struct hf *h);
/* Ask it to end, expect status 0, and remove the directory. */
void hf_finish(struct hf *h);

/* A connection to the control socket, or to another at @path. */
int hf_connect(struct hf *h, const char *path);
/* Send a line (a newline is added) and read the answer, which is one; to be put. */
struct json_object *hf_ask_raw(struct hf *h, int fd, const char *line);
/* The same on a connection of its own; the answer must be ok. */
struct json_object *hf_ask(struct hf *h, const char *line);
/* The same, without looking at the answer. */
void hf_do(struct hf *h, const char *line);
/* A member of VM @name in the list: a string or a number; "" or -1 if it is null. */
void hf_get(struct hf *h, const char *name, const char *key, char *out, size_t size);
int64_t hf_num(struct hf *h, const char *name, const char *key);
/* Ask again until VM @name's @key is @value. */
void hf_until(struct hf *h, const char *name, const char *key, const char *value);

/* Read @fd until @buf (of @size, terminated; what is in it already stays) holds @what. */
void hf_read_until(struct hf *h, int fd, char *buf, size_t size, const char *what);
/* A stream to a VM's console. */
int hf_attach(struct hf *h, const char *name);
/*
 * The lines of @text between the first and the last newline are numbers, each one more than the one
 * before.  Returns the last.
 */
int64_t hf_sequence(const char *text);

/* Of /proc/PID: descriptors, threads, children (worlds), resident KiB. */
struct hf_usage {
	unsigned fds, threads, children;
	uint64_t rss_kib;
};
struct hf_usage hf_usage(const struct hf *h);
/* Its children; returns how many. */
unsigned hf_children(const struct hf *h, pid_t *out, unsigned max);

#endif
