/* SPDX-License-Identifier: MIT */
/*
 * threads [-a] [-l] [-s SPINS] [THREADS [ROUNDS [WORK]]]: user-level threads (uthread.h) that
 * compute, add to a sum behind a lock, and wait for each other, ROUNDS times.  -a: with
 * activations. -l: who waits for the lock or the others does so in a loop, and gives way only every
 * so often.
 *
 * The lines that begin with "ok" are the same on any machine; the others tell how it went.
 */
#include "../activation.h"
#include "uthread.h"

#define LOOPS 1000u /* before others may run */

static uint32_t threads = 8, rounds = 200, size = 20000, spins = 20000;
static struct ut_mutex mutex;
static struct ut_barrier barrier;
static uint32_t sum, turns[UT_THREADS];
static bool good = true, loops;

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* ---- waiting in a loop: here, not in uthread.c, so that who loops can be taken too ---- */

static volatile uint32_t spin_taken, spin_here, spin_phase;

static void spin(uint32_t *n)
{
	__asm__ volatile("pause");
	if (++*n % LOOPS == 0)
		ut_spun();
}

static void take_lock(void)
{
	uint32_t n = 0;
	if (!loops) {
		ut_lock(&mutex);
		return;
	}
	while (__atomic_exchange_n(&spin_taken, 1, __ATOMIC_ACQUIRE))
		while (spin_taken)
			spin(&n);
}

static void drop_lock(void)
{
	if (loops)
		__atomic_store_n(&spin_taken, 0, __ATOMIC_RELEASE);
	else
		ut_unlock(&mutex);
}

static void wait_for_all(void)
{
	uint32_t phase = spin_phase, n = 0;
	if (!loops) {
		ut_wait(&barrier);
	} else if (__atomic_add_fetch(&spin_here, 1, __ATOMIC_SEQ_CST) == threads) {
		spin_here = 0;
		__atomic_store_n(&spin_phase, phase + 1, __ATOMIC_SEQ_CST);
	} else {
		while (spin_phase == phase)
			spin(&n);
	}
}

/* The work: all registers are in use, so that one lost on the way to another processor shows. */
static uint32_t compute(uint32_t seed, uint32_t n)
{
	uint32_t a = seed, b = ~seed, c = seed ^ 0x9e3779b9u, d = 1;
	while (n--) {
		a = (a << 5 | a >> 27) + b;
		b = (b ^ c) * 5 + d;
		c += a ^ (c >> 3);
		d += b;
	}
	return a ^ b ^ c ^ d;
}

static void thread_main(uint32_t i)
{
	for (uint32_t n = 0; n < rounds; n++) {
		uint32_t value = compute(i * 1000 + n, size);
		if (turns[i] != n)
			good = false;
		turns[i]++;
		take_lock();
		sum += value + compute(i, size / 50);
		drop_lock();
		wait_for_all();
		for (uint32_t k = 0; k < threads; k++) /* all have been here */
			if (turns[k] < n + 1 || turns[k] > n + 2)
				good = false;
	}
}

static uint32_t expected(void)
{
	uint32_t e = 0;
	for (uint32_t i = 0; i < threads; i++)
		for (uint32_t n = 0; n < rounds; n++)
			e += compute(i * 1000 + n, size) + compute(i, size / 50);
	return e;
}

static void show_processors(void)
{
	struct processor_info p = { 0 };
	for (uint32_t i = 0; i < (uint32_t)cpus(); i++) {
		if (syscall(SYS_PROCESSOR, i, (uint32_t)&p, 0))
			return;
		printf("processor %u: run %u ms, steal %u ms, idle %u ms, %u preemptions\n", i,
		       (uint32_t)p.run_us / 1000, (uint32_t)p.steal_us / 1000,
		       (uint32_t)p.idle_us / 1000, p.preempts);
	}
	printf("events: %u added, %u preempted, %u resumed, %u blocked, %u unblocked, %u missed\n",
	       p.events[1], p.events[2], p.events[3], p.events[4], p.events[5], p.events[0]);
	printf("%s every event can follow the one before\n", p.odd ? "not ok" : "ok");
}

int main(int argc, char **argv)
{
	uint32_t *const numbers[] = { &threads, &rounds, &size }, next = 0;
	bool activations = false, check;
	struct ut_stats s;
	uint64_t start, ran;
	int result;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-a"))
			activations = true;
		else if (!strcmp(argv[i], "-l"))
			loops = true;
		else if (!strcmp(argv[i], "-s") && i + 1 < argc)
			spins = number(argv[++i]);
		else if (next < 3)
			*numbers[next++] = number(argv[i]);
	}
	if (!threads || threads > UT_THREADS || !rounds) {
		printf("threads [-a] [-l] [-s SPINS] [THREADS [ROUNDS [WORK]]]: 1 to %d threads\n",
		       UT_THREADS);
		return 1;
	}
	barrier.size = threads;
	for (uint32_t i = 0; i < threads; i++)
		ut_create(thread_main, i);
	start = rdtsc();
	result = ut_run(activations, spins, &s);
	ran = rdtsc() - start;
	check = sum == expected();
	printf("%s sum of %u threads, %u rounds\n", check ? "ok" : "not ok", threads, rounds);
	printf("%s every thread came to every barrier\n", good ? "ok" : "not ok");
	printf("activations %s: %u million cycles, %u switches, %u taken, %u lost, %u yields, "
	       "%u spins, %u sleeps\n",
	       s.activations ? "on"
	       : activations ? "not offered"
			     : "off",
	       (uint32_t)(ran >> 20), s.switches, s.taken, s.lost, s.yields, s.spins, s.sleeps);
	if (s.activations)
		show_processors();
	return result || !check || !good;
}
