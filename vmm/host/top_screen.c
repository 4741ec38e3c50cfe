/* SPDX-License-Identifier: MIT */
/* The full screen of `ringside top`. */
#include <errno.h>
#include <json-c/json.h>
#include <locale.h>
#include <ncurses.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/cli.h"
#include "vmm/host/host_cmd.h"
#include "vmm/host/top.h"
#include "vmm/tsc.h"

struct top {
	struct ctl_conn *conn;
	struct json_object *before, *after; /* samples */
	struct top_view view;
	enum top_sort sort;
	bool hide_vcpus, quit;
	char selected[HOST_VM_NAME_MAX + 1]; /* a VM's name, wherever it is sorted to */
	unsigned first;                      /* line of the table that is on top */
	char note[128];                      /* what the last key led to */
};

/* ---- drawing ---- */

static unsigned lines_of(const struct top *t, const struct top_vm *vm)
{
	return 1 + (t->hide_vcpus ? 0 : vm->vcpus);
}

static unsigned selected_index(const struct top *t)
{
	for (unsigned i = 0; i < t->view.vms; i++)
		if (!strcmp(t->view.vm[i].name, t->selected))
			return i;
	return 0;
}

/* Have the selected VM's lines on the screen, which has room for @rows. */
static void scroll_to_selected(struct top *t, unsigned rows)
{
	unsigned sel = selected_index(t), at = 0, len;

	if (!t->view.vms || !rows)
		return;
	for (unsigned i = 0; i < sel; i++)
		at += lines_of(t, &t->view.vm[i]);
	len = lines_of(t, &t->view.vm[sel]);
	if (at + len > t->first + rows)
		t->first = at + len - rows;
	if (at < t->first)
		t->first = at;
}

static void put(int y, int attr, const char *text)
{
	move(y, 0);
	clrtoeol();
	attrset(attr);
	addnstr(text, COLS > 0 ? COLS : 0);
	attrset(A_NORMAL);
}

static void draw_rows(const struct top *t, int top_y, int rows)
{
	unsigned line = 0;

	for (unsigned i = 0; i < t->view.vms; i++) {
		const struct top_vm *vm = &t->view.vm[i];
		bool sel = !strcmp(vm->name, t->selected);

		for (unsigned j = 0; j < lines_of(t, vm); j++, line++) {
			char text[TOP_LINE];
			int y = top_y + (int)line - (int)t->first;

			if (line < t->first || y >= top_y + rows)
				continue;
			if (j)
				top_vcpu_line(vm, j - 1, text);
			else
				top_vm_line(vm, text);
			put(y, sel && !j ? A_REVERSE : (j ? A_NORMAL : A_BOLD), text);
		}
	}
}

static void draw(struct top *t)
{
	char text[TOP_LINE];
	double cpu = 0;
	int rows = LINES - 3;

	for (unsigned i = 0; i < t->view.vms; i++)
		cpu += t->view.vm[i].r.cpu;
	erase();
	snprintf(text, sizeof(text), "ringside: %u VMs on %u CPUs, %.1f %% used; sorted by %s",
		 t->view.vms, t->view.pcpus, t->view.pcpus ? cpu / t->view.pcpus : 0,
		 top_sort_name(t->sort));
	put(0, A_NORMAL, text);
	if (LINES > 1) {
		top_heading(text);
		put(1, A_UNDERLINE, text);
	}
	if (rows > 0) {
		scroll_to_selected(t, (unsigned)rows);
		draw_rows(t, 2, rows);
		put(LINES - 1, A_DIM,
		    *t->note ? t->note : "q quit  s sort  v vCPUs  p pause/resume  arrows select");
	}
	refresh();
}

/* ---- what there is to draw ---- */

