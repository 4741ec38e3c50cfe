/* SPDX-License-Identifier: MIT */
#include "vmm/host/host.h"

#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/account.h"
#include "vmm/host/control.h"
#include "vmm/host/log.h"
#include "vmm/host/socket.h"
#include "vmm/trace.h"
#include "vmm/tsc.h"

/* Streams get so long to take the last output before the host is gone. */
#define AUDIT_NS    1000000000u /* between looks at the CPU time of worlds */
#define FAREWELL_NS 1000000000u
/* Exit statuses that are no failure: 0, and minios' "all is well". */
#define GUEST_OK 33

static const char *const state_names[] = {
	[HOST_STOPPED] = "stopped", [HOST_RUNNING] = "running", [HOST_PAUSED] = "paused",
	[HOST_ENDING] = "ending",   [HOST_WAITING] = "waiting", [HOST_ENDED] = "ended",
};

const char *host_state_name(enum host_state state)
{
	return state_names[state];
}

struct host_vm *host_find(struct host *h, const char *name)
{
	for (unsigned i = 0; i < h->cfg->vms; i++)
		if (!strcmp(h->vm[i].cfg->name, name))
			return &h->vm[i];
	return NULL;
}

static bool ended_well(const struct host_vm *vm)
{
	return vm->last.status == STATUS_OK || vm->last.status == GUEST_OK;
}

/* ---- the undertaker ---- */

static void look_here(struct host *h)
{
	uint64_t one = 1;

	/* Only fails if the counter would overflow. */
	(void)!write(h->ended.fd, &one, sizeof(one));
}

static char *account_of(const struct host_vm *vm)
{
	struct json_object *json = account_json(&vm->in.vm);
	char *text = json ? strdup(json_object_to_json_string_ext(
				    json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE))
			  : NULL;

	json_object_put(json);
	return text;
}

static char *report_of(const struct host_vm *vm)
{
	const struct vm *v = &vm->in.vm;
	unsigned vcpu = v->death_vcpu ? v->death_vcpu - 1 : 0;
	char *text = NULL;
	size_t len;
	FILE *f;

	if (v->end != VM_KILLED)
		return NULL;
	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	report_death(v, v->vcpu[vcpu], f);
	fclose(f);
	return text;
}

static void bury(struct host_vm *vm)
{
	struct instance *in = &vm->in;
	struct host_end *end = &vm->burial;

	instance_join(in);
	end->status = instance_verdict(in);
	if (*in->err)
		snprintf(end->how, sizeof(end->how), "%s", in->err);
	else if (in->vm.end == VM_STOPPED)
		snprintf(end->how, sizeof(end->how), "stopped");
	else
		snprintf(end->how, sizeof(end->how), "ended with status %d", end->status);
	if (instance_print_stats(in))
		host_log(vm->cfg->name, "%s", in->err);
	end->account = account_of(vm);
	end->report = report_of(vm);
	instance_free(in);
	close(vm->console_fd);
}

/* What the undertaker found is the VM's last end. */
static void take_over(struct host_vm *vm)
{
	free(vm->last.account);
	free(vm->last.report);
	vm->last = vm->burial;
	memset(&vm->burial, 0, sizeof(vm->burial));
}

