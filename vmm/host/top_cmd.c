/* SPDX-License-Identifier: MIT */
/* `ringside top`: options, and the plain table. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/cli.h"
#include "vmm/host/host_cmd.h"
#include "vmm/host/top.h"

#define INTERVAL_MIN 0.1
#define INTERVAL_MAX 3600.0

static const char top_help[] =
	"Usage: ringside top [--socket PATH] [--interval SECONDS] [--once] [--json]\n"
	"Watch the virtual machines of a running ringside host.\n"
	"\n"
	"  --socket PATH       where the host listens, if not at the default place\n"
	"  --interval SECONDS  time between two looks, 0.1 to 3600; default 1\n"
	"  --once              look twice, print one plain table, and end\n"
	"  --json              the same as one JSON object\n"
	"  --help              print this text\n"
	"\n"
	"Columns: CPU% of one physical CPU; STEAL%, time in which it could have run, but another "
	"had\n"
	"the CPU; traps a second, in all and by the main causes; WAKE, mean time from an "
	"interrupt to\n"
	"running, in us.\n"
	"Keys: q ends; s sorts by the next column; v hides virtual CPUs; p pauses or resumes the\n"
	"selected machine; arrows, page up and down select.\n";

static void add_rates(struct json_object *o, const struct top_rates *r)
{
	json_object_object_add(o, "cpu_percent", r->valid ? json_object_new_double(r->cpu) : NULL);
	json_object_object_add(o, "steal_percent",
			       r->valid ? json_object_new_double(r->steal) : NULL);
	json_object_object_add(o, "traps_per_second",
			       r->valid ? json_object_new_double(r->traps) : NULL);
	json_object_object_add(o, "wake_us",
			       r->valid && r->wake_us >= 0 ? json_object_new_double(r->wake_us)
							   : NULL);
}

static struct json_object *vm_json(const struct top_vm *vm)
{
	struct json_object *o = json_object_new_object();
	struct json_object *vcpus = json_object_new_array(), *causes = json_object_new_array();

	json_object_object_add(o, "name", json_object_new_string(vm->name));
	json_object_object_add(o, "state", json_object_new_string(vm->state));
	add_rates(o, &vm->r);
	for (unsigned i = 0; i < TOP_CAUSES && *vm->cause[i].name; i++) {
		struct json_object *c = json_object_new_object();

		json_object_object_add(c, "cause", json_object_new_string(vm->cause[i].name));
		json_object_object_add(c, "per_second",
				       json_object_new_double(vm->cause[i].per_second));
		json_object_array_add(causes, c);
	}
	for (unsigned i = 0; i < vm->vcpus; i++) {
		struct json_object *v = json_object_new_object();

		json_object_object_add(v, "id", json_object_new_int((int)i));
		json_object_object_add(v, "state", json_object_new_string(vm->vcpu[i].state));
		json_object_object_add(v, "pcpu", json_object_new_int((int)vm->vcpu[i].pcpu));
		add_rates(v, &vm->vcpu[i].r);
		json_object_array_add(vcpus, v);
	}
	json_object_object_add(o, "causes", causes);
	json_object_object_add(o, "vcpus", vcpus);
	return o;
}

static void print_json(const struct top_view *v)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	json_object_object_add(o, "seconds", json_object_new_double(v->seconds));
	json_object_object_add(o, "pcpus", json_object_new_int((int)v->pcpus));
	for (unsigned i = 0; i < v->vms; i++)
		json_object_array_add(list, vm_json(&v->vm[i]));
	json_object_object_add(o, "vms", list);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void print_table(const struct top_view *v)
{
	char line[TOP_LINE];

	top_heading(line);
	puts(line);
	for (unsigned i = 0; i < v->vms; i++) {
		top_vm_line(&v->vm[i], line);
		puts(line);
		for (unsigned j = 0; j < v->vm[i].vcpus; j++) {
			top_vcpu_line(&v->vm[i], j, line);
			puts(line);
		}
	}
}

static int once(struct ctl_conn *c, double interval, bool json)
{
	struct json_object *before = top_sample(c), *after = NULL;
	struct timespec ts = { .tv_sec = (time_t)interval };
	struct top_view view = { 0 };
	int status = STATUS_OK;

	ts.tv_nsec = (long)((interval - (double)ts.tv_sec) * 1e9);
	if (before) {
		while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
			;
		after = top_sample(c);
	}
	if (!after)
		status = host_complain(STATUS_HOST, "%s", c->err);
	else if (top_compare(before, after, &view) < 0)
		status = host_complain(STATUS_HOST, "out of memory");
	else if (json)
		print_json(&view);
	else
		print_table(&view);
	top_view_free(&view);
	json_object_put(before);
	json_object_put(after);
	if (!status && (fflush(stdout) || ferror(stdout)))
		status = host_complain(STATUS_HOST, "cannot write: %s", strerror(errno));
	return status;
}

int top_main(int argc, char **argv)
{
	const char *path = NULL, *interval = "1";
	bool single = false, json = false, help = false;
	const struct host_option options[] = {
		{ "--socket", &path, NULL }, { "--interval", &interval, NULL },
		{ "--once", NULL, &single }, { "--json", NULL, &json },
		{ "--help", NULL, &help },   { "-h", NULL, &help },
		{ NULL, NULL, NULL }
	};
	int words = host_options(argc, argv, options), status;
	struct ctl_conn conn;
	uint64_t ns;

	if (words < 0)
		return STATUS_INPUT;
	if (help) {
		fputs(top_help, stdout);
		return STATUS_OK;
	}
	if (words)
		return host_complain(STATUS_INPUT, "top takes no argument, but there is %s",
				     argv[1]);
	if (cli_parse_seconds(interval, &ns) < 0 || (double)ns < INTERVAL_MIN * 1e9 ||
	    (double)ns > INTERVAL_MAX * 1e9)
		return host_complain(STATUS_INPUT,
				     "--interval %s: it is a number of seconds from 0.1 to 3600",
				     interval);
	if (!single && !json && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		return host_complain(STATUS_INPUT, "top needs a terminal, or --once");
	if (conn_open(&conn, path) < 0)
		status = host_complain(STATUS_HOST, "%s", conn.err);
	else if (single || json)
		status = once(&conn, (double)ns / 1e9, json);
	else
		status = top_screen(&conn, (double)ns / 1e9);
	conn_close(&conn);
	return status;
}
