/* SPDX-License-Identifier: MIT */
/*
 * The I/O thread of a VM: runs the timers, feeds console input to the UART and writes console
 * output.  It holds the device lock but while it sleeps and while it writes, and it sleeps until
 * the earliest timer, a byte, or a call of io_wake(): an idle VM costs nothing.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/machine_priv.h"

/* Output waits this long for company, so that a line costs one write and not one for each byte. */
#define FLUSH_DELAY_NS 500000u
/* Or until there is this much of it, in bytes. */
#define FLUSH_BYTES 4096u
/* A port access prints at most its width in bytes; a bit of slack. */
#define OUT_HEADROOM 16u
/* Input is read so many bytes at a time for the keyboard: enough for a whole escape sequence. */
#define KEYS_AHEAD 16u
/* A vCPU that waits for room looks up so often whether the VM is to stop. */
#define STOP_POLL_NS 50000000u
/* When the user asked to stop, output that nobody reads for this long is given up. */
#define DRAIN_PATIENCE_MS 1000

enum io_event { EV_TIMER, EV_WAKE, EV_IN, EV_OUT }; /* EV_OUT + which */

static const char help_text[] = "\r\n"
				"Ctrl-A x       end the virtual machine\r\n"
				"Ctrl-A h       this help\r\n"
				"Ctrl-A Ctrl-A  send Ctrl-A (also Ctrl-A a)\r\n";

