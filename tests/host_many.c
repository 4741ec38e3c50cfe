/* SPDX-License-Identifier: MIT */
/*
 * Many VMs on few CPUs: shares, wake-ups beside hogs, a VM's death beside others, what one more
 * costs.  `make test` runs it small; `make soak` with HOST_MANY=32 VMs for HOST_SECONDS=30, and
 * with the bounds that only hold on a machine with nothing else to do (HOST_STRICT).
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/child.h"
#include "tests/host_fixture.h"

TestSuite(host_many, .timeout = 240);

#define VMS_MAX 64

static unsigned setting(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static bool strict(void)
{
	return setting("HOST_STRICT", 0);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void pause_ms(unsigned ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

/* ---- a configuration with @n VMs v0, v1 ... ---- */

/* The configuration is elsewhere, and paths in it are relative to it. */
static const char *image(const char *name)
{
	static char full[4096];

	cr_assert_not_null(realpath(child_guest(name), full), "%s", name);
	return full;
}

struct text {
	char buf[32768];
	size_t len;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->len += (size_t)vsnprintf(t->buf + t->len, sizeof(t->buf) - t->len, fmt, ap);
	va_end(ap);
	cr_assert_lt(t->len, sizeof(t->buf));
}

static unsigned weight_of(unsigned i)
{
	static const unsigned weights[] = { 100, 200, 400 };

	return weights[i % 3];
}

static void add_minios(struct text *t, const char *name, const char *append, unsigned weight,
		       const char *more)
{
	add(t,
	    "{ name = \"%s\"; image = \"%s\"; append = \"%s\"; memory = \"8M\"; weight = %u; "
	    "%s},\n",
	    name, image("minios"), append, weight, more);
}

static void add_many(struct text *t, unsigned n, const char *append, const char *more)
{
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "v%u", i);
		add_minios(t, name, append, weight_of(i), more);
	}
}

static void finish_text(struct text *t)
{
	/* libconfig 1.5 takes no comma behind the last element. */
	t->len -= 2;
	add(t, ");\n");
}

/* ---- what `top` says ---- */

struct sample {
	uint64_t at_ns, running_ns[VMS_MAX];
	unsigned starts, running;
};

static void take(struct hf *h, unsigned n, struct sample *s)
{
	struct json_object *top = hf_ask(h, "{\"cmd\":\"top\"}"), *vms, *o;

	memset(s, 0, sizeof(*s));
	json_object_object_get_ex(top, "now_ns", &o);
	s->at_ns = (uint64_t)json_object_get_int64(o);
	json_object_object_get_ex(top, "vms", &vms);
	for (size_t i = 0; i < json_object_array_length(vms) && i < n; i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i), *vcpus;

		json_object_object_get_ex(vm, "starts", &o);
		s->starts += (unsigned)json_object_get_int64(o);
		json_object_object_get_ex(vm, "state", &o);
		s->running += !strcmp(json_object_get_string(o), "running");
		json_object_object_get_ex(vm, "vcpus", &vcpus);
		for (size_t k = 0; k < json_object_array_length(vcpus); k++) {
			json_object_object_get_ex(json_object_array_get_idx(vcpus, k), "running_ns",
						  &o);
			s->running_ns[i] += (uint64_t)json_object_get_int64(o);
		}
	}
	json_object_put(top);
}

/* Until the first @n VMs have all run for @ns since @from. */
static void until_all_ran(struct hf *h, unsigned n, const struct sample *from, uint64_t ns)
{
	uint64_t end = now_ns() + 60000000000u;
	struct sample s;
	unsigned ran;

	do {
		pause_ms(20);
		take(h, n, &s);
		ran = 0;
		for (unsigned i = 0; i < n; i++)
			ran += s.running_ns[i] >= (from ? from->running_ns[i] : 0) + ns;
		cr_assert_lt(now_ns(), end, "only %u of %u VMs run:\n%s", ran, n, h->said);
	} while (ran < n);
}

/* ---- shares, and a wake-up beside hogs ---- */

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* A line to the guest that echoes, and back: in ns. */
static uint64_t echo(struct hf *h, int fd, unsigned n)
{
	static char seen[1 << 20];
	char line[32];
	uint64_t t0;

	snprintf(line, sizeof(line), "line-%u\n", n);
	*seen = 0;
	t0 = now_ns();
	cr_assert_eq(write(fd, line, strlen(line)), (ssize_t)strlen(line));
	snprintf(line, sizeof(line), "echo: line-%u", n);
	hf_read_until(h, fd, seen, sizeof(seen), line);
	return now_ns() - t0;
}

