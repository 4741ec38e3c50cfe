/* SPDX-License-Identifier: MIT */
/*
 * stress [ROUNDS [THREADS]]: threads on all processors, and what goes wrong between them if
 * kernel or machine are not right: lost wake-ups, additions and translations.
 *
 * What it prints does not depend on how many processors there are.
 */
#include "user.h"

#define THREADS_MAX 8
#define STACK       4096u
#define ADDITIONS   1000u /* for each round */
#define PATIENCE    500   /* of 20 ms without a step */
#define TRIES       300   /* of 10 ms, to see what was written */
#define RETURNS     50u   /* for each player and round */
#define TURN        2000u /* how often to look or write before others may run */

static uint8_t stacks[THREADS_MAX + 1][STACK] __attribute__((aligned(16)));
static uint32_t rounds = 20, threads = 4;
static int main_pid, pids[THREADS_MAX + 1];

/* Something is wrong: say what, and end all of us, who might wait for each other for ever. */
static void fail(const char *what, uint32_t a, uint32_t b)
{
	int self = getpid();
	printf("not ok %s: %u, not %u\n", what, a, b);
	for (uint32_t i = 0; i <= THREADS_MAX; i++)
		if (pids[i] > 0 && pids[i] != self)
			kill(pids[i]);
	if (main_pid != self)
		kill(main_pid);
	exit(1);
}

/* Everybody counts what he has brought about, and the watchdog sees whether it becomes more. */
static uint32_t steps, all_done;

static void step(void)
{
	__atomic_fetch_add(&steps, 1, __ATOMIC_SEQ_CST);
}

static void watch(uint32_t unused)
{
	uint32_t before = 0, still = 0;
	(void)unused;
	while (!__atomic_load_n(&all_done, __ATOMIC_SEQ_CST)) {
		uint32_t now = __atomic_load_n(&steps, __ATOMIC_SEQ_CST);
		still = now == before ? still + 1 : 0;
		if (still == PATIENCE)
			fail("all wait and nobody comes: steps", now, now + 1);
		before = now;
		sleep(20);
	}
}

static bool ends_well(int pid)
{
	int status = -1;
	return wait(pid, &status, false) == pid && status == 0;
}

/* Run @fn in all threads; whether they ended well. */
static bool run(void (*fn)(uint32_t), void (*meanwhile)(void))
{
	bool good = true;
	for (uint32_t i = 0; i < threads; i++) {
		pids[i] = thread(fn, i, stacks[i] + STACK);
		if (pids[i] < 0)
			fail("thread", i, threads);
	}
	if (meanwhile)
		meanwhile();
	for (uint32_t i = 0; i < threads; i++)
		good &= ends_well(pids[i]);
	return good;
}

static int result(const char *what, bool good)
{
	printf("%s %s, %u threads, %u rounds\n", good ? "ok" : "not ok", what, threads, rounds);
	return !good;
}

/* ---- a mutex that sleeps: 0 free, 1 taken, 2 taken and somebody waits for it ---- */

