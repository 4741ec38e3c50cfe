/* SPDX-License-Identifier: MIT */
/*
 * --display=text: the VGA text screen on the console's output, its input on the keyboard.  The text
 * is plain guest RAM, so it is looked at by a timer: 30 times a second while it changes, less often
 * when it has not for a while.  There is no timer in other modes.
 */
#include "vmm/machine_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/mem.h"

#define TEXT_BASE  0xb8000u
#define TEXT_CELLS 0x4000u /* 32 KiB */
/* Under 30 Hz, and 10 Hz once nothing has changed for so many looks. */
#define FAST_NS 34000000u
#define SLOW_NS 100000000u
/* For reading the help text. */
#define READ_NS    3000000000u
#define FAST_LOOKS 30

struct io_display {
	struct vtimer timer;
	struct display d;
	struct display_screen now;
	unsigned idle; /* looks since something changed */
	char out[DISPLAY_UPDATE_MAX];
};
_Static_assert(DISPLAY_UPDATE_MAX < CONSOLE_OUT_SIZE, "an update fits into the output buffer");

/* The guest is writing it as we read; each cell is read once. */
static bool look(struct machine *m, struct display_screen *s)
{
	const uint16_t *text = vm_ptr(m->vm, TEXT_BASE, TEXT_CELLS * sizeof(*text));
	struct vga_text t = vga_text(m->vga);

	if (!text)
		return false;
	for (unsigned i = 0; i < DISPLAY_CELLS; i++)
		s->cell[i] = __atomic_load_n(&text[(t.start + i) % TEXT_CELLS], __ATOMIC_RELAXED);
	s->cursor = (t.cursor - t.start) % TEXT_CELLS;
	s->cursor_on = t.cursor_on;
	s->blink = t.blink;
	return true;
}

/* Returns whether something changed. */
static bool show(struct machine *m)
{
	struct io_display *d = m->display;
	struct console_out *o = &m->io.out[OUT_COM1];
	size_t len;

	/* A terminal that is slower than that sees fewer pictures, but each of them whole. */
	if (console_out_room(o) < DISPLAY_UPDATE_MAX || !look(m, &d->now))
		return false;
	len = display_update(&d->d, &d->now, d->out);
	if (!len)
		return false;
	console_out_put(o, d->out, len);
	m->io.flush_due = true;
	io_wake(m);
	return true;
}

static void display_tick(void *arg, uint64_t now_ns)
{
	struct machine *m = arg;
	struct io_display *d = m->display;

	if (show(m))
		d->idle = 0;
	else if (d->idle < FAST_LOOKS)
		d->idle++;
	timer_set(&m->vm->timers, &d->timer, now_ns + (d->idle < FAST_LOOKS ? FAST_NS : SLOW_NS));
}

int io_display_create(struct machine *m)
{
	if (!m->cfg.display)
		return 0;
	m->display = calloc(1, sizeof(*m->display));
	if (!m->display)
		return -ENOMEM;
	timer_init(&m->display->timer, display_tick, m);
	return 0;
}

void io_display_free(struct machine *m)
{
	if (!m->display)
		return;
	timer_cancel(&m->vm->timers, &m->display->timer);
	free(m->display);
	m->display = NULL;
}

void io_display_start(struct machine *m)
{
	if (m->display)
		timer_set(&m->vm->timers, &m->display->timer, timers_now(&m->vm->timers));
}

void io_display_yield(struct machine *m)
{
	if (!m->display)
		return;
	m->display->d.valid = false;
	timer_set(&m->vm->timers, &m->display->timer, timers_now(&m->vm->timers) + READ_NS);
}

void io_display_stop(struct machine *m)
{
	struct io_display *d = m->display;

	if (!d)
		return;
	timer_cancel(&m->vm->timers, &d->timer);
	show(m);
	if (d->d.valid && console_out_room(&m->io.out[OUT_COM1]) >= DISPLAY_UPDATE_MAX / 2)
		console_out_put(&m->io.out[OUT_COM1], d->out, display_leave(d->out));
}
