/* SPDX-License-Identifier: MIT */
/* The ring of recent exits, and the trace file. */
#include "vmm/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/account.h"
#include "vmm/symbols.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define BUFFER_SIZE (1u << 20)
#define MEMO_SIZE   512 /* a power of two */

/* Disassembly is slow and guests loop: the texts of recent instructions are kept. */
struct memo {
	uint32_t eip;
	uint8_t len, bits;
	uint8_t insn[INSN_MAX];
	char text[104];
};

struct trace {
	pthread_mutex_t lock; /* the vCPUs of a VM share a trace */
	struct trace_entry ring[TRACE_RING];
	uint64_t count; /* entries ever */
	/* With a file only: */
	FILE *f;
	char *path;
	enum trace_format format;
	struct memo *memo; /* [MEMO_SIZE] */
	uint64_t start_ns; /* the guest's first instruction, as far as the first exit tells */
	bool named;        /* Chrome: process and thread names are written */
	int error; /* negative errno of the write that failed; nothing is written after it */
};

/* ---- text of an entry ---- */

void trace_insn_text(const struct trace_entry *e, char *buf, size_t size)
{
	struct insn in;

	if (e->insn_len && insn_decode(e->insn, e->insn_len, e->bits, &in) == 0)
		insn_format(&in, e->eip, buf, size);
	else
		snprintf(buf, size, "-");
}

void trace_symbol_text(const struct symbols *s, uint32_t eip, char *buf, size_t size)
{
	uint32_t off = 0;
	const char *name = symbols_find(s, eip, &off);

	if (!name)
		snprintf(buf, size, "-");
	else if (off)
		snprintf(buf, size, "%.80s+0x%x", name, off);
	else
		snprintf(buf, size, "%.80s", name);
	/* No escape sequence of a hostile image reaches the user's terminal, no blank splits a
	 * column. */
	for (char *c = buf; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
}

static const char *memo_text(struct trace *t, const struct trace_entry *e)
{
	struct memo *m = &t->memo[(e->eip ^ e->eip >> 9) & (MEMO_SIZE - 1)];

	if (m->eip != e->eip || m->bits != e->bits || m->len != e->insn_len ||
	    memcmp(m->insn, e->insn, e->insn_len) || !*m->text) {
		m->eip = e->eip;
		m->bits = e->bits;
		m->len = e->insn_len;
		memcpy(m->insn, e->insn, sizeof(m->insn));
		trace_insn_text(e, m->text, sizeof(m->text));
	}
	return m->text;
}

/* ---- the file ---- */

static void put_start(struct trace *t)
{
	if (t->format == TRACE_TEXT)
		fputs("#   time, us  cpu eip      symbol                   instruction             "
		      "    "
		      "     cause         error    guest    hand-off handling, ns\n",
		      t->f);
	else
		fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", t->f);
}

static void put_text(struct trace *t, const struct vcpu *v, const struct trace_entry *e)
{
	uint64_t us_1000 = e->time_ns - t->start_ns;
	char sym[128], cause[32];

	trace_symbol_text(v->vm->symbols, e->eip, sym, sizeof(sym));
	fprintf(t->f, "%10llu.%03u v%-2u %08x %-24s %-32s %-13s %08x %8u %8u %8llu\n",
		(unsigned long long)(us_1000 / 1000), (unsigned)(us_1000 % 1000), v->id, e->eip,
		sym, memo_text(t, e), cause_name(e->cause, cause, sizeof(cause)), e->error,
		e->guest_ns, e->handoff_ns, (unsigned long long)e->handling_ns);
}

/* @s in quotes.  Our texts are ASCII; quotes and backslashes are the only ones to escape. */
static void put_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc((unsigned char)*s < ' ' || *s > '~' ? '?' : *s, f);
	}
	fputc('"', f);
}

/* Names for the tracks, which viewers show instead of numbers. */
static void put_names(struct trace *t, const struct vcpu *v)
{
	fprintf(t->f,
		"\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":"
		"\"ringside\"}},"
		"\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":%u,"
		"\"args\":{\"name\":\"vCPU %u exits\"}}",
		v->id, v->id);
	t->named = true;
}

