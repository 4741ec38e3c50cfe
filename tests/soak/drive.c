/* SPDX-License-Identifier: MIT */
#include "tests/soak/drive.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/soak/drive_priv.h"

#define PAGE        4096
#define WINDOW      8u    /* lines on their way at once: the guest's buffer holds them all */
#define LINE_TURNS  4u    /* from one line to the next: the port is not to starve all else */
#define TURN_MS     1     /* between two looks, at most */
#define PATIENCE_S  30u   /* without a word from the guest, or for it to stop */
#define GRACE       5000u /* ms to die in after SIGQUIT */
#define STATUS_OK   33    /* the guest's 0x10 at the exit port */
#define PROGRESS_S  5u
#define QUIET_RINGS 60u

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void soak_wrong(struct soak *s, const char *fmt, ...)
{
	size_t used = strlen(s->r->wrong), size = sizeof(s->r->wrong);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->r->wrong + used, size - used, fmt, ap);
	va_end(ap);
	used = strlen(s->r->wrong);
	snprintf(s->r->wrong + used, size - used, "\n");
}

/* ---- starting ---- */

static unsigned patience_s(const struct soak *s)
{
	return s->cfg->patience_s ? s->cfg->patience_s : PATIENCE_S;
}

static bool make_devices(struct soak *s)
{
	s->stats_fd = memfd_create("soak-account", 0);
	for (unsigned d = 0; d <= SOAK_DEVICES; d++) {
		void *p;

		s->bell[d] = eventfd(0, EFD_NONBLOCK);
		if (s->bell[d] < 0)
			return false;
		if (d == SOAK_DEVICES)
			break;
		s->shm[d] = memfd_create("soak-device", 0);
		if (s->shm[d] < 0 || ftruncate(s->shm[d], PAGE) < 0)
			return false;
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s->shm[d], 0);
		if (p == MAP_FAILED)
			return false;
		s->page[d] = p;
	}
	return s->stats_fd >= 0;
}

static void free_devices(struct soak *s)
{
	for (unsigned d = 0; d <= SOAK_DEVICES; d++) {
		if (s->bell[d] >= 0)
			close(s->bell[d]);
		if (d == SOAK_DEVICES)
			break;
		if (s->shm[d] >= 0)
			close(s->shm[d]);
		if (s->page[d])
			munmap(s->page[d], PAGE);
	}
	if (s->stats_fd >= 0)
		close(s->stats_fd);
}

#define ARGS_MAX 32

/* The command; its descriptors are inherited under their own numbers. */
static void exec_ringside(const struct soak *s, const char *append)
{
	char assign[SOAK_DEVICES + 1][128], stats[40], timeout[16];
	const char *argv[ARGS_MAX];
	unsigned n = 0;

	snprintf(stats, sizeof(stats), "/proc/self/fd/%d", s->stats_fd);
	snprintf(timeout, sizeof(timeout), "%u", s->cfg->seconds + 3 * PATIENCE_S);
	argv[n++] = s->cfg->ringside;
	argv[n++] = "run";
	argv[n++] = s->cfg->guest;
	argv[n++] = "--smp=4";
	argv[n++] = "--append";
	argv[n++] = append;
	argv[n++] = "--stats=json";
	argv[n++] = "--stats-file";
	argv[n++] = stats;
	argv[n++] = "--timeout";
	argv[n++] = timeout;
	for (unsigned d = 0; d < SOAK_DEVICES; d++) {
		snprintf(assign[d], sizeof(assign[d]), "eventfd=%d,vector=%u,vcpu=%u", s->bell[d],
			 SOAK_DEVICE_VECTOR(d), SOAK_DEVICE_CPU(d));
		if (!s->cfg->shm || !s->cfg->ringside)
			continue;
		snprintf(assign[d] + strlen(assign[d]), sizeof(assign[d]) - strlen(assign[d]),
			 ",shm=/proc/self/fd/%d,gpa=%u", s->shm[d], SOAK_SHM_BASE + d * PAGE);
	}
	snprintf(assign[SOAK_DEVICES], sizeof(assign[0]), "eventfd=%d,vector=%u,vcpu=%u",
		 s->bell[SOAK_DEVICES], SOAK_VEC_LAST, SOAK_LAST_CPU);
	for (unsigned d = 0; d <= SOAK_DEVICES; d++) {
		argv[n++] = "--assign";
		argv[n++] = assign[d];
	}
	argv[n] = NULL;
	execvp(argv[0], (char *const *)(uintptr_t)argv);
}