static int look(struct top *t)
{
	struct json_object *sample = top_sample(t->conn);
	struct top_view view;

	if (!sample)
		return -1;
	json_object_put(t->before);
	t->before = t->after;
	t->after = sample;
	if (top_compare(t->before, t->after, &view) < 0) {
		snprintf(t->conn->err, sizeof(t->conn->err), "out of memory");
		return -1;
	}
	top_view_free(&t->view);
	t->view = view;
	top_view_sort(&t->view, t->sort);
	if (t->view.vms && strcmp(t->view.vm[selected_index(t)].name, t->selected) != 0)
		snprintf(t->selected, sizeof(t->selected), "%s", t->view.vm[0].name);
	return 0;
}

/* ---- keys ---- */

static void select_by(struct top *t, int by)
{
	int to = (int)selected_index(t) + by;

	if (!t->view.vms)
		return;
	if (to < 0)
		to = 0;
	if (to >= (int)t->view.vms)
		to = (int)t->view.vms - 1;
	snprintf(t->selected, sizeof(t->selected), "%s", t->view.vm[to].name);
}

static int pause_selected(struct top *t)
{
	struct json_object *request = json_object_new_object(), *reply;
	bool paused = t->view.vms && !strcmp(t->view.vm[selected_index(t)].state, "paused");

	json_object_object_add(request, "cmd", json_object_new_string(paused ? "resume" : "pause"));
	json_object_object_add(request, "vm", json_object_new_string(t->selected));
	reply = conn_ask(t->conn, request, 10);
	if (!reply)
		return -1;
	if (!json_object_get_boolean(json_get(reply, "ok")))
		snprintf(t->note, sizeof(t->note), "%s", json_str(reply, "error"));
	json_object_put(reply);
	return look(t);
}

static int on_key(struct top *t, int key)
{
	*t->note = '\0';
	switch (key) {
	case 'q':
	case 'Q': t->quit = true; break;
	case 's':
		t->sort = (t->sort + 1) % TOP_SORTS;
		top_view_sort(&t->view, t->sort);
		break;
	case 'v': t->hide_vcpus = !t->hide_vcpus; break;
	case 'p': return pause_selected(t);
	case KEY_UP: select_by(t, -1); break;
	case KEY_DOWN: select_by(t, 1); break;
	case KEY_PPAGE: select_by(t, -10); break;
	case KEY_NPAGE: select_by(t, 10); break;
	default: break; /* KEY_RESIZE, too: it is drawn anew */
	}
	return 0;
}

/* Until @until_ns, a key, or the end of the terminal.  Returns -1 if the host has gone. */
static int wait_for_key(struct top *t, uint64_t until_ns)
{
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN },
			       { .fd = t->conn->fd, .events = POLLRDHUP } };
	uint64_t now = host_ns();
	int ms = now < until_ns ? (int)((until_ns - now + 999999) / 1000000) : 0, key, n;

	n = poll(p, 2, ms);
	if (n > 0 && p[1].revents) {
		snprintf(t->conn->err, sizeof(t->conn->err), "the host has gone");
		return -1;
	}
	/* After a signal, too: ncurses has KEY_RESIZE for it. */
	while ((key = getch()) != ERR)
		if (on_key(t, key) < 0)
			return -1;
	if (n > 0 && p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		t->quit = true;
	return 0;
}

int top_screen(struct ctl_conn *c, double interval)
{
	struct top t = { .conn = c };
	uint64_t next = host_ns();
	SCREEN *screen;
	int res = look(&t);

	if (res < 0)
		return host_complain(STATUS_HOST, "%s", c->err);
	setlocale(LC_CTYPE, "");
	/* Not initscr(), which exits where it cannot go on. */
	screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		json_object_put(t.after);
		top_view_free(&t.view);
		return host_complain(STATUS_INPUT, "this terminal cannot do: use --once");
	}
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	next += (uint64_t)(interval * 1e9);
	while (res == 0 && !t.quit) {
		draw(&t);
		res = wait_for_key(&t, next);
		if (res == 0 && host_ns() >= next) {
			res = look(&t);
			next = host_ns() + (uint64_t)(interval * 1e9);
		}
	}
	endwin();
	delscreen(screen);
	json_object_put(t.before);
	json_object_put(t.after);
	top_view_free(&t.view);
	return res < 0 ? host_complain(STATUS_HOST, "%s", c->err) : STATUS_OK;
}
