/* SPDX-License-Identifier: MIT */
/*
 * assign-device: starts Ringside with the guest guest/assign and plays the device that is assigned
 * to it: requests in a ring in shared memory, an interrupt by eventfd for each, the answer
 * announced by the guest's doorbell.  Checks every answer, and says how long the round trips took.
 *
 *     assign-device [OPTION...] RINGSIDE IMAGE [ARGUMENT OF ringside run...]
 *
 *     --rounds N    round trips of each device (default 1000)
 *     --devices N   1, or 2 on two virtual CPUs
 *     --poll        watch the shared memory for answers, do not sleep until the doorbell rings
 *     --json        the figures as JSON
 *     --shrink-at K instead of request K, truncate the shared memory of the last device
 *     --die-at K    instead of request K, the last device kills itself
 *
 * Each device is a process of its own.  Exit status: 0 if all went as it should, else 1; 2 for bad
 * usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/assign/ring.h"

#define PATIENCE_MS 60000 /* for an answer: only a guest that hangs takes so long */
#define ARGS_MAX    64

struct options {
	unsigned rounds, devices, shrink_at, die_at;
	bool poll, json;
	char **run; /* RINGSIDE IMAGE ... */
	int run_count;
};

struct device {
	unsigned number;
	int shm_fd, eventfd, doorbell, guest_doorbell; /* the last: the VMM's end */
	struct shm *shm;
	pid_t pid;
};

