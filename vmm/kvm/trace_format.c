/* SPDX-License-Identifier: MIT */
/* The records of kvm:kvm_exit: where their fields are, and how the kernel prints them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <traceevent/event-parse.h>
#include <traceevent/trace-seq.h>
#include <unistd.h>

#include "vmm/kvm/trace.h"

#define FORMAT_MAX (256u << 10) /* bytes; it has some 7000 */
#define EVENT      "events/kvm/kvm_exit"

struct field {
	unsigned offset, size; /* in bytes; a size of 0: this kernel's record has none */
};

struct kvm_format {
	struct tep_handle *tep;
	struct tep_event *event;
	size_t len; /* a record has at least so many bytes */
	struct field type, isa, reason, rip, info1, info2, intr_info;
};

static bool find(struct kvm_format *f, const char *name, struct field *out)
{
	struct tep_format_field *t = tep_find_any_field(f->event, name);

	if (!t || t->offset < 0 || (t->size != 2 && t->size != 4 && t->size != 8))
		return false;
	*out = (struct field){ (unsigned)t->offset, (unsigned)t->size };
	if (out->offset + out->size > f->len)
		f->len = out->offset + out->size;
	return true;
}

struct kvm_format *kvm_format_new(const char *text, size_t len, char *err, size_t size)
{
	struct kvm_format *f = calloc(1, sizeof(*f));

	if (!f) {
		snprintf(err, size, "out of memory");
		return NULL;
	}
	tep_set_loglevel(TEP_LOG_NONE);
	f->tep = tep_alloc();
	if (f->tep)
		tep_parse_event(f->tep, text, (unsigned long)len, "kvm");
	f->event = f->tep ? tep_find_event_by_name(f->tep, "kvm", "kvm_exit") : NULL;
	/* What it is printed by may be beyond the parser: then reasons have numbers. */
	if (f->event && find(f, "common_type", &f->type) && find(f, "isa", &f->isa) &&
	    find(f, "exit_reason", &f->reason) && find(f, "guest_rip", &f->rip)) {
		find(f, "info1", &f->info1);
		find(f, "info2", &f->info2);
		find(f, "intr_info", &f->intr_info);
		return f;
	}
	snprintf(err, size,
		 "the records of this kernel's tracepoint kvm:kvm_exit are not of a known kind");
	kvm_format_free(f);
	return NULL;
}

void kvm_format_free(struct kvm_format *f)
{
	if (!f)
		return;
	tep_free(f->tep);
	free(f);
}

/* ---- from the kernel ---- */

/* Returns the length, or negative errno. */
static ssize_t read_file(const char *dir, const char *name, char *buf, size_t size)
{
	char path[512];
	size_t len = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/" EVENT "/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf + len, size - 1 - len)) > 0)
		len += (size_t)n;
	n = n < 0 ? -errno : (ssize_t)len;
	close(fd);
	buf[len] = '\0';
	return n;
}

static const char *place(const char *tracefs)
{
	static const char *const usual[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };

	if (tracefs)
		return tracefs;
	for (size_t i = 0; i < 2; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s/events", usual[i]);
		/* What may not even be looked at is there. */
		if (!access(path, F_OK) || errno == EACCES)
			return usual[i];
	}
	return NULL;
}

static void refuse(const char *dir, int error, char *err, size_t size)
{
	if (error == ENOENT)
		snprintf(err, size, "this kernel has no tracepoint kvm:kvm_exit (%s/" EVENT ")",
			 dir);
	else if (error == EACCES || error == EPERM)
		snprintf(err, size, "only root may read %s/" EVENT, dir);
	else
		snprintf(err, size, "%s/" EVENT ": %s", dir, strerror(error));
}

struct kvm_format *kvm_format_open(const char *tracefs, uint64_t *id, char *err, size_t size)
{
	const char *dir = place(tracefs);
	struct kvm_format *f = NULL;
	char number[32], *end, *text;
	ssize_t n;

	if (!dir) {
		snprintf(err, size,
			 "there is no tracing file system (mount -t tracefs tracefs "
			 "/sys/kernel/tracing)");
		return NULL;
	}
	n = read_file(dir, "id", number, sizeof(number));
	if (n < 0) {
		refuse(dir, (int)-n, err, size);
		return NULL;
	}
	errno = 0;
	*id = strtoull(number, &end, 10);
	if (errno || end == number) {
		snprintf(err, size, "%s/" EVENT "/id is not a number", dir);
		return NULL;
	}
	text = malloc(FORMAT_MAX);
	n = text ? read_file(dir, "format", text, FORMAT_MAX) : -ENOMEM;
	if (n < 0)
		refuse(dir, (int)-n, err, size);
	else
		f = kvm_format_new(text, (size_t)n, err, size);
	free(text);
	return f;
}

/* ---- records ---- */

/* Little-endian, as this machine is.  0 for a field that is not there. */
static uint64_t get(const uint8_t *raw, const struct field *f)
{
	uint64_t val = 0;

	memcpy(&val, raw + f->offset, f->size);
	return val;
}

bool kvm_format_read(const struct kvm_format *f, const void *raw, size_t len, struct hw_exit *x)
{
	if (len < f->len || (int)get(raw, &f->type) != f->event->id)
		return false;
	*x = (struct hw_exit){ .isa = (uint32_t)get(raw, &f->isa),
			       .reason = (uint32_t)get(raw, &f->reason),
			       .rip = get(raw, &f->rip),
			       .info1 = get(raw, &f->info1),
			       .info2 = get(raw, &f->info2),
			       .intr_info = (uint32_t)get(raw, &f->intr_info) };
	return true;
}

/* The kernel prints "vcpu 0 reason npf rip 0x...": what is between those words. */
static bool cut(char *text, char *buf, size_t size)
{
	char *from = strstr(text, "reason "), *to;

	if (!from)
		return false;
	from += 7;
	to = strstr(from, " rip ");
	if (!to || to == from || (size_t)(to - from) >= size)
		return false;
	*to = '\0';
	for (char *c = from; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	snprintf(buf, size, "%s", from);
	return true;
}

void kvm_format_reason(struct kvm_format *f, const void *raw, size_t len, char *buf, size_t size)
{
	struct tep_record rec = { .data = (void *)(uintptr_t)raw,
				  .size = (int)len,
				  .record_size = (int)len };
	struct trace_seq seq;
	struct hw_exit x;
	bool named;

	trace_seq_init(&seq);
	tep_print_event(f->tep, &seq, &rec, "%s", TEP_PRINT_INFO);
	trace_seq_terminate(&seq);
	named = cut(seq.buffer, buf, size);
	trace_seq_destroy(&seq);
	if (!named)
		snprintf(buf, size, "reason %#x", kvm_format_read(f, raw, len, &x) ? x.reason : 0);
}
