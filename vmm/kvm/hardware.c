/* SPDX-License-Identifier: MIT */
/*
 * Exits of the hardware by reason, vCPU and place in the guest.
 *
 * The thread that makes a KVM_RUN has a ring of its own, which the kernel fills meanwhile, and
 * afterwards counts what is in it for the vCPU that it ran: so nobody cares on which thread a vCPU
 * runs next.  A KVM_RUN can be long; when its ring is half full, a thread that waits for that
 * empties it.  All counts are under one lock, which is free nearly always.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/kvm/hardware.h"

#define NOBODY UINT32_MAX

struct kvm_hw_thread {
	pthread_t id;
	unsigned vcpu; /* whose exits are in the ring; NOBODY: they are of no run of ours */
	struct kvm_hw *hw;
	struct kvm_ring ring;
	struct kvm_hw_thread *next;
};

/* ---- counting; with the lock ---- */

/* There is memory at @gpa: RAM, or what an assigned device shares. */
static bool is_memory(const void *arg, uint64_t gpa)
{
	const struct vm *vm = arg;

	if (gpa < vm->ram_len)
		return true;
	for (unsigned i = 0; i < vm->regions; i++)
		if (gpa >= vm->region[i].gpa && gpa - vm->region[i].gpa < vm->region[i].len)
			return true;
	return false;
}

static struct hw_kind *kind_of(struct kvm_hw *hw, const struct hw_exit *x, enum hw_cause cause,
			       const uint8_t *raw, size_t len)
{
	struct hw_kind *k = hw->kind;

	for (unsigned i = 0; i < hw->kinds; i++, k++)
		if (k->reason == x->reason && k->isa == x->isa && k->cause == cause)
			return k;
	if (hw->kinds == HW_KINDS_MAX)
		return NULL;
	hw->kinds++;
	*k = (struct hw_kind){ .isa = x->isa, .reason = x->reason, .cause = cause };
	kvm_format_reason(hw->format, raw, len, k->name, sizeof(k->name));
	return k;
}

static void count(void *arg, const uint8_t *raw, size_t len)
{
	struct kvm_hw_thread *t = arg;
	struct kvm_hw *hw = t->hw;
	struct hw_vcpu *v;
	struct hw_kind *k;
	struct hw_exit x;

	if (t->vcpu == NOBODY)
		return;
	v = &hw->vcpu[t->vcpu];
	if (!kvm_format_read(hw->format, raw, len, &x)) {
		hw->unread++;
		return;
	}
	k = kind_of(hw, &x, hw_exit_cause(&x, is_memory, hw->vm), raw, len);
	if (!k) {
		hw->unread++;
		return;
	}
	v->total++;
	v->count[k - hw->kind]++;
	sites_add(&v->sites, (uint32_t)x.rip, (uint16_t)(k - hw->kind), 1);
}

static void drain(struct kvm_hw_thread *t)
{
	uint64_t lost = kvm_ring_drain(&t->ring, count, t);

	if (t->vcpu != NOBODY)
		t->hw->lost += lost;
}

/* ---- a thread for runs that are long ---- */

static void *drain_main(void *arg)
{
	struct kvm_hw *hw = arg;

	pthread_setname_np(pthread_self(), "kvm-exits");
	for (;;) {
		struct epoll_event ev;
		struct kvm_hw_thread *t;

		if (epoll_wait(hw->epoll, &ev, 1, -1) < 1)
			continue; /* a signal */
		t = ev.data.ptr;
		if (!t)
			return NULL; /* hw->stop */
		pthread_mutex_lock(&hw->lock);
		drain(t);
		if (ev.events & (EPOLLHUP | EPOLLERR)) /* the thread it was for has ended */
			epoll_ctl(hw->epoll, EPOLL_CTL_DEL, t->ring.fd, NULL);
		pthread_mutex_unlock(&hw->lock);
	}
}

static int watch(struct kvm_hw *hw, int fd, void *what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = what };

	return epoll_ctl(hw->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int start(struct kvm_hw *hw)
{
	sigset_t all, old;
	int err;

	hw->epoll = epoll_create1(EPOLL_CLOEXEC);
	hw->stop = eventfd(0, EFD_CLOEXEC);
	if (hw->epoll < 0 || hw->stop < 0 || watch(hw, hw->stop, NULL) < 0)
		return -errno;
	sigfillset(&all); /* signals are for the other threads */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&hw->drainer, NULL, drain_main, hw);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	hw->started = !err;
	return -err;
}

