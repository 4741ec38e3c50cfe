/* SPDX-License-Identifier: MIT */
/*
 * Many VMs in one process: their lives from the configuration to the last verdict.
 *
 * Threads: the main one runs the event loop (loop.h) and everything in this directory; the
 * dispatcher's run the vCPUs, each VM's I/O thread its devices; and one, the undertaker, takes down
 * VMs that have ended, since that waits for threads and may write much.
 *
 *	STOPPED ------> RUNNING <-----> PAUSED        start; pause, resume
 *	   ^               |               |
 *	   |               +------> ENDING <          its last vCPU has ended; the undertaker's
 *	   |                          |
 *	   +--------------------------+---> WAITING   until it is started again, as its policy says
 *	   somebody stopped it        |
 *	                              +---> ENDED     by itself, and for good
 */
#ifndef RINGSIDE_VMM_HOST_HOST_H
#define RINGSIDE_VMM_HOST_HOST_H

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/host/config.h"
#include "vmm/host/hub.h"
#include "vmm/host/loop.h"
#include "vmm/instance.h"

#define HOST_BACKOFF_MIN_NS 1000000000ull  /* before the first restart; then twice that, */
#define HOST_BACKOFF_MAX_NS 30000000000ull /* and so on up to this; */
#define HOST_BACKOFF_OK_NS  60000000000ull /* the first again after a run of so long */

enum host_state { HOST_STOPPED, HOST_RUNNING, HOST_PAUSED, HOST_ENDING, HOST_WAITING, HOST_ENDED };
const char *host_state_name(enum host_state state);

struct host;
struct control;

/* How a VM ended last. */
struct host_end {
	int status;
	char how[1100]; /* a sentence; "": it has not */
	char *account;  /* JSON; NULL: none */
	char *report;   /* of a guest that died; NULL: none */
};

struct host_vm {
	struct host *host;
	const struct host_vm_config *cfg;
	struct hub hub;
	enum host_state state;
	struct dispatch_params params; /* as changed since; kept over restarts */
	struct instance in;            /* RUNNING, PAUSED; the undertaker's while ENDING */
	int console_fd;                /* the instance's */
	_Atomic bool ended;            /* set by a pCPU thread: the last vCPU has */
	bool stopping;                 /* somebody asked for the end */
	struct loop_timer timer;       /* RUNNING, PAUSED: --timeout; WAITING: the restart */
	uint64_t started_ns, backoff_ns;
	unsigned starts;
	struct host_end last;   /* main thread's */
	struct host_end burial; /* the undertaker's while ENDING */
	struct host_vm *next;
};

struct host {
	struct loop loop;
	const struct host_config *cfg;
	struct dispatcher *dispatcher;
	struct host_vm *vm; /* cfg->vms of them */
	struct control *control;
	struct watch ended; /* an eventfd: look at vm[].ended and at @buried */
	struct watch signals;
	struct loop_timer audit; /* a look at the CPU time of worlds */
	bool stay;               /* do not end when the last VM has */
	bool stopping;           /* end when the last VM has, and start none */
	/* The undertaker. */
	pthread_t undertaker;
	bool undertaking, done;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct host_vm *dying, *buried; /* lists */
};

/*
 * Run the VMs of @cfg, with a control socket at @socket (NULL: the default place), until all have
 * ended or somebody asks for the end.  Signals SIGINT, SIGTERM, SIGQUIT and SIGHUP must be blocked.
 * Returns an exit status.
 */
int host_run(const struct host_config *cfg, const char *socket, bool stay);

/* ---- for control.c and commands.c, in the main thread ---- */

/* NULL: there is none of that name. */
struct host_vm *host_find(struct host *h, const char *name);
/* Returns 0, or -1 with a sentence in @err: it runs already, or cannot be started. */
int host_vm_start(struct host_vm *vm, char *err, size_t err_size);
/*
 * Make it end, and not come back.  If it is alive or ENDING that takes a moment, and
 * control_vm_ended() will be called.
 */
void host_vm_stop(struct host_vm *vm);
/* -1: it does not run. */
int host_vm_pause(struct host_vm *vm, bool pause);
/* As dispatch_change(); a VM that does not run keeps it for its next start. */
int host_vm_change(struct host_vm *vm, const struct dispatch_params *params);
void host_stop(struct host *h);
/* Has it vCPUs that may be looked at? */
static inline bool host_vm_alive(const struct host_vm *vm)
{
	return vm->state == HOST_RUNNING || vm->state == HOST_PAUSED;
}

#endif
