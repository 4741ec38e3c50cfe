/* SPDX-License-Identifier: MIT */
/* What can be asked for on the control socket, and the answers; docs/host.md lists them. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "vmm/account.h"
#include "vmm/host/control.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"

struct command {
	const char *name;
	bool wants_vm;
	const char *keys[4]; /* that the request may have besides */
	/* As command_run(); @vm is NULL without wants_vm. */
	struct json_object *(*run)(struct host *h, struct client *c, struct host_vm *vm,
				   struct json_object *request);
};

static void add_num(struct json_object *o, const char *key, uint64_t n)
{
	json_object_object_add(o, key, json_object_new_uint64(n));
}

static void add_str(struct json_object *o, const char *key, const char *s)
{
	json_object_object_add(o, key, s ? json_object_new_string(s) : NULL);
}

/* ---- list ---- */

/* null: on all pCPUs */
static struct json_object *affinity_json(uint64_t mask)
{
	struct json_object *list;

	if (!mask)
		return NULL;
	list = json_object_new_array();
	for (unsigned i = 0; i < SCHED_MAX_PCPUS; i++)
		if (mask >> i & 1)
			json_object_array_add(list, json_object_new_int((int)i));
	return list;
}

static struct json_object *console_json(const struct host_vm *vm)
{
	struct json_object *o = json_object_new_object();
	const char *path = vm->cfg->console == HOST_CONSOLE_PTY ? vm->hub.pty
								: vm->cfg->console_path;

	add_str(o, "kind", host_console_name(vm->cfg->console));
	add_str(o, "path", path);
	add_num(o, "bytes", vm->hub.end);
	add_num(o, "streams", vm->hub.streams);
	return o;
}

static struct json_object *vm_json(const struct host_vm *vm)
{
	struct json_object *o = json_object_new_object();
	const struct dispatch_params *p = &vm->params;

	add_str(o, "name", vm->cfg->name);
	add_str(o, "state", host_state_name(vm->state));
	add_str(o, "image", vm->cfg->opt.image);
	add_num(o, "memory", vm->cfg->opt.ram_len);
	add_num(o, "vcpus", vm->cfg->opt.vcpus);
	add_num(o, "weight", p->weight ? p->weight : SCHED_WEIGHT);
	json_object_object_add(o, "cap", p->cap ? json_object_new_int((int)p->cap) : NULL);
	json_object_object_add(o, "affinity", affinity_json(p->affinity));
	json_object_object_add(o, "console", console_json(vm));
	add_str(o, "restart", host_restart_name(vm->cfg->restart));
	add_num(o, "starts", vm->starts);
	json_object_object_add(
		o, "uptime_ns",
		host_vm_alive(vm) ? json_object_new_uint64(host_ns() - vm->started_ns) : NULL);
	json_object_object_add(o, "last_status",
			       *vm->last.how ? json_object_new_int(vm->last.status) : NULL);
	add_str(o, "last_end", *vm->last.how ? vm->last.how : NULL);
	return o;
}

static struct json_object *run_list(struct host *h, struct client *c, struct host_vm *none,
				    struct json_object *request)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	(void)c;
	(void)none;
	(void)request;
	for (unsigned i = 0; i < h->cfg->vms; i++)
		json_object_array_add(list, vm_json(&h->vm[i]));
	add_num(o, "pcpus", dispatcher_pcpus(h->dispatcher));
	json_object_object_add(o, "vms", list);
	return o;
}

/* ---- lives ---- */

static struct json_object *run_start(struct host *h, struct client *c, struct host_vm *vm,
				     struct json_object *request)
{
	char err[2048];

	(void)h;
	(void)request;
	if (host_vm_start(vm, err, sizeof(err)) == 0)
		return json_object_new_object();
	client_refuse(c, "%s", err);
	return NULL;
}

struct json_object *command_ended(const struct host_vm *vm)
{
	struct json_object *o = json_object_new_object();