Test(host_many, shares_follow_weights_and_wake_ups_do_not_wait)
{
	unsigned n = setting("HOST_MANY", 6), seconds = setting("HOST_SECONDS", 2), echoes = 0;
	static struct sample a, b;
	static uint64_t rtt[4096];
	static struct text t;
	static struct hf h;
	uint64_t all = 0, end, weights = 0;
	double worst = 0;
	int fd;

	add(&t, "pcpus = 2;\nvms = (\n");
	add_many(&t, n, "spin", "console = \"none\"; ");
	add_minios(&t, "io", "echo", 100, "");
	finish_text(&t);
	hf_start(&h, t.buf, NULL);
	until_all_ran(&h, n + 1, NULL, 1);
	fd = hf_attach(&h, "io");
	echo(&h, fd, 0);
	take(&h, n, &a);
	for (end = now_ns() + seconds * 1000000000ull; now_ns() < end;) {
		if (echoes < sizeof(rtt) / sizeof(rtt[0]))
			rtt[echoes] = echo(&h, fd, echoes + 1);
		echoes++;
		/* Seldom enough to need less than a share: who wants more waits for its turn. */
		pause_ms(8 * n);
	}
	take(&h, n, &b);
	for (unsigned i = 0; i < n; i++) {
		all += b.running_ns[i] - a.running_ns[i];
		weights += weight_of(i);
	}
	for (unsigned i = 0; i < n; i++) {
		double due = (double)all * weight_of(i) / (double)weights;
		double off = ((double)(b.running_ns[i] - a.running_ns[i]) - due) / due;

		worst = off > worst ? off : (-off > worst ? -off : worst);
		cr_expect(off < (strict() ? 0.03 : 0.2) && off > (strict() ? -0.03 : -0.2),
			  "VM v%u of weight %u is %.1f %% off its share", i, weight_of(i),
			  100 * off);
	}
	cr_expect_eq(b.starts, n);
	qsort(rtt, echoes, sizeof(rtt[0]), by_size);
	fprintf(stderr,
		"host_many: %u VMs on 2 pCPUs, %u s: shares within %.1f %% of weights; a line "
		"echoed "
		"beside them: median %.1f ms, 99 %% %.1f ms\n",
		n, seconds, 100 * worst, (double)rtt[echoes / 2] / 1e6,
		(double)rtt[echoes * 99 / 100] / 1e6);
	if (strict())
		cr_expect_leq(rtt[echoes / 2], 20000000u, "median %llu ns",
			      (unsigned long long)rtt[echoes / 2]);
	close(fd);
	hf_finish(&h);
}

/* ---- deaths ---- */

Test(host_many, killing_worlds_ends_their_vms_and_no_other)
{
	unsigned n = setting("HOST_MANY", 6), kills = setting("HOST_SECONDS", 3), seed = 1;
	static struct sample before, after;
	static struct text t;
	static struct hf h;

	add(&t, "pcpus = 2;\nvms = (\n");
	add_many(&t, n, "spin", "console = \"none\"; restart = \"always\"; ");
	finish_text(&t);
	hf_start(&h, t.buf, NULL);
	until_all_ran(&h, n, NULL, 1);
	for (unsigned k = 0; k < kills; k++) {
		pid_t child[VMS_MAX];
		unsigned worlds = hf_children(&h, child, VMS_MAX);
		uint64_t limit = now_ns() + 60000000000u;

		take(&h, n, &before);
		cr_assert_eq(before.running, n);
		cr_assert_gt(worlds, 0u);
		seed = seed * 1103515245u + 12345u;
		kill(child[seed / 65536 % worlds], SIGKILL);
		do {
			pause_ms(20);
			take(&h, n, &after);
			cr_assert_leq(after.starts, before.starts + 1,
				      "more than one VM ended:\n%s", h.said);
			cr_assert_geq(after.running, n - 1, "another VM ended:\n%s", h.said);
			cr_assert_lt(now_ns(), limit, "it did not come back:\n%s", h.said);
		} while (after.starts == before.starts || after.running < n);
		/* All others go on. */
		take(&h, n, &before);
		until_all_ran(&h, n, &before, 1);
	}
	hf_finish(&h);
}

/* ---- what one more costs ---- */

