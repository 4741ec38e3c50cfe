/* SPDX-License-Identifier: MIT */
#include "vmm/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/account.h"
#include "vmm/activations.h"
#include "vmm/code.h"
#include "vmm/firmware.h"
#include "vmm/host_cpus.h"
#include "vmm/machine.h"
#include "vmm/model.h"
#include "vmm/shadow.h"
#include "vmm/symbols.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"

/* Starting a world costs some milliseconds that no vCPU is charged for at once. */
#define AUDIT_SLACK_NS 200000000u

static int refuse(struct instance *in, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int refuse(struct instance *in, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(in->err, sizeof(in->err), fmt, ap);
	va_end(ap);
	return status;
}

/* The host refused something: the sentence is in vm->death, or all we have is @err. */
static int refuse_host(struct instance *in, const char *what, int err)
{
	if (*in->vm.death)
		return refuse(in, STATUS_HOST, "host: %s", in->vm.death);
	return refuse(in, STATUS_HOST, "host: %s: %s", what, strerror(-err));
}

/* The files the user named for output, before anything is started. */
static int open_files(struct instance *in)
{
	const struct run_options *o = in->opt;

	in->stats = stderr;
	if (o->stats_file) {
		in->stats = fopen(o->stats_file, "we");
		if (!in->stats)
			return refuse(in, STATUS_INPUT, "cannot write statistics to %s: %s",
				      o->stats_file, strerror(errno));
	}
	if (o->debugcon) {
		in->debugcon_fd = open(o->debugcon, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (in->debugcon_fd < 0)
			return refuse(in, STATUS_INPUT, "cannot write the debug console to %s: %s",
				      o->debugcon, strerror(errno));
	}
	return STATUS_OK;
}

static int add_vcpu(struct instance *in, unsigned id)
{
	struct vcpu *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->vm = &in->vm;
	v->id = id;
	v->trace = in->trace;
	v->wait_sipi = id > 0;
	vcpu_reset(v);
	in->vm.vcpu[id] = v;
	in->vm.vcpus = id + 1;
	v->account = account_new();
	return v->account ? 0 : -ENOMEM;
}

/*
 * A trap per PAUSE costs microseconds; a spinner that keeps the lock's holder from its CPU costs a
 * time slice.  The latter is to be feared as soon as the virtual CPUs can fill the host.
 */
static bool pause_traps(const struct run_options *o, bool crowded)
{
	if (o->pause != PAUSE_AUTO)
		return o->pause == PAUSE_TRAP;
	return o->vcpus > 1 &&
	       (crowded || o->vcpus > (o->dispatch.pcpus ? o->dispatch.pcpus : host_cpu_count()));
}

static int make_vm(struct instance *in, const struct instance_io *io)
{
	const struct run_options *o = in->opt;
	struct vm *vm = &in->vm;
	int res = vm_init(vm, o->ram_len);
	char err[512];

	if (res < 0)
		return refuse_host(in, "virtual machine", res);
	vm->engine_ops = o->engine;
	/* An assisted engine has the registers of a vCPU that does not run; we have not. */
	if (o->engine->map) {
		vm->activations = activations_new(vm);
		if (!vm->activations)
			return refuse(in, STATUS_HOST, "host: out of memory");
	}
	vm->handoff = o->handoff;
	vm->worlds = o->worlds;
	vm->lookahead = o->lookahead;
	vm->kernel_irqchip = o->kernel_irqchip;
	vm->count_hardware = o->stats != STATS_NONE;
	vm->tsc_trap = o->tsc_trap;
	vm->pause_trap = pause_traps(o, io->crowded);
	vm->cpuid_mask = o->cpuid_mask;
	in->trace = trace_new(o->trace_file, o->trace_format, err, sizeof(err));
	if (!in->trace)
		return refuse(in, STATUS_INPUT, "%s", err);
	for (unsigned i = 0; i < o->vcpus; i++)
		if (add_vcpu(in, i) < 0)
			return refuse(in, STATUS_HOST, "host: out of memory");
	return STATUS_OK;
}

static int load(struct instance *in, const struct instance_io *io)
{
	const struct run_options *o = in->opt;
	struct machine_config cfg = {
		.console_in = io->console_in,
		.console_out = io->console_out,
		.console_escape = io->escape,
		.console_lossy = io->lossy,
		.debugcon_out = in->debugcon_fd,
		.display = o->display,
		.assign = o->assign,
		.assigns = o->assigns,
	};
	struct boot_info boot;
	char err[512];
	int res = machine_create(&in->vm, &cfg);

	if (res < 0)
		return refuse_host(in, "virtual devices", res);
	if (firmware_write(&in->vm) < 0)
		return refuse(in, STATUS_HOST, "host: no room for the firmware tables");
	if (loader_load(&in->vm, o->image, o->cmdline, o->mods, o->nmods, &boot, &in->vm.symbols,
			err, sizeof(err)) < 0)
		return refuse(in, STATUS_INPUT, "%s", err);
	vcpu_boot_multiboot(in->vm.vcpu[0], boot.entry, boot.magic, boot.info_gpa);
	return STATUS_OK;
}

int instance_create(struct instance *in, const struct run_options *opt,
		    const struct instance_io *io)
{
	int status;

	memset(in, 0, sizeof(*in));
	in->opt = opt;
	in->debugcon_fd = -1;
	in->vm.ram_fd = -1;
	status = open_files(in);
	if (!status)
		status = make_vm(in, io);
	if (!status)
		status = load(in, io);
	return status;
}

int instance_start(struct instance *in, struct dispatcher *d, const struct dispatch_params *params,
		   void (*ended)(void *arg), void *arg)
{
	const struct engine_ops *engine = in->vm.engine_ops;
	int res = engine->attach ? engine->attach(&in->vm) : 0;

	if (res < 0)
		return refuse_host(in, engine->name, res);
	res = machine_start(&in->vm);
	if (res < 0)
		return refuse_host(in, "I/O thread", res);
	res = dispatch_add(d, &in->vm, params, ended, arg);
	if (res < 0) {
		machine_stop(&in->vm);
		dispatch_remove(d, &in->vm);
		return refuse_host(in, "scheduler", res);
	}
	in->dispatcher = d;
	return STATUS_OK;
}

/*
 * A world that was broken out of can post an exit that did not happen, and compute while its vCPU
 * is blocked or another's turn has come.  It cannot make its CPU time less than it is.
 */
void instance_audit(struct instance *in)
{
	struct vm *vm = &in->vm;
	uint64_t used, given = 0;

	if (!in->dispatcher || atomic_load(&vm->stop))
		return;
	used = shadow_cpu_ns(vm);
	for (unsigned i = 0; i < vm->vcpus; i++) {
		struct dispatch_stat st;

		dispatch_get(in->dispatcher, vm->vcpu[i], &st);
		given += st.ns[SCHED_RUNNING];
	}
	if (used > given + given / 64 + AUDIT_SLACK_NS)
		vm_kill(vm,
			"its worlds used %llu ms more CPU time than the scheduler gave them: one "
			"computes without having the turn",
			(unsigned long long)(used - given) / 1000000);
}

void instance_join(struct instance *in)
{
	if (!in->dispatcher)
		return;
	dispatch_wait(in->dispatcher, &in->vm);
	/* Also prints what the console still holds, and gives the terminal back. */
	machine_stop(&in->vm);
	dispatch_remove(in->dispatcher, &in->vm);
	in->dispatcher = NULL;
	for (unsigned i = 0; i < in->vm.vcpus; i++)
		shadow_free(in->vm.vcpu[i]);
}

int instance_print_stats(struct instance *in)
{
	const struct run_options *o = in->opt;
	struct json_object *json;
	bool failed = false;

	if (o->stats == STATS_JSON) {
		json = account_json(&in->vm);
		failed = !json ||
			 fprintf(in->stats, "%s\n",
				 json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY)) < 0;
		json_object_put(json);
	} else if (o->stats == STATS_TEXT) {
		account_print(&in->vm, in->stats);
	} else if (o->stats == STATS_MODEL) {
		model_print(&in->vm, in->stats);
	}
	if (fflush(in->stats) || ferror(in->stats))
		failed = true;
	return failed && o->stats_file
		       ? refuse(in, STATUS_HOST, "cannot write statistics to %s: %s", o->stats_file,
				strerror(errno))
		       : STATUS_OK;
}

int instance_verdict(struct instance *in)
{
	const struct vm *vm = &in->vm;

	*in->err = 0;
	switch (vm->end) {
	case VM_EXITED: return vm->status & 0xff;
	case VM_STOPPED:
		if (vm->status > STATUS_SIGNAL)
			refuse(in, 0, "stopped by SIG%s", sigabbrev_np(vm->status - STATUS_SIGNAL));
		return vm->status;
	case VM_TIMEOUT:
		return refuse(in, STATUS_TIMEOUT, "stopped after %g s, as --timeout asked",
			      (double)in->opt->timeout_ns / 1e9);
	case VM_KILLED: return refuse(in, STATUS_GUEST, "%s", vm->death);
	case VM_HOST_FAIL: return refuse_host(in, "virtual machine", -EIO);
	default: return refuse(in, STATUS_HOST, "host: the vCPU stopped for no reason");
	}
}

void instance_free(struct instance *in)
{
	trace_free(in->trace);
	if (in->vm.machine)
		machine_destroy(&in->vm);
	for (unsigned i = 0; i < in->vm.vcpus; i++) {
		account_free(in->vm.vcpu[i]->account);
		free(in->vm.vcpu[i]);
	}
	symbols_free(in->vm.symbols);
	vm_destroy(&in->vm);
	if (in->stats && in->stats != stderr)
		fclose(in->stats);
	if (in->debugcon_fd >= 0)
		close(in->debugcon_fd);
}
