/* SPDX-License-Identifier: MIT */
/*
 * One run of one engine.  It is a process of its own: so it starts as `ringside run` does, with
 * nothing left over from the run before, and a run that goes wrong is its own end only.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/compare/compare.h"
#include "vmm/compare/json.h"

#define WORDS_MAX   8192        /* of what it says on standard error */
#define ACCOUNT_MAX (64u << 20) /* bytes */

/* What the child tells beyond its account. */
struct result {
	uint64_t instructions;
	char uncounted[128];
};

struct capture {
	int in[2], out[2], err[2]; /* pipes */
	int stats;                 /* a memfd */
	struct result *result;
	char words[WORDS_MAX];
	size_t words_len;
};

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int capture_open(struct capture *c)
{
	c->in[0] = c->in[1] = c->out[0] = c->out[1] = c->err[0] = c->err[1] = -1;
	c->words_len = 0;
	c->result = MAP_FAILED;
	c->stats = memfd_create("ringside-account", MFD_CLOEXEC);
	if (c->stats < 0 || pipe2(c->in, O_CLOEXEC) < 0 || pipe2(c->out, O_CLOEXEC) < 0 ||
	    pipe2(c->err, O_CLOEXEC) < 0)
		return -errno;
	c->result = mmap(NULL, sizeof(*c->result), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return c->result == MAP_FAILED ? -errno : 0;
}

static void capture_close(struct capture *c)
{
	for (int i = 0; i < 2; i++) {
		close_end(&c->in[i]);
		close_end(&c->out[i]);
		close_end(&c->err[i]);
	}
	close_end(&c->stats);
	if (c->result != MAP_FAILED)
		munmap(c->result, sizeof(*c->result));
}

/* ---- the child ---- */

static _Noreturn void child(const struct compare_options *o, const struct engine_ops *engine,
			    compare_session *session, struct capture *c)
{
	struct run_options opt = o->run;
	struct compare_count count;
	char path[64];
	int status;

	close_end(&c->in[1]); /* nobody types */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (dup2(c->in[0], STDIN_FILENO) < 0 || dup2(c->out[1], STDOUT_FILENO) < 0 ||
	    dup2(c->err[1], STDERR_FILENO) < 0)
		_exit(STATUS_HOST);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", c->stats);
	opt.engine = engine;
	opt.stats = STATS_JSON;
	opt.stats_file = path;
	if (engine == &world_engine) { /* what only the other knows */
		opt.kernel_irqchip = false;
	} else {
		opt.lookahead = opt.tsc_trap = false;
		opt.worlds = 0;
		opt.handoff = 0;
	}
	compare_count_begin(&count);
	status = session(&opt);
	c->result->instructions = compare_count_end(&count, c->result->uncounted,
						    sizeof(c->result->uncounted));
	_exit(status);
}

/* ---- the parent ---- */

/* FNV-1a: two outputs that differ after what is kept must not pass for the same. */
static uint64_t hash_more(uint64_t h, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h;
}

/* Returns false at its end. */
static bool read_console(struct compare_run *r, int fd)
{
	uint8_t buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf));
	size_t keep;

	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	keep = CONSOLE_KEPT - r->kept;
	keep = (size_t)n < keep ? (size_t)n : keep;
	memcpy(r->console + r->kept, buf, keep);
	r->kept += keep;
	r->console_len += (uint64_t)n;
	r->console_hash = hash_more(r->console_hash, buf, (size_t)n);
	return true;
}

/* The end of what it says is what counts. */
static bool read_words(struct capture *c)
{
	ssize_t n;

	if (c->words_len > WORDS_MAX / 2) {
		memmove(c->words, c->words + WORDS_MAX / 2, c->words_len - WORDS_MAX / 2);
		c->words_len -= WORDS_MAX / 2;
	}
	n = read(c->err[0], c->words + c->words_len, WORDS_MAX - 1 - c->words_len);
	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	c->words_len += (size_t)n;
	return true;
}

