/* SPDX-License-Identifier: MIT */
#include "tests/host_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/child.h"

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- the process ---- */

void hf_dir(struct hf *h)
{
	memset(h, 0, sizeof(*h));
	h->err = -1;
	strcpy(h->dir, "/tmp/ringside-host-XXXXXX");
	cr_assert_not_null(mkdtemp(h->dir));
	snprintf(h->conf, sizeof(h->conf), "%s/conf", h->dir);
	snprintf(h->sock, sizeof(h->sock), "%s/sock", h->dir);
}

static void write_config(const struct hf *h, const char *config)
{
	FILE *f = fopen(h->conf, "w");
	char here[512];

	cr_assert_not_null(f);
	for (const char *p = config; *p; p++) {
		if (p[0] == '%' && p[1] == 'D') {
			fputs(h->dir, f);
			p++;
		} else if (p[0] == '%' && p[1] == 'T') {
			const char *image = child_guest("ticker");

			/* Paths in the file are relative to it. */
			cr_assert(*image == '/' || getcwd(here, sizeof(here)));
			fprintf(f, "%s%s%s", *image == '/' ? "" : here, *image == '/' ? "" : "/",
				image);
			p++;
		} else {
			fputc(*p, f);
		}
	}
	fclose(f);
}

void hf_start_again(struct hf *h, const char *option)
{
	int err[2];

	h->said_len = 0;
	*h->said = '\0';
	cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(pipe2(err, O_CLOEXEC), 0);
	h->pid = fork();
	cr_assert_geq(h->pid, 0);
	if (h->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(err[1], 2);
		execl(child_ringside(), "ringside", "host", "--socket", h->sock, h->conf, option,
		      NULL);
		_exit(127);
	}
	close(err[1]);
	h->err = err[0];
	fcntl(h->err, F_SETFL, O_NONBLOCK);
}

void hf_start(struct hf *h, const char *config, const char *option)
{
	hf_dir(h);
	write_config(h, config);
	hf_start_again(h, option);
}

/* Take what it said.  Returns false at the end. */
static bool listen_to(struct hf *h)
{
	ssize_t n;

	/* The older half goes when it is full. */
	if (h->said_len == sizeof(h->said) - 1) {
		h->said_len /= 2;
		memmove(h->said, h->said + sizeof(h->said) - 1 - h->said_len, h->said_len);
	}
	n = read(h->err, h->said + h->said_len, sizeof(h->said) - 1 - h->said_len);

	if (n > 0)
		h->said_len += (size_t)n;
	h->said[h->said_len] = '\0';
	return n > 0 || (n < 0 && errno == EAGAIN);
}

