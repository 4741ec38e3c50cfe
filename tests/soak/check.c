/* SPDX-License-Identifier: MIT */
/* The numbers of a soak: what the guest printed, what the account says, what the driver did. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/soak/drive_priv.h"

/* ---- what the guest says ---- */

/* The @which line must have the number after @*last. */
static void next_number(struct soak *s, const char *which, uint32_t n, uint32_t *last)
{
	if (n != *last + 1)
		soak_wrong(s, "%s %u came after %s %u", which, n, which, *last);
	*last = n;
}

void soak_line(struct soak *s, const char *line)
{
	unsigned a, b, n, m, k;
	char rest;

	if (sscanf(line, "echo %u%c", &n, &rest) == 1)
		next_number(s, "echo", n, &s->echoed);
	else if (sscanf(line, "beat %u%c", &n, &rest) == 1)
		next_number(s, "beat", n, &s->beats);
	else if (sscanf(line, "cpu %u vector %u handled %u%c", &a, &b, &n, &rest) == 3 &&
		 a < SOAK_CPUS && b < 256)
		s->totals.handled[a][b] = n;
	else if (sscanf(line, "from %u to %u messages %u received %u ipis %u%c", &a, &b, &m, &k, &n,
			&rest) == 5 &&
		 a < SOAK_CPUS && b < SOAK_CPUS) {
		s->totals.ipis[a][b] = n;
		if (m != k || !m)
			soak_wrong(s, "CPU %u got %u of the %u messages of CPU %u", b, k, m, a);
	} else if (sscanf(line, "device %u seen %u%c", &a, &n, &rest) == 2 && a < SOAK_DEVICES) {
		s->totals.seen[a] = n;
	} else if (sscanf(line, "lines %u%c", &n, &rest) == 1)
		s->totals.lines = n;
	else if (!strcmp(line, "soak: running"))
		s->running = true;
	else if (!strcmp(line, "soak: quiet"))
		s->quiet = true;
	else if (!strcmp(line, "soak: PASS"))
		s->totals.passed = true;
	else if (!strcmp(line, "soak: FAIL"))
		soak_wrong(s, "the guest found something wrong");
	else if (!strncmp(line, "wrong: ", 7))
		soak_wrong(s, "the guest says %s", line);
	else
		soak_wrong(s, "the guest printed \"%s\"", line);
}

/* ---- what the account says ---- */

struct row {
	uint64_t raised, coalesced, delivered, dropped, pending;
	const char *path;
};

static uint64_t number(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (!json_object_object_get_ex(o, key, &v))
		return UINT64_MAX;
	return (uint64_t)json_object_get_int64(v);
}

static struct row row_of(struct json_object *o)
{
	return (struct row){
		.raised = number(o, "raised"),
		.coalesced = number(o, "coalesced"),
		.delivered = number(o, "delivered"),
		.dropped = number(o, "dropped"),
		.pending = number(o, "pending"),
		.path = json_object_get_string(json_object_object_get(o, "path")),
	};
}

/* The path that the vector came on, and, where the sender counts, how often it was raised. */
static void check_source(struct soak *s, unsigned cpu, unsigned vector, const struct row *row)
{
	const char *path = NULL;
	uint64_t raised = row->raised;

	if (vector == SOAK_VEC_COM1) {
		path = "external";
	} else if (vector == SOAK_VEC_TIMER) {
		path = "system";
	} else if (vector >= SOAK_VEC_IPI && vector < SOAK_VEC_IPI + SOAK_CPUS) {
		path = "ipi";
		raised = s->totals.ipis[vector - SOAK_VEC_IPI][cpu];
	} else if (vector == SOAK_VEC_LAST && cpu == SOAK_LAST_CPU) {
		path = "assigned";
		raised = 1;
	}
	for (unsigned d = 0; d < SOAK_DEVICES; d++) {
		if (cpu != SOAK_DEVICE_CPU(d) || vector != SOAK_DEVICE_VECTOR(d))
			continue;
		path = "assigned";
		raised = s->rung[d];
	}
	if (!path || !row->path || strcmp(path, row->path))
		soak_wrong(s, "vCPU %u vector %#x came as %s, not %s", cpu, vector,
			   row->path ? row->path : "nothing", path ? path : "expected at all");
	if (row->raised != raised)
		soak_wrong(s, "vCPU %u vector %#x: raised %" PRIu64 " times, sent %" PRIu64, cpu,
			   vector, row->raised, raised);
}