	add_str(o, "state", host_state_name(vm->state));
	json_object_object_add(o, "status", json_object_new_int(vm->last.status));
	add_str(o, "how", vm->last.how);
	return o;
}

static struct json_object *run_stop(struct host *h, struct client *c, struct host_vm *vm,
				    struct json_object *request)
{
	(void)h;
	(void)request;
	host_vm_stop(vm);
	if (!host_vm_alive(vm) && vm->state != HOST_ENDING)
		return command_ended(vm);
	client_wait(c, vm);
	return NULL;
}

static struct json_object *run_wait(struct host *h, struct client *c, struct host_vm *vm,
				    struct json_object *request)
{
	(void)h;
	(void)request;
	if (!host_vm_alive(vm) && vm->state != HOST_ENDING)
		return command_ended(vm);
	client_wait(c, vm);
	return NULL;
}

static struct json_object *hold(struct client *c, struct host_vm *vm, bool pause)
{
	if (host_vm_pause(vm, pause) == 0)
		return json_object_new_object();
	client_refuse(c, "VM %s is %s", vm->cfg->name, host_state_name(vm->state));
	return NULL;
}

static struct json_object *run_pause(struct host *h, struct client *c, struct host_vm *vm,
				     struct json_object *request)
{
	(void)h;
	(void)request;
	return hold(c, vm, true);
}

static struct json_object *run_resume(struct host *h, struct client *c, struct host_vm *vm,
				      struct json_object *request)
{
	(void)h;
	(void)request;
	return hold(c, vm, false);
}

static struct json_object *run_shutdown(struct host *h, struct client *c, struct host_vm *none,
					struct json_object *request)
{
	(void)c;
	(void)none;
	(void)request;
	host_stop(h);
	return json_object_new_object();
}

/* ---- set ---- */

/* A whole number in [@min, @max]; absent: *@out stays.  Returns false after a refusal. */
static bool get_number(struct client *c, struct json_object *request, const char *key, int64_t min,
		       int64_t max, unsigned *out)
{
	struct json_object *val;
	int64_t n;

	if (!json_object_object_get_ex(request, key, &val))
		return true;
	n = json_object_is_type(val, json_type_int) ? json_object_get_int64(val) : min - 1;
	if (n < min || n > max) {
		client_refuse(c, "%s is a whole number from %lld to %lld", key, (long long)min,
			      (long long)max);
		return false;
	}
	*out = (unsigned)n;
	return true;
}

/* A list of pCPUs; empty: all of them. */
static bool get_affinity(struct host *h, struct client *c, struct json_object *request,
			 uint64_t *out)
{
	unsigned pcpus = dispatcher_pcpus(h->dispatcher);
	struct json_object *val;
	bool ok;

	if (!json_object_object_get_ex(request, "affinity", &val))
		return true;
	ok = json_object_is_type(val, json_type_array);
	*out = 0;
	for (size_t i = 0; ok && i < json_object_array_length(val); i++) {
		struct json_object *e = json_object_array_get_idx(val, i);
		int64_t n = json_object_is_type(e, json_type_int) ? json_object_get_int64(e) : -1;

		ok = n >= 0 && n < pcpus;
		*out |= ok ? 1ull << n : 0;
	}
	if (!ok)
		client_refuse(c, "affinity is a list of CPU numbers from 0 to %u", pcpus - 1);
	if (!*out)
		*out = SCHED_ALL_PCPUS;
	return ok;
}

static struct json_object *run_set(struct host *h, struct client *c, struct host_vm *vm,
				   struct json_object *request)
{
	struct dispatch_params p = { 0 };
	unsigned cap = UINT_MAX;

	if (!get_number(c, request, "weight", 1, SCHED_WEIGHT_MAX, &p.weight) ||
	    !get_number(c, request, "cap", 0, 100 * SCHED_MAX_PCPUS, &cap) ||
	    !get_affinity(h, c, request, &p.affinity))
		return NULL;
	if (cap != UINT_MAX)
		p.cap = cap ? cap : DISPATCH_NO_CAP;
	if (host_vm_change(vm, &p) == 0)
		return vm_json(vm);
	client_refuse(c, "VM %s: a value is out of range", vm->cfg->name);
	return NULL;
}