/* What the device processes tell the one that started them, in memory they share. */
struct result {
	unsigned rounds;
	char wrong[128]; /* the first thing that was */
	uint64_t ns[];   /* of each round trip */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void fail(const char *what) __attribute__((noreturn));
static void fail(const char *what)
{
	fprintf(stderr, "assign-device: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- one device ---- */

static void device_create(struct device *d, unsigned number)
{
	int pair[2];

	d->number = number;
	d->shm_fd = memfd_create("assign-device", MFD_CLOEXEC);
	d->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->shm_fd < 0 || d->eventfd < 0 || ftruncate(d->shm_fd, sizeof(struct shm)) < 0)
		fail("shared memory and eventfd");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		fail("socketpair");
	d->doorbell = pair[0];
	d->guest_doorbell = pair[1];
	d->shm = mmap(NULL, sizeof(*d->shm), PROT_READ | PROT_WRITE, MAP_SHARED, d->shm_fd, 0);
	if (d->shm == MAP_FAILED)
		fail("mmap");
	/* The counters are about to wrap: they must not mind. */
	d->shm->to_guest.head = d->shm->to_guest.tail = (uint32_t)-3000;
	d->shm->to_device.head = d->shm->to_device.tail = (uint32_t)-5000;
	__atomic_store_n(&d->shm->magic, SHM_MAGIC, __ATOMIC_RELEASE);
}

static void interrupt(const struct device *d)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then there is an interrupt to come anyway. */
	(void)!write(d->eventfd, &one, sizeof(one));
}

/* Sleep until the doorbell rings, unless told to poll.  Returns whether it makes sense to look. */
static bool listen_again(const struct options *o, const struct device *d, uint64_t deadline)
{
	struct pollfd p = { .fd = d->doorbell, .events = POLLIN };
	char bytes[64];

	if (now_ns() > deadline)
		return false;
	if (poll(&p, 1, o->poll ? 0 : PATIENCE_MS) > 0 &&
	    recv(d->doorbell, bytes, sizeof(bytes), 0) == 0)
		return false; /* Ringside is gone */
	return true;
}

static const char *wait_ready(const struct options *o, const struct device *d)
{
	uint64_t deadline = now_ns() + PATIENCE_MS * 1000000ull;

	while (__atomic_load_n(&d->shm->ready, __ATOMIC_ACQUIRE) != SHM_MAGIC)
		if (!listen_again(o, d, deadline))
			return "the guest's driver did not start";
	return NULL;
}

static const char *check(const struct msg *m, uint32_t seq)
{
	if (m->seq != seq)
		return "an answer has another sequence number";
	if (m->len != msg_len(seq))
		return "an answer has another length";
	for (uint32_t i = 0; i < m->len; i++)
		if (m->data[i] + msg_byte(seq, i) != 0xff)
			return "an answer has another payload";
	return NULL;
}

/* One request, one answer.  NULL, or what is wrong. */
static const char *round_trip(const struct options *o, const struct device *d, uint32_t seq,
			      uint64_t *ns)
{
	static struct msg m;
	uint64_t t0, deadline;
	int got;

	m.seq = seq;
	m.len = msg_len(seq);
	for (uint32_t i = 0; i < m.len; i++)
		m.data[i] = msg_byte(seq, i);
	t0 = now_ns();
	deadline = t0 + PATIENCE_MS * 1000000ull;
	if (!ring_send(&d->shm->to_guest, &m))
		return "no room for a request";
	interrupt(d);
	/* At the same time as the guest's: none may be lost. */
	for (unsigned i = 0; i < SHM_ADDS; i++)
		__atomic_fetch_add(&d->shm->sum, 1, __ATOMIC_SEQ_CST);
	while (!(got = ring_receive(&d->shm->to_device, &m)))
		if (!listen_again(o, d, deadline))
			return "no answer";
	*ns = now_ns() - t0;
	return got < 0 ? "the ring of answers makes no sense" : check(&m, seq);
}

static const char *device_run(const struct options *o, const struct device *d, struct result *r)
{
	const struct msg end = { .seq = MSG_END };
	bool last = d->number == o->devices - 1;
	const char *wrong = wait_ready(o, d);
	uint32_t sum;

	for (uint32_t seq = 1; !wrong && seq <= o->rounds; seq++) {
		if (last && seq == o->die_at)
			raise(SIGKILL);
		if (last && seq == o->shrink_at) {
			if (ftruncate(d->shm_fd, 0) < 0)
				fail("ftruncate");
			interrupt(d);
			return NULL;
		}
		wrong = round_trip(o, d, seq, &r->ns[seq - 1]);
		if (!wrong)
			r->rounds++;
	}
	if (wrong)
		return wrong;
	sum = __atomic_load_n(&d->shm->sum, __ATOMIC_SEQ_CST);
	if (sum != 2 * SHM_ADDS * o->rounds)
		return "additions were lost";
	if (!ring_send(&d->shm->to_guest, &end))
		return "no room for the end";
	interrupt(d);
	return NULL;
}

/* ---- Ringside ---- */

static pid_t start_ringside(const struct options *o, const struct device *dev)
{
	const char *argv[ARGS_MAX] = { o->run[0], "run" };
	char option[DEVICES_MAX][256], smp[4];
	int n = 2;
	pid_t pid;

	snprintf(smp, sizeof(smp), "%u", o->devices);
	argv[n++] = "--smp";
	argv[n++] = smp;
	for (unsigned i = 0; i < o->devices; i++) {
		const struct device *d = &dev[i];
		snprintf(option[i], sizeof(option[i]),
			 "eventfd=%d,vector=%u,vcpu=%u,shm=/proc/self/fd/%d,gpa=%#x,doorbell=%d",
			 d->eventfd, DEVICE_VECTOR(i), i, d->shm_fd, DEVICE_GPA(i),
			 d->guest_doorbell);
		argv[n++] = "--assign";
		argv[n++] = option[i];
	}
	memcpy(&argv[n], o->run + 1, (size_t)(o->run_count - 1) * sizeof(*argv));
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < o->devices; i++) {
		const int keep[] = { dev[i].eventfd, dev[i].shm_fd, dev[i].guest_doorbell };

		for (unsigned k = 0; k < 3; k++)
			fcntl(keep[k], F_SETFD, 0);
	}
	execvp(argv[0], (char *const *)argv);
	fail(argv[0]);
}