static void *undertaker_main(void *arg)
{
	struct host *h = arg;
	struct host_vm *vm;

	pthread_mutex_lock(&h->lock);
	for (;;) {
		while (!h->dying && !h->done)
			pthread_cond_wait(&h->work, &h->lock);
		if (!h->dying)
			break;
		vm = h->dying;
		h->dying = vm->next;
		pthread_mutex_unlock(&h->lock);
		bury(vm);
		pthread_mutex_lock(&h->lock);
		vm->next = h->buried;
		h->buried = vm;
		look_here(h);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* ---- a VM's life ---- */

static void on_restart(struct loop_timer *t);

/* It has ended, or could not be started: what now? */
static void decide(struct host_vm *vm)
{
	struct host *h = vm->host;
	enum host_restart policy = vm->cfg->restart;
	bool again = policy == HOST_RESTART_ALWAYS ||
		     (policy == HOST_RESTART_ON_FAILURE && !ended_well(vm));

	if (vm->stopping || h->stopping || !again) {
		vm->state = vm->stopping ? HOST_STOPPED : HOST_ENDED;
		host_log(vm->cfg->name, "%s", vm->last.how);
		return;
	}
	vm->state = HOST_WAITING;
	host_log(vm->cfg->name, "%s; starts again in %.0f s", vm->last.how,
		 (double)vm->backoff_ns / 1e9);
	timer_at(&h->loop, &vm->timer, host_ns() + vm->backoff_ns, on_restart);
	vm->backoff_ns *= 2;
	if (vm->backoff_ns > HOST_BACKOFF_MAX_NS)
		vm->backoff_ns = HOST_BACKOFF_MAX_NS;
}

/* A pCPU's thread. */
static void on_vcpus_ended(void *arg)
{
	struct host_vm *vm = arg;

	atomic_store(&vm->ended, true);
	look_here(vm->host);
}

static void on_timeout(struct loop_timer *t)
{
	struct host_vm *vm = (struct host_vm *)((char *)t - offsetof(struct host_vm, timer));

	vm_end(&vm->in.vm, VM_TIMEOUT, STATUS_TIMEOUT);
}

/* Returns an exit status, with the sentence in vm->last.how. */
/* Do the VMs have more vCPUs than there are pCPUs, if all of them run? */
static bool is_crowded(const struct host *h)
{
	unsigned vcpus = 0;

	for (unsigned i = 0; i < h->cfg->vms; i++)
		vcpus += h->cfg->vm[i].opt.vcpus;
	return vcpus > dispatcher_pcpus(h->dispatcher);
}

static int create_and_start(struct host_vm *vm)
{
	struct instance_io io = { .lossy = true, .crowded = is_crowded(vm->host) };
	int status;

	vm->console_fd = hub_connect(&vm->hub);
	if (vm->console_fd < 0) {
		snprintf(vm->last.how, sizeof(vm->last.how), "host: console: %s",
			 strerror(-vm->console_fd));
		return STATUS_HOST;
	}
	io.console_in = io.console_out = vm->console_fd;
	status = instance_create(&vm->in, &vm->cfg->opt, &io);
	if (!status)
		status = instance_start(&vm->in, vm->host->dispatcher, &vm->params, on_vcpus_ended,
					vm);
	if (!status)
		return STATUS_OK;
	snprintf(vm->last.how, sizeof(vm->last.how), "cannot start: %s", vm->in.err);
	instance_free(&vm->in);
	close(vm->console_fd);
	hub_disconnect(&vm->hub);
	return status;
}

int host_vm_start(struct host_vm *vm, char *err, size_t err_size)
{
	uint64_t timeout = vm->cfg->opt.timeout_ns;

	if (vm->host->stopping) {
		snprintf(err, err_size, "the host is about to end");
		return -1;
	}
	if (host_vm_alive(vm) || vm->state == HOST_ENDING) {
		snprintf(err, err_size, "VM %s is %s already", vm->cfg->name,
			 host_state_name(vm->state));
		return -1;
	}
	timer_off(&vm->host->loop, &vm->timer);
	vm->stopping = false;
	vm->starts++;
	vm->started_ns = host_ns();
	vm->last.status = create_and_start(vm);
	if (vm->last.status) {
		snprintf(err, err_size, "VM %s: %s", vm->cfg->name, vm->last.how);
		decide(vm);
		return -1;
	}
	vm->state = HOST_RUNNING;
	*vm->last.how = '\0';
	if (timeout)
		timer_at(&vm->host->loop, &vm->timer, vm->started_ns + timeout, on_timeout);
	host_log(vm->cfg->name, vm->starts > 1 ? "started again" : "started");
	return 0;
}

static void on_restart(struct loop_timer *t)
{
	struct host_vm *vm = (struct host_vm *)((char *)t - offsetof(struct host_vm, timer));
	char err[2048];

	host_vm_start(vm, err, sizeof(err)); /* which says what went wrong */
}

void host_vm_stop(struct host_vm *vm)
{
	vm->stopping = true;
	if (host_vm_alive(vm)) {
		vm_end(&vm->in.vm, VM_STOPPED, STATUS_OK);
	} else if (vm->state == HOST_WAITING) {
		timer_off(&vm->host->loop, &vm->timer);
		vm->state = HOST_STOPPED;
	}
}

int host_vm_pause(struct host_vm *vm, bool pause)
{
	if (!host_vm_alive(vm))
		return -1;
	dispatch_pause(vm->host->dispatcher, &vm->in.vm, pause);
	vm->state = pause ? HOST_PAUSED : HOST_RUNNING;
	return 0;
}

int host_vm_change(struct host_vm *vm, const struct dispatch_params *params)
{
	int err = 0;

	if (host_vm_alive(vm))
		err = dispatch_change(vm->host->dispatcher, &vm->in.vm, params);
	if (err)
		return err;
	if (params->weight)
		vm->params.weight = params->weight;
	if (params->cap)
		vm->params.cap = params->cap == DISPATCH_NO_CAP ? 0 : params->cap;
	if (params->affinity)
		vm->params.affinity = params->affinity;
	return 0;
}

void host_stop(struct host *h)
{
	h->stopping = true;
	for (unsigned i = 0; i < h->cfg->vms; i++)
		host_vm_stop(&h->vm[i]);
}

/* ---- events ---- */

static void on_buried(struct host_vm *vm)
{
	take_over(vm);
	hub_disconnect(&vm->hub);
	if (host_ns() - vm->started_ns >= HOST_BACKOFF_OK_NS)
		vm->backoff_ns = HOST_BACKOFF_MIN_NS;
	decide(vm);
	control_vm_ended(vm->host->control, vm);
}

static void on_ended(struct watch *w, uint32_t events)
{
	struct host *h = (struct host *)((char *)w - offsetof(struct host, ended));
	struct host_vm *buried, *next;
	uint64_t count;

	(void)events;
	(void)!read(w->fd, &count, sizeof(count));
	pthread_mutex_lock(&h->lock);
	for (unsigned i = 0; i < h->cfg->vms; i++) {
		struct host_vm *vm = &h->vm[i];

		if (!atomic_exchange(&vm->ended, false))
			continue;
		timer_off(&h->loop, &vm->timer);
		vm->state = HOST_ENDING;
		vm->next = h->dying;
		h->dying = vm;
		pthread_cond_signal(&h->work);
	}
	buried = h->buried;
	h->buried = NULL;
	pthread_mutex_unlock(&h->lock);
	for (; buried; buried = next) {
		next = buried->next;
		on_buried(buried);
	}
}

static void on_signal(struct watch *w, uint32_t events)
{
	struct host *h = (struct host *)((char *)w - offsetof(struct host, signals));
	struct signalfd_siginfo si;
	sigset_t set;

	(void)events;
	if (read(w->fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo == SIGHUP) {
		for (unsigned i = 0; i < h->cfg->vms; i++)
			hub_reopen(&h->vm[i].hub);
		return;
	}
	host_log(NULL, "SIG%s: all virtual machines end", sigabbrev_np((int)si.ssi_signo));
	host_stop(h);
	/* Who is in more of a hurry sends another one. */
	sigemptyset(&set);
	sigaddset(&set, (int)si.ssi_signo);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- the host's life ---- */

/* Has everything that was to be run come to its end? */
static bool is_over(const struct host *h)
{
	for (unsigned i = 0; i < h->cfg->vms; i++) {
		enum host_state s = h->vm[i].state;

		if (s == HOST_RUNNING || s == HOST_PAUSED || s == HOST_ENDING)
			return false;
		/* One that somebody stopped, or never started, may yet be started. */
		if (!h->stopping && s != HOST_ENDED)
			return false;
	}
	return h->stopping || !h->stay;
}

/* Each VM takes some dozens of descriptors. */
static void raise_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

static int open_events(struct host *h)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	h->ended.fd = h->signals.fd = -1;
	if (loop_init(&h->loop) < 0)
		return -1;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0 || watch_add(&h->loop, &h->ended, fd, EPOLLIN, on_ended) < 0)
		return -1;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 || watch_add(&h->loop, &h->signals, fd, EPOLLIN, on_signal) < 0)
		return -1;
	if (pthread_create(&h->undertaker, NULL, undertaker_main, h))
		return -1;
	pthread_setname_np(h->undertaker, "undertaker");
	h->undertaking = true;
	return 0;
}

static int fail(int status, const char *what)
{
	host_log(NULL, "%s", what);
	return status;
}

static int open_all(struct host *h, const char *socket)
{
	char err[512];

	if (open_events(h) < 0)
		return fail(STATUS_HOST, "host: cannot start the event loop");
	h->control = control_new(h, socket, err, sizeof(err));
	if (!h->control)
		return fail(STATUS_INPUT, err);
	for (unsigned i = 0; i < h->cfg->vms; i++)
		if (hub_open(&h->vm[i].hub, &h->loop, h->vm[i].cfg, err, sizeof(err)) < 0) {
			host_log(h->vm[i].cfg->name, "%s", err);
			return STATUS_INPUT;
		}
	h->dispatcher = dispatcher_new(&h->cfg->dispatch, err, sizeof(err));
	if (!h->dispatcher) {
		host_log(NULL, "host: %s", err);
		return STATUS_HOST;
	}
	return STATUS_OK;
}

static void on_farewell(struct loop_timer *t)
{
	(void)t; /* only to come back */
}

/* Those who look get what was printed last, if they are quick. */
static void farewell(struct host *h)
{
	uint64_t until = host_ns() + FAREWELL_NS;
	struct loop_timer t = { 0 };
	bool settled = false;

	while (!settled && host_ns() < until) {
		settled = true;
		for (unsigned i = 0; i < h->cfg->vms; i++)
			settled &= hub_settled(&h->vm[i].hub);
		timer_at(&h->loop, &t, settled ? 0 : until, on_farewell);
		if (!settled && loop_turn(&h->loop) < 0)
			break;
	}
	timer_off(&h->loop, &t);
}

static void close_all(struct host *h)
{
	if (h->undertaking) {
		pthread_mutex_lock(&h->lock);
		h->done = true;
		pthread_cond_signal(&h->work);
		pthread_mutex_unlock(&h->lock);
		pthread_join(h->undertaker, NULL);
	}
	control_free(h->control);
	for (unsigned i = 0; i < h->cfg->vms; i++) {
		hub_close(&h->vm[i].hub);
		free(h->vm[i].last.account);
		free(h->vm[i].last.report);
	}
	dispatcher_free(h->dispatcher);
	if (h->ended.fd >= 0)
		close(h->ended.fd);
	if (h->signals.fd >= 0)
		close(h->signals.fd);
	loop_free(&h->loop);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->work);
}

