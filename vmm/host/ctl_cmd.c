/* SPDX-License-Identifier: MIT */
/* `ringside ctl`: one request to a host, and its answer for people or (--json) for programs. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/cli.h"
#include "vmm/host/client.h"
#include "vmm/host/host_cmd.h"

static const char ctl_help[] =
	"Usage: ringside ctl [--socket PATH] [--json] COMMAND [VM [KEY=VALUE...]]\n"
	"Talk to a running ringside host.\n"
	"\n"
	"  list               the virtual machines and what they do\n"
	"  start VM           start it\n"
	"  stop VM            end it, and wait until it has\n"
	"  wait VM            wait until it has ended\n"
	"  pause VM           hold its virtual CPUs\n"
	"  resume VM          let them go on\n"
	"  set VM KEY=VALUE   weight=1..10000, cap=PERCENT (0: none), affinity=CPU,... (or all)\n"
	"  account VM         its trap account so far\n"
	"  report VM          what its guest died of\n"
	"  attach VM          its console; Ctrl-] or Ctrl-A d detaches\n"
	"  top                what ringside top is made of, as JSON\n"
	"  shutdown           end all virtual machines and the host\n"
	"\n"
	"  --socket PATH      where the host listens, if not at the default place\n"
	"  --json             print the answer as it comes\n"
	"  --help             print this text\n"
	"\n"
	"Exit status: 0; 2 bad usage, or the host refuses; 4 no host answers.\n";

/* ---- what people read ---- */

static const char *duration(uint64_t ns, char buf[32])
{
	uint64_t s = ns / 1000000000u;

	if (s >= 86400)
		snprintf(buf, 32, "%llud%02lluh", (unsigned long long)(s / 86400),
			 (unsigned long long)(s / 3600 % 24));
	else if (s >= 3600)
		snprintf(buf, 32, "%lluh%02llum", (unsigned long long)(s / 3600),
			 (unsigned long long)(s / 60 % 60));
	else
		snprintf(buf, 32, "%llum%02llus", (unsigned long long)(s / 60),
			 (unsigned long long)(s % 60));
	return buf;
}

static void print_list(struct json_object *reply)
{
	struct json_object *vms = json_get(reply, "vms");
	size_t n = json_object_is_type(vms, json_type_array) ? json_object_array_length(vms) : 0;

	printf("%-16s %-8s %5s %8s %6s %5s %-8s %6s %-8s %-10s %s\n", "NAME", "STATE", "VCPUS",
	       "MEMORY", "WEIGHT", "CAP", "CPUS", "STARTS", "UP", "RESTART", "CONSOLE");
	for (size_t i = 0; i < n; i++) {
		struct json_object *vm = json_object_array_get_idx(vms, i);
		struct json_object *con = json_get(vm, "console"), *cpus = json_get(vm, "affinity");
		struct json_object *up = json_get(vm, "uptime_ns");
		char cap[16] = "-", mem[24], list[256] = "all", age[32] = "-";
		size_t used = 0;

		if (json_get(vm, "cap"))
			snprintf(cap, sizeof(cap), "%llu%%",
				 (unsigned long long)json_u64(vm, "cap"));
		snprintf(mem, sizeof(mem), "%.4gM", (double)json_u64(vm, "memory") / 1048576);
		for (size_t c = 0; cpus && c < json_object_array_length(cpus); c++)
			used += (size_t)snprintf(
				list + used, sizeof(list) - used, "%s%d", c ? "," : "",
				json_object_get_int(json_object_array_get_idx(cpus, c)));
		if (up)
			duration(json_u64(vm, "uptime_ns"), age);
		printf("%-16s %-8s %5llu %8s %6llu %5s %-8s %6llu %-8s %-10s %s %s\n",
		       json_str(vm, "name"), json_str(vm, "state"),
		       (unsigned long long)json_u64(vm, "vcpus"), mem,
		       (unsigned long long)json_u64(vm, "weight"), cap, list,
		       (unsigned long long)json_u64(vm, "starts"), age, json_str(vm, "restart"),
		       json_str(con, "kind"), json_str(con, "path"));
		if (*json_str(vm, "last_end"))
			printf("  last: %s\n", json_str(vm, "last_end"));
	}
}

static void print_account(struct json_object *reply)
{
	struct json_object *a = json_get(reply, "account"), *causes = json_get(a, "causes");
	struct json_object *t = json_get(a, "time_ns");
	size_t n = json_object_is_type(causes, json_type_array) ? json_object_array_length(causes)
								: 0;

	printf("%-18s %13s %7s %14s %14s\n", "cause", "count", "share", "hand-off, ns",
	       "handling, ns");
	for (size_t i = 0; i < n; i++) {
		struct json_object *c = json_object_array_get_idx(causes, i);

		printf("%-18s %13llu %5.1f %% %14llu %14llu\n", json_str(c, "cause"),
		       (unsigned long long)json_u64(c, "count"),
		       100 * json_object_get_double(json_get(c, "share")),
		       (unsigned long long)json_u64(json_get(c, "handoff_ns"), "mean"),
		       (unsigned long long)json_u64(json_get(c, "handling_ns"), "mean"));
	}
	printf("%-18s %13llu\n", "total", (unsigned long long)json_u64(a, "exits"));
	printf("time, ms: guest %.3f, hand-off %.3f, handling %.3f, blocked %.3f, ready %.3f\n",
	       (double)json_u64(t, "guest") / 1e6, (double)json_u64(t, "handoff") / 1e6,
	       (double)json_u64(t, "handling") / 1e6, (double)json_u64(t, "blocked") / 1e6,
	       (double)json_u64(t, "ready") / 1e6);
	puts("--json has percentiles, interrupts, devices, shadow code and memory.");
}