static void exec_qemu(const struct soak *s, const char *append)
{
	static const char exit_port[] = "isa-debug-exit,iobase=0xf4,iosize=4";

	execlp("qemu-system-i386", "qemu-system-i386", "-accel", "tcg,thread=single", "-smp", "4",
	       "-display", "none", "-monitor", "none", "-serial", "stdio", "-device", exit_port,
	       "-no-reboot", "-kernel", s->cfg->guest, "-append", append, (char *)NULL);
}

static bool start(struct soak *s)
{
	int in[2], out[2], err[2];
	char append[64];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		return false;
	snprintf(append, sizeof(append), "hz=%u doorbells=%u shm=%u",
		 s->cfg->hz ? s->cfg->hz : 1000, s->cfg->ringside ? SOAK_DEVICES : 0, s->cfg->shm);
	s->pid = fork();
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		signal(SIGPIPE, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		if (s->cfg->ringside)
			exec_ringside(s, append);
		else
			exec_qemu(s, append);
		perror("exec");
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	s->in = in[1];
	s->out = out[0];
	s->err = err[0];
	return s->pid > 0;
}

/* ---- what it prints ---- */

/* Append to @text, of which only the end is kept. */
static void keep(char *text, size_t size, const char *piece, size_t len)
{
	size_t have = strlen(text), room = size - 1;

	if (len > room) {
		piece += len - room;
		len = room;
	}
	if (have + len > room) {
		size_t drop = have + len - room;

		memmove(text, text + drop, have - drop);
		have -= drop;
	}
	memcpy(text + have, piece, len);
	text[have + len] = '\0';
}

static void take_output(struct soak *s, const char *p, size_t len)
{
	keep(s->text, sizeof(s->text), p, len);
	for (; len; p++, len--) {
		if (*p == '\r')
			continue;
		if (*p != '\n' && s->line_len < sizeof(s->line) - 1) {
			s->line[s->line_len++] = *p;
			continue;
		}
		s->line[s->line_len] = '\0';
		s->line_len = 0;
		soak_line(s, s->line);
	}
}

/* Wait up to @ms for something to read, and read it.  Returns whether the guest is still there. */
static bool listen_to(struct soak *s, int ms)
{
	struct pollfd p[2] = { { s->out, POLLIN, 0 }, { s->err, POLLIN, 0 } };
	char buf[4096];
	ssize_t n;

	if (poll(p, 2, ms) <= 0)
		return s->out >= 0;
	if (p[1].revents) {
		n = read(s->err, buf, sizeof(buf));
		if (n > 0) {
			keep(s->errors, sizeof(s->errors), buf, (size_t)n);
		} else {
			close(s->err);
			s->err = -1;
		}
	}
	if (p[0].revents) {
		n = read(s->out, buf, sizeof(buf));
		if (n > 0) {
			take_output(s, buf, (size_t)n);
			s->progress_ms = now_ms();
		} else {
			close(s->out);
			s->out = -1;
		}
	}
	return s->out >= 0;
}

/* ---- what it is given ---- */

static void say(struct soak *s, const char *text)
{
	/* A window of lines fits into a pipe many times over: this does not block. */
	if (write(s->in, text, strlen(text)) < 0)
		soak_wrong(s, "cannot write to its console: %s", strerror(errno));
}

static void send_line(struct soak *s)
{
	char text[32];

	if (s->sent - s->echoed >= WINDOW)
		return;
	snprintf(text, sizeof(text), "line %u\n", ++s->sent);
	say(s, text);
}

static void ring(struct soak *s, unsigned d)
{
	uint64_t one = 1;

	if (d < SOAK_DEVICES)
		__atomic_store_n(&s->page[d]->rung, ++s->rung[d], __ATOMIC_SEQ_CST);
	if (write(s->bell[d], &one, sizeof(one)) != sizeof(one))
		soak_wrong(s, "cannot ring device %u: %s", d, strerror(errno));
}

/* On turn @n: each device by itself, now and then all at once, and bursts that coalesce. */
static void ring_some(struct soak *s, unsigned n)
{
	if (!s->cfg->ringside)
		return;
	ring(s, n % SOAK_DEVICES);
	if (n % 16 == 0)
		for (unsigned d = 0; d < SOAK_DEVICES; d++)
			ring(s, d);
	if (n % 16 == 8)
		for (unsigned i = 0; i < 4; i++)
			ring(s, n / 16 % SOAK_DEVICES);
}

static bool unread(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* Nothing is on its way: all doorbells are taken out of their eventfds, all lines came back. */
static bool still(const struct soak *s)
{
	for (unsigned d = 0; s->cfg->ringside && d < SOAK_DEVICES; d++)
		if (unread(s->bell[d]))
			return false;
	return s->echoed == s->sent;
}

/*
 * The target of each doorbell sleeps, and only the doorbell can wake it.  With shared memory, ring
 * one device after the other, each when the one before was heard.  Returns whether that is over.
 */
static bool ring_sleepers(struct soak *s)
{
	unsigned d = s->quiet_rings % SOAK_DEVICES;

	if (!s->cfg->shm || !s->cfg->ringside)
		return true;
	if (s->page[d]->seen != s->page[d]->rung)
		return false;
	if (s->quiet_rings == QUIET_RINGS)
		return true;
	ring(s, ++s->quiet_rings % SOAK_DEVICES);
	return false;
}

/* ---- the run ---- */

/* The guest is silent: have the VMM say what its vCPUs did last. */
static void hung(struct soak *s)
{
	uint64_t until = now_ms() + GRACE;

	soak_wrong(s, "no progress in %u s: %u of %u lines came back, %u beats", patience_s(s),
		   s->echoed, s->sent, s->beats);
	for (unsigned d = 0; d < SOAK_DEVICES; d++)
		if (s->cfg->shm && s->page[d]->seen != s->page[d]->rung)
			soak_wrong(s, "device %u: rung %u, seen %u", d, s->page[d]->rung,
				   s->page[d]->seen);
	kill(s->pid, SIGQUIT);
	while (now_ms() < until && listen_to(s, 100))
		;
	kill(s->pid, SIGKILL);
}

static void report_progress(const struct soak *s, uint64_t seconds)
{
	uint32_t rings = 0;

	for (unsigned d = 0; d < SOAK_DEVICES; d++)
		rings += s->rung[d];
	fprintf(stderr, "soak: %llu s, %u beats, %u lines, %u doorbells\n",
		(unsigned long long)seconds, s->beats, s->echoed, rings);
}

static void drive(struct soak *s)
{
	enum { STARTING, RUNNING, ENDING, STOPPING, STOPPED } phase = STARTING;
	uint64_t began = now_ms(), next_report = PROGRESS_S;

	s->progress_ms = began;
	for (unsigned turn = 0; listen_to(s, TURN_MS); turn++) {
		uint64_t now = now_ms(), passed = (now - began) / 1000;

		if (now - s->progress_ms > patience_s(s) * 1000) {
			hung(s);
			return;
		}
		if (phase == STARTING && s->running) {
			phase = RUNNING;
			began = now;
		} else if (phase == RUNNING) {
			if (turn % LINE_TURNS == 0)
				send_line(s);
			ring_some(s, turn);
			if (s->cfg->progress && passed >= next_report) {
				report_progress(s, passed);
				next_report += PROGRESS_S;
			}
			if (passed >= s->cfg->seconds)
				phase = ENDING;
		} else if (phase == ENDING && still(s)) {
			phase = STOPPING;
			say(s, "stop\n");
		} else if (phase == STOPPING && s->quiet && ring_sleepers(s) && still(s)) {
			/* One thread of the VMM takes them all, so it has posted the others. */
			phase = STOPPED;
			if (s->cfg->ringside)
				ring(s, SOAK_DEVICES);
		}
	}
}

/* After its end, which @s->out has told. */
static void reap(struct soak *s)
{
	int status = 0;

	while (s->err >= 0 && now_ms() - s->progress_ms < patience_s(s) * 1000 + GRACE) {
		listen_to(s, 100);
	}
	if (s->err >= 0)
		kill(s->pid, SIGKILL);
	while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != STATUS_OK)
		soak_wrong(s, "ended by %s %d",
			   WIFEXITED(status) ? "itself, with status" : "signal",
			   WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	else if (*s->errors && s->cfg->ringside)
		soak_wrong(s, "it complained");
	for (int *fds[] = { &s->in, &s->out, &s->err }, i = 0; i < 3; i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
}

bool soak_run(const struct soak_config *c, struct soak_result *r)
{
	struct soak s = { .cfg = c, .r = r, .in = -1, .out = -1, .err = -1, .stats_fd = -1 };

	memset(r, 0, sizeof(*r));
	memset(s.bell, -1, sizeof(s.bell));
	memset(s.shm, -1, sizeof(s.shm));
	signal(SIGPIPE, SIG_IGN);
	if (!make_devices(&s) || !start(&s)) {
		soak_wrong(&s, "cannot start: %s", strerror(errno));
		free_devices(&s);
		return false;
	}
	drive(&s);
	reap(&s);
	soak_check(&s);
	free_devices(&s);
	if (*r->wrong)
		soak_wrong(
			&s,
			"--- the end of its standard output:\n%s\n--- of its standard error:\n%s",
			s.text, s.errors);
	return !*r->wrong;
}