static void mutex_take(uint32_t *m)
{
	uint32_t was = 0;
	if (__atomic_compare_exchange_n(m, &was, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	while (__atomic_exchange_n(m, 2, __ATOMIC_SEQ_CST))
		sleep_on(m, 2);
}

static void mutex_drop(uint32_t *m)
{
	if (__atomic_exchange_n(m, 0, __ATOMIC_SEQ_CST) == 2)
		wake(m, 1);
}

/* ---- additions ---- */

static uint32_t mutex, fast;
static volatile uint32_t slow, inside;

static void add(uint32_t self)
{
	for (uint32_t i = 0; i < rounds * ADDITIONS; i++)
		__atomic_fetch_add(&fast, 1, __ATOMIC_SEQ_CST); /* LOCK XADD */
	for (uint32_t i = 0; i < rounds * 10; i++) {
		mutex_take(&mutex);
		if (inside++)
			fail("alone behind the mutex, thread", self, 0);
		if (i % 8 == 0)
			yield(); /* so that others come and have to sleep */
		slow++;
		step();
		inside--;
		mutex_drop(&mutex);
	}
}

/* ---- wake-ups: pairs of threads play ping-pong; a lost one stops the game for ever ---- */

static uint32_t side[THREADS_MAX / 2], returns[THREADS_MAX];

static void play(uint32_t self)
{
	uint32_t *ball = &side[self / 2], me = self % 2;
	for (uint32_t i = 0; i < rounds * RETURNS; i++) {
		while (__atomic_load_n(ball, __ATOMIC_SEQ_CST) != me)
			sleep_on(ball, !me);
		returns[self]++;
		step();
		__atomic_store_n(ball, !me, __ATOMIC_SEQ_CST);
		wake(ball, 1);
	}
}

/* ---- translations: the page goes away, again and again, under the eyes of the others ---- */

static volatile uint32_t page[1024] __attribute__((aligned(4096)));
static uint32_t gone;              /* the last round whose page has been given back */
static uint32_t seen[THREADS_MAX]; /* the last round whose page the thread has seen */

static void look(uint32_t self)
{
	uint32_t looks = 0;
	while (__atomic_load_n(&gone, __ATOMIC_SEQ_CST) < rounds) {
		uint32_t before = __atomic_load_n(&gone, __ATOMIC_SEQ_CST), val = page[0];
		uint32_t after = __atomic_load_n(&gone, __ATOMIC_SEQ_CST);
		if (val && (val <= before || val > after + 1))
			fail("a page that was given back is seen", val, before + 1);
		if (val && seen[self] != val) {
			__atomic_store_n(&seen[self], val, __ATOMIC_SEQ_CST);
			wake(&seen[self], 1);
		}
		if (++looks % TURN == 0) /* a processor may have several of us */
			yield();
	}
}

static void take_away(void)
{
	for (uint32_t n = 1; n <= rounds; n++) {
		page[0] = n;
		for (uint32_t i = 0; i < threads; i++) {
			uint32_t val;
			while ((val = __atomic_load_n(&seen[i], __ATOMIC_SEQ_CST)) != n)
				sleep_on(&seen[i], val);
		}
		renew(page);
		step();
		__atomic_store_n(&gone, n, __ATOMIC_SEQ_CST);
	}
}

/*
 * ---- fork() while others write and read ----
 *
 * What the even threads write after a fork() is not for the child.  And what main writes then goes
 * to a copy of the page, which the odd threads, who only read, must see.
 */

#define NEWS THREADS_MAX /* the word for the odd ones */

static volatile uint32_t pages[2][1024] __attribute__((aligned(4096)));
static uint32_t heard[THREADS_MAX], stop;

static void write_or_read(uint32_t self)
{
	for (uint32_t n = 1; !__atomic_load_n(&stop, __ATOMIC_SEQ_CST); n++) {
		if (self % 2)
			__atomic_store_n(&heard[self], pages[0][NEWS], __ATOMIC_SEQ_CST);
		else
			pages[0][self] = pages[1][self] = n;
		if (n % TURN == 0)
			yield();
	}
}

static void child_looks(void)
{
	uint32_t first[2][THREADS_MAX];
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t j = 0; j < threads; j++)
			first[i][j] = pages[i][j];
	sleep(20);
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t j = 0; j < threads; j++)
			if (first[i][j] != pages[i][j])
				fail("a write after fork() is seen", pages[i][j], first[i][j]);
	exit(0);
}

static bool forks_good = true;

static void fork_often(void)
{
	for (uint32_t n = 1; n <= rounds; n++) {
		int pid = fork(), tries = 0;
		if (pid == 0)
			child_looks();
		pages[0][NEWS] = n;
		for (uint32_t i = 1; i < threads; i += 2)
			while (__atomic_load_n(&heard[i], __ATOMIC_SEQ_CST) != n) {
				sleep(10);
				if (++tries == TRIES)
					fail("what was written after fork() is", heard[i], n);
			}
		forks_good &= pid > 0 && ends_well(pid);
		step();
	}
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
}

int main(int argc, char **argv)
{
	int failed = 0;
	uint32_t sum = 0;
	bool good;
	main_pid = getpid();
	if (argc > 1)
		rounds = number(argv[1]);
	if (argc > 2)
		threads = number(argv[2]);
	if (!rounds || threads < 2 || threads > THREADS_MAX || threads % 2) {
		printf("stress [ROUNDS [THREADS]]: 2 to %d threads, an even number\n", THREADS_MAX);
		return 1;
	}
	pids[THREADS_MAX] = thread(watch, 0, stacks[THREADS_MAX] + STACK);
	good = run(add, NULL);
	failed += result("no addition is lost", good && fast == threads * rounds * ADDITIONS &&
							slow == threads * rounds * 10);
	good = run(play, NULL);
	for (uint32_t i = 0; i < threads; i++)
		sum += returns[i];
	failed += result("no wake-up is lost", good && sum == threads * rounds * RETURNS);
	good = run(look, take_away);
	failed += result("no page is seen that was given back", good);
	good = run(write_or_read, fork_often);
	failed += result("fork() divides what is written", good && forks_good);
	__atomic_store_n(&all_done, 1, __ATOMIC_SEQ_CST);
	return failed + !ends_well(pids[THREADS_MAX]) != 0;
}
