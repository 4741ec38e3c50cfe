/* SPDX-License-Identifier: MIT */
/* Measurements that need no page tables of their own: instructions, system calls, interrupts. */
#include "bench.h"

static void cli_sti(unsigned n)
{
	while (n--)
		__asm__ volatile("sti\n\tcli" : : : "memory");
}

static uint64_t bench_cli_sti(unsigned n)
{
	return TIME(cli_sti(n));
}

static void pushf_popf(unsigned n)
{
	while (n--)
		__asm__ volatile("pushfl\n\tpopfl" : : : "memory", "cc");
}

static uint64_t bench_pushf_popf(unsigned n)
{
	return TIME(pushf_popf(n));
}

static void port_in(unsigned n)
{
	while (n--)
		inb(0x3fd);
}

static uint64_t bench_port_in(unsigned n)
{
	return TIME(port_in(n));
}

static uint64_t bench_null_syscall(unsigned n)
{
	use_plain();
	return TIME(run_user(user_null_calls, n, 0));
}

static uint64_t bench_timer_busy(unsigned n)
{
	return timer_latency(n, false);
}

static uint64_t bench_timer_halted(unsigned n)
{
	return timer_latency(n, true);
}

const struct bench trap_benches[] = {
	{ "cli_sti", bench_cli_sti, 32, 151 },
	{ "pushf_popf", bench_pushf_popf, 32, 151 },
	{ "port_in", bench_port_in, 32, 151 },
	{ "null_syscall", bench_null_syscall, 32, 151 },
	{ "timer_busy", bench_timer_busy, 1, 101 },
	{ "timer_halted", bench_timer_halted, 1, 101 },
	{ NULL, NULL, 0, 0 },
};