/* Without the loop nothing can go on: take down what there is. */
static int abandon(struct host *h)
{
	host_stop(h);
	for (unsigned i = 0; i < h->cfg->vms; i++)
		if (host_vm_alive(&h->vm[i])) {
			bury(&h->vm[i]);
			take_over(&h->vm[i]);
		}
	return fail(STATUS_HOST, "host: the event loop failed");
}

static void on_audit(struct loop_timer *t)
{
	struct host *h = (struct host *)((char *)t - offsetof(struct host, audit));

	for (unsigned i = 0; i < h->cfg->vms; i++)
		if (host_vm_alive(&h->vm[i]))
			instance_audit(&h->vm[i].in);
	timer_at(&h->loop, &h->audit, host_ns() + AUDIT_NS, on_audit);
}

static int run_all(struct host *h)
{
	char err[2048];
	int status = STATUS_OK;

	for (unsigned i = 0; i < h->cfg->vms; i++)
		if (h->vm[i].cfg->autostart)
			host_vm_start(&h->vm[i], err, sizeof(err));
	timer_at(&h->loop, &h->audit, host_ns() + AUDIT_NS, on_audit);
	while (!is_over(h))
		if (loop_turn(&h->loop) < 0)
			return abandon(h);
	timer_off(&h->loop, &h->audit);
	farewell(h);
	for (unsigned i = 0; i < h->cfg->vms; i++)
		if (!h->stopping && !ended_well(&h->vm[i]))
			status = STATUS_GUEST;
	return status;
}

int host_run(const struct host_config *cfg, const char *socket, bool stay)
{
	struct host *h = calloc(1, sizeof(*h));
	int status;

	if (!h || !(h->vm = calloc(cfg->vms, sizeof(*h->vm)))) {
		free(h);
		return fail(STATUS_HOST, "host: out of memory");
	}
	raise_limit();
	signal(SIGPIPE, SIG_IGN);
	h->cfg = cfg;
	h->stay = stay;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->work, NULL);
	for (unsigned i = 0; i < cfg->vms; i++)
		h->vm[i] = (struct host_vm){ .host = h,
					     .cfg = &cfg->vm[i],
					     .params = cfg->vm[i].params,
					     .backoff_ns = HOST_BACKOFF_MIN_NS };
	status = open_all(h, socket);
	if (!status)
		status = run_all(h);
	close_all(h);
	free(h->vm);
	free(h);
	return status;
}
