/* SPDX-License-Identifier: MIT */
#include "lab/grade/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned)(ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

static void limit(int what, rlim_t value)
{
	struct rlimit r;

	getrlimit(what, &r);
	if (r.rlim_max != RLIM_INFINITY && r.rlim_max < value)
		value = r.rlim_max;
	r.rlim_cur = r.rlim_max = value;
	setrlimit(what, &r);
}

/* Whatever changes the file system, of Landlock's first version (linux/landlock.h). */
#define CHANGES                                                          \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |     \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static void allow(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return;
	syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
}

/* A kernel without Landlock: the limits and the process group remain. */
static void confine(const char *scratch)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = CHANGES };
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (ruleset < 0)
		return;
	allow(ruleset, scratch, CHANGES);
	allow(ruleset, "/dev/null", LANDLOCK_ACCESS_FS_WRITE_FILE);
	allow(ruleset, "/dev/kvm", LANDLOCK_ACCESS_FS_WRITE_FILE);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	syscall(SYS_landlock_restrict_self, ruleset, 0);
	close(ruleset);
}

static void child(const struct proc *p, int out, int report)
{
	int null = open("/dev/null", O_RDONLY);

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	limit(RLIMIT_CPU, p->seconds + 1);
#ifndef __SANITIZE_ADDRESS__            /* its shadow memory is terabytes */
	limit(RLIMIT_DATA, 512u << 20); /* without a guest's memory, which is shared */
#endif
	limit(RLIMIT_FSIZE, 1u << 30); /* a guest's memory is a file */
	limit(RLIMIT_CORE, 0);
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	if (report >= 0)
		dup2(report, PROC_FD); /* clears close-on-exec, unless it is PROC_FD already */
	if (report == PROC_FD)
		fcntl(PROC_FD, F_SETFD, 0);
	if (p->scratch) {
		setenv("TMPDIR", p->scratch, 1);
		confine(p->scratch);
	}
	execvp(p->argv[0], (char *const *)p->argv);
	fprintf(stderr, "%s: %s\n", p->argv[0], strerror(errno));
	_exit(127);
}

/* Keep the end. */
static void take_output(struct proc *p, int *fd)
{
	char piece[4096];
	ssize_t n = read(*fd, piece, sizeof(piece));
	size_t room = sizeof(p->out) - 1 - p->out_len, drop;

	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			return;
		close(*fd);
		*fd = -1;
		return;
	}
	drop = (size_t)n > room ? (size_t)n - room : 0;
	memmove(p->out, p->out + drop, p->out_len - drop);
	p->out_len -= drop;
	memcpy(p->out + p->out_len, piece, (size_t)n);
	p->out_len += (size_t)n;
	p->out[p->out_len] = 0;
}

static void take_verdict(struct proc *p, int *fd, size_t *len)
{
	char piece[4096];
	ssize_t n = read(*fd, piece, sizeof(piece));
	size_t room = sizeof(p->verdict) - 1 - *len;

	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			return;
		close(*fd);
		*fd = -1;
		return;
	}
	room = (size_t)n < room ? (size_t)n : room;
	memcpy(p->verdict + *len, piece, room);
	*len += room;
}

/* The parent of process @pid, or -1. */
static pid_t parent_of(const char *pid)
{
	char path[64], stat[512], *after;
	int fd, ppid = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	stat[n > 0 ? n : 0] = 0;
	after = strrchr(stat, ')'); /* the name may hold anything */
	if (!after || sscanf(after, ") %*c %d", &ppid) != 1)
		return -1;
	return ppid;
}

/* Those that left the process group became ours, as we are the subreaper. */
static void kill_orphans(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (isdigit((unsigned char)*e->d_name) && parent_of(e->d_name) == getpid())
			kill(atoi(e->d_name), SIGKILL);
	}
	if (d)
		closedir(d);
}

/* End and reap what is left of @pid, its group and its orphans; a second is plenty. */
static void clean_up(pid_t pid)
{
	unsigned until = now_ms() + 1000;
	pid_t left;

	kill(-pid, SIGKILL);
	while ((left = waitpid(-1, NULL, WNOHANG)) >= 0 && now_ms() < until) {
		if (left)
			continue;
		kill_orphans();
		usleep(2000);
	}
}

/* Until @pid has ended and what it said is read, or time is up. */
static void watch(struct proc *p, pid_t pid, int out, int report)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	unsigned until = now_ms() + p->seconds * 1000, now;
	size_t len = 0;
	char word[64];

	while ((now = now_ms()) < until) {
		struct pollfd f[] = { { out, POLLIN, 0 },
				      { report, POLLIN, 0 },
				      { pidfd, POLLIN, 0 } };

		if (poll(f, 3, (int)(until - now)) < 0)
			continue;
		if (f[0].revents)
			take_output(p, &out);
		if (f[1].revents)
			take_verdict(p, &report, &len);
		if (f[2].revents && !f[0].revents && !f[1].revents)
			break; /* a grandchild may keep the pipes open: it is not waited for */
	}
	p->hung = now_ms() >= until;
	p->verdict[len] = 0;
	if (p->word) {
		size_t n = (size_t)snprintf(word, sizeof(word), "%s ", p->word);

		p->reported = !strncmp(p->verdict, word, n);
		if (p->reported)
			memmove(p->verdict, p->verdict + n, len - n + 1);
	}
	if (out >= 0)
		close(out);
	if (report >= 0)
		close(report);
	close(pidfd);
}

int proc_run(struct proc *p)
{
	int out[2], report[2] = { -1, -1 }, status = 0;
	pid_t pid;

	p->hung = p->reported = false;
	p->status = -1;
	p->out_len = 0;
	p->out[0] = p->verdict[0] = 0;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	if (p->word && (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, report) < 0 ||
			send(report[0], p->word, strlen(p->word), MSG_NOSIGNAL) < 0))
		goto failed;
	pid = fork();
	if (pid < 0)
		goto failed;
	if (pid == 0)
		child(p, out[1], report[1]);
	setpgid(pid, pid); /* as the child does: whoever comes first */
	close(out[1]);
	if (report[1] >= 0)
		close(report[1]);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	if (report[0] >= 0)
		fcntl(report[0], F_SETFL, O_NONBLOCK);
	watch(p, pid, out[0], report[0]);
	if (p->hung)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	clean_up(pid);
	return 0;
failed:
	status = -errno;
	close(out[0]);
	close(out[1]);
	if (report[0] >= 0) {
		close(report[0]);
		close(report[1]);
	}
	return status;
}