static int wait_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			fail("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- the report ---- */

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void report(const struct options *o, const struct device *d, struct result *r)
{
	unsigned n = r->rounds;
	uint64_t p50, p99, max;

	qsort(r->ns, n, sizeof(r->ns[0]), compare);
	p50 = n ? r->ns[(n - 1) / 2] : 0;
	p99 = n ? r->ns[(n - 1) * 99 / 100] : 0;
	max = n ? r->ns[n - 1] : 0;
	if (o->json)
		printf("%s{ \"device\": %u, \"rounds\": %u, \"p50_ns\": %" PRIu64
		       ", \"p99_ns\": %" PRIu64 ", \"max_ns\": %" PRIu64 " }",
		       d->number ? ", " : "", d->number, n, p50, p99, max);
	else
		printf("device %u: %u round trips, p50 %.1f us, p99 %.1f us, max %.1f us\n",
		       d->number, n, (double)p50 / 1e3, (double)p99 / 1e3, (double)max / 1e3);
}

static int play(const struct options *o)
{
	size_t size = sizeof(struct result) + o->rounds * sizeof(uint64_t);
	struct device dev[DEVICES_MAX];
	struct result *res[DEVICES_MAX];
	int status, expect = 33, bad = 0;
	pid_t ringside;

	for (unsigned i = 0; i < o->devices; i++) {
		device_create(&dev[i], i);
		res[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			      0);
		if (res[i] == MAP_FAILED)
			fail("mmap");
	}
	ringside = start_ringside(o, dev);
	for (unsigned i = 0; i < o->devices; i++)
		close(dev[i].guest_doorbell);
	for (unsigned i = 0; i < o->devices; i++) {
		const char *wrong;

		dev[i].pid = fork();
		if (dev[i].pid < 0)
			fail("fork");
		if (dev[i].pid)
			continue;
		wrong = device_run(o, &dev[i], res[i]);
		if (wrong)
			snprintf(res[i]->wrong, sizeof(res[i]->wrong), "%s", wrong);
		_exit(wrong != NULL);
	}
	for (unsigned i = 0; i < o->devices; i++) {
		status = wait_status(dev[i].pid);
		if (status == 128 + SIGKILL && o->die_at && i == o->devices - 1) {
			/* The guest just hears no more of its device. */
			expect = 128 + SIGTERM;
			kill(ringside, SIGTERM);
		} else if (status && !o->shrink_at) {
			bad = 1;
			fprintf(stderr, "assign-device: device %u after %u rounds: %s\n", i,
				res[i]->rounds, *res[i]->wrong ? res[i]->wrong : "it died");
			kill(ringside, SIGTERM); /* perhaps it waits for more */
		}
	}
	status = wait_status(ringside);
	if (o->shrink_at)
		expect = 4;
	if (o->json)
		printf("{ \"ringside\": %d, \"devices\": [ ", status);
	for (unsigned i = 0; i < o->devices; i++)
		report(o, &dev[i], res[i]);
	if (o->json)
		printf(" ] }\n");
	if (status != expect)
		fprintf(stderr, "assign-device: ringside ended with status %d, not %d\n", status,
			expect);
	return bad || status != expect;
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n == 0 || n > 10000000) {
		fprintf(stderr, "assign-device: %s is not a number from 1 to 10000000\n", text);
		exit(2);
	}
	return (unsigned)n;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "devices", required_argument, NULL, 'd' },
		{ "poll", no_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' },
		{ "shrink-at", required_argument, NULL, 's' },
		{ "die-at", required_argument, NULL, 'k' },
		{ 0 },
	};
	struct options o = { .rounds = 1000, .devices = 1 };
	int c;

	while ((c = getopt_long(argc, argv, "+", longs, NULL)) != -1) {
		switch (c) {
		case 'r': o.rounds = number(optarg); break;
		case 'd': o.devices = number(optarg); break;
		case 'p': o.poll = true; break;
		case 'j': o.json = true; break;
		case 's': o.shrink_at = number(optarg); break;
		case 'k': o.die_at = number(optarg); break;
		default: return 2;
		}
	}
	o.run = argv + optind;
	o.run_count = argc - optind;
	if (o.devices > DEVICES_MAX || o.run_count < 2 || o.run_count > ARGS_MAX - 10) {
		fprintf(stderr, "usage: assign-device [--rounds N] [--devices 1|2] [--poll] "
				"[--json] [--shrink-at K] [--die-at K] RINGSIDE IMAGE ...\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	return play(&o);
}