/* ---- account, report, attach ---- */

static struct json_object *run_account(struct host *h, struct client *c, struct host_vm *vm,
				       struct json_object *request)
{
	struct json_object *account, *o;

	(void)h;
	(void)request;
	if (vm->state == HOST_ENDING) {
		client_refuse(c, "VM %s is just ending", vm->cfg->name);
		return NULL;
	}
	if (!host_vm_alive(vm) && !vm->last.account) {
		client_refuse(c, "VM %s has not run yet", vm->cfg->name);
		return NULL;
	}
	account = host_vm_alive(vm) ? account_live_json(&vm->in.vm)
				    : json_tokener_parse(vm->last.account);
	if (!account) {
		client_refuse(c, "out of memory");
		return NULL;
	}
	o = json_object_new_object();
	json_object_object_add(o, "account", account);
	return o;
}

static struct json_object *run_report(struct host *h, struct client *c, struct host_vm *vm,
				      struct json_object *request)
{
	struct json_object *o;

	(void)h;
	(void)request;
	if (!vm->last.report) {
		client_refuse(c, "VM %s has not died of what its guest did", vm->cfg->name);
		return NULL;
	}
	o = json_object_new_object();
	add_str(o, "report", vm->last.report);
	return o;
}

static struct json_object *run_attach(struct host *h, struct client *c, struct host_vm *vm,
				      struct json_object *request)
{
	(void)h;
	(void)request;
	if (vm->hub.streams >= HUB_STREAMS_MAX)
		client_refuse(c, "%u others look at the console of VM %s", vm->hub.streams,
			      vm->cfg->name);
	else
		client_attach(c, vm);
	return NULL;
}

/* ---- top ---- */

static struct json_object *vcpu_json(struct host_vm *vm, const struct vcpu *v)
{
	struct json_object *o = json_object_new_object();
	struct dispatch_stat st;

	dispatch_get(vm->host->dispatcher, v, &st);
	add_num(o, "id", v->id);
	add_str(o, "state", sched_state_name(st.state));
	json_object_object_add(o, "held", json_object_new_boolean(st.held));
	add_num(o, "pcpu", st.pcpu);
	add_num(o, "running_ns", st.ns[SCHED_RUNNING]);
	add_num(o, "ready_ns", st.ns[SCHED_READY]);
	add_num(o, "held_ns", st.held_ns);
	add_num(o, "blocked_ns", st.ns[SCHED_BLOCKED]);
	add_num(o, "exits", account_total(v->account));
	add_num(o, "dispatches", st.sched.dispatches);
	add_num(o, "migrations", st.sched.migrations);
	add_num(o, "wakes", st.sched.wake_latency.count);
	add_num(o, "wake_ns", st.sched.wake_latency.sum);
	add_num(o, "wake_p99_ns", hist_percentile(&st.sched.wake_latency, 0.99));
	return o;
}

/* { "cli": 12, ... }: all vCPUs together, those that happened. */
static struct json_object *causes_json(const struct vm *vm)
{
	struct json_object *o = json_object_new_object();
	char name[32];

	for (unsigned cause = 0; cause < CAUSE_COUNT; cause++) {
		uint64_t n = 0;

		for (unsigned i = 0; i < vm->vcpus; i++)
			n += account_count(vm->vcpu[i]->account, cause);
		if (n)
			add_num(o, cause_name(cause, name, sizeof(name)), n);
	}
	return o;
}