void io_wake(struct machine *m)
{
	struct io *io = &m->io;
	uint64_t one = 1;

	if (!io->asleep) {
		io->again = true;
		return;
	}
	io->asleep = false; /* once is enough */
	/* The counter cannot overflow (EAGAIN) as the thread resets it whenever it wakes. */
	while (write(io->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* Have the timerfd wake the thread for the earliest timer. */
static void io_program_timer(struct io *io, struct timers *ts)
{
	uint64_t next = timers_next(ts);
	struct itimerspec its = { 0 };

	if (next == io->programmed_ns)
		return;
	if (next != TIMER_NEVER) {
		/* Time 0 would disarm it. */
		its.it_value.tv_sec = (time_t)(next / 1000000000u);
		its.it_value.tv_nsec = (long)(next % 1000000000u) + (next == 0);
	}
	/* It can only fail for a time that is out of range, centuries away. */
	timerfd_settime(io->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
	io->programmed_ns = next;
}

static void io_rearmed(void *arg)
{
	struct machine *m = arg;

	/* Awake, it programs the timer before it sleeps. */
	if (m->io.asleep)
		io_program_timer(&m->io, &m->vm->timers);
}

static void io_flush_due(void *arg, uint64_t now_ns)
{
	struct machine *m = arg;

	(void)now_ns;
	m->io.flush_due = true;
}

void io_put(struct machine *m, unsigned which, uint8_t byte)
{
	struct console_out *o = &m->io.out[which];
	struct timers *ts = &m->vm->timers;

	console_out_put(o, &byte, 1);
	if (!m->io.started || !o->count || o->blocked || m->io.flush_due)
		return;
	if (o->count >= FLUSH_BYTES) {
		m->io.flush_due = true;
		io_wake(m);
	} else if (m->io.flush.deadline_ns == TIMER_NEVER) {
		timer_set(ts, &m->io.flush, timers_now(ts) + FLUSH_DELAY_NS);
	}
}

/* Output @o has ended with errno @err: say so, and let nobody wait for it. */
static void io_out_failed(struct machine *m, struct console_out *o, int err)
{
	o->error = err;
	console_out_advance(o, o->count);
	if (m->cfg.console_lossy)
		return;
	if (err == EPIPE)
		vm_host_fail(m->vm, "console output: nobody reads it any more (%s)", strerror(err));
	else
		vm_host_fail(m->vm, "console output: %s", strerror(err));
}

/*
 * Write one piece of @o, without the lock.  Returns false when there is nothing more to do for now.
 */
static bool io_write_piece(struct machine *m, struct console_out *o)
{
	const uint8_t *buf;
	size_t len = console_out_peek(o, &buf);
	long n;

	if (!len || o->blocked)
		return false;
	/* Only this thread takes bytes out, and the others only add behind them. */
	vm_unlock(m->vm);
	n = console_out_write(o, buf, len);
	vm_lock(m->vm);
	if (n == -EAGAIN)
		o->blocked = true;
	else if (n < 0)
		io_out_failed(m, o, (int)-n);
	else
		console_out_advance(o, (size_t)n);
	pthread_cond_broadcast(&m->io.room);
	return o->count && !o->blocked;
}

/* One piece each, so that timers are not late however much there is to write. */
static void io_output(struct machine *m)
{
	bool more = false;

	if (!m->io.flush_due)
		return;
	for (unsigned i = 0; i < OUT_COUNT; i++)
		more |= io_write_piece(m, &m->io.out[i]);
	m->io.flush_due = more;
	m->io.again |= more;
}

/* Write everything that is left, waiting for the reader.  Lock held, released while waiting. */
static void io_drain(struct machine *m, struct console_out *o)
{
	int end = atomic_load(&m->vm->end);
	int patience = m->cfg.console_lossy || end == VM_STOPPED || end == VM_TIMEOUT
			       ? DRAIN_PATIENCE_MS
			       : -1;

	while (o->count) {
		struct pollfd p = { .fd = o->fd, .events = POLLOUT };
		int ready = 1;

		o->blocked = false;
		if (io_write_piece(m, o) || !o->blocked)
			continue;
		vm_unlock(m->vm);
		ready = poll(&p, 1, patience);
		vm_lock(m->vm);
		if (ready == 0)
			break;
	}
}

void io_wait_room(struct machine *m, unsigned which)
{
	struct console_out *o = &m->io.out[which];

	if (m->cfg.console_lossy)
		return;
	while (console_out_room(o) < OUT_HEADROOM && !atomic_load(&m->vm->stop)) {
		struct timespec until;

		if (!m->io.started) {
			io_drain(m, o);
			return;
		}
		/* Who sets vm->stop does not know of us: look up now and then while we wait. */
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += STOP_POLL_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&m->io.room, &m->vm->lock, &until);
	}
}

/* Who takes the input: the keyboard under a display, else COM1. */
static size_t io_type(struct machine *m, const uint8_t *buf, size_t len)
{
	return m->display ? i8042_type(m->i8042, buf, len) : uart_rx(m->uart, buf, len);
}

static size_t io_room(const struct machine *m)
{
	if (!m->display)
		return uart_rx_room(m->uart);
	return i8042_wants(m->i8042) ? KEYS_AHEAD : 0;
}

/* Give them what was read. */
static void io_offer(struct machine *m)
{
	const uint8_t *buf;
	size_t len;

	while ((len = console_in_peek(&m->io.in, &buf)) > 0) {
		size_t taken = io_type(m, buf, len);

		if (!taken)
			break;
		console_in_advance(&m->io.in, taken);
	}
}

/* How much to read: what the UART has room for, so that piped input is not taken in vain. */
static size_t io_input_wanted(const struct machine *m)
{
	const struct console_in *in = &m->io.in;

	if (in->eof)
		return 0;
	if (in->escape)
		return CONSOLE_IN_SIZE;
	return in->count ? 0 : io_room(m);
}

static void io_input(struct machine *m)
{
	struct console_in *in = &m->io.in;
	size_t want;

	io_offer(m);
	want = io_input_wanted(m);
	if (!want || !(m->io.in_ready || in->kind == CONSOLE_DIRECT))
		return;
	m->io.in_ready = false;
	switch (console_in_read(in, want)) {
	case CONSOLE_QUIT: vm_end(m->vm, VM_STOPPED, 0); break;
	case CONSOLE_HELP:
		console_out_put(&m->io.out[OUT_COM1], help_text, sizeof(help_text) - 1);
		io_display_yield(m);
		m->io.flush_due = true;
		break;
	case CONSOLE_NOTHING: break;
	}
	io_offer(m);
	m->io.again |= in->kind == CONSOLE_DIRECT && io_input_wanted(m);
}

/* Have epoll report @fd, or not.  Removed and not just muted, as EPOLLHUP cannot be muted. */
static int io_watch(struct io *io, bool *watched, bool want, int fd, uint32_t events, uint64_t id)
{
	struct epoll_event ev = { .events = events, .data.u64 = id };

	if (want == *watched)
		return 0;
	if (epoll_ctl(io->epoll_fd, want ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &ev) < 0)
		return -errno;
	*watched = want;
	return 0;
}

static void io_watch_consoles(struct machine *m)
{
	struct io *io = &m->io;
	bool want = io->in.kind != CONSOLE_DIRECT && io_input_wanted(m) > 0;

	/* Not pollable after all (EPERM), so always ready. */
	if (io_watch(io, &io->in_watched, want, io->in.fd, EPOLLIN, EV_IN) < 0) {
		io->in.kind = CONSOLE_DIRECT;
		io->again = true;
	}
	for (unsigned i = 0; i < OUT_COUNT; i++) {
		struct console_out *o = &io->out[i];

		want = o->blocked && o->count;
		if (io_watch(io, &io->out_watched[i], want, o->fd, EPOLLOUT, EV_OUT + i) < 0) {
			o->blocked = false;
			timer_set(&m->vm->timers, &io->flush,
				  timers_now(&m->vm->timers) + 20 * FLUSH_DELAY_NS);
		}
	}
}

static void io_event(struct machine *m, uint64_t id)
{
	struct io *io = &m->io;
	uint64_t count;
	ssize_t n = 0;

	switch (id) {
	case EV_TIMER:
		n = read(io->timer_fd, &count, sizeof(count));
		io->programmed_ns = TIMER_NEVER;
		break;
	case EV_WAKE: n = read(io->wake_fd, &count, sizeof(count)); break;
	case EV_IN: io->in_ready = true; break;
	default:
		io->out[id - EV_OUT].blocked = false;
		io->flush_due = true;
		break;
	}
	(void)n; /* both are non-blocking: an event that was stale already is no matter */
}

static void *io_main(void *arg)
{
	struct machine *m = arg;
	struct io *io = &m->io;

	io_thread_prompt();
	vm_lock(m->vm);
	while (!io->stop) {
		struct epoll_event ev[8];
		int n;

		io->again = false;
		timers_run(&m->vm->timers, timers_now(&m->vm->timers));
		io_input(m);
		io_output(m);
		io_watch_consoles(m);
		if (io->again || io->stop)
			continue;
		io_program_timer(io, &m->vm->timers);
		io->asleep = true;
		vm_unlock(m->vm);
		n = epoll_wait(io->epoll_fd, ev, sizeof(ev) / sizeof(ev[0]), -1);
		vm_lock(m->vm);
		io->asleep = false;
		for (int i = 0; i < n; i++)
			io_event(m, ev[i].data.u64);
	}
	vm_unlock(m->vm);
	return NULL;
}

static int io_add(struct io *io, int fd, uint64_t id)
{
	bool watched = false;

	return io_watch(io, &watched, true, fd, EPOLLIN, id);
}

int io_init(struct machine *m)
{
	struct io *io = &m->io;
	pthread_condattr_t attr;

	io->programmed_ns = TIMER_NEVER;
	timer_init(&io->flush, io_flush_due, m);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&io->room, &attr);
	pthread_condattr_destroy(&attr);
	console_in_open(&io->in, m->cfg.console_in, m->cfg.console_escape);
	console_out_open(&io->out[OUT_COM1], m->cfg.console_out);
	console_out_open(&io->out[OUT_DEBUGCON], m->cfg.debugcon_out);
	io->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	io->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	io->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (io->epoll_fd < 0 || io->timer_fd < 0 || io->wake_fd < 0)
		return -errno;
	if (io_add(io, io->timer_fd, EV_TIMER) < 0 || io_add(io, io->wake_fd, EV_WAKE) < 0)
		return -errno;
	return 0;
}

void io_destroy(struct machine *m)
{
	struct io *io = &m->io;

	timer_cancel(&m->vm->timers, &io->flush);
	console_in_close(&io->in);
	for (unsigned i = 0; i < OUT_COUNT; i++)
		console_out_close(&io->out[i]);
	if (io->epoll_fd >= 0)
		close(io->epoll_fd);
	if (io->timer_fd >= 0)
		close(io->timer_fd);
	if (io->wake_fd >= 0)
		close(io->wake_fd);
	pthread_cond_destroy(&io->room);
}

int io_start(struct machine *m)
{
	struct io *io = &m->io;
	sigset_t all, old;
	int err;

	vm_lock(m->vm);
	io->stop = false;
	io->started = true;
	io->flush_due = true; /* of what was printed before */
	m->vm->timers.rearmed = io_rearmed;
	m->vm->timers.rearmed_arg = m;
	io_display_start(m);
	vm_unlock(m->vm);
	/* Signals are for the other threads; and a write to a closed pipe is to say EPIPE here. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&io->thread, NULL, io_main, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		io->started = false;
		m->vm->timers.rearmed = NULL;
	}
	return -err;
}

void io_stop(struct machine *m)
{
	struct io *io = &m->io;
	bool started;

	vm_lock(m->vm);
	started = io->started;
	io->stop = true;
	io_wake(m);
	vm_unlock(m->vm);
	if (started)
		pthread_join(io->thread, NULL);
	vm_lock(m->vm);
	io->started = false;
	m->vm->timers.rearmed = NULL;
	io_display_stop(m);
	for (unsigned i = 0; i < OUT_COUNT; i++)
		io_drain(m, &io->out[i]);
	vm_unlock(m->vm);
}