/*
 * One complete event ("ph":"X") an exit; ts and dur in us.  Source: "Trace Event Format", the
 * Chromium project, sections "JSON Object Format" and "Complete Events".
 */
static void put_chrome(struct trace *t, const struct vcpu *v, const struct trace_entry *e)
{
	uint64_t ts = e->time_ns - t->start_ns;
	char sym[128], cause[32];

	if (!t->named)
		put_names(t, v);
	trace_symbol_text(v->vm->symbols, e->eip, sym, sizeof(sym));
	fputs(",\n{\"name\":", t->f);
	put_string(t->f, cause_name(e->cause, cause, sizeof(cause)));
	fprintf(t->f,
		",\"cat\":\"exit\",\"ph\":\"X\",\"pid\":1,\"tid\":%u,\"ts\":%llu.%03u,"
		"\"dur\":%llu.%03u,\"args\":{\"eip\":\"0x%08x\",\"symbol\":",
		v->id, (unsigned long long)(ts / 1000), (unsigned)(ts % 1000),
		(unsigned long long)(e->handling_ns / 1000), (unsigned)(e->handling_ns % 1000),
		e->eip);
	put_string(t->f, sym);
	fputs(",\"insn\":", t->f);
	put_string(t->f, memo_text(t, e));
	fprintf(t->f, ",\"error\":\"0x%x\",\"guest_ns\":%u,\"handoff_ns\":%u}}", e->error,
		e->guest_ns, e->handoff_ns);
}

static void check_file(struct trace *t)
{
	if (!t->error && ferror(t->f))
		t->error = errno ? -errno : -EIO;
}

static int trace_open(struct trace *t, const char *path, enum trace_format format)
{
	t->format = format;
	t->memo = calloc(MEMO_SIZE, sizeof(*t->memo));
	t->path = strdup(path);
	if (!t->memo || !t->path)
		return -ENOMEM;
	t->f = fopen(path, "we");
	if (!t->f)
		return -errno;
	setvbuf(t->f, NULL, _IOFBF, BUFFER_SIZE);
	put_start(t);
	return 0;
}

static void trace_release(struct trace *t)
{
	free(t->memo);
	free(t->path);
	free(t);
}

struct trace *trace_new(const char *path, enum trace_format format, char *err, size_t err_size)
{
	struct trace *t = calloc(1, sizeof(*t));
	int res = t ? 0 : -ENOMEM;

	if (t && path)
		res = trace_open(t, path, format);
	if (!res) {
		pthread_mutex_init(&t->lock, NULL);
		return t;
	}
	snprintf(err, err_size, "cannot write the trace to %s: %s", path ? path : "memory",
		 strerror(-res));
	if (t)
		trace_release(t);
	return NULL;
}

void trace_exit(struct trace *t, const struct vcpu *v, const struct trace_entry *e)
{
	pthread_mutex_lock(&t->lock);
	if (!t->count)
		t->start_ns = e->time_ns - (e->guest_ns < e->time_ns ? e->guest_ns : e->time_ns);
	t->ring[t->count++ % TRACE_RING] = *e;
	if (t->f && !t->error) {
		if (t->format == TRACE_TEXT)
			put_text(t, v, e);
		else
			put_chrome(t, v, e);
		check_file(t);
	}
	pthread_mutex_unlock(&t->lock);
}

int trace_free(struct trace *t)
{
	int error = 0;

	if (!t)
		return 0;
	if (t->f) {
		if (t->format == TRACE_CHROME && !t->error)
			fputs("\n]}\n", t->f);
		check_file(t);
		/* What the buffer still held can fail now, and a network file system when closing.
		 */
		if (fclose(t->f) && !t->error)
			t->error = -errno;
		error = t->error;
		if (error)
			fprintf(stderr, "ringside: the trace in %s is cut short: %s\n", t->path,
				strerror(-error));
	}
	trace_release(t);
	return error;
}

size_t trace_last(const struct trace *t, struct trace_entry out[TRACE_RING])
{
	size_t n;

	if (!t)
		return 0;
	n = t->count < TRACE_RING ? (size_t)t->count : TRACE_RING;
	for (size_t i = 0; i < n; i++)
		out[i] = t->ring[(t->count - n + i) % TRACE_RING];
	return n;
}
