/* SPDX-License-Identifier: MIT */
/*
 * The file that `ringside host` reads: which VMs, with what, on which share of the CPUs.  Its
 * syntax is libconfig's; docs/host.md lists the settings.
 */
#ifndef RINGSIDE_VMM_HOST_CONFIG_H
#define RINGSIDE_VMM_HOST_CONFIG_H

#include <stdio.h>

#include "vmm/cli.h"
#include "vmm/sched/dispatch.h"

#define HOST_VMS_MAX     256u
#define HOST_VM_NAME_MAX 32u

enum host_console { HOST_CONSOLE_NONE, HOST_CONSOLE_PTY, HOST_CONSOLE_FILE, HOST_CONSOLE_UNIX };
/* Whether a VM that has ended is started again; a failure is any exit status but 0 and 33. */
enum host_restart { HOST_RESTART_NEVER, HOST_RESTART_ON_FAILURE, HOST_RESTART_ALWAYS };

struct host_vm_config {
	char *name;             /* letters, digits, "_.-"; unique */
	struct run_options opt; /* as `ringside run` would take them */
	char **argv;            /* what @opt points into */
	int argc;
	struct dispatch_params params;
	enum host_console console;
	char *console_path; /* of HOST_CONSOLE_FILE and _UNIX */
	enum host_restart restart;
	bool autostart;
};

struct host_config {
	struct dispatch_config dispatch;
	char *socket; /* of the control interface; NULL: the default */
	struct host_vm_config *vm;
	unsigned vms;
	char *policy; /* what dispatch.policy points to */
};

/*
 * Read @path.  Every mistake is a line "FILE:LINE: sentence" on @errors; paths in the file are
 * relative to the directory it is in.  Returns 0, or the number of mistakes.  host_config_free() in
 * any case.
 */
unsigned host_config_read(const char *path, struct host_config *out, FILE *errors);
void host_config_free(struct host_config *c);

const char *host_console_name(enum host_console c);
const char *host_restart_name(enum host_restart r);

#endif