/* ---- around a run ---- */

static struct kvm_hw_thread *thread_new(struct kvm_hw *hw)
{
	struct kvm_hw_thread *t = calloc(1, sizeof(*t));

	if (!t) {
		snprintf(hw->why, sizeof(hw->why), "out of memory");
		return NULL;
	}
	t->id = pthread_self();
	t->hw = hw;
	if (kvm_ring_open(&t->ring, hw->event, hw->why, sizeof(hw->why)) < 0) {
		free(t);
		return NULL;
	}
	if (watch(hw, t->ring.fd, t) < 0)
		snprintf(hw->why, sizeof(hw->why), "a thread cannot be watched: %s",
			 strerror(errno));
	t->next = hw->threads;
	hw->threads = t;
	return t;
}

struct kvm_hw_thread *kvm_hw_begin(struct kvm_hw *hw, unsigned vcpu)
{
	struct kvm_hw_thread *t = NULL;

	if (!hw)
		return NULL;
	pthread_mutex_lock(&hw->lock);
	if (!*hw->why) {
		t = hw->threads;
		while (t && !pthread_equal(t->id, pthread_self()))
			t = t->next;
		if (!t)
			t = thread_new(hw);
	}
	if (t) {
		drain(t); /* of another VM's, if anything */
		t->vcpu = vcpu;
	}
	pthread_mutex_unlock(&hw->lock);
	return t;
}

void kvm_hw_end(struct kvm_hw *hw, struct kvm_hw_thread *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&hw->lock);
	drain(t);
	t->vcpu = NOBODY;
	pthread_mutex_unlock(&hw->lock);
}

/* ---- its life ---- */

struct kvm_hw *kvm_hw_new(const struct kvm_vm *k, const char *tracefs)
{
	struct kvm_hw *hw = calloc(1, sizeof(*hw));

	if (!hw)
		return NULL;
	hw->kvm = k;
	hw->vm = k->vm;
	hw->epoll = hw->stop = -1;
	pthread_mutex_init(&hw->lock, NULL);
	hw->format = kvm_format_open(tracefs, &hw->event, hw->why, sizeof(hw->why));
	if (hw->format) {
		int res = start(hw);

		if (res < 0)
			snprintf(hw->why, sizeof(hw->why), "there is no thread for it: %s",
				 strerror(-res));
	}
	return hw;
}

void kvm_hw_free(struct kvm_hw *hw)
{
	uint64_t one = 1;

	if (!hw)
		return;
	if (hw->started && write(hw->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(hw->drainer, NULL);
	for (struct kvm_hw_thread *t = hw->threads, *next; t; t = next) {
		next = t->next;
		kvm_ring_close(&t->ring);
		free(t);
	}
	if (hw->epoll >= 0)
		close(hw->epoll);
	if (hw->stop >= 0)
		close(hw->stop);
	for (unsigned i = 0; i < VM_VCPUS_MAX; i++)
		sites_free(&hw->vcpu[i].sites);
	kvm_format_free(hw->format);
	pthread_mutex_destroy(&hw->lock);
	free(hw);
}

uint64_t kvm_hw_total(const struct kvm_hw *hw)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < hw->vm->vcpus; i++)
		n += hw->vcpu[i].total;
	return n;
}

const char *kvm_hw_why(struct kvm_hw *hw)
{
	uint64_t exits = kvm_stats_get(hw->kvm->stats, "exits");

	for (unsigned i = 0; i < hw->vm->vcpus; i++)
		exits += kvm_stats_get(hw->kvm->vcpu_stats[i], "exits");
	/* Software (kvm_pvm) leaves its loop now and then, and counts that as exits. */
	if (!*hw->why && exits && !kvm_hw_total(hw))
		snprintf(hw->why, sizeof(hw->why),
			 "KVM's module %s does not pass the tracepoint kvm:kvm_exit",
			 hw->kvm->module);
	return *hw->why ? hw->why : NULL;
}