/* Read all that it writes until it has ended and nothing is left. */
static void listen_to(struct compare_run *r, struct capture *c, int pidfd)
{
	struct pollfd fd[] = { { .fd = c->out[0], .events = POLLIN },
			       { .fd = c->err[0], .events = POLLIN },
			       { .fd = pidfd, .events = POLLIN } };
	bool ended = false;

	while (fd[0].fd >= 0 || fd[1].fd >= 0) {
		int n = poll(fd, 3, ended ? 0 : -1);

		if (n < 0 && errno != EINTR)
			return;
		if (!n)
			return; /* somebody else still holds the pipes: not our child */
		if (n < 0)
			continue;
		if (fd[0].fd >= 0 && fd[0].revents && !read_console(r, fd[0].fd))
			fd[0].fd = -1;
		if (fd[1].fd >= 0 && fd[1].revents && !read_words(c))
			fd[1].fd = -1;
		if (fd[2].fd >= 0 && fd[2].revents) {
			ended = true;
			fd[2].fd = -1;
		}
	}
}

/* The last "ringside: SENTENCE" among @words that is no note, without its first word. */
static void last_sentence(char *words, char *out, size_t size)
{
	static const char ours[] = "ringside: ";
	char *save = NULL;

	*out = '\0';
	for (char *line = strtok_r(words, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, ours, sizeof(ours) - 1) != 0)
			continue;
		line += sizeof(ours) - 1;
		if (strncmp(line, "note: ", 6) != 0)
			snprintf(out, size, "%s", line);
	}
}

static struct json_object *read_account(int fd)
{
	struct json_object *o = NULL;
	struct stat st;
	char *text;

	if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > (off_t)ACCOUNT_MAX)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	if (text && pread(fd, text, (size_t)st.st_size, 0) == st.st_size) {
		text[st.st_size] = '\0';
		o = json_tokener_parse(text);
	}
	free(text);
	if (json_object_is_type(o, json_type_object))
		return o;
	json_object_put(o);
	return NULL;
}

static int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return STATUS_HOST;
	return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_SIGNAL + WTERMSIG(status);
}

static int run(const struct compare_options *o, const struct engine_ops *engine,
	       compare_session *session, struct compare_run *r, struct capture *c)
{
	int res = capture_open(c), pidfd;
	pid_t pid;

	if (res < 0)
		return res;
	r->console = malloc(CONSOLE_KEPT);
	if (!r->console)
		return -ENOMEM;
	fflush(NULL); /* or the child would print it again */
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		child(o, engine, session, c);
	close_end(&c->in[1]);
	close_end(&c->out[1]);
	close_end(&c->err[1]);
	pidfd = pidfd_open(pid, 0);
	listen_to(r, c, pidfd);
	if (pidfd >= 0)
		close(pidfd);
	r->status = reap(pid);
	c->words[c->words_len] = '\0';
	last_sentence(c->words, r->why, sizeof(r->why));
	r->account = read_account(c->stats);
	r->instructions = c->result->instructions;
	memcpy(r->uncounted, c->result->uncounted, sizeof(r->uncounted));
	return 0;
}

int compare_once(const struct compare_options *o, const struct engine_ops *engine,
		 compare_session *session, struct compare_run *r, char *err, size_t size)
{
	struct capture c;
	int res;

	*r = (struct compare_run){ .console_hash = 0xcbf29ce484222325u };
	res = run(o, engine, session, r, &c);
	capture_close(&c);
	if (res < 0)
		snprintf(err, size, "host: cannot start a run of the engine %s: %s", engine->name,
			 strerror(-res));
	return res;
}

void compare_run_free(struct compare_run *r)
{
	json_object_put(r->account);
	free(r->console);
	*r = (struct compare_run){ 0 };
}

static const char *how(const struct compare_run *r)
{
	const char *s = js_text(js(r->account, "end"), "how");

	return s ? s : "";
}

bool compare_run_ended(const struct compare_run *r)
{
	return !strcmp(how(r), "exited") || !strcmp(how(r), "timeout");
}

bool compare_run_started(const struct compare_run *r)
{
	return r->account && strcmp(how(r), "running") != 0 && compare_run_exits(r) > 0;
}

uint64_t compare_run_exits(const struct compare_run *r)
{
	return js_num(r->account, "exits");
}