static uint64_t pss_kib(pid_t pid)
{
	char path[64], line[256];
	unsigned long long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Pss: %llu kB", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

/* Pages of guest RAM with memory behind them, of all VMs of host @pid: 8 MiB each (see above). */
static uint64_t touched_kib(pid_t pid)
{
	char path[64], full[384], target[64];
	struct dirent *e;
	uint64_t bytes = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	cr_assert_not_null(d);
	while ((e = readdir(d))) {
		off_t at = 0, hole, ram = 8 << 20;
		ssize_t len;
		int fd;

		snprintf(full, sizeof(full), "%s/%s", path, e->d_name);
		len = readlink(full, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = 0;
		if (!strstr(target, "memfd:ringside-ram") || (fd = open(full, O_RDONLY)) < 0)
			continue;
		while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < ram) {
			hole = lseek(fd, at, SEEK_HOLE);
			bytes += (uint64_t)((hole < ram ? hole : ram) - at);
			at = hole;
		}
		close(fd);
	}
	closedir(d);
	return bytes / 1024;
}

/* What host and worlds have in memory beyond the RAM that the guests touched. */
static int64_t footprint_kib(struct hf *h)
{
	pid_t child[4 * VMS_MAX];
	unsigned n = hf_children(h, child, 4 * VMS_MAX);
	uint64_t kib = pss_kib(h->pid);

	for (unsigned i = 0; i < n; i++)
		kib += pss_kib(child[i]);
	return (int64_t)kib - (int64_t)touched_kib(h->pid);
}

static int64_t footprint_of(unsigned n)
{
	static struct text t;
	static struct hf h;
	int64_t kib;

	memset(&h, 0, sizeof(h));
	t.len = 0;
	add(&t, "vms = (\n");
	add_many(&t, n, "idle", "");
	finish_text(&t);
	hf_start(&h, t.buf, NULL);
	for (unsigned i = 0; i < n; i++) {
		char name[16], seen[4096] = "";
		int fd;

		snprintf(name, sizeof(name), "v%u", i);
		fd = hf_attach(&h, name);
		hf_read_until(&h, fd, seen, sizeof(seen), "idle");
		close(fd);
	}
	kib = footprint_kib(&h);
	hf_finish(&h);
	return kib;
}

Test(host_many, an_idle_vm_costs_little_memory)
{
	unsigned n = setting("HOST_MANY", 6);
	int64_t one = footprint_of(1), many = footprint_of(n);
	int64_t each = (many - one) / (int64_t)(n - 1);

	fprintf(stderr,
		"host_many: an idle VM takes %lld KiB beyond the guest RAM it touched (1 VM: %lld, "
		"%u: %lld)\n",
		(long long)each, (long long)one, n, (long long)many);
	/* The sanitizers' shadow memory is not what is meant. */
#ifndef __SANITIZE_ADDRESS__
	cr_expect_leq(each, 6 * 1024);
#endif
}

/* From the request to the end of a guest that ends with its first instructions: an upper bound. */
Test(host_many, a_vm_starts_quickly)
{
	static uint64_t ns[30];
	static struct text t;
	static struct hf h;
	unsigned rounds = sizeof(ns) / sizeof(ns[0]);

	add(&t, "vms = ( { name = \"v\"; image = \"%s\"; console = \"none\"; start = false; } );\n",
	    image("hostile-int80"));
	hf_start(&h, t.buf, "--stay");
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t t0 = now_ns();

		hf_do(&h, "{\"cmd\":\"start\",\"vm\":\"v\"}");
		hf_do(&h, "{\"cmd\":\"wait\",\"vm\":\"v\"}");
		ns[i] = now_ns() - t0;
		cr_expect_eq(hf_num(&h, "v", "last_status"), 33);
	}
	qsort(ns, rounds, sizeof(ns[0]), by_size);
	fprintf(stderr,
		"host_many: start to end of a guest that does nothing: median %.1f ms, worst "
		"%.1f\n",
		(double)ns[rounds / 2] / 1e6, (double)ns[rounds - 1] / 1e6);
	if (strict())
		cr_expect_leq(ns[rounds / 2], 15000000u);
	hf_finish(&h);
}

/* Two vCPUs fit on two pCPUs, but not beside another VM: then who waits for a lock makes way. */
Test(host_many, locks_make_way_where_vms_compete)
{
	static struct text t;
	static struct hf h;
	struct json_object *answer;

	add(&t, "pcpus = 2;\nvms = (\n");
	add(&t,
	    "{ name = \"t\"; image = \"%s\"; append = \"2\"; vcpus = 2; console = \"none\"; },\n",
	    image("ticket"));
	add_minios(&t, "hog", "spin", 100, "console = \"none\"; ");
	finish_text(&t);
	hf_start(&h, t.buf, NULL);
	hf_do(&h, "{\"cmd\":\"wait\",\"vm\":\"t\"}");
	cr_expect_eq(hf_num(&h, "t", "last_status"), 33);
	answer = hf_ask(&h, "{\"cmd\":\"account\",\"vm\":\"t\"}");
	cr_expect_not_null(strstr(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN),
				  "\"cause\":\"pause\""));
	json_object_put(answer);
	hf_finish(&h);
}
