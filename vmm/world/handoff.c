/* SPDX-License-Identifier: MIT */
/*
 * Hand-off between the pCPU thread and the runner.  Two ways, and a policy that chooses:
 *
 *   share  both threads on one CPU; the one that gives the turn away sleeps in a futex.  Costs two
 *          context switches a trap and no CPU time while the other side works.
 *   spin   on two CPUs; the waiting side polls the turn word.  Costs no system call at all, but
 *          burns the second CPU.
 *
 * Waking a sleeper on another, idle CPU costs far more than either (an inter-processor interrupt
 * and an idle exit, tens of microseconds on a virtual machine), so that combination is avoided:
 * while exits come quickly and a CPU is idle we spin, otherwise we share.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/account.h"
#include "vmm/host_cpus.h"
#include "vmm/tsc.h"
#include "vmm/world/world.h"

#define QUICK_NS    30000u    /* an exit sooner than this after the last is quick */
#define QUICK_RUN   16u       /* that many in a row start spinning */
#define SPIN_NS     60000u    /* poll that long, then sleep */
#define FAIR_NS     1500u     /* what a hand-off by spinning may cost on average */
#define DEAR_NS     20000u    /* what a sleeper woken on another CPU costs */
#define WINDOW      256u      /* hand-offs that the average is taken over */
#define RECHECK_NS  20000000u /* look at the host's load that often while spinning */
#define BACKOFF_MIN 4000000u  /* first pause after spinning did not pay */
#define BACKOFF_MAX 2000000000u
#define REHOME_NS   500000000u /* look for a better CPU that often while sharing */
#define SWITCH_NS   1000000u   /* no spinning for so long after a change of worlds ended it */
#define RUNNER_SPIN 2000u      /* polls of the runner, about SPIN_NS */
#define LOOK_NS     100000000u /* look after a sleeping runner that often */

const char *handoff_name(enum handoff_mode mode)
{
	return mode == HANDOFF_SPIN ? "spin" : "share";
}

/*
 * Is there a CPU for a spinner?  /proc/loadavg's fourth field begins with the number of runnable
 * tasks of the whole machine at this moment; @own of them are ours.
 */
static bool host_has_idle_cpu(unsigned own)
{
	long cpus = (long)host_cpu_count();
	unsigned running = 0;
	FILE *f;

	if (cpus < 2)
		return false;
	f = fopen("/proc/loadavg", "re");
	if (!f)
		return false;
	if (fscanf(f, "%*s %*s %*s %u", &running) != 1)
		running = (unsigned)cpus;
	fclose(f);
	return running < own || (long)(running - own) + 2 <= cpus;
}

/*
 * Where the runner may be: with us, or anywhere else.  The mapper is always with us: we sleep while
 * it works, and waking it on another CPU would take longer than its work.
 */
static void place_runner(struct world *w, enum handoff_mode mode)
{
	cpu_set_t set = *host_cpus();
	int home = w->handoff->home_cpu;

	if (mode == HANDOFF_SHARE) {
		CPU_ZERO(&set);
		CPU_SET(home, &set);
	} else {
		CPU_CLR(home, &set);
	}
	sched_setaffinity(w->pid, sizeof(set), &set);
	if (w->mapper) {
		CPU_ZERO(&set);
		CPU_SET(home, &set);
		sched_setaffinity(w->mapper, sizeof(set), &set);
	}
}

/*
 * While sharing, both threads are pinned to one CPU, where other load may pile up.  So now and then
 * the pCPU thread sleeps unpinned once, and settles where the host woke it.  Under a dispatcher a
 * pCPU stays where it is: then the vCPU asks for the one that is there.
 */
static void rehome(struct world *w)
{
	struct handoff *h = w->handoff;
	struct vcpu *v = w->vcpu;
	int cpu;

	if (v->unpinned) {
		v->unpinned = false;
		cpu = sched_getcpu();
		if (!v->cpu) {
			h->home_cpu = cpu;
		} else if (cpu != h->home_cpu) {
			v->want_cpu = cpu + 1;
			atomic_store(&v->preempt, true);
		}
		host_cpu_pin_self(h->home_cpu);
	} else if (tsc_read() > h->rehome_tsc) {
		h->rehome_tsc = tsc_read() + tsc_from_ns(REHOME_NS);
		v->unpinned = true;
		host_cpu_pin_self(-1);
	}
}

