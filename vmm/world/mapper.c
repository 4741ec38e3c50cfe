/* SPDX-License-Identifier: MIT */
/* The VMM's end of a world's mapper thread: batches of system calls on its address space. */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/tsc.h"
#include "vmm/world/world.h"

/* Does @rq do for the following addresses what @last does?  Then one system call does both. */
static bool continues(const struct world_request *last, const struct world_request *rq)
{
	if (rq->nr != last->nr || rq->arg[0] != last->arg[0] + last->arg[1])
		return false;
	return rq->nr == SYS_munmap ||
	       (rq->nr == SYS_mmap && rq->arg[2] == last->arg[2] && rq->arg[4] == last->arg[4] &&
		rq->arg[5] == last->arg[5] + last->arg[1]);
}

int world_queue(struct world *w, const struct world_request *rq)
{
	if (w->queued && continues(&w->ctl->req[w->queued - 1], rq)) {
		w->ctl->req[w->queued - 1].arg[1] += rq->arg[1];
		return 0;
	}
	if (w->queued == WORLD_BATCH) {
		int err = world_flush(w);

		if (err)
			return err;
	}
	w->ctl->req[w->queued++] = *rq;
	return 0;
}

/* Wait for the mapper's report.  0 with it in *@report, or negative errno. */
static int wait_report(struct world *w, uint64_t *report)
{
	struct vm *vm = w->vcpu->vm;
	uint64_t deadline = 0;

	for (;;) {
		struct pollfd p[] = { { .fd = w->done_fd, .events = POLLIN },
				      { .fd = w->pidfd, .events = POLLIN } };

		poll(p, 2, 100);
		if ((p[0].revents & POLLIN) &&
		    read(w->done_fd, report, sizeof(*report)) == sizeof(*report))
			return 0;
		if (p[1].revents) {
			w->dead = true;
			return vm_host_fail(vm, "a world process died while its memory was mapped");
		}
		if (!deadline)
			deadline = host_ns() + UNANSWERED_NS;
		else if (host_ns() > deadline)
			return vm_host_fail(vm, "the mapper of a world does not answer");
	}
}

int world_flush(struct world *w)
{
	struct vm *vm = w->vcpu->vm;
	struct world_xchg *x = w->xchg;
	uint64_t report;
	int err;

	if (!w->queued)
		return 0;
	w->ctl->map_count = w->queued;
	w->seq++;
	__atomic_store_n(&w->ctl->map_seq, w->seq, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &w->ctl->map_seq, FUTEX_WAKE, 1, NULL, NULL, 0);
	err = wait_report(w, &report);
	if (err)
		return err;
	if (report != MAP_DONE) {
		int32_t error = __atomic_load_n(&x->map_error, __ATOMIC_RELAXED);
		uint32_t i = __atomic_load_n(&x->map_index, __ATOMIC_RELAXED);
		const struct world_request *rq = &w->ctl->req[i < w->queued ? i : 0];

		w->queued = w->descs = 0;
		return vm_host_fail(vm, "the host refused system call %llu at %#llx in a world: %s",
				    (unsigned long long)rq->nr, (unsigned long long)rq->arg[0],
				    error < 0 && error >= -4095 ? strerror(-error) : "bad report");
	}
	w->queued = w->descs = 0;
	return 0;
}
