/* SPDX-License-Identifier: MIT */
/*
 * The clock: the local APIC's timer, a hundred times a second.  It ends time slices, and that of
 * the first processor also keeps the time and wakes up sleepers.
 *
 * Each processor has one.  On one that rests it stops at its next tick, but for the first's.
 *
 * How fast that timer counts is different on every machine, so first measure it against one whose
 * speed is known since 1981: the 8254.
 */
#include "os.h"
#include "x86.h"

#define LVT_MASKED 0x10000u

volatile uint32_t clock_ticks;
struct lock clock_lock = { .rank = RANK_CLOCK, .name = "clock" };
static uint32_t period; /* what the timer counts in a tick */
static volatile unsigned pit_ticks;

static void on_pit(struct frame *f)
{
	(void)f;
	pit_ticks++;
	pic_eoi(IRQ_TIMER);
}

static void wait_for_pit(void)
{
	unsigned before = pit_ticks;
	while (pit_ticks == before)
		sti_hlt_cli();
}

/* What the local APIC's timer counts until the next tick of the 8254, from @*at, its last count. */
static uint32_t next_period(uint32_t *at)
{
	uint32_t from = *at;
	wait_for_pit();
	*at = LAPIC_REG(LAPIC_TIMER_NOW);
	return from - *at;
}

/*
 * On a virtual machine a tick may come late, and what is measured from it is too little: so until
 * two in a row agree to an eighth.
 */
static uint32_t measure(void)
{
	uint32_t at = 0xffffffff, last, now, apart;
	trap_handle(IRQ_BASE + IRQ_TIMER, on_pit);
	pit_start(1000 / TICK_MS);
	pic_unmask(IRQ_TIMER);
	wait_for_pit(); /* to begin with a tick, not in the middle */
	lapic_timer(false, at);
	LAPIC_REG(LAPIC_LVT_TIMER) = VEC_TIMER | LVT_MASKED;
	now = next_period(&at);
	for (unsigned tries = 0; tries < 50; tries++) {
		last = now;
		now = next_period(&at);
		apart = now > last ? now - last : last - now;
		if (apart <= now / 8)
			break;
	}
	pic_mask(IRQ_TIMER);
	return now;
}

static void advance(void)
{
	lock_take(&clock_lock);
	clock_ticks++;
	for (unsigned i = 0; i < PROCESSES; i++) {
		struct process *p = process_slot(i);
		/* The difference, not the two: the count may wrap in between. */
		if (p->channel == &p->wake_at && (int32_t)(clock_ticks - p->wake_at) >= 0)
			process_wake(p, &p->wake_at);
	}
	lock_drop(&clock_lock);
}

static void on_tick(struct frame *f)
{
	struct cpu *c = this_cpu();
	LAPIC_REG(LAPIC_EOI) = 0;
	c->ticks++;
	if (c->number == 0)
		advance();
	/* The kernel itself is interrupted only in rest(), when there is nobody to run. */
	if (!from_user(f)) {
		if (c->number && c->resting) {
			lapic_timer_stop();
			c->ticking = false;
		}
		return;
	}
	current->ticks++;
	if (--current->slice == 0)
		yield();
	if (current->killed)
		process_exit(STATUS_KILLED);
}

void clock_start(void)
{
	this_cpu()->ticking = true;
	lapic_timer(true, period);
}

void clock_init(void)
{
	period = measure();
	trap_handle(VEC_TIMER, on_tick);
	clock_start();
}