static void print_end(struct json_object *reply)
{
	printf("%s\n", json_str(reply, "how"));
}

static void print_report(struct json_object *reply)
{
	fputs(json_str(reply, "report"), stdout);
}

static void print_json(struct json_object *reply)
{
	puts(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN |
							   JSON_C_TO_STRING_NOSLASHESCAPE));
}

/* ---- what can be asked ---- */

static const struct ctl_command {
	const char *name;
	bool wants_vm, settings;
	void (*print)(struct json_object *reply); /* NULL: nothing */
} commands[] = {
	{ "list", false, false, print_list },
	{ "start", true, false, NULL },
	{ "stop", true, false, print_end },
	{ "wait", true, false, print_end },
	{ "pause", true, false, NULL },
	{ "resume", true, false, NULL },
	{ "set", true, true, NULL },
	{ "account", true, false, print_account },
	{ "report", true, false, print_report },
	{ "attach", true, false, NULL },
	{ "top", false, false, print_json },
	{ "shutdown", false, false, NULL },
};

static bool number(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

/* "0,2" -> [0, 2]; "all" -> [].  NULL: it is neither. */
static struct json_object *cpu_list(char *text)
{
	struct json_object *list = json_object_new_array();
	char *save = NULL;
	int64_t n;

	if (!strcmp(text, "all"))
		return list;
	for (char *p = strtok_r(text, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		if (!number(p, &n)) {
			json_object_put(list);
			return NULL;
		}
		json_object_array_add(list, json_object_new_int64(n));
	}
	if (json_object_array_length(list))
		return list;
	json_object_put(list);
	return NULL;
}

/* KEY=VALUE: the host knows which keys there are and what is in range. */
static bool add_setting(struct json_object *request, char *word)
{
	char *value = strchr(word, '=');
	struct json_object *list;
	int64_t n;

	if (value) {
		*value++ = '\0';
		if (!strcmp(word, "affinity")) {
			list = cpu_list(value);
			if (list) {
				json_object_object_add(request, word, list);
				return true;
			}
		} else if (number(value, &n)) {
			json_object_object_add(request, word, json_object_new_int64(n));
			return true;
		}
		value[-1] = '=';
	}
	host_complain(0, "%s: write weight=N, cap=N or affinity=N,N (or affinity=all)", word);
	return false;
}

/* NULL after a sentence. */
static struct json_object *make_request(const struct ctl_command *cmd, int words, char **argv)
{
	struct json_object *o = json_object_new_object();
	int expected = cmd->wants_vm ? 2 : 1;

	json_object_object_add(o, "cmd", json_object_new_string(cmd->name));
	if (words < expected || (cmd->settings && words == expected))
		host_complain(0,
			      cmd->settings ? "ctl %s needs a virtual machine and what to set"
					    : "ctl %s needs a virtual machine",
			      cmd->name);
	else if (words > expected && !cmd->settings)
		host_complain(0, "ctl %s: what is %s?", cmd->name, argv[1 + expected]);
	else {
		bool ok = true;

		if (cmd->wants_vm)
			json_object_object_add(o, "vm", json_object_new_string(argv[2]));
		for (int i = 3; ok && i <= words; i++)
			ok = add_setting(o, argv[i]);
		if (ok)
			return o;
	}
	json_object_put(o);
	return NULL;
}

static int ask(const struct ctl_command *cmd, struct ctl_conn *c, struct json_object *request,
	       const char *vm, bool json)
{
	struct json_object *reply = conn_ask(c, request, 0);
	bool ok = reply && json_object_get_boolean(json_get(reply, "ok"));
	int status = ok ? STATUS_OK : STATUS_INPUT;

	if (!reply)
		return host_complain(STATUS_HOST, "%s", c->err);
	if (json && strcmp(cmd->name, "attach") != 0)
		print_json(reply);
	else if (!ok)
		host_complain(0, "%s", json_str(reply, "error"));
	else if (!strcmp(cmd->name, "attach"))
		status = attach_stream(c, vm);
	else if (cmd->print)
		cmd->print(reply);
	json_object_put(reply);
	if (fflush(stdout) || ferror(stdout))
		return host_complain(STATUS_HOST, "cannot write: %s", strerror(errno));
	return status;
}

int ctl_main(int argc, char **argv)
{
	const char *path = NULL;
	bool json = false, help = false;
	const struct host_option options[] = { { "--socket", &path, NULL },
					       { "--json", NULL, &json },
					       { "--help", NULL, &help },
					       { "-h", NULL, &help },
					       { NULL, NULL, NULL } };
	int words = host_options(argc, argv, options), status;
	const struct ctl_command *cmd = NULL;
	struct json_object *request;
	struct ctl_conn conn;

	if (words < 0)
		return STATUS_INPUT;
	if (help) {
		fputs(ctl_help, stdout);
		return STATUS_OK;
	}
	for (size_t i = 0; words && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			cmd = &commands[i];
	if (!words)
		return host_complain(STATUS_INPUT, "ctl needs a command: see ringside ctl --help");
	if (!cmd)
		return host_complain(STATUS_INPUT, "ctl has no command %s: see ringside ctl --help",
				     argv[1]);
	request = make_request(cmd, words, argv);
	if (!request)
		return STATUS_INPUT;
	if (conn_open(&conn, path) < 0) {
		json_object_put(request);
		status = host_complain(STATUS_HOST, "%s", conn.err);
	} else {
		status = ask(cmd, &conn, request, words > 1 ? argv[2] : "", json);
	}
	conn_close(&conn);
	return status;
}