static void set_mode(struct handoff *h, enum handoff_mode mode)
{
	h->mode = mode;
	h->quick = h->window = 0;
	h->cost = 0;
}

int handoff_attach(struct world *w)
{
	struct handoff *h = w->vcpu->handoff;

	if (!h) {
		h = calloc(1, sizeof(*h));
		if (!h)
			return -ENOMEM;
		h->home_cpu = -1;
		h->backoff = BACKOFF_MIN;
		h->spin_ticks = tsc_from_ns(SPIN_NS);
		h->quick_ticks = tsc_from_ns(QUICK_NS);
		h->fair_ticks = tsc_from_ns(FAIR_NS);
		h->dear_ticks = tsc_from_ns(DEAR_NS);
		w->vcpu->handoff = h;
	}
	h->worlds++;
	w->handoff = h;
	w->placed_cpu = -1;
	return 0;
}

void handoff_detach(struct world *w)
{
	struct handoff *h = w->handoff;

	w->handoff = NULL;
	if (h && --h->worlds == 0) {
		w->vcpu->handoff = NULL;
		free(h);
	}
}

/*
 * Before a world runs: put its runner where the mode wants it.  Spinning does not go with changing
 * worlds: the runner left behind would poll on the CPU that the next one needs.
 */
void handoff_enter(struct world *w)
{
	struct handoff *h = w->handoff;

	if (w->vcpu->cpu && h->home_cpu != w->vcpu->cpu - 1) {
		h->home_cpu = w->vcpu->cpu - 1;
		h->rehome_tsc = tsc_read() + tsc_from_ns(REHOME_NS);
		w->vcpu->unpinned = false;
	} else if (h->home_cpu < 0) {
		/* Stay where we are: a pCPU is a thread pinned to a CPU. */
		h->home_cpu = sched_getcpu();
		h->rehome_tsc = tsc_read() + tsc_from_ns(REHOME_NS);
		host_cpu_pin_self(h->home_cpu);
	}
	if (h->last != w) {
		h->last = w;
		h->quick = 0;
		if (h->mode == HANDOFF_SPIN && !h->forced) {
			set_mode(h, HANDOFF_SHARE);
			account_handoff_switch(w->vcpu->account);
			h->retry_tsc = tsc_read() + tsc_from_ns(SWITCH_NS);
		}
	}
	if (w->placed_cpu != h->home_cpu || w->placed_mode != h->mode) {
		w->placed_cpu = h->home_cpu;
		w->placed_mode = h->mode;
		w->ctl->runner_spin = h->mode == HANDOFF_SPIN ? RUNNER_SPIN : 0;
		place_runner(w, h->mode);
	}
}

void handoff_force(struct world *w, enum handoff_mode mode)
{
	w->handoff->forced = true;
	set_mode(w->handoff, mode);
}

int handoff_choose(struct world *w, int option)
{
	/* A spinner on the only CPU would wait for a peer that cannot run. */
	if (option == 2 && host_cpu_count() < 2)
		return -EINVAL;
	if (option)
		handoff_force(w, option == 2 ? HANDOFF_SPIN : HANDOFF_SHARE);
	return 0;
}

static void stop_spinning(struct world *w)
{
	struct handoff *h = w->handoff;

	set_mode(h, HANDOFF_SHARE);
	account_handoff_switch(w->vcpu->account);
	h->retry_tsc = tsc_read() + tsc_from_ns(h->backoff);
	h->backoff = h->backoff * 2 > BACKOFF_MAX ? (uint64_t)BACKOFF_MAX : h->backoff * 2;
}

