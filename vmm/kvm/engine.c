/* SPDX-License-Identifier: MIT */
/*
 * The engine: run, kick, inject.
 *
 * A kick must reach a vCPU that is about to enter the guest as well as one that is there.  The
 * kicker sets v->kicked, then immediate_exit, then sends a signal to the thread in KVM_RUN; the
 * vCPU clears immediate_exit, says that it runs, and looks at v->kicked last.  So either it sees
 * that, or KVM sees immediate_exit, or the signal ends KVM_RUN.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/kvm/priv.h"
#include "vmm/kvm/trace.h"
#include "vmm/mem.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"

#define STEPS_MAX   20000u /* for one interrupt that waits */
#define KICK_SIGNAL (SIGRTMIN + 2)

static pthread_once_t kick_once = PTHREAD_ONCE_INIT;
static _Thread_local pid_t own_tid;

static struct kvm_engine *kvm_of(struct engine *e)
{
	return (struct kvm_engine *)e;
}

/* Its coming is all: a signal with a handler interrupts system calls. */
static void on_kick(int signo)
{
	(void)signo;
}

static void kick_setup(void)
{
	struct sigaction sa = { .sa_handler = on_kick };

	sigaction(KICK_SIGNAL, &sa, NULL);
}

static int engine_attach(struct vm *vm)
{
	pthread_once(&kick_once, kick_setup);
	tsc_hz();
	/* With KVM's local APICs an application processor waits for its SIPI in KVM. */
	for (unsigned i = 0; i < vm->vcpus && vm->kernel_irqchip; i++)
		vm->vcpu[i]->wait_sipi = false;
	return vm->kvm ? 0 : kvm_vm_create(vm);
}

static int engine_create(struct vcpu *v, struct engine **out)
{
	struct kvm_engine *e;
	struct kvm_vm *k;
	int res;

	res = v->vm->kvm ? 0 : engine_attach(v->vm);
	if (res)
		return res;
	k = v->vm->kvm;
	e = calloc(1, sizeof(*e));
	if (!e)
		return vm_host_fail(v->vm, "out of memory for KVM");
	e->engine.ops = &kvm_engine;
	e->v = v;
	e->kvm = k;
	e->fd = k->vcpu_fd[v->id];
	e->run = mmap(NULL, k->run_len, PROT_READ | PROT_WRITE, MAP_SHARED, e->fd, 0);
	if (e->run == MAP_FAILED) {
		free(e);
		return vm_host_fail(v->vm, "cannot map vCPU %u of KVM: %s", v->id, strerror(errno));
	}
	if (k->sync_regs)
		e->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	/* With KVM's local APICs the state of an application processor begins in KVM. */
	e->dirty = !v->vm->kernel_irqchip || v->id == 0;
	*out = &e->engine;
	return 0;
}

static void engine_destroy(struct engine *engine)
{
	struct kvm_engine *e = kvm_of(engine);

	/* The last moment: what is counted is of the vCPU and the VM while they exist. */
	kvm_stats_read(e->kvm->vcpu_stats[e->v->id]);
	kvm_stats_read(e->kvm->stats);
	munmap(e->run, e->kvm->run_len);
	free(e);
}

