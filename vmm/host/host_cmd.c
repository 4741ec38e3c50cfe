/* SPDX-License-Identifier: MIT */
#include "vmm/host/host_cmd.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/host/config.h"
#include "vmm/host/host.h"

int host_complain(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("ringside: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

/* Returns how many words it took, or -1. */
static int take_option(int argc, char **argv, int i, const struct host_option *options)
{
	for (const struct host_option *o = options; o->name; o++) {
		size_t len = strlen(o->name);

		if (strncmp(argv[i], o->name, len) || (argv[i][len] && argv[i][len] != '='))
			continue;
		if (o->flag && argv[i][len])
			return host_complain(-1, "%s takes no value", o->name);
		if (o->flag) {
			*o->flag = true;
			return 1;
		}
		if (argv[i][len]) {
			*o->value = argv[i] + len + 1;
			return 1;
		}
		if (i + 1 == argc)
			return host_complain(-1, "%s needs a value", o->name);
		*o->value = argv[i + 1];
		return 2;
	}
	return host_complain(-1, "no option %s: see ringside %s --help", argv[i], argv[0]);
}

int host_options(int argc, char **argv, const struct host_option *options)
{
	bool over = false;
	int left = 1;

	for (int i = 1; i < argc;) {
		int n = 1;

		if (!over && !strcmp(argv[i], "--")) {
			over = true;
		} else if (!over && argv[i][0] == '-' && argv[i][1]) {
			n = take_option(argc, argv, i, options);
			if (n < 0)
				return -1;
		} else {
			argv[left++] = argv[i];
		}
		i += n;
	}
	return left - 1;
}

static const char host_help[] =
	"Usage: ringside host [--socket PATH] [--check] [--stay] CONFIG\n"
	"Run the virtual machines that the file CONFIG describes, in this process.\n"
	"\n"
	"  --socket PATH  listen there for ringside ctl and top; default ringside.sock in\n"
	"                 $XDG_RUNTIME_DIR, or else in /tmp/ringside-UID\n"
	"  --check        only read CONFIG: print its mistakes, and start nothing\n"
	"  --stay         go on when all virtual machines have ended\n"
	"  --help         print this text\n"
	"\n"
	"SIGINT, SIGTERM and SIGQUIT end all virtual machines, SIGHUP opens console files anew.\n"
	"Exit status: 0 all ended well, or were asked to end; 2 bad input or usage; 3 the last run "
	"of\n"
	"one failed; 4 the host system refused something.\n";

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int host_main(int argc, char **argv)
{
	const char *socket = NULL;
	bool check = false, stay = false, help = false;
	const struct host_option options[] = {
		{ "--socket", &socket, NULL }, { "--check", NULL, &check },
		{ "--stay", NULL, &stay },     { "--help", NULL, &help },
		{ "-h", NULL, &help },         { NULL, NULL, NULL }
	};
	int words = host_options(argc, argv, options), status = STATUS_OK;
	struct host_config cfg;
	unsigned mistakes;

	if (words < 0)
		return STATUS_INPUT;
	if (help) {
		fputs(host_help, stdout);
		return STATUS_OK;
	}
	if (words != 1)
		return host_complain(STATUS_INPUT,
				     "host needs one configuration file: see ringside host --help");
	mistakes = host_config_read(argv[1], &cfg, stderr);
	if (mistakes)
		status = host_complain(STATUS_INPUT, "%s: %u mistake%s, nothing was started",
				       argv[1], mistakes, mistakes == 1 ? "" : "s");
	else if (check)
		printf("%s: %u virtual machine%s\n", argv[1], cfg.vms, cfg.vms == 1 ? "" : "s");
	else {
		block_signals();
		status = host_run(&cfg, socket ? socket : cfg.socket, stay);
	}
	host_config_free(&cfg);
	return status;
}
