/* SPDX-License-Identifier: MIT */
/*
 * smp-stress=N: the processors test each other, and the machine below, N times each way.
 *
 * All of them run this, each on the stack of its idle process, with no other process there.  What
 * is printed does not depend on how many they are.  A test that waits in vain ends in a panic,
 * since the clock of the first processor goes on.
 */
#include "os.h"
#include "x86.h"

#define PATIENCE  (4 * 1000 / TICK_MS) /* ticks until we say that something is lost */
#define ADDITIONS 2000                 /* for each of the N rounds */
#define WINDOW    0x3fe00000u          /* a kernel address with no RAM behind it */

/*
 * Sleep until @condition; bounded, so that what is lost can be named.  Who makes it true sends an
 * interrupt, for else there is only the tick.  (On a host with fewer processors than we
 * have, who waits awake only keeps the others from running.)
 */
#define WAIT(patience, condition, ...)                         \
	do {                                                   \
		uint32_t since_ = clock_ticks;                 \
		while (!(condition)) {                         \
			if (clock_ticks - since_ > (patience)) \
				panic(__VA_ARGS__);            \
			sti_hlt_cli();                         \
		}                                              \
	} while (0)

/* What smp_break says. */
enum { BREAK_ORDER = 1, BREAK_DROP, BREAK_TRAP, BREAK_INTERRUPT };

static void nudge(unsigned to)
{
	if (to != this_cpu()->number)
		lapic_ipi(cpus[to].apic_id, IPI_FIXED | VEC_RESCHEDULE);
}

/* Wait until all are here. */
static void meet(void)
{
	static volatile uint32_t arrived, meetings;
	uint32_t before = meetings;
	if (__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST) == cpu_count) {
		arrived = 0;
		__atomic_add_fetch(&meetings, 1, __ATOMIC_SEQ_CST);
		for (unsigned i = 0; i < cpu_count; i++)
			nudge(i);
	}
	WAIT(2 * PATIENCE, meetings != before, "processor %u: meeting %u does not take place",
	     this_cpu()->number, before);
}

static void result(const char *what)
{
	meet();
	if (this_cpu()->number == 0)
		print("ok %s, %u rounds\n", what, smp_stress_rounds);
}

/* ---- interrupts: from each to each, every one is counted where it is sent and where it comes ----
 */

static volatile uint32_t letter[CPUS_MAX][CPUS_MAX]; /* [from][to]: 1 while it is under way */
static uint32_t sent[CPUS_MAX][CPUS_MAX], received[CPUS_MAX][CPUS_MAX];
static volatile uint32_t pings[CPUS_MAX]; /* that came, from whomever */

static void on_ping(struct frame *f)
{
	unsigned self = this_cpu()->number, from = f->vector - VEC_PING;
	LAPIC_REG(LAPIC_EOI) = 0;
	pings[self]++;
	if (!letter[from][self])
		return;
	received[from][self]++;
	__atomic_store_n(&letter[from][self], 0, __ATOMIC_RELEASE);
	nudge(from);
}

/*
 * Two of the same vector that wait at the same time are one interrupt (SDM Vol. 3A, "Interrupt
 * Acceptance for Fixed Interrupts", 10.8.4).  So each sender has a vector, and waits for the
 * answer.
 */
static void ping(unsigned to)
{
	lapic_ipi(cpus[to].apic_id, IPI_FIXED | (VEC_PING + this_cpu()->number));
}

static void test_interrupts(unsigned self)
{
	for (uint32_t n = 0; n < smp_stress_rounds; n++)
		for (unsigned to = 0; to < cpu_count; to++) {
			sent[self][to]++;
			letter[self][to] = 1;
			if (smp_break != BREAK_INTERRUPT || self || to != cpu_count - 1)
				ping(to); /* to ourselves, too */
			WAIT(PATIENCE, !letter[self][to], "interrupt %u from %u to %u is lost", n,
			     self, to);
		}
	meet();
	for (unsigned from = 0; from < cpu_count; from++)
		if (sent[from][self] != smp_stress_rounds ||
		    received[from][self] != sent[from][self])
			panic("%u interrupts sent from %u to %u, %u received", sent[from][self],
			      from, self, received[from][self]);
}

/* ---- waking up: a ball goes round, each sleeps until it comes, and only the ball can wake it up
 * ---- */

static void test_wakeups(unsigned self)
{
	uint32_t start = pings[self];
	if (self) /* the first keeps its clock, to notice; it does not take a tick for a ping */
		lapic_timer_stop();
	meet();
	if (self == 0)
		ping(1 % cpu_count);
	for (uint32_t n = 1; n <= smp_stress_rounds; n++) {
		WAIT(PATIENCE, pings[self] - start >= n, "wake-up %u is lost, %u came to %u", n,
		     pings[self] - start, self);
		if (self || n < smp_stress_rounds)
			ping((self + 1) % cpu_count);
	}
	meet();
	if (pings[self] - start != smp_stress_rounds)
		panic("%u wake-ups came to %u", pings[self] - start, self);
	if (self)
		clock_start();
}