static void clear_immediate(struct kvm_engine *e)
{
	__atomic_store_n(&e->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
}

int kvm_complete(struct kvm_engine *e)
{
	if (!e->incomplete)
		return 0;
	__atomic_store_n(&e->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (ioctl(e->fd, KVM_RUN, 0) < 0 && errno != EINTR && errno != EAGAIN)
		return vm_host_fail(e->v->vm, "KVM_RUN to complete an instruction: %s",
				    strerror(errno));
	e->incomplete = false;
	return 0;
}

static int prepare(struct kvm_engine *e)
{
	int res = 0;

	if (e->dirty) {
		res = kvm_complete(e);
		if (!res)
			res = kvm_state_load(e);
		e->dirty = res != 0;
	}
	return res ? res : kvm_state_msrs(e);
}

static int fetch_regs(struct kvm_engine *e)
{
	struct kvm_regs r;

	if (e->kvm->sync_regs) {
		kvm_state_regs(e->v, &e->run->s.regs.regs);
		return 0;
	}
	if (ioctl(e->fd, KVM_GET_REGS, &r) < 0)
		return vm_host_fail(e->v->vm, "KVM_GET_REGS: %s", strerror(errno));
	kvm_state_regs(e->v, &r);
	return 0;
}

static int engine_run(struct engine *engine, unsigned flags, struct exit *x)
{
	struct kvm_engine *e = kvm_of(engine);
	int res = prepare(e), error = 0;
	struct kvm_hw_thread *counting;
	uint64_t t0, ns;

	(void)flags; /* a step is for engines that emulate */
	*x = (struct exit){ .reason = EXIT_KICK };
	if (res)
		return res;
	if (!own_tid)
		own_tid = (pid_t)syscall(SYS_gettid);
	clear_immediate(e);
	atomic_store(&e->running, own_tid);
	if (atomic_load(&e->v->kicked)) {
		atomic_store(&e->running, 0);
		return 0;
	}
	counting = kvm_hw_begin(e->kvm->hw, e->v->id);
	t0 = tsc_read();
	if (ioctl(e->fd, KVM_RUN, 0) < 0)
		error = errno;
	ns = tsc_to_ns(tsc_read() - t0);
	x->guest_ns = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
	atomic_store(&e->running, 0);
	kvm_hw_end(e->kvm->hw, counting);
	e->incomplete = false;
	if (error && error != EINTR && error != EAGAIN)
		return vm_host_fail(e->v->vm, "KVM (%s) does not run the guest: %s%s",
				    e->kvm->module, strerror(error),
				    error == EFAULT ? " (memory ran out, or a file shared with an "
						      "assigned device shrank)"
						    : "");
	res = fetch_regs(e);
	if (res || error)
		return res;
	return kvm_exit_decode(e, x);
}

static void engine_kick(struct engine *engine)
{
	struct kvm_engine *e = kvm_of(engine);
	pid_t tid;

	__atomic_store_n(&e->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	tid = atomic_load(&e->running);
	if (tid)
		syscall(SYS_tgkill, getpid(), tid, KICK_SIGNAL);
}

static void engine_load(struct engine *engine)
{
	struct kvm_engine *e = kvm_of(engine);

	/* Again, before the guest has run: an INIT came after an instruction that we emulated. */
	if (e->dirty)
		e->keep_events = false;
	e->dirty = true;
}

static int engine_save(struct engine *engine)
{
	struct kvm_engine *e = kvm_of(engine);
	int res;

	if (e->dirty) /* they were not KVM's yet */
		return 0;
	res = kvm_complete(e);
	return res ? res : kvm_state_save(e);
}

/*
 * KVM holds an NMI back by itself while another one is handled; but a halted vCPU must not be
 * resumed for it then.
 */
static unsigned engine_takes(struct engine *engine)
{
	struct kvm_engine *e = kvm_of(engine);
	unsigned takes = ENGINE_TAKES_NMI;
	struct kvm_vcpu_events ev;

	if (prepare(e)) /* the run, which is next, fails on that too */
		return 0;
	if (e->v->halted && (ioctl(e->fd, KVM_GET_VCPU_EVENTS, &ev) < 0 || ev.nmi.masked))
		takes = 0;
	return e->run->ready_for_interrupt_injection ? takes | ENGINE_TAKES_IRQ : takes;
}

/* Is the next instruction a hlt? */
static bool at_hlt(struct kvm_engine *e)
{
	struct kvm_translation tr = { 0 };
	struct kvm_sregs sr;
	const uint8_t *code = NULL;

	if (ioctl(e->fd, KVM_GET_SREGS, &sr) < 0)
		return false;
	tr.linear_address = (uint32_t)sr.cs.base + e->v->regs.eip;
	if (ioctl(e->fd, KVM_TRANSLATE, &tr) == 0 && tr.valid)
		code = vm_ptr(e->v->vm, tr.physical_address, 1);
	return code && *code == 0xf4;
}

/*
 * kvm_pvm executes instructions by the thousand and looks for a window only in between, so one of a
 * few instructions (sti; nop; cli) goes unnoticed.  There, step when something waits; the account
 * shows it as `step`.  Not for ever: a guest that computes with interrupts off must get on, and
 * can wait for the next look.  A guest that steps itself is left alone, and so is a hlt, which ends
 * the run anyway (and, stepped, ends the next one as well).
 */
static void set_step(struct kvm_engine *e, bool on)
{
	struct kvm_guest_debug dbg = { 0 };

	if (!e->kvm->batches)
		return;
	e->steps = on ? e->steps + 1 : 0;
	on = on && e->steps <= STEPS_MAX;
	on = on && !(e->v->regs.eflags & FL_TF) && !at_hlt(e);
	if (on == e->stepping)
		return;
	if (on)
		dbg.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	if (ioctl(e->fd, KVM_SET_GUEST_DEBUG, &dbg) == 0)
		e->stepping = on;
}

static void engine_irq_window(struct engine *engine, bool wanted)
{
	struct kvm_engine *e = kvm_of(engine);

	e->run->request_interrupt_window = wanted;
	set_step(e, wanted);
}

static int engine_inject(struct engine *engine, const struct event *ev)
{
	struct kvm_engine *e = kvm_of(engine);
	struct kvm_interrupt irq = { .irq = ev->vector };
	int res = ev->external ? ioctl(e->fd, KVM_INTERRUPT, &irq) : ioctl(e->fd, KVM_NMI, 0);

	if (res < 0)
		return vm_host_fail(e->v->vm, "KVM (%s) does not take vector %u: %s",
				    e->kvm->module, ev->vector, strerror(errno));
	if (ev->external) /* one at a time */
		e->run->ready_for_interrupt_injection = 0;
	return 0;
}

const struct engine_ops kvm_engine = {
	.name = "kvm",
	.attach = engine_attach,
	.create = engine_create,
	.destroy = engine_destroy,
	.run = engine_run,
	.kick = engine_kick,
	.load = engine_load,
	.save = engine_save,
	.takes = engine_takes,
	.irq_window = engine_irq_window,
	.inject = engine_inject,
};