void handoff_learn(struct world *w, uint64_t guest_ticks, uint64_t handoff_ticks)
{
	struct handoff *h = w->handoff;
	bool quick = guest_ticks < h->quick_ticks;
	uint64_t now;

	if (h->forced)
		return;
	if (h->mode == HANDOFF_SHARE) {
		rehome(w);
		h->quick = quick ? h->quick + 1 : 0;
		if (h->quick < QUICK_RUN || w->vcpu->unpinned)
			return;
		h->quick = 0;
		now = tsc_read();
		if (now < h->retry_tsc)
			return;
		if (!host_has_idle_cpu(1)) {
			h->retry_tsc = now + tsc_from_ns(BACKOFF_MIN);
			return;
		}
		set_mode(h, HANDOFF_SPIN);
		account_handoff_switch(w->vcpu->account);
		h->recheck_tsc = now + tsc_from_ns(RECHECK_NS);
		return;
	}
	/*
	 * Spinning pays while hand-offs are cheap on average.  A few that met a descheduled peer
	 * cost more than all the others saved, so it is the sum that counts.  A long guest run
	 * counts as a dear one: the pCPU thread went to sleep and was woken across CPUs.
	 */
	h->window++;
	h->cost += quick ? handoff_ticks : h->dear_ticks;
	if (h->cost > WINDOW * h->fair_ticks) {
		stop_spinning(w);
		return;
	}
	if (h->window < WINDOW)
		return;
	h->window = 0;
	h->cost = 0;
	now = tsc_read();
	if (now < h->recheck_tsc)
		return;
	h->recheck_tsc = now + tsc_from_ns(RECHECK_NS);
	if (host_has_idle_cpu(2))
		h->backoff = BACKOFF_MIN; /* it pays: forgive the past */
	else
		stop_spinning(w);
}

/* Look after a runner that has had the turn for a while.  0, -ESRCH if it is gone or must go. */
static int check_runner(struct world *w)
{
	struct pollfd p = { .fd = w->pidfd, .events = POLLIN };
	uint64_t now = host_ns();

	if (poll(&p, 1, 0) > 0)
		return -ESRCH;
	if (!atomic_load(&w->vcpu->kicked)) {
		w->kick_ns = 0;
		return 0;
	}
	if (!w->kick_ns)
		w->kick_ns = now;
	/* A stop is not negotiable; other kicks are given time, the machine may be overloaded. */
	if (atomic_load(&w->vcpu->vm->stop) || now - w->kick_ns > UNANSWERED_NS) {
		if (now - w->kick_ns > UNANSWERED_NS / 20) {
			kill(w->pid, SIGKILL);
			return -ESRCH;
		}
	}
	return 0;
}

/*: 60. Whose turn it is
 * Two threads, one of which runs at a time: a futex on one CPU, or polling on two. This is where
 * nearly all of the cost of a trap is, and what hardware assistance makes cheap.
 */
int handoff_run(struct world *w)
{
	struct world_xchg *x = w->xchg;

	handoff_enter(w);
	w->tsc_posted = tsc_read();
	__atomic_store_n(&x->turn, TURN_RUNNER, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&x->runner_sleeps, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &x->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
	return handoff_wait(w);
}

int handoff_wait(struct world *w)
{
	static const struct timespec look_again = { .tv_nsec = LOOK_NS };
	struct world_xchg *x = w->xchg;
	uint64_t look = 0;

	w->kick_ns = 0;
	if (w->handoff->mode == HANDOFF_SPIN) {
		uint64_t limit = w->tsc_posted + w->handoff->spin_ticks;

		do {
			for (int i = 0; i < 32; i++) {
				if (__atomic_load_n(&x->turn, __ATOMIC_ACQUIRE) == TURN_VMM)
					return 0;
				__builtin_ia32_pause();
			}
		} while (tsc_read() < limit);
	}
	__atomic_store_n(&x->vmm_sleeps, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&x->turn, __ATOMIC_SEQ_CST) != TURN_VMM) {
		long res = syscall(SYS_futex, &x->turn, FUTEX_WAIT, TURN_RUNNER, &look_again, NULL,
				   0);

		uint32_t turn = __atomic_load_n(&x->turn, __ATOMIC_SEQ_CST);
		bool timed_out = res < 0 && errno == ETIMEDOUT;

		if (turn == TURN_VMM)
			break;
		/* A breached world may store any other value: then FUTEX_WAIT would not sleep. */
		if (turn != TURN_RUNNER)
			return -EPROTO;
		/* Or it may wake us without end, so that no wait ever times out. */
		if (!timed_out && !look)
			look = host_ns() + LOOK_NS;
		if (!timed_out && host_ns() < look)
			continue;
		look = 0;
		if (check_runner(w) < 0)
			return -ESRCH;
	}
	__atomic_store_n(&x->vmm_sleeps, 0, __ATOMIC_RELAXED);
	return 0;
}
