/* SPDX-License-Identifier: MIT */
/* perf's ring buffer of the records of one thread. */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/kvm/trace.h"

/* A run of KVM that does not come back can exit a million times a second, 80 bytes each. */
#define RING_MAX   (4u << 20)
#define RING_MIN   (64u << 10)
#define RECORD_MAX 256u /* a record of ours is shorter */

static const char *hint(int error)
{
	switch (error) {
	case EACCES:
	case EPERM: return "; root may, and CAP_PERFMON with a readable tracefs";
	case EMFILE: return " (too many open files)";
	default: return "";
	}
}

int kvm_ring_open(struct kvm_ring *r, uint64_t id, char *err, size_t size)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = id,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_RAW,
		.watermark = 1,
	};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	*r = (struct kvm_ring){ .fd = -1, .map = MAP_FAILED };
	/* Without the right to lock memory a user has half a megabyte. */
	for (size_t len = RING_MAX; len >= RING_MIN && r->map == MAP_FAILED; len /= 2) {
		kvm_ring_close(r);
		attr.wakeup_watermark = (uint32_t)(len / 2);
		r->fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
		if (r->fd < 0)
			break;
		r->len = page + len;
		r->map = mmap(NULL, r->len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	}
	if (r->map == MAP_FAILED) {
		int error = errno;

		snprintf(err, size, "recording the tracepoint kvm:kvm_exit: %s%s", strerror(error),
			 hint(error));
		kvm_ring_close(r);
		return -error;
	}
	return 0;
}

void kvm_ring_close(struct kvm_ring *r)
{
	if (r->map != MAP_FAILED)
		munmap(r->map, r->len);
	if (r->fd >= 0)
		close(r->fd);
	*r = (struct kvm_ring){ .fd = -1, .map = MAP_FAILED };
}

/* @len bytes at position @at, which may go around the ring's end. */
static void copy_out(void *to, const uint8_t *ring, uint64_t room, uint64_t at, size_t len)
{
	size_t start = (size_t)(at % room);
	size_t first = len < room - start ? len : (size_t)(room - start);

	memcpy(to, ring + start, first);
	memcpy((uint8_t *)to + first, ring, len - first);
}

/* struct perf_event_header, and what perf_event_open(2) says comes after it. */
static uint64_t record(const uint8_t *rec, size_t len, uint32_t type,
		       void (*sample)(void *arg, const uint8_t *raw, size_t len), void *arg)
{
	const size_t head = sizeof(struct perf_event_header);
	uint64_t lost = 0;
	uint32_t raw = 0;

	if (type == PERF_RECORD_LOST && len >= head + 16)
		memcpy(&lost, rec + head + 8, sizeof(lost));
	if (type == PERF_RECORD_SAMPLE && len >= head + sizeof(raw)) {
		memcpy(&raw, rec + head, sizeof(raw));
		if (sample && raw <= len - head - sizeof(raw))
			sample(arg, rec + head + sizeof(raw), raw);
	}
	return lost;
}

uint64_t kvm_ring_drain(struct kvm_ring *r,
			void (*sample)(void *arg, const uint8_t *raw, size_t len), void *arg)
{
	struct perf_event_mmap_page *page = r->map;
	const uint8_t *ring = (const uint8_t *)r->map + page->data_offset;
	uint64_t room = page->data_size, tail = page->data_tail, lost = 0;
	/* Pairs with the kernel, which writes the head last. */
	uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);

	while (tail != head) {
		uint8_t rec[RECORD_MAX];
		struct perf_event_header h;
		size_t len;

		copy_out(&h, ring, room, tail, sizeof(h));
		if (h.size < sizeof(h))
			break; /* not for this kernel to write; what follows has no beginning */
		len = h.size < RECORD_MAX ? h.size : RECORD_MAX;
		copy_out(rec, ring, room, tail, len);
		lost += record(rec, len, h.type, sample, arg);
		tail += h.size;
	}
	__atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
	return lost;
}