static struct json_object *run_top(struct host *h, struct client *c, struct host_vm *none,
				   struct json_object *request)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	(void)c;
	(void)none;
	(void)request;
	for (unsigned i = 0; i < h->cfg->vms; i++) {
		struct host_vm *vm = &h->vm[i];
		struct json_object *item = json_object_new_object();
		struct json_object *vcpus = json_object_new_array();

		add_str(item, "name", vm->cfg->name);
		add_str(item, "state", host_state_name(vm->state));
		add_num(item, "starts", vm->starts);
		add_num(item, "weight", vm->params.weight ? vm->params.weight : SCHED_WEIGHT);
		json_object_object_add(item, "cap",
				       vm->params.cap ? json_object_new_int((int)vm->params.cap)
						      : NULL);
		for (unsigned v = 0; host_vm_alive(vm) && v < vm->in.vm.vcpus; v++)
			json_object_array_add(vcpus, vcpu_json(vm, vm->in.vm.vcpu[v]));
		json_object_object_add(item, "vcpus", vcpus);
		json_object_object_add(item, "causes",
				       host_vm_alive(vm) ? causes_json(&vm->in.vm) : NULL);
		json_object_array_add(list, item);
	}
	add_num(o, "now_ns", host_ns());
	add_num(o, "pcpus", dispatcher_pcpus(h->dispatcher));
	json_object_object_add(o, "vms", list);
	return o;
}

/* ---- which ---- */

static const struct command commands[] = {
	{ .name = "list", .run = run_list },
	{ .name = "start", .wants_vm = true, .run = run_start },
	{ .name = "stop", .wants_vm = true, .run = run_stop },
	{ .name = "wait", .wants_vm = true, .run = run_wait },
	{ .name = "pause", .wants_vm = true, .run = run_pause },
	{ .name = "resume", .wants_vm = true, .run = run_resume },
	{ .name = "set",
	  .wants_vm = true,
	  .keys = { "weight", "cap", "affinity" },
	  .run = run_set },
	{ .name = "account", .wants_vm = true, .run = run_account },
	{ .name = "report", .wants_vm = true, .run = run_report },
	{ .name = "attach", .wants_vm = true, .run = run_attach },
	{ .name = "top", .run = run_top },
	{ .name = "shutdown", .run = run_shutdown },
};

static const char *get_text(struct json_object *request, const char *key)
{
	struct json_object *val;

	if (!json_object_object_get_ex(request, key, &val) ||
	    !json_object_is_type(val, json_type_string))
		return NULL;
	return json_object_get_string(val);
}

static bool knows_key(const struct command *cmd, const char *key)
{
	if (!strcmp(key, "cmd") || (cmd->wants_vm && !strcmp(key, "vm")))
		return true;
	for (size_t i = 0; cmd->keys[i]; i++)
		if (!strcmp(key, cmd->keys[i]))
			return true;
	return false;
}

struct json_object *command_run(struct host *h, struct client *c, struct json_object *request)
{
	const char *name = get_text(request, "cmd"), *vm_name = get_text(request, "vm");
	struct json_object_iterator at = json_object_iter_begin(request);
	struct json_object_iterator end = json_object_iter_end(request);
	const struct command *cmd = NULL;
	struct host_vm *vm = NULL;

	for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(name, commands[i].name))
			cmd = &commands[i];
	if (!cmd) {
		if (name)
			client_refuse(c, "there is no command %.64s", name);
		else
			client_refuse(c, "a request needs a \"cmd\", which is a string");
		return NULL;
	}
	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
		const char *key = json_object_iter_peek_name(&at);

		if (!knows_key(cmd, key)) {
			client_refuse(c, "%s takes no \"%.64s\"", name, key);
			return NULL;
		}
	}
	if (cmd->wants_vm && !vm_name) {
		client_refuse(c, "%s needs a \"vm\", which is a string", name);
		return NULL;
	}
	vm = cmd->wants_vm ? host_find(h, vm_name) : NULL;
	if (cmd->wants_vm && !vm) {
		client_refuse(c, "there is no VM %.64s", vm_name);
		return NULL;
	}
	return cmd->run(h, c, vm, request);
}
