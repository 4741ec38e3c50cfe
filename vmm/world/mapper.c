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
	return rq->nr == SYS_munmap || (rq->nr == SYS_mmap && rq->arg[2] == last->arg[2] &&
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

/* The world is gone if its pidfd is readable. */
static bool world_gone(const struct world *w)
{
	struct pollfd p = { .fd = w->pidfd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

int world_flush(struct world *w)
{
	static const struct timespec look_again = { .tv_nsec = 100000000 };
	struct vm *vm = w->vcpu->vm;
	struct world_xchg *x = w->xchg;
	uint64_t deadline = 0;
	uint32_t done;
	int32_t error;

	if (!w->queued)
		return 0;
	w->ctl->map_count = w->queued;
	w->seq++;
	__atomic_store_n(&w->ctl->map_seq, w->seq, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &w->ctl->map_seq, FUTEX_WAKE, 1, NULL, NULL, 0);
	while ((done = __atomic_load_n(&x->map_done, __ATOMIC_SEQ_CST)) != w->seq) {
		/* Only a breached world writes anything else here. */
		if (done != w->seq - 1)
			return vm_kill(vm,
				       "the world broke protocol: mapper report %u, expected %u",
				       done, w->seq);
		syscall(SYS_futex, &x->map_done, FUTEX_WAIT, done, &look_again, NULL, 0);
		if (world_gone(w)) {
			w->dead = true;
			return vm_host_fail(vm, "a world process died while its memory was mapped");
		}
		if (!deadline)
			deadline = host_ns() + UNANSWERED_NS;
		else if (host_ns() > deadline)
			return vm_kill(vm, "the world broke protocol: its mapper does not answer");
	}
	error = __atomic_load_n(&x->map_error, __ATOMIC_RELAXED);
	if (error) {
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