static void check_row(struct soak *s, struct json_object *o, bool seen[SOAK_CPUS][256])
{
	uint64_t cpu = number(o, "vcpu"), vector = number(o, "vector"), handled;
	struct row row = row_of(o);

	if (cpu >= SOAK_CPUS || vector > 255 || seen[cpu][vector]) {
		soak_wrong(s, "a row of the account is for vCPU %" PRIu64 " vector %" PRIu64, cpu,
			   vector);
		return;
	}
	seen[cpu][vector] = true;
	handled = s->totals.handled[cpu][vector];
	if (row.raised != row.coalesced + row.delivered || row.dropped || row.pending)
		soak_wrong(s,
			   "vCPU %" PRIu64 " vector %#" PRIx64 ": raised %" PRIu64
			   ", coalesced %" PRIu64 ", delivered %" PRIu64 ", dropped %" PRIu64
			   ", pending %" PRIu64,
			   cpu, vector, row.raised, row.coalesced, row.delivered, row.dropped,
			   row.pending);
	if (row.delivered != handled)
		soak_wrong(s,
			   "vCPU %" PRIu64 " vector %#" PRIx64 ": delivered %" PRIu64
			   ", handled by the guest %" PRIu64,
			   cpu, vector, row.delivered, handled);
	check_source(s, (unsigned)cpu, (unsigned)vector, &row);
	s->r->raised += row.raised;
	s->r->coalesced += row.coalesced;
	s->r->delivered += row.delivered;
}

/* What the guest handled has a row, and the sources were all at work. */
static void check_handled(struct soak *s, bool seen[SOAK_CPUS][256])
{
	for (unsigned cpu = 0; cpu < SOAK_CPUS; cpu++) {
		for (unsigned v = 0; v < 256; v++) {
			/* A spurious interrupt is nobody's. */
			if (s->totals.handled[cpu][v] && !seen[cpu][v] && v != SOAK_VEC_SPURIOUS)
				soak_wrong(s, "vCPU %u vector %#x was handled, and is in no row",
					   cpu, v);
		}
		if (!seen[cpu][SOAK_VEC_TIMER])
			soak_wrong(s, "vCPU %u had no timer interrupt", cpu);
		for (unsigned from = 0; from < SOAK_CPUS; from++)
			if (from != cpu && !seen[cpu][SOAK_VEC_IPI + from])
				soak_wrong(s, "vCPU %u had no IPI from vCPU %u", cpu, from);
	}
	if (!seen[0][SOAK_VEC_COM1])
		soak_wrong(s, "COM1 did not interrupt");
	for (unsigned d = 0; d < SOAK_DEVICES; d++)
		if (!seen[SOAK_DEVICE_CPU(d)][SOAK_DEVICE_VECTOR(d)])
			soak_wrong(s, "device %u did not interrupt", d);
	if (!seen[SOAK_LAST_CPU][SOAK_VEC_LAST])
		soak_wrong(s, "the last doorbell did not interrupt");
}

static void check_account(struct soak *s)
{
	struct json_object *o = NULL, *irq, *rows = NULL;
	bool seen[SOAK_CPUS][256] = { 0 };

	if (lseek(s->stats_fd, 0, SEEK_SET) == 0)
		o = json_object_from_fd(s->stats_fd);
	if (!o || !json_object_object_get_ex(o, "interrupts", &irq) ||
	    !json_object_object_get_ex(irq, "vectors", &rows)) {
		soak_wrong(s, "there is no account of interrupts");
		json_object_put(o);
		return;
	}
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		check_row(s, json_object_array_get_idx(rows, i), seen);
	check_handled(s, seen);
	json_object_put(o);
}

void soak_check(struct soak *s)
{
	for (unsigned cpu = 0; cpu < SOAK_CPUS; cpu++)
		for (unsigned v = 0; v < 256; v++)
			s->r->interrupts += s->totals.handled[cpu][v];
	s->r->lines = s->echoed;
	for (unsigned d = 0; d < SOAK_DEVICES; d++) {
		s->r->rings += s->rung[d];
		if (s->cfg->shm && s->totals.seen[d] != s->rung[d])
			soak_wrong(s, "device %u rang %u times, and the guest saw %u", d,
				   s->rung[d], s->totals.seen[d]);
	}
	if (!s->totals.passed)
		soak_wrong(s, "the guest did not say that it passed");
	if (s->totals.lines != s->sent || s->echoed != s->sent)
		soak_wrong(s, "%u lines were sent, %u arrived, %u came back", s->sent,
			   s->totals.lines, s->echoed);
	if (!s->sent)
		soak_wrong(s, "no line was sent");
	if (s->cfg->ringside)
		check_account(s);
}
