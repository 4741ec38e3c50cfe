/* SPDX-License-Identifier: MIT */
/*
 * The ringside command.  The only file that may exit: everything below it returns errors.
 *
 * `ringside host` and what talks to it is in host/.  Threads of `run`: the main one waits for
 * signals and the timeout, and cleans up; "pcpu0" and so on run the vCPUs (sched/dispatch.c);
 * machine.c has one for I/O.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vmm/cli.h"
#include "vmm/compare/compare.h"
#include "vmm/console.h"
#include "vmm/host/host_cmd.h"
#include "vmm/instance.h"
#include "vmm/kvm/kvm.h"
#include "vmm/scan_cmd.h"
#include "vmm/trace.h"
#include "vmm/tsc.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define AUDIT_NS 1000000000u /* look that often at the CPU time of worlds */

struct session {
	const struct run_options *opt;
	struct instance in;
	struct dispatcher *dispatcher;
	int signal_fd, done_fd; /* done: an eventfd, written when all vCPUs have ended */
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

/* ---- running ---- */

/* The last vCPU has ended. */
static void on_ended(void *arg)
{
	struct session *s = arg;
	uint64_t one = 1;

	/* Only fails if the counter would overflow. */
	(void)!write(s->done_fd, &one, sizeof(one));
}

/* Until the vCPU has stopped; signals and the timeout make it. */
static void wait_for_end(struct session *s)
{
	struct pollfd fd[] = { { .fd = s->done_fd, .events = POLLIN },
			       { .fd = s->signal_fd, .events = POLLIN } };
	uint64_t limit = s->opt->timeout_ns;
	uint64_t deadline = limit ? host_ns() + limit : 0;

	while (!(fd[0].revents & POLLIN)) {
		uint64_t now = host_ns(), ns = AUDIT_NS;
		struct signalfd_siginfo si;
		struct timespec left;

		if (deadline && now >= deadline) {
			vm_end(&s->in.vm, VM_TIMEOUT, STATUS_TIMEOUT);
			deadline = 0;
			continue;
		}
		if (deadline && deadline - now < ns)
			ns = deadline - now;
		left.tv_sec = (time_t)(ns / 1000000000u);
		left.tv_nsec = (long)(ns % 1000000000u);
		fd[0].revents = fd[1].revents = 0;
		if (ppoll(fd, 2, &left, NULL) <= 0) {
			instance_audit(&s->in);
			continue;
		}
		if (fd[1].revents & POLLIN && read(s->signal_fd, &si, sizeof(si)) == sizeof(si))
			vm_end(&s->in.vm, VM_STOPPED, STATUS_SIGNAL + (int)si.ssi_signo);
	}
}

static int run_guest(struct session *s)
{
	struct dispatch_params params = { 0 };
	char err[256];
	int status;

	s->dispatcher = dispatcher_new(&s->opt->dispatch, err, sizeof(err));
	if (!s->dispatcher)
		return complain(STATUS_HOST, "host: %s", err);
	params.near = dispatcher_here(s->dispatcher);
	status = instance_start(&s->in, s->dispatcher, &params, on_ended, s);
	if (status)
		return complain(status, "%s", s->in.err);
	if (kvm_caveat(&s->in.vm))
		complain(0, "note: %s", kvm_caveat(&s->in.vm));
	wait_for_end(s);
	instance_join(&s->in);
	return STATUS_OK;
}

/* Tell the user how it ended; the exit status. */
static int verdict(struct session *s)
{
	const struct vm *vm = &s->in.vm;
	int status = instance_verdict(&s->in);

	if (vm->end == VM_KILLED)
		report_death(vm, vm->vcpu[vm->death_vcpu ? vm->death_vcpu - 1 : 0], stderr);
	else if (*s->in.err)
		complain(0, "%s", s->in.err);
	if (vm->end == VM_STOPPED && vm->status == STATUS_SIGNAL + SIGQUIT)
		report_vcpus(vm, stderr);
	if (instance_print_stats(&s->in)) {
		complain(0, "%s", s->in.err);
		if (!status)
			status = STATUS_HOST;
	}
	return status;
}

/*: 10. A program like another
 * Ringside is an ordinary program of an ordinary user. One session: make a virtual machine, start
 * its processors, wait for signals and for the guest's end, say how it went. Nothing below this
 * file ends the process.
 */
static int run_session(const struct run_options *opt)
{
	const struct instance_io io = {
		.console_in = STDIN_FILENO,
		.console_out = STDOUT_FILENO,
		.escape = isatty(STDIN_FILENO),
	};
	struct session s = { .opt = opt, .signal_fd = -1, .done_fd = -1 };
	int status;

	guard_terminal();
	status = open_signals(&s);
	if (status)
		return status;
	status = instance_create(&s.in, opt, &io);
	if (status)
		complain(status, "%s", s.in.err);
	else
		status = run_guest(&s);
	if (!status)
		status = verdict(&s);
	instance_free(&s.in);
	dispatcher_free(s.dispatcher);
	close(s.signal_fd);
	close(s.done_fd);
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

static int cmd_compare(int argc, char **argv)
{
	return compare_main(argc, argv, run_session);
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
	{ "run", cmd_run },           { "host", host_main },   { "ctl", ctl_main },
	{ "top", top_main },          { "scan", scan_main },   { "table", cmd_table },
	{ "compare", cmd_compare },   { "cpuid", cpuid_main }, { "version", cmd_version },
	{ "--version", cmd_version }, { "-V", cmd_version },   { "help", cmd_help },
	{ "--help", cmd_help },       { "-h", cmd_help },
};

int main(int argc, char **argv)
{
	if (argc < 2)
		return complain(STATUS_INPUT, "what to do? run, compare, host, ctl, top, scan, "
					      "table, cpuid, version or help");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].main(argc - 1, argv + 1);
	return complain(STATUS_INPUT,
			"no command %s: there are run, compare, host, ctl, top, scan, table, "
			"cpuid, version "
			"and help",
			argv[1]);
}
