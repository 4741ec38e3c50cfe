/* SPDX-License-Identifier: MIT */
/*
 * minios and a rival on the same pCPUs: activations-pair PCPUS SMP RIVALS MINIOS PROGRAMS COMMAND
 *
 * A virtual machine with SMP processors runs COMMAND; another one, if RIVALS is not 0, has so many
 * processors that do nothing but compute.  One dispatcher has both, so the first is told when the
 * second takes its pCPU.  What the first prints goes to standard output, and behind it what its
 * processors were told and how often they were dispatched.  Ends with the first one's status.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/activations.h"
#include "vmm/instance.h"
#include "vmm/vcpu.h"

struct machine_run {
	struct run_options opt;
	struct instance in;
	char *argv[12];
	char smp[12];
	uint64_t dispatches; /* of all its vCPUs */
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool ended;
};

static struct dispatcher *dispatcher;
static struct machine_run first, rival;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "activations-pair: %s: %s\n", what, why);
	exit(2);
}

static void on_ended(void *arg)
{
	struct machine_run *m = arg;

	for (unsigned i = 0; i < m->in.vm.vcpus; i++) {
		struct dispatch_stat st;

		dispatch_get(dispatcher, m->in.vm.vcpu[i], &st);
		m->dispatches += st.sched.dispatches;
	}
	pthread_mutex_lock(&m->lock);
	m->ended = true;
	pthread_cond_signal(&m->over);
	pthread_mutex_unlock(&m->lock);
}

static void prepare(struct machine_run *m, unsigned smp, char *minios, char *programs,
		    char *command, int out)
{
	const struct instance_io io = { .console_in = -1, .console_out = out, .lossy = out < 0 };
	char *argv[] = { "run",      "--smp", m->smp, "--module", programs,
			 "--append", command, minios, NULL };
	char err[1024];

	snprintf(m->smp, sizeof(m->smp), "%u", smp);
	memcpy(m->argv, argv, sizeof(argv));
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->over, NULL);
	if (cli_parse_run(8, m->argv, &m->opt, err, sizeof(err)) < 0)
		fail("options", err);
	/* More processors than CPUs, whatever this machine has: a spinning kernel must trap. */
	m->opt.pause = PAUSE_TRAP;
	if (instance_create(&m->in, &m->opt, &io))
		fail("virtual machine", m->in.err);
}

static void launch(struct machine_run *m)
{
	const struct dispatch_params params = { 0 };

	if (instance_start(&m->in, dispatcher, &params, on_ended, m))
		fail("start", m->in.err);
}

static int finish(struct machine_run *m)
{
	int status;

	instance_join(&m->in);
	status = instance_verdict(&m->in);
	return status;
}

static void print_events(void)
{
	struct activations_stats s;

	activations_get_stats(first.in.vm.activations, &s);
	printf("told: %llu added, %llu preempted, %llu resumed, %llu blocked, %llu unblocked; "
	       "%llu elided, %llu lost, %llu upcalls; %llu dispatches\n",
	       (unsigned long long)s.events[SA_ADDED], (unsigned long long)s.events[SA_PREEMPTED],
	       (unsigned long long)s.events[SA_RESUMED], (unsigned long long)s.events[SA_BLOCKED],
	       (unsigned long long)s.events[SA_UNBLOCKED], (unsigned long long)s.elided,
	       (unsigned long long)s.lost, (unsigned long long)s.upcalls,
	       (unsigned long long)first.dispatches);
}

int main(int argc, char **argv)
{
	struct dispatch_config cfg = { 0 };
	char err[256], script[256] = "script=";
	unsigned rivals;
	int status;

	if (argc != 7)
		fail("usage", "activations-pair PCPUS SMP RIVALS MINIOS PROGRAMS COMMAND");
	signal(SIGPIPE, SIG_IGN);
	cfg.pcpus = (unsigned)strtoul(argv[1], NULL, 10);
	rivals = (unsigned)strtoul(argv[3], NULL, 10);
	if (rivals > 8)
		fail("usage", "8 rivals at most");
	dispatcher = dispatcher_new(&cfg, err, sizeof(err));
	if (!dispatcher)
		fail("dispatcher", err);
	prepare(&first, (unsigned)strtoul(argv[2], NULL, 10), argv[4], argv[5], argv[6],
		STDOUT_FILENO);
	if (rivals) {
		for (unsigned i = 0; i < rivals; i++)
			strcat(script, "burn 1000000 &;");
		strcat(script, "wait");
		prepare(&rival, rivals, argv[4], argv[5], script, -1);
		launch(&rival);
	}
	launch(&first);
	pthread_mutex_lock(&first.lock);
	while (!first.ended)
		pthread_cond_wait(&first.over, &first.lock);
	pthread_mutex_unlock(&first.lock);
	status = finish(&first);
	if (*first.in.err)
		fprintf(stderr, "activations-pair: %s\n", first.in.err);
	print_events();
	instance_free(&first.in);
	run_options_free(&first.opt);
	if (rivals) {
		vm_end(&rival.in.vm, VM_STOPPED, 0);
		finish(&rival);
		instance_free(&rival.in);
		run_options_free(&rival.opt);
	}
	dispatcher_free(dispatcher);
	return status;
}