unsigned hf_count(struct hf *h, const char *what)
{
	unsigned n = 0;

	listen_to(h);
	for (const char *p = h->said; *what && (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

/* A test that gives up must not leave the host behind: PR_SET_PDEATHSIG sees to that. */
void hf_expect(struct hf *h, const char *what)
{
	int64_t until = now_ms() + HF_PATIENCE_MS;

	while (!strstr(h->said, what)) {
		struct pollfd p = { .fd = h->err, .events = POLLIN };
		int64_t left = until - now_ms();

		cr_assert(left > 0 && poll(&p, 1, (int)left) > 0, "it never said \"%s\":\n%s", what,
			  h->said);
		cr_assert(listen_to(h) || strstr(h->said, what), "it ended without \"%s\":\n%s",
			  what, h->said);
	}
}

int hf_end(struct hf *h)
{
	int64_t until = now_ms() + HF_PATIENCE_MS;
	int status;
	pid_t left;

	for (;;) {
		struct pollfd p = { .fd = h->err, .events = POLLIN };
		int64_t ms = until - now_ms();

		cr_assert(ms > 0 && poll(&p, 1, (int)ms) > 0, "it does not end:\n%s", h->said);
		if (!listen_to(h))
			break;
	}
	cr_assert_eq(waitpid(h->pid, &status, 0), h->pid);
	close(h->err);
	h->err = -1;
	/* Worlds that were killed with it may still be on their way out. */
	until = now_ms() + 2000;
	while ((left = waitpid(-1, NULL, WNOHANG)) >= 0 && now_ms() < until)
		if (left == 0)
			usleep(5000);
	cr_expect(left < 0 && errno == ECHILD, "a process is left behind");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void hf_remove(struct hf *h)
{
	DIR *d = opendir(h->dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	cr_expect_eq(rmdir(h->dir), 0, "%s: %s", h->dir, strerror(errno));
}

void hf_finish(struct hf *h)
{
	int status;

	kill(h->pid, SIGTERM);
	status = hf_end(h);
	cr_expect_eq(status, 0, "status %d:\n%s", status, h->said);
	cr_expect_neq(access(h->sock, F_OK), 0, "the socket is still there");
	hf_remove(h);
}

/* ---- talking to it ---- */

int hf_connect(struct hf *h, const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int64_t until = now_ms() + HF_PATIENCE_MS;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	strcpy(sun.sun_path, path ? path : h->sock);
	/* It may not be listening yet. */
	while (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		cr_assert(now_ms() < until && waitpid(h->pid, NULL, WNOHANG) == 0,
			  "%s: %s; it said:\n%s", sun.sun_path, strerror(errno),
			  (listen_to(h), h->said));
		usleep(2000);
	}
	return fd;
}

static void send_line(int fd, const char *line)
{
	cr_assert_eq(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
	cr_assert_eq(send(fd, "\n", 1, MSG_NOSIGNAL), 1);
}

struct json_object *hf_ask_raw(struct hf *h, int fd, const char *line)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *reply = NULL;
	int64_t until = now_ms() + HF_PATIENCE_MS;
	char c = 0;

	send_line(fd, line);
	while (c != '\n') {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until - now_ms();

		cr_assert(left > 0 && poll(&p, 1, (int)left) > 0, "no answer to %.80s:\n%s", line,
			  (listen_to(h), h->said));
		cr_assert_eq(read(fd, &c, 1), 1, "it hung up on %.80s:\n%s", line,
			     (listen_to(h), h->said));
		if (c != '\n')
			reply = json_tokener_parse_ex(tok, &c, 1);
	}
	cr_assert(json_object_is_type(reply, json_type_object), "the answer to %.80s", line);
	json_tokener_free(tok);
	return reply;
}

struct json_object *hf_ask(struct hf *h, const char *line)
{
	int fd = hf_connect(h, NULL);
	struct json_object *reply = hf_ask_raw(h, fd, line);

	close(fd);
	cr_assert(json_object_get_boolean(json_object_object_get(reply, "ok")), "%s: %s", line,
		  json_object_to_json_string(reply));
	return reply;
}

void hf_do(struct hf *h, const char *line)
{
	json_object_put(hf_ask(h, line));
}

void hf_get(struct hf *h, const char *name, const char *key, char *out, size_t size)
{
	struct json_object *reply = hf_ask(h, "{\"cmd\":\"list\"}");
	struct json_object *vms = json_object_object_get(reply, "vms");
	bool found = false;

	*out = '\0';
	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i), *val;

		if (strcmp(json_object_get_string(json_object_object_get(vm, "name")), name) != 0)
			continue;
		found = true;
		cr_assert(json_object_object_get_ex(vm, key, &val), "no %s", key);
		if (val)
			snprintf(out, size, "%s", json_object_get_string(val));
	}
	cr_assert(found, "no VM %s", name);
	json_object_put(reply);
}

int64_t hf_num(struct hf *h, const char *name, const char *key)
{
	char text[256];

	hf_get(h, name, key, text, sizeof(text));
	return *text ? atoll(text) : -1;
}

void hf_until(struct hf *h, const char *name, const char *key, const char *value)
{
	int64_t until = now_ms() + HF_PATIENCE_MS;
	char text[256];

	for (;;) {
		hf_get(h, name, key, text, sizeof(text));
		if (!strcmp(text, value))
			return;
		cr_assert(now_ms() < until, "%s of %s is %s, not %s:\n%s", key, name, text, value,
			  (listen_to(h), h->said));
		usleep(10000);
	}
}

void hf_read_until(struct hf *h, int fd, char *buf, size_t size, const char *what)
{
	int64_t until = now_ms() + HF_PATIENCE_MS;
	size_t len = strlen(buf);

	while (!strstr(buf, what)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until - now_ms();
		ssize_t n;

		cr_assert(left > 0 && poll(&p, 1, (int)left) > 0, "no \"%s\" in:\n%s\n%s", what,
			  buf, (listen_to(h), h->said));
		cr_assert_lt(len, size - 1, "no \"%s\" in all that", what);
		n = read(fd, buf + len, size - 1 - len);
		cr_assert_gt(n, 0, "the end came before \"%s\":\n%s", what, buf);
		len += (size_t)n;
		buf[len] = '\0';
	}
}

int hf_attach(struct hf *h, const char *name)
{
	int fd = hf_connect(h, NULL);
	struct json_object *reply;
	char line[128];

	snprintf(line, sizeof(line), "{\"cmd\":\"attach\",\"vm\":\"%s\"}", name);
	reply = hf_ask_raw(h, fd, line);
	cr_assert(json_object_get_boolean(json_object_object_get(reply, "ok")), "%s",
		  json_object_to_json_string(reply));
	json_object_put(reply);
	return fd;
}

int64_t hf_sequence(const char *text)
{
	const char *p = strchr(text, '\n'), *end = strrchr(text, '\n');
	int64_t last = -1;

	cr_assert_not_null(p, "no whole line: %s", text);
	while (p < end) {
		char *stop;
		int64_t n = strtoll(++p, &stop, 10);

		cr_assert(*stop == '\n' && stop > p, "no number: %.40s", p);
		cr_assert(last < 0 || n == last + 1, "%lld after %lld", (long long)n,
			  (long long)last);
		last = n;
		p = stop;
	}
	return last;
}

/* ---- looking at it ---- */

static unsigned entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;
	struct dirent *e;

	cr_assert_not_null(d, "%s", path);
	while ((e = readdir(d)))
		n += *e->d_name != '.';
	closedir(d);
	return n;
}

/* Children of all its threads: a world is its pCPU thread's. */
unsigned hf_children(const struct hf *h, pid_t *out, unsigned max)
{
	char path[128];
	unsigned n = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", h->pid);
	d = opendir(path);
	cr_assert_not_null(d);
	while ((e = readdir(d))) {
		FILE *f;
		int pid;

		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", h->pid, e->d_name);
		f = *e->d_name == '.' ? NULL : fopen(path, "r");
		while (f && fscanf(f, "%d", &pid) == 1) {
			if (n < max)
				out[n] = pid;
			n++;
		}
		if (f)
			fclose(f);
	}
	closedir(d);
	return n;
}

struct hf_usage hf_usage(const struct hf *h)
{
	struct hf_usage u = { 0 };
	char path[64], line[256];
	unsigned long long kib;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/fd", h->pid);
	u.fds = entries(path);
	snprintf(path, sizeof(path), "/proc/%d/task", h->pid);
	u.threads = entries(path);
	u.children = hf_children(h, NULL, 0);
	snprintf(path, sizeof(path), "/proc/%d/status", h->pid);
	f = fopen(path, "r");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %llu", &kib) == 1)
			u.rss_kib = kib;
	fclose(f);
	return u;
}
