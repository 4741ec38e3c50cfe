/* SPDX-License-Identifier: MIT */
#include "tests/child.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534

static unsigned now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned)(ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

static unsigned open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;
	cr_assert_not_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

struct running {
	pid_t pid;
	int in, out, err;
	unsigned began, descriptors;
};

static void start(const struct child *c, struct running *r)
{
	int in[2], out[2], err[2];

	r->descriptors = open_descriptors();
	r->began = now_ms();
	/* Whatever the child leaves behind becomes ours, so that we can find it. */
	cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(pipe2(in, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(err, O_CLOEXEC), 0);
	r->pid = fork();
	cr_assert_geq(r->pid, 0);
	if (r->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		signal(SIGPIPE, SIG_DFL);
		if (c->unprivileged && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
			_exit(126);
		execvp(c->argv[0], (char *const *)c->argv);
		fprintf(stderr, "%s: %s\n", c->argv[0], strerror(errno));
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	r->in = in[1];
	r->out = out[0];
	r->err = err[0];
	fcntl(r->in, F_SETFL, O_NONBLOCK);
}

/* Append what @*fd has to @buf (what does not fit is dropped); at its end close it. */
static void drain(int *fd, char *buf)
{
	char piece[4096];
	size_t have = strlen(buf), room = CHILD_OUTPUT_MAX - 1 - have;
	ssize_t n = read(*fd, piece, sizeof(piece));

	if (n <= 0) {
		close(*fd);
		*fd = -1;
		return;
	}
	memcpy(buf + have, piece, (size_t)n < room ? (size_t)n : room);
}

/* Move bytes until both outputs end, @until shows up on the first, or time is up. */
static void pump(struct child *c, struct running *r, const char *until)
{
	const char *input = c->input ? c->input : "";
	unsigned limit = (c->seconds ? c->seconds : 30) * 1000;

	while (r->out >= 0 || r->err >= 0) {
		struct pollfd p[3] = { { r->out, POLLIN, 0 },
				       { r->err, POLLIN, 0 },
				       { *input ? r->in : -1, POLLOUT, 0 } };
		unsigned passed = now_ms() - r->began;

		if (until && strstr(c->out, until))
			return;
		if (passed >= limit) {
			c->hung = true;
			return;
		}
		if (!*input && r->in >= 0 && !until) {
			close(r->in);
			r->in = -1;
		}
		if (poll(p, 3, (int)(limit - passed)) < 0)
			continue;
		if (p[0].revents)
			drain(&r->out, c->out);
		if (p[1].revents)
			drain(&r->err, c->err);
		if (p[2].revents) {
			ssize_t n = write(r->in, input, strlen(input));
			input += n > 0 ? (size_t)n : strlen(input);
		}
	}
}

/* Wait for the child; then nothing of it may be alive, and no descriptor of ours lost. */
static void finish(struct child *c, struct running *r, bool kill_it)
{
	int *fds[] = { &r->in, &r->out, &r->err };
	struct rusage ru;
	unsigned deadline;
	int status;
	pid_t left;

	if (c->hung || kill_it)
		kill(r->pid, SIGKILL);
	cr_assert_eq(wait4(r->pid, &status, 0, &ru), r->pid);
	c->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	c->wall_ms = now_ms() - r->began;
	c->cpu_ms = (unsigned)((ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000 +
			       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1000);
	for (size_t i = 0; i < 3; i++)
		if (*fds[i] >= 0)
			close(*fds[i]);

	/* A grandchild killed a moment ago may still be on its way out. */
	deadline = now_ms() + 1000;
	while ((left = waitpid(-1, NULL, WNOHANG)) >= 0 && now_ms() < deadline)
		if (left == 0)
			usleep(10000);
	cr_expect(left < 0 && errno == ECHILD, "%s %s left a process behind", c->argv[0],
		  c->argv[1]);
	cr_expect_eq(open_descriptors(), r->descriptors, "a descriptor was lost");
	cr_assert_not(c->hung, "%s %s %s hung.\n--- standard output:\n%s\n--- standard error:\n%s",
		      c->argv[0], c->argv[1], c->argv[2], c->out, c->err);
}

void child_run(struct child *c)
{
	struct running r;

	start(c, &r);
	pump(c, &r, NULL);
	finish(c, &r, false);
}

void child_look(struct child *c, const char *until, void (*look)(int pid, void *arg), void *arg)
{
	struct running r;

	start(c, &r);
	pump(c, &r, until);
	if (!c->hung)
		look(r.pid, arg);
	finish(c, &r, true);
}

const char *child_ringside(void)
{
	const char *path = getenv("RINGSIDE");
	cr_assert_not_null(path, "set RINGSIDE to the binary under test, or use `make test`");
	return path;
}

const char *child_guest(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	const char *dir = getenv("GUESTS");
	char *path = paths[next++ % 4];
	cr_assert_not_null(dir, "set GUESTS to the directory of guest images, or use `make test`");
	snprintf(path, sizeof(paths[0]), "%s/%s.elf", dir, name);
	return path;
}
