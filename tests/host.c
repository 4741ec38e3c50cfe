/* SPDX-License-Identifier: MIT */
/* `ringside host`, `ctl` and `top` as their users see them.  The guest is tests/host/ticker.S. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "tests/child.h"
#include "tests/host_fixture.h"

#define ONE(more) "vms = ( { name = \"a\"; image = \"%T\"; memory = \"4M\"; " more " } );\n"
#define TWO(a, b)                                                             \
	"vms = ( { name = \"a\"; image = \"%T\"; memory = \"4M\"; " a " },\n" \
	"        { name = \"b\"; image = \"%T\"; memory = \"4M\"; " b " } );\n"

/* `ringside COMMAND --socket ...`, with arguments that end with NULL. */
static struct child *run(const struct hf *h, const char *command, const char *const *args)
{
	static struct child c;
	unsigned n = 0;

	memset(&c, 0, sizeof(c));
	c.argv[n++] = child_ringside();
	c.argv[n++] = command;
	c.argv[n++] = "--socket";
	c.argv[n++] = h->sock;
	while (*args)
		c.argv[n++] = *args++;
	/* The host is our child, too: so not child_run(), which wants no child to be left. */
	return &c;
}

/* Run it and read what it prints, standard error included; its exit status. */
static int ctl(const struct hf *h, const char *command, const char *const *args, char *out,
	       size_t size)
{
	struct child *c = run(h, command, args);
	size_t len = 0;
	int p[2], status;
	ssize_t n;
	pid_t pid;

	cr_assert_eq(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		dup2(open("/dev/null", O_RDONLY), 0);
		dup2(p[1], 1);
		dup2(p[1], 2);
		alarm(HF_PATIENCE_MS / 1000);
		execv(c->argv[0], (char *const *)c->argv);
		_exit(127);
	}
	close(p[1]);
	while ((n = read(p[0], out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(p[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define CTL(h, out, ...) ctl(h, "ctl", (const char *const[]){ __VA_ARGS__, NULL }, out, sizeof(out))

/* ---- the host's life ---- */

Test(host, runs_two_and_ends_on_request, .timeout = 60)
{
	struct stat st;
	char text[64];
	struct hf h;

	hf_start(&h, TWO("", "start = false; weight = 250; cap = 30; affinity = [0]; vcpus = 2;"),
		 NULL);
	hf_until(&h, "a", "state", "running");
	hf_get(&h, "b", "state", text, sizeof(text));
	cr_expect_str_eq(text, "stopped");
	cr_expect_eq(hf_num(&h, "b", "weight"), 250);
	cr_expect_eq(hf_num(&h, "b", "cap"), 30);
	cr_expect_eq(hf_num(&h, "b", "vcpus"), 2);
	cr_expect_eq(hf_num(&h, "a", "memory"), 4 << 20);
	cr_expect_eq(hf_num(&h, "b", "starts"), 0);
	cr_assert_eq(stat(h.sock, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600, "the socket has mode %o", st.st_mode & 0777);
	hf_do(&h, "{\"cmd\":\"start\",\"vm\":\"b\"}");
	hf_until(&h, "b", "state", "running");
	hf_finish(&h);
	cr_expect(strstr(h.said, "ringside: a: started\n"), "%s", h.said);
	cr_expect(strstr(h.said, "ringside: a: stopped\n"), "%s", h.said);
	cr_expect(strstr(h.said, "ringside: b: stopped\n"), "%s", h.said);
}

/* Type @key on @name's console. */
static void type(struct hf *h, const char *name, const char *key)
{
	int fd = hf_attach(h, name);

	cr_assert_eq(write(fd, key, strlen(key)), (ssize_t)strlen(key));
	/* At once: what was typed before the end is typed. */
	close(fd);
}

Test(host, ends_when_all_have_ended, .timeout = 60)
{
	static const struct {
		const char *a, *b;
		int status;
	} cases[] = { { "x", "x", 0 }, { "x", "f", 3 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hf h;
		int status;

		hf_start(&h, TWO("", ""), NULL);
		type(&h, "a", cases[i].a);
		hf_until(&h, "a", "state", "ended");
		type(&h, "b", cases[i].b);
		status = hf_end(&h);
		cr_expect_eq(status, cases[i].status, "status %d, not %d:\n%s", status,
			     cases[i].status, h.said);
		cr_expect(strstr(h.said, "a: ended with status 33\n"), "%s", h.said);
		cr_expect_neq(access(h.sock, F_OK), 0);
		hf_remove(&h);
	}
}

Test(host, one_that_was_stopped_may_be_started_again, .timeout = 60)
{
	struct json_object *o;
	struct hf h;

	hf_start(&h, ONE(""), NULL);
	o = hf_ask(&h, "{\"cmd\":\"stop\",\"vm\":\"a\"}");
	/* The answer comes when it has ended. */
	cr_expect_str_eq(json_object_get_string(json_object_object_get(o, "state")), "stopped");
	json_object_put(o);
	hf_do(&h, "{\"cmd\":\"start\",\"vm\":\"a\"}");
	cr_expect_eq(hf_num(&h, "a", "starts"), 2);
	hf_do(&h, "{\"cmd\":\"shutdown\"}");
	cr_expect_eq(hf_end(&h), 0, "%s", h.said);
	hf_remove(&h);
}

Test(host, stays_if_told_so, .timeout = 60)
{
	struct hf h;

	hf_start(&h, ONE(""), "--stay");
	type(&h, "a", "x");
	hf_until(&h, "a", "state", "ended");
	hf_do(&h, "{\"cmd\":\"start\",\"vm\":\"a\"}");
	hf_until(&h, "a", "state", "running");
	hf_finish(&h);
}

/* ---- consoles ---- */

/* Each kind shows every line, and what is typed on it comes to the guest. */
Test(host, consoles_of_every_kind, .timeout = 60)
{
	static char text[65536];
	struct json_object *o, *vms, *con;
	char path[128];
	struct stat st;
	struct hf h;
	int fd;

	hf_start(&h,
		 "vms = ( { name = \"p\"; image = \"%T\"; memory = \"4M\"; },\n"
		 "{ name = \"f\"; image = \"%T\"; memory = \"4M\"; console = \"file:f.log\"; },\n"
		 "{ name = \"u\"; image = \"%T\"; memory = \"4M\"; console = \"unix:u.sock\"; },\n"
		 "{ name = \"n\"; image = \"%T\"; memory = \"4M\"; console = \"none\"; } );\n",
		 NULL);
	/* The terminal, whose name is in the list. */
	o = hf_ask(&h, "{\"cmd\":\"list\"}");
	vms = json_object_object_get(o, "vms");
	con = json_object_object_get(json_object_array_get_idx(vms, 0), "console");
	snprintf(path, sizeof(path), "%s",
		 json_object_get_string(json_object_object_get(con, "path")));
	json_object_put(o);
	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	cr_assert_geq(fd, 0, "%s", path);
	*text = '\0';
	hf_read_until(&h, fd, text, sizeof(text), "\n5\n");
	hf_sequence(text);
	cr_assert_eq(write(fd, "x", 1), 1);
	hf_until(&h, "p", "state", "ended");
	close(fd);
	/* The socket: ours alone, with what was printed before. */
	snprintf(path, sizeof(path), "%s/u.sock", h.dir);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	fd = hf_connect(&h, path);
	*text = '\0';
	hf_read_until(&h, fd, text, sizeof(text), "\n9\n");
	cr_expect_eq(strncmp(text, "0\n1\n2\n", 6), 0, "%s", text);
	hf_sequence(text);
	cr_assert_eq(write(fd, "x", 1), 1);
	hf_until(&h, "u", "state", "ended");
	close(fd);
	/* No console at all can be attached to, and the file is as long. */
	fd = hf_attach(&h, "n");
	*text = '\0';
	hf_read_until(&h, fd, text, sizeof(text), "\n9\n");
	cr_expect_eq(strncmp(text, "0\n1\n2\n", 6), 0, "%s", text);
	close(fd);
	type(&h, "f", "x");
	hf_until(&h, "f", "state", "ended");
	snprintf(path, sizeof(path), "%s/f.log", h.dir);
	fd = open(path, O_RDONLY);
	cr_assert_geq(fd, 0);
	memset(text, 0, sizeof(text));
	cr_assert_gt(read(fd, text, sizeof(text) - 1), 0);
	close(fd);
	cr_expect_eq(strncmp(text, "0\n1\n2\n", 6), 0, "%s", text);
	hf_sequence(text);
	hf_finish(&h);
}

/* SIGHUP: a file that was moved away goes on under its old name, as for a log that is rotated. */
Test(host, hangup_opens_files_anew, .timeout = 60)
{
	char path[128], moved[128];
	struct stat st;
	struct hf h;

	hf_start(&h, ONE("console = \"file:log\";"), NULL);
	hf_until(&h, "a", "state", "running");
	snprintf(path, sizeof(path), "%s/log", h.dir);
	snprintf(moved, sizeof(moved), "%s/log.1", h.dir);
	cr_assert_eq(rename(path, moved), 0);
	kill(h.pid, SIGHUP);
	for (int i = 0; i < 1000 && (stat(path, &st) < 0 || !st.st_size); i++)
		usleep(10000);
	cr_expect_gt(st.st_size, 0, "nothing new in %s", path);
	hf_finish(&h);
}

/* ---- control ---- */

/* While it is paused nothing is printed; then the next number follows. */
Test(host, pause_and_resume, .timeout = 60)
{
	static char text[65536];
	struct json_object *o, *vm, *vcpu;
	bool running = true;
	char state[32];
	int64_t bytes;
	struct hf h;
	int fd;

	hf_start(&h, ONE(""), NULL);
	fd = hf_attach(&h, "a");
	*text = '\0';
	hf_read_until(&h, fd, text, sizeof(text), "\n2\n");
	hf_do(&h, "{\"cmd\":\"pause\",\"vm\":\"a\"}");
	hf_get(&h, "a", "state", state, sizeof(state));
	cr_expect_str_eq(state, "paused");
	/* It leaves its CPU at the next exit: from then on, nothing. */
	while (running) {
		o = hf_ask(&h, "{\"cmd\":\"top\"}");
		vm = json_object_array_get_idx(json_object_object_get(o, "vms"), 0);
		vcpu = json_object_array_get_idx(json_object_object_get(vm, "vcpus"), 0);
		running = !strcmp(json_object_get_string(json_object_object_get(vcpu, "state")),
				  "running");
		json_object_put(o);
	}
	usleep(50000); /* what was printed before is on its way; a tick is 20 ms */
	o = hf_ask(&h, "{\"cmd\":\"list\"}");
	vm = json_object_array_get_idx(json_object_object_get(o, "vms"), 0);
	bytes = json_object_get_int64(
		json_object_object_get(json_object_object_get(vm, "console"), "bytes"));
	json_object_put(o);
	usleep(100000);
	o = hf_ask(&h, "{\"cmd\":\"list\"}");
	vm = json_object_array_get_idx(json_object_object_get(o, "vms"), 0);
	cr_expect_eq(json_object_get_int64(json_object_object_get(
			     json_object_object_get(vm, "console"), "bytes")),
		     bytes, "it prints while it is paused");
	json_object_put(o);
	hf_do(&h, "{\"cmd\":\"resume\",\"vm\":\"a\"}");
	hf_read_until(&h, fd, text, sizeof(text), "\n20\n");
	hf_sequence(text);
	/* One that is paused can be stopped. */
	hf_do(&h, "{\"cmd\":\"pause\",\"vm\":\"a\"}");
	hf_do(&h, "{\"cmd\":\"stop\",\"vm\":\"a\"}");
	close(fd);
	hf_finish(&h);
}

Test(host, weights_caps_and_affinity_change, .timeout = 60)
{
	static const char *const bad[] = {
		"\"weight\":0",     "\"weight\":10001",  "\"weight\":1.5",
		"\"weight\":\"9\"", "\"cap\":-1",        "\"cap\":6401",
		"\"affinity\":0",   "\"affinity\":[99]", "\"affinity\":[-1]",
		"\"speed\":1",      "\"weight\":null",   "\"weight\":18446744073709551616",
	};
	char text[128];
	struct hf h;
	int fd;

	hf_start(&h, "pcpus = 2;\n" ONE("weight = 50;"), NULL);
	hf_do(&h, "{\"cmd\":\"set\",\"vm\":\"a\",\"weight\":700,\"cap\":40,\"affinity\":[1]}");
	cr_expect_eq(hf_num(&h, "a", "weight"), 700);
	cr_expect_eq(hf_num(&h, "a", "cap"), 40);
	hf_get(&h, "a", "affinity", text, sizeof(text));
	cr_expect_str_eq(text, "[ 1 ]");
	/* It holds over a restart, and goes away again. */
	hf_do(&h, "{\"cmd\":\"stop\",\"vm\":\"a\"}");
	hf_do(&h, "{\"cmd\":\"start\",\"vm\":\"a\"}");
	cr_expect_eq(hf_num(&h, "a", "weight"), 700);
	hf_do(&h, "{\"cmd\":\"set\",\"vm\":\"a\",\"cap\":0,\"affinity\":[]}");
	cr_expect_eq(hf_num(&h, "a", "cap"), -1);
	fd = hf_connect(&h, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct json_object *o;

		snprintf(text, sizeof(text), "{\"cmd\":\"set\",\"vm\":\"a\",%s}", bad[i]);
		o = hf_ask_raw(&h, fd, text);
		cr_expect_not(json_object_get_boolean(json_object_object_get(o, "ok")), "%s", text);
		json_object_put(o);
	}
	close(fd);
	cr_expect_eq(hf_num(&h, "a", "weight"), 700);
	hf_finish(&h);
}

static int64_t exits_of(struct json_object *reply)
{
	return json_object_get_int64(
		json_object_object_get(json_object_object_get(reply, "account"), "exits"));
}

static const char *how_of(struct json_object *reply)
{
	struct json_object *a = json_object_object_get(reply, "account");

	return json_object_get_string(
		json_object_object_get(json_object_object_get(a, "end"), "how"));
}

/* It grows while the VM runs, and stays readable when it has ended. */
Test(host, accounts_are_live, .timeout = 60)
{
	static char text[65536];
	struct json_object *o, *p, *causes;
	int64_t sum = 0;
	struct hf h;
	int fd;

	hf_start(&h, ONE(""), "--stay");
	fd = hf_attach(&h, "a");
	*text = '\0';
	hf_read_until(&h, fd, text, sizeof(text), "\n1\n");
	o = hf_ask(&h, "{\"cmd\":\"account\",\"vm\":\"a\"}");
	cr_expect_str_eq(how_of(o), "running");
	hf_read_until(&h, fd, text, sizeof(text), "\n9\n");
	p = hf_ask(&h, "{\"cmd\":\"account\",\"vm\":\"a\"}");
	cr_expect_gt(exits_of(o), 0);
	/* A line is at least two writes to the port. */
	cr_expect_geq(exits_of(p), exits_of(o) + 14);
	json_object_put(o);
	json_object_put(p);
	cr_assert_eq(write(fd, "x", 1), 1);
	hf_until(&h, "a", "state", "ended");
	o = hf_ask(&h, "{\"cmd\":\"account\",\"vm\":\"a\"}");
	cr_expect_str_eq(how_of(o), "exited");
	causes = json_object_object_get(json_object_object_get(o, "account"), "causes");
	for (size_t i = 0; i < json_object_array_length(causes); i++)
		sum += json_object_get_int64(
			json_object_object_get(json_object_array_get_idx(causes, i), "count"));
	cr_expect_eq(sum, exits_of(o));
	json_object_put(o);
	close(fd);
	hf_finish(&h);
}

/* ---- restarts ---- */

Test(host, a_failure_is_restarted_and_a_good_end_is_not, .timeout = 60)
{
	struct hf h;

	hf_start(&h, ONE("restart = \"on-failure\";"), NULL);
	type(&h, "a", "f");
	hf_expect(&h, "a: ended with status 3; starts again in 1 s\n");
	hf_expect(&h, "a: started again\n");
	type(&h, "a", "x");
	cr_expect_eq(hf_end(&h), 0, "%s", h.said);
	hf_remove(&h);
}

Test(host, a_guest_that_dies_leaves_a_report, .timeout = 60)
{
	struct json_object *o;
	struct hf h;

	hf_start(&h, TWO("", ""), NULL);
	type(&h, "a", "t");
	hf_expect(&h, "a: triple fault at ");
	hf_until(&h, "a", "state", "ended");
	o = hf_ask(&h, "{\"cmd\":\"report\",\"vm\":\"a\"}");
	cr_expect(strstr(json_object_get_string(json_object_object_get(o, "report")),
			 "registers of vCPU 0"));
	json_object_put(o);
	hf_until(&h, "b", "state", "running");
	hf_finish(&h);
}

Test(host, timeout_is_honoured, .timeout = 60)
{
	struct hf h;

	hf_start(&h, ONE("options = [ \"--timeout=0.3\" ];"), NULL);
	cr_expect_eq(hf_end(&h), 3, "%s", h.said);
	cr_expect(strstr(h.said, "a: stopped after 0.3 s, as --timeout asked\n"), "%s", h.said);
	hf_remove(&h);
}

/* An image that cannot be loaded: the others go on, and by its policy it is tried again. */
Test(host, one_that_cannot_start_does_not_keep_the_others, .timeout = 60)
{
	struct json_object *o;
	struct hf h;
	int fd;

	hf_start(&h,
		 "vms = ( { name = \"bad\"; image = \"/dev/null\"; },\n"
		 "{ name = \"again\"; image = \"/dev/null\"; restart = \"on-failure\"; },\n"
		 "{ name = \"a\"; image = \"%T\"; memory = \"4M\"; } );\n",
		 NULL);
	hf_expect(&h, "bad: cannot start: ");
	hf_expect(&h, "; starts again in 1 s\n");
	hf_expect(&h, "; starts again in 2 s\n");
	hf_until(&h, "a", "state", "running");
	fd = hf_connect(&h, NULL);
	o = hf_ask_raw(&h, fd, "{\"cmd\":\"start\",\"vm\":\"bad\"}");
	cr_expect_not(json_object_get_boolean(json_object_object_get(o, "ok")));
	cr_expect(strstr(json_object_get_string(json_object_object_get(o, "error")), "/dev/null"));
	json_object_put(o);
	close(fd);
	hf_finish(&h);
}

/* ---- ctl and top ---- */

Test(host, ctl_for_people_and_its_statuses, .timeout = 60)
{
	static char out[65536];
	struct hf h;
	int fd;

	hf_start(&h, TWO("", "start = false;"), NULL);
	fd = hf_attach(&h, "a");
	*out = '\0';
	hf_read_until(&h, fd, out, sizeof(out), "\n1\n");
	close(fd);
	cr_expect_eq(CTL(&h, out, "list"), 0);
	cr_expect(strstr(out, "\na  ") && strstr(out, " running "), "%s", out);
	cr_expect_eq(CTL(&h, out, "set", "a", "weight=9", "cap=10", "affinity=0"), 0, "%s", out);
	cr_expect_eq(hf_num(&h, "a", "weight"), 9);
	cr_expect_eq(CTL(&h, out, "account", "a"), 0);
	cr_expect(strstr(out, "\nout  "), "%s", out);
	cr_expect_eq(CTL(&h, out, "--json", "list"), 0);
	cr_expect_eq(strncmp(out, "{\"ok\":true,", 11), 0, "%s", out);
	cr_expect_eq(CTL(&h, out, "pause", "a"), 0);
	cr_expect_eq(CTL(&h, out, "resume", "a"), 0);
	cr_expect_eq(CTL(&h, out, "pause", "b"), 2);
	cr_expect_str_eq(out, "ringside: VM b is stopped\n");
	cr_expect_eq(CTL(&h, out, "start", "a"), 2);
	cr_expect_str_eq(out, "ringside: VM a is running already\n");
	cr_expect_eq(CTL(&h, out, "stop", "c"), 2);
	cr_expect_str_eq(out, "ringside: there is no VM c\n");
	cr_expect_eq(CTL(&h, out, "set", "a", "weight=lots"), 2);
	cr_expect_eq(CTL(&h, out, "set", "a"), 2);
	cr_expect_eq(CTL(&h, out, "stop"), 2);
	cr_expect_eq(CTL(&h, out, "stop", "a", "b"), 2);
	cr_expect_eq(CTL(&h, out, "frob"), 2);
	cr_expect_eq(CTL(&h, out, "--frob"), 2);
	cr_expect_eq(CTL(&h, out, "stop", "a"), 0);
	cr_expect_str_eq(out, "stopped\n");
	cr_expect_eq(CTL(&h, out, "shutdown"), 0);
	cr_expect_eq(hf_end(&h), 0);
	cr_expect_eq(CTL(&h, out, "list"), 4);
	cr_expect(strstr(out, "no ringside host listens"), "%s", out);
	hf_remove(&h);
}

Test(host, top_prints_a_table, .timeout = 60)
{
	static char out[65536];
	struct json_object *o, *vm;
	struct hf h;

	hf_start(&h, TWO("vcpus = 2;", ""), NULL);
	type(&h, "b", "b"); /* busy */
	hf_until(&h, "a", "state", "running");
	cr_expect_eq(ctl(&h, "top", (const char *const[]){ "--once", "--interval=0.3", NULL }, out,
			 sizeof(out)),
		     0, "%s", out);
	cr_expect_eq(strncmp(out, "VM ", 3), 0, "%s", out);
	cr_expect(strstr(out, "\na ") && strstr(out, "\n  vcpu1 ") && strstr(out, "\nb "), "%s",
		  out);
	cr_expect_eq(ctl(&h, "top",
			 (const char *const[]){ "--once", "--json", "--interval", "0.3", NULL },
			 out, sizeof(out)),
		     0, "%s", out);
	o = json_tokener_parse(out);
	cr_assert_not_null(o, "%s", out);
	vm = json_object_array_get_idx(json_object_object_get(o, "vms"), 1);
	cr_expect_gt(json_object_get_double(json_object_object_get(vm, "cpu_percent")), 0.0,
		     "an endless loop takes no time: %s", out);
	vm = json_object_array_get_idx(json_object_object_get(o, "vms"), 0);
	cr_expect_gt(json_object_get_double(json_object_object_get(vm, "traps_per_second")), 0.0,
		     "%s", out);
	json_object_put(o);
	cr_expect_eq(
		ctl(&h, "top", (const char *const[]){ "--interval=0", NULL }, out, sizeof(out)), 2);
	cr_expect_eq(ctl(&h, "top", (const char *const[]){ NULL }, out, sizeof(out)), 2, "%s", out);
	hf_finish(&h);
}

/* The screen, on a terminal: it shows the VMs, takes keys, and stands being made small. */
Test(host, top_fills_a_screen, .timeout = 60)
{
	static char text[1 << 18];
	struct winsize big = { .ws_row = 24, .ws_col = 100 }, small = { .ws_row = 2, .ws_col = 9 };
	struct hf h;
	int fd, status;
	pid_t pid;

	hf_start(&h, TWO("", ""), NULL);
	hf_until(&h, "b", "state", "running");
	pid = forkpty(&fd, NULL, NULL, &big);
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		setenv("TERM", "xterm", 1);
		alarm(HF_PATIENCE_MS / 1000);
		execl(child_ringside(), "ringside", "top", "--socket", h.sock, "--interval=0.1",
		      NULL);
		_exit(127);
	}
	*text = '\0';
	hf_read_until(&h, fd, text, sizeof(text), "TRAPS/S");
	hf_read_until(&h, fd, text, sizeof(text), "vcpu0");
	cr_assert_eq(write(fd, "ssv\033[B", 6), 6);
	hf_read_until(&h, fd, text, sizeof(text), "steal");
	/* Pause the one selected. */
	cr_assert_eq(write(fd, "p", 1), 1);
	hf_read_until(&h, fd, text, sizeof(text), "paused");
	cr_assert_eq(ioctl(fd, TIOCSWINSZ, &small), 0);
	cr_assert_eq(ioctl(fd, TIOCSWINSZ, &big), 0);
	cr_assert_eq(write(fd, "q", 1), 1);
	while (read(fd, text, sizeof(text)) > 0)
		;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
	close(fd);
	/* It says so when the host goes away. */
	pid = forkpty(&fd, NULL, NULL, &small);
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		setenv("TERM", "xterm", 1);
		alarm(HF_PATIENCE_MS / 1000);
		execl(child_ringside(), "ringside", "top", "--socket", h.sock, "--interval=60",
		      NULL);
		_exit(127);
	}
	*text = '\0';
	hf_read_until(&h, fd, text, sizeof(text), "ringside");
	kill(h.pid, SIGTERM);
	hf_read_until(&h, fd, text, sizeof(text), "the host has gone");
	while (read(fd, text, sizeof(text)) > 0)
		;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 4, "status %#x", status);
	close(fd);
	/* Not hf_finish(): another SIGTERM would mean "at once". */
	status = hf_end(&h);
	cr_expect_eq(status, 0, "status %d:\n%s", status, h.said);
	hf_remove(&h);
}

/* A user's terminal: raw meanwhile, and as it was afterwards. */
Test(host, attach_on_a_terminal, .timeout = 60)
{
	static const char *const escapes[] = { "\035", "\001d" };
	static char text[65536];
	struct termios before, meanwhile, after;
	struct hf h;

	hf_start(&h, ONE(""), NULL);
	hf_until(&h, "a", "state", "running");
	for (size_t i = 0; i < 2; i++) {
		int fd, slave, status;
		pid_t pid;

		cr_assert_eq(openpty(&fd, &slave, NULL, NULL, NULL), 0);
		cr_assert_eq(tcgetattr(slave, &before), 0);
		pid = fork();
		cr_assert_geq(pid, 0);
		if (pid == 0) {
			login_tty(slave);
			alarm(HF_PATIENCE_MS / 1000);
			execl(child_ringside(), "ringside", "ctl", "--socket", h.sock, "attach",
			      "a", NULL);
			_exit(127);
		}
		*text = '\0';
		hf_read_until(&h, fd, text, sizeof(text), "3\r\n4\r\n");
		cr_assert_eq(tcgetattr(slave, &meanwhile), 0);
		cr_expect_eq(meanwhile.c_lflag & (ICANON | ECHO), 0, "the terminal is not raw");
		cr_assert_gt(write(fd, escapes[i], strlen(escapes[i])), 0);
		hf_read_until(&h, fd, text, sizeof(text), "detached");
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
		cr_assert_eq(tcgetattr(slave, &after), 0);
		cr_expect_eq(after.c_lflag, before.c_lflag, "the terminal stays raw");
		close(fd);
		close(slave);
	}
	hf_until(&h, "a", "state", "running");
	hf_finish(&h);
}

Test(host, check_starts_nothing, .timeout = 60)
{
	static char out[4096];
	struct hf h;
	char *args[] = { h.conf, NULL };
	FILE *f;

	hf_dir(&h);
	f = fopen(h.conf, "w");
	fputs("vms = ( { name = \"a\"; image = \"/dev/null\"; } );\n", f);
	fclose(f);
	cr_expect_eq(ctl(&h, "host", (const char *const[]){ "--check", args[0], NULL }, out,
			 sizeof(out)),
		     0);
	cr_expect(strstr(out, "conf: 1 virtual machine\n"), "%s", out);
	f = fopen(h.conf, "w");
	fputs("vms = (\n{ name = \"a\"; } );\n", f);
	fclose(f);
	cr_expect_eq(ctl(&h, "host", (const char *const[]){ args[0], NULL }, out, sizeof(out)), 2);
	cr_expect(strstr(out, "/conf:2: VM a needs an image\n"), "%s", out);
	cr_expect(strstr(out, "1 mistake, nothing was started\n"), "%s", out);
	cr_expect_eq(ctl(&h, "host", (const char *const[]){ NULL }, out, sizeof(out)), 2);
	hf_remove(&h);
}
