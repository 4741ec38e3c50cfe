/* SPDX-License-Identifier: MIT */
/*
 * What does a trap cost?  In one run, interleaved so that the noise of a shared machine hits all
 * alike: a world trap (cli at ring 3, seen by the VMM, guest resumed) under each hand-off policy,
 * beside (a) a bare in-process SIGSEGV and return and (b) a ptrace stop and continue.
 * Prints a table with ratios; --json FILE writes the same as JSON.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/ucontext.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* <sys/user.h> has its own. */
#undef PAGE_SIZE
#undef PAGE_SHIFT

#include "bench/bench.h"
#include "vmm/tsc.h"
#include "vmm/world/world.h"

#define TRAPS 20000

/* ---- (a) a bare signal: cli in this process, the handler steps over it ---- */

static void step_over(int signo, siginfo_t *si, void *context)
{
	(void)signo;
	(void)si;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP]++;
}

static double bench_signal(void)
{
	struct sigaction sa = { .sa_sigaction = step_over, .sa_flags = SA_SIGINFO | SA_ONSTACK },
			 old;
	stack_t alt = { .ss_sp = malloc(65536), .ss_size = 65536 };
	stack_t off = { .ss_flags = SS_DISABLE };
	uint64_t t0;

	sigaltstack(&alt, NULL);
	sigfillset(&sa.sa_mask);
	sigaction(SIGSEGV, &sa, &old);
	t0 = host_ns();
	for (int i = 0; i < TRAPS; i++)
		__asm__ volatile("cli" : : : "memory");
	t0 = host_ns() - t0;
	sigaction(SIGSEGV, &old, NULL);
	sigaltstack(&off, NULL);
	free(alt.ss_sp);
	return (double)t0 / TRAPS;
}

/* ---- (b) ptrace: the same fault stops a tracee, the tracer steps it over ---- */

static double bench_ptrace(void)
{
	const int traps = TRAPS / 10;
	struct user_regs_struct regs;
	uint64_t t0 = 0;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		for (;;)
			__asm__ volatile("cli" : : : "memory");
	}
	waitpid(pid, &status, 0);
	for (int i = -1; i < traps; i++) {
		if (i == 0)
			t0 = host_ns();
		ptrace(PTRACE_CONT, pid, NULL, NULL);
		waitpid(pid, &status, 0);
		ptrace(PTRACE_GETREGS, pid, NULL, &regs);
		regs.rip++;
		ptrace(PTRACE_SETREGS, pid, NULL, &regs);
	}
	t0 = host_ns() - t0;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return (double)t0 / traps;
}

/* ---- a world trap ---- */

struct guest {
	struct vm vm;
	struct vcpu vcpu;
};

#define CODE 0x100000u

static int guest_start(struct guest *g)
{
	int err = vm_init(&g->vm, 4 << 20);

	if (err)
		return err;
	g->vcpu.vm = &g->vm;
	vcpu_boot_multiboot(&g->vcpu, CODE, 0, 0);
	memset(g->vm.ram + CODE, 0xfa, 16); /* cli */
	err = world_engine.create(&g->vcpu, &g->vcpu.engine);
	if (err)
		return err;
	return world_engine.map(g->vcpu.engine, CODE, CODE, PAGE_SIZE, MAP_R | MAP_W | MAP_X);
}

static int trap_once(struct guest *g)
{
	struct exit x;
	int err;

	g->vcpu.regs.eip = CODE;
	err = world_engine.run(g->vcpu.engine, 0, &x);
	if (err)
		return err;
	return x.reason == EXIT_PRIVILEGED ? 0 : -EPROTO;
}

static double bench_world(struct guest *g)
{
	uint64_t t0;

	for (int i = 0; i < 200; i++)
		if (trap_once(g))
			return -1;
	t0 = host_ns();
	for (int i = 0; i < TRAPS; i++)
		if (trap_once(g))
			return -1;
	return (double)(host_ns() - t0) / TRAPS;
}

static double world_mode(struct guest *g, int mode)
{
	struct world *w = world_of(g->vcpu.engine);

	if (mode < 0)
		w->handoff->forced = false;
	else
		handoff_force(w, (enum handoff_mode)mode);
	return bench_world(g);
}

int main(int argc, char **argv)
{
	struct row rows[] = {
		{ .key = "signal", .name = "bare SIGSEGV and return, in process" },
		{ .key = "ptrace", .name = "ptrace stop and continue" },
		{ .key = "world_share", .name = "world trap, one CPU (futex)" },
		{ .key = "world_spin", .name = "world trap, two CPUs (spin)" },
		{ .key = "world_auto", .name = "world trap, adaptive (as shipped)" },
	};
	const struct bench_json report = { .name = "trap",
					   .per_round = "traps_per_round",
					   .ratio = "ratio_to_signal",
					   .count = TRAPS };
	const size_t n = sizeof(rows) / sizeof(rows[0]);
	struct guest *g;
	const char *json;
	int status = bench_args(argc, argv, &json);

	if (status)
		return status;
	g = calloc(1, sizeof(*g));
	if (!g || guest_start(g)) {
		fprintf(stderr, "bench: %s\n", g ? g->vm.death : "out of memory");
		return 1;
	}
	for (int r = 0; r < ROUNDS; r++) {
		rows[0].ns[r] = bench_signal();
		rows[1].ns[r] = bench_ptrace();
		rows[2].ns[r] = world_mode(g, HANDOFF_SHARE);
		rows[3].ns[r] = world_mode(g, HANDOFF_SPIN);
		rows[4].ns[r] = world_mode(g, -1);
		for (size_t i = 0; i < n; i++)
			if (rows[i].ns[r] < 0) {
				fprintf(stderr, "bench: %s failed: %s\n", rows[i].name,
					g->vm.death);
				return 1;
			}
	}
	rows_print("a trap", rows, n, 0);
	world_engine.destroy(g->vcpu.engine);
	vm_destroy(&g->vm);
	free(g);
	if (json && rows_write(json, &report, rows, n))
		return 1;
	return 0;
}
