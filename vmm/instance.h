/* SPDX-License-Identifier: MIT */
/*
 * One virtual machine from its options to its verdict: what `ringside run` does once and `ringside
 * host` for many.  Each function is for one thread at a time unless it says otherwise.
 */
#ifndef RINGSIDE_VMM_INSTANCE_H
#define RINGSIDE_VMM_INSTANCE_H

#include "vmm/cli.h"
#include "vmm/sched/dispatch.h"
#include "vmm/vm.h"

struct trace;

/* What is around the VM.  Where its console is; @lossy: what nobody reads is dropped, the guest
 * never waits. */
struct instance_io {
	int console_in, console_out; /* -1: none */
	bool escape;                 /* Ctrl-A x and so on */
	bool lossy;
	bool crowded; /* with those of other VMs there are more vCPUs than pCPUs */
};

struct instance {
	const struct run_options *opt;
	struct vm vm;
	struct trace *trace;
	int debugcon_fd;
	FILE *stats; /* where the account goes; NULL: nowhere */
	struct dispatcher *dispatcher;
	char err[1024]; /* one sentence, after any function that returned a status but STATUS_OK */
};

/*
 * Allocate what the VM needs and load its image; nothing runs yet.  @opt must outlive it.  Returns
 * an exit status.  instance_free() in any case.
 */
int instance_create(struct instance *in, const struct run_options *opt,
		    const struct instance_io *io);
/*
 * Start its devices and give its vCPUs to @d.  @ended(@arg) is called by a pCPU thread, without
 * locks, when the last of them has ended; not if this fails.
 */
int instance_start(struct instance *in, struct dispatcher *d, const struct dispatch_params *params,
		   void (*ended)(void *arg), void *arg);
/* Wait until every vCPU has ended, then stop the devices and the worlds. */
void instance_join(struct instance *in);
/*
 * Did its worlds use the CPU only when they had the turn?  If not, the VM is killed.  To be called
 * about once a second while it runs, by the thread that will call instance_join().
 */
void instance_audit(struct instance *in);
/* How it ended: the exit status and, where there is something to say, a sentence in in->err. */
int instance_verdict(struct instance *in);
/* Print the account as the options ask.  Returns an exit status. */
int instance_print_stats(struct instance *in);
void instance_free(struct instance *in);

#endif
