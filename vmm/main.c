/* SPDX-License-Identifier: MIT */
/*
 * The ringside command.  The only file that may exit: everything below it returns errors.
 *
 * Threads of `run`: the main one creates the engine (worlds die with the thread that made them),
 * waits for signals and the timeout, and cleans up; "pcpu0" runs the vCPU; machine.c has one for
 * I/O.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/account.h"
#include "vmm/cli.h"
#include "vmm/code.h"
#include "vmm/console.h"
#include "vmm/firmware.h"
#include "vmm/machine.h"
#include "vmm/scan_cmd.h"
#include "vmm/shadow.h"
#include "vmm/symbols.h"
#include "vmm/trace.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

struct session {
	const struct run_options *opt;
	struct vm vm;
	struct trace *trace;
	int signal_fd, done_fd; /* done: an eventfd, written when vcpu_run() has returned */
	int debugcon_fd;
	FILE *stats;
};

static int complain(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int complain(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("ringside: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

/* The host refused something: the sentence is in vm->death, or all we have is @err. */
static int complain_host(const struct vm *vm, const char *what, int err)
{
	if (*vm->death)
		return complain(STATUS_HOST, "host: %s", vm->death);
	return complain(STATUS_HOST, "host: %s: %s", what, strerror(-err));
}

/*
 * A crash of ours must not leave the user's terminal raw.  A fault of this thread's own happens
 * again on return, and a signal that was sent is sent again: both then find the action that was
 * there before (none, or a sanitizer's), so that the core dump shows the right place.
 */
static const int fatal_signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };
static struct sigaction fatal_old[sizeof(fatal_signals) / sizeof(fatal_signals[0])];

static void on_fatal(int signo, siginfo_t *si, void *context)
{
	(void)context;
	console_restore();
	for (size_t i = 0; i < sizeof(fatal_signals) / sizeof(fatal_signals[0]); i++)
		if (fatal_signals[i] == signo)
			sigaction(signo, &fatal_old[i], NULL);
	if (si->si_code <= 0)
		raise(signo);
}

static void guard_terminal(void)
{
	struct sigaction sa = { .sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO };

	for (size_t i = 0; i < sizeof(fatal_signals) / sizeof(fatal_signals[0]); i++)
		sigaction(fatal_signals[i], &sa, &fatal_old[i]);
	atexit(console_restore);
}

/* ---- setting up; each returns an exit status, 0 if all is well ---- */

/*
 * Signals that end a session come through a descriptor.  One that is ignored (nohup, a background
 * job) stays so: once blocked it would arrive.
 */
static int open_signals(struct session *s)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction old;
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaddset(&set, ends[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->signal_fd < 0 || s->done_fd < 0)
		return complain(STATUS_HOST, "host: signalfd and eventfd: %s", strerror(errno));
	return STATUS_OK;
}

/* The files the user named for output, before anything is started. */
static int open_files(struct session *s)
{
	const struct run_options *o = s->opt;

	s->stats = stderr;
	if (o->stats_file) {
		s->stats = fopen(o->stats_file, "we");
		if (!s->stats)
			return complain(STATUS_INPUT, "cannot write statistics to %s: %s",
					o->stats_file, strerror(errno));
	}
	if (o->debugcon) {
		s->debugcon_fd = open(o->debugcon, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (s->debugcon_fd < 0)
			return complain(STATUS_INPUT, "cannot write the debug console to %s: %s",
					o->debugcon, strerror(errno));
	}
	return STATUS_OK;
}

static int make_vm(struct session *s)
{
	struct vm *vm = &s->vm;
	int res = vm_init(vm, s->opt->ram_len);
	struct trace *trace;
	char err[512];

	if (res < 0)
		return complain_host(vm, "virtual machine", res);
	vm->engine_ops = s->opt->engine;
	vm->handoff = s->opt->handoff;
	vm->worlds = s->opt->worlds;
	vm->lookahead = s->opt->lookahead;
	vm->cpuid_mask = s->opt->cpuid_mask;
	trace = trace_new(s->opt->trace_file, s->opt->trace_format, err, sizeof(err));
	if (!trace)
		return complain(STATUS_INPUT, "%s", err);
	s->trace = trace;
	for (unsigned i = 0; i < s->opt->vcpus; i++) {
		struct vcpu *v = calloc(1, sizeof(*v));

		if (!v)
			return complain(STATUS_HOST, "host: out of memory");
		v->vm = vm;
		v->id = i;
		v->trace = trace;
		v->wait_sipi = i > 0;
		vcpu_reset(v);
		vm->vcpu[i] = v;
		vm->vcpus = i + 1;
		v->account = account_new();
		if (!v->account)
			return complain(STATUS_HOST, "host: out of memory");
	}
	return STATUS_OK;
}

static int load(struct session *s)
{
	struct machine_config cfg = {
		.console_in = STDIN_FILENO,
		.console_out = STDOUT_FILENO,
		.console_escape = isatty(STDIN_FILENO),
		.debugcon_out = s->debugcon_fd,
		.display = s->opt->display,
		.assign = s->opt->assign,
		.assigns = s->opt->assigns,
	};
	const struct run_options *o = s->opt;
	struct boot_info boot;
	char err[512];
	int res = machine_create(&s->vm, &cfg);

	if (res < 0)
		return complain_host(&s->vm, "virtual devices", res);
	if (firmware_write(&s->vm) < 0)
		return complain(STATUS_HOST, "host: no room for the firmware tables");
	if (loader_load(&s->vm, o->image, o->cmdline, o->mods, o->nmods, &boot, &s->vm.symbols, err,
			sizeof(err)) < 0)
		return complain(STATUS_INPUT, "%s", err);
	vcpu_boot_multiboot(s->vm.vcpu[0], boot.entry, boot.magic, boot.info_gpa);
	return STATUS_OK;
}

/* ---- running ---- */

struct pcpu {
	struct session *s;
	struct vcpu *v;
	pthread_t thread;
};

static void *pcpu_main(void *arg)
{
	struct pcpu *p = arg;
	struct vm *vm = &p->s->vm;
	uint64_t one = 1;
	int res = 0;

	/* A world dies with the thread that made it: each thread makes its own. */
	if (!p->v->engine)
		res = vm->engine_ops->create(p->v, &p->v->engine);
	if (!res)
		res = vcpu_run(p->v);
	if (res < 0 && atomic_load(&vm->end) == VM_RUNNING)
		vm_host_fail(vm, "vCPU %u stopped: %s", p->v->id, strerror(-res));
	/* Only fails if the counter would overflow. */
	(void)!write(p->s->done_fd, &one, sizeof(one));
	return NULL;
}

/* Until the vCPU has stopped; signals and the timeout make it. */
static void wait_for_end(struct session *s)
{
	struct pollfd fd[] = { { .fd = s->done_fd, .events = POLLIN },
			       { .fd = s->signal_fd, .events = POLLIN } };
	uint64_t limit = s->opt->timeout_ns;
	uint64_t deadline = limit ? host_ns() + limit : 0;

	while (!(fd[0].revents & POLLIN)) {
		struct timespec left = { 0 }, *timeout = NULL;
		struct signalfd_siginfo si;

		if (deadline) {
			uint64_t now = host_ns(), ns = deadline > now ? deadline - now : 0;

			if (!ns) {
				vm_end(&s->vm, VM_TIMEOUT, STATUS_TIMEOUT);
				deadline = 0;
				continue;
			}
			left.tv_sec = (time_t)(ns / 1000000000u);
			left.tv_nsec = (long)(ns % 1000000000u);
			timeout = &left;
		}
		fd[0].revents = fd[1].revents = 0;
		if (ppoll(fd, 2, timeout, NULL) <= 0)
			continue;
		if (fd[1].revents & POLLIN && read(s->signal_fd, &si, sizeof(si)) == sizeof(si))
			vm_end(&s->vm, VM_STOPPED, STATUS_SIGNAL + (int)si.ssi_signo);
	}
}

static int run_guest(struct session *s)
{
	struct vm *vm = &s->vm;
	struct pcpu pcpu[VM_VCPUS_MAX];
	unsigned started = 0;
	int res = vm->engine_ops->create(vm->vcpu[0], &vm->vcpu[0]->engine);

	if (res < 0)
		return complain_host(vm, vm->engine_ops->name, res);
	if (s->opt->tsc_trap)
		code_patch_tsc(vm->code);
	res = machine_start(vm);
	if (res < 0) {
		res = complain_host(vm, "I/O thread", res);
		goto destroy;
	}
	for (; started < vm->vcpus && !res; started++) {
		struct pcpu *p = &pcpu[started];
		char name[16];

		*p = (struct pcpu){ .s = s, .v = vm->vcpu[started] };
		res = -pthread_create(&p->thread, NULL, pcpu_main, p);
		if (res < 0) {
			vm_host_fail(vm, "cannot start a thread for vCPU %u: %s", started,
				     strerror(-res));
			break;
		}
		snprintf(name, sizeof(name), "pcpu%u", started);
		pthread_setname_np(p->thread, name);
	}
	if (!res)
		wait_for_end(s);
	while (started)
		pthread_join(pcpu[--started].thread, NULL);
	/* Also prints what the console still holds, and gives the terminal back. */
	machine_stop(vm);
	res = 0; /* the verdict tells */
destroy:
	for (unsigned i = 0; i < vm->vcpus; i++)
		shadow_free(vm->vcpu[i]);
	return res;
}

/* ---- the end ---- */

static int print_stats(struct session *s)
{
	struct json_object *o;
	bool failed = false;

	if (s->opt->stats == STATS_JSON) {
		o = account_json(&s->vm);
		failed = !o ||
			 fprintf(s->stats, "%s\n",
				 json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY)) < 0;
		json_object_put(o);
	} else if (s->opt->stats == STATS_TEXT) {
		account_print(&s->vm, s->stats);
	}
	if (fflush(s->stats) || ferror(s->stats))
		failed = true;
	return failed && s->opt->stats_file
		       ? complain(STATUS_HOST, "cannot write statistics to %s: %s",
				  s->opt->stats_file, strerror(errno))
		       : STATUS_OK;
}

/* Tell the user how it ended; the exit status. */
static int verdict(struct session *s)
{
	const struct vm *vm = &s->vm;

	switch (vm->end) {
	case VM_EXITED: return vm->status & 0xff;
	case VM_STOPPED:
		if (vm->status > STATUS_SIGNAL)
			complain(0, "stopped by SIG%s", sigabbrev_np(vm->status - STATUS_SIGNAL));
		return vm->status;
	case VM_TIMEOUT:
		return complain(STATUS_TIMEOUT, "stopped after %g s, as --timeout asked",
				(double)s->opt->timeout_ns / 1e9);
	case VM_KILLED:
		report_death(vm, vm->vcpu[vm->death_vcpu ? vm->death_vcpu - 1 : 0], stderr);
		return STATUS_GUEST;
	case VM_HOST_FAIL: return complain_host(vm, "virtual machine", -EIO);
	default: return complain(STATUS_HOST, "host: the vCPU stopped for no reason");
	}
}

static void tear_down(struct session *s)
{
	trace_free(s->trace);
	if (s->vm.machine)
		machine_destroy(&s->vm);
	for (unsigned i = 0; i < s->vm.vcpus; i++) {
		account_free(s->vm.vcpu[i]->account);
		free(s->vm.vcpu[i]);
	}
	symbols_free(s->vm.symbols);
	vm_destroy(&s->vm);
	if (s->stats && s->stats != stderr)
		fclose(s->stats);
	if (s->debugcon_fd >= 0)
		close(s->debugcon_fd);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
	if (s->done_fd >= 0)
		close(s->done_fd);
}

static int run_session(const struct run_options *opt)
{
	struct session s = { .opt = opt, .signal_fd = -1, .done_fd = -1, .debugcon_fd = -1 };
	int status;

	s.vm.ram_fd = -1;
	guard_terminal();
	status = open_signals(&s);
	if (!status)
		status = open_files(&s);
	if (!status)
		status = make_vm(&s);
	if (!status)
		status = load(&s);
	if (!status)
		status = run_guest(&s);
	if (!status) {
		status = verdict(&s);
		if (print_stats(&s) && !status)
			status = STATUS_HOST;
	}
	tear_down(&s);
	return status;
}

/* ---- commands ---- */

static int cmd_run(int argc, char **argv)
{
	struct run_options opt;
	char err[2048];
	int status = STATUS_OK;

	if (cli_parse_run(argc, argv, &opt, err, sizeof(err)) < 0)
		status = complain(STATUS_INPUT, "%s", err);
	else if (opt.help)
		cli_help_run(stdout);
	else if (opt.cpuid_show)
		status = cpuid_print(&opt.cpuid_mask, false, stdout) < 0
				 ? complain(STATUS_HOST, "cannot print CPUID")
				 : STATUS_OK;
	else
		status = run_session(&opt);
	run_options_free(&opt);
	return status;
}

static int cmd_version(int argc, char **argv)
{
	if (argc > 1)
		return complain(STATUS_INPUT, "version takes no argument, but there is %s",
				argv[1]);
	puts("ringside " RINGSIDE_VERSION);
	return STATUS_OK;
}

static int cmd_help(int argc, char **argv)
{
	if (argc > 2 || (argc == 2 && strcmp(argv[1], "run") != 0))
		return complain(STATUS_INPUT, "there is help, and help run");
	if (argc == 2)
		cli_help_run(stdout);
	else
		cli_help(stdout);
	return STATUS_OK;
}

static int cmd_table(int argc, char **argv)
{
	enum table_format format = TABLE_TEXT;
	int res;

	if (argc == 2 && !strcmp(argv[1], "--json"))
		format = TABLE_JSON;
	else if (argc == 2 && !strcmp(argv[1], "--markdown"))
		format = TABLE_MARKDOWN;
	else if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return cmd_help(1, argv);
	else if (argc > 1)
		return complain(STATUS_INPUT, "table takes --json or --markdown, not %s", argv[1]);
	res = table_print(format, stdout);
	if (res < 0)
		return complain(STATUS_HOST, "cannot write the table: %s", strerror(-res));
	return STATUS_OK;
}

static const struct command {
	const char *name;
	int (*main)(int argc, char **argv);
} commands[] = {
	{ "run", cmd_run },      { "scan", scan_main },      { "table", cmd_table },
	{ "cpuid", cpuid_main }, { "version", cmd_version }, { "--version", cmd_version },
	{ "-V", cmd_version },   { "help", cmd_help },       { "--help", cmd_help },
	{ "-h", cmd_help },
};

int main(int argc, char **argv)
{
	if (argc < 2)
		return complain(STATUS_INPUT,
				"what to do? run, scan, table, cpuid, version or help");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].main(argc - 1, argv + 1);
	return complain(STATUS_INPUT,
			"no command %s: there are run, scan, table, cpuid, version and help",
			argv[1]);
}