/* ---- the clocks: each has its own, and none stops ---- */

static void test_clocks(unsigned self)
{
	struct cpu *c = this_cpu();
	uint32_t start = c->ticks;
	static volatile uint32_t done;
	while (self && c->ticks - start < 3)
		sti_hlt_cli();
	__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
	WAIT(PATIENCE, done == cpu_count, "the clock of %u processors stands still",
	     cpu_count - done);
}

/* ---- locks: what only one does at a time, and what all do in one step ---- */

static void test_locks(unsigned self)
{
	static struct lock lock = { .rank = RANK_TEST, .name = "test" };
	static volatile uint32_t slow, fast, inside;
	uint32_t want = cpu_count * smp_stress_rounds * ADDITIONS;
	for (uint32_t n = 0; n < smp_stress_rounds * ADDITIONS; n++) {
		uint32_t val;
		lock_take(&lock);
		if (inside++)
			panic("processor %u is not alone behind the lock", self);
		val = slow;
		for (volatile unsigned i = 0; i < 10;
		     i++) /* not PAUSE: we do not wait, others do */
			;
		slow = val + 1;
		inside--;
		lock_drop(&lock);
		__asm__ volatile("lock xaddl %0, %1" : "=r"(val), "+m"(fast) : "0"(1) : "memory");
	}
	meet();
	if (slow != want || fast != want)
		panic("%u and %u additions instead of %u", slow, fast, want);
}

/* ---- stale translations: the first moves a page, the others look at it all the time ---- */

static void test_tlb(unsigned self)
{
	static volatile uint32_t round, seen[CPUS_MAX];
	const volatile uint32_t *window = (const volatile uint32_t *)WINDOW;
	static uint32_t frame[2];
	uint32_t *pte = page_entry(kernel_dir, WINDOW, false);
	if (self == 0) {
		pte = page_entry(kernel_dir, WINDOW, true);
		frame[0] = frame_alloc();
		frame[1] = frame_alloc();
		if (!pte || !frame[0] || !frame[1])
			panic("no memory for the test");
		*pte = frame[0] | PTE_P;
	}
	meet();
	for (uint32_t n = 1; self == 0 && n <= smp_stress_rounds; n++) {
		uint32_t new = frame[n % 2];
		*(volatile uint32_t *)new = n;
		*pte = new | PTE_P;
		flush_everywhere(WINDOW);
		round = n; /* from now on nobody may see what was there before */
		if (*window != n)
			panic("stale translation: round %u, the first sees %u", n, *window);
		for (unsigned i = 1; i < cpu_count; i++)
			WAIT(PATIENCE, seen[i] == n, "processor %u never sees round %u", i, n);
		*(volatile uint32_t *)frame[(n + 1) % 2] = 0;
	}
	/* With interrupts on, as there is no lock: the test is to stay here and keep the
	 * translation. */
	if (self)
		sti();
	while (self && round < smp_stress_rounds) {
		uint32_t before = round, val = *window, after = round;
		if (val < before || val > after + 1)
			panic("stale translation: processor %u sees %u in round %u to %u", self,
			      val, before, after);
		if (seen[self] != val) {
			seen[self] = val;
			nudge(0);
		}
		cpu_pause();
	}
	cli();
	if (self)
		seen[self] = smp_stress_rounds;
	meet();
	if (self == 0) {
		*pte = 0;
		flush_everywhere(WINDOW);
		frame_release(frame[0]);
		frame_release(frame[1]);
	}
}

/* smp-break=N: what must end in a panic does. */
static void break_a_rule(void)
{
	static struct lock low = { .rank = RANK_FAMILY, .name = "low" };
	static struct lock high = { .rank = RANK_TEST, .name = "high" };
	if (smp_break == BREAK_DROP)
		lock_drop(&low);
	lock_take(&high);
	if (smp_break == BREAK_ORDER)
		lock_take(&low);
	if (smp_break == BREAK_TRAP)
		__asm__ volatile("int3");
	lock_drop(&high);
}

static const struct {
	const char *what;
	void (*fn)(unsigned self);
} tests[] = {
	{ "every interrupt from each processor to each came", test_interrupts },
	{ "every sleeper was woken up", test_wakeups },
	{ "every clock ticks", test_clocks },
	{ "locks and locked instructions lose no addition", test_locks },
	{ "nobody sees a page that was taken away", test_tlb },
};

void smp_stress(void)
{
	struct cpu *c = this_cpu();
	clock_start();
	if (c->number == 0) {
		for (unsigned i = 0; i < cpu_count; i++)
			trap_handle(VEC_PING + i, on_ping);
		print("smp: %u processors\n", cpu_count);
	}
	meet();
	if (c->number == 0)
		break_a_rule();
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		tests[i].fn(c->number);
		result(tests[i].what);
	}
	if (c->number == 0)
		machine_exit(EXIT_GOOD);
	for (;;)
		sti_hlt_cli();
}
