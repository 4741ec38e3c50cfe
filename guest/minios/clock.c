/* SPDX-License-Identifier: MIT */
/*
 * The clock: the local APIC's timer, a hundred times a second.  It ends time slices and wakes up
 * sleepers.
 *
 * How fast that timer counts is different on every machine, so first measure it against one whose
 * speed is known since 1981: the 8254.
 */
#include "os.h"
#include "x86.h"

#define LVT_MASKED 0x10000u

volatile uint32_t clock_ticks;
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

static uint32_t measure(void)
{
	uint32_t left;
	trap_handle(IRQ_BASE + IRQ_TIMER, on_pit);
	pit_start(1000 / TICK_MS);
	pic_unmask(IRQ_TIMER);
	wait_for_pit(); /* to begin with a tick, not in the middle */
	lapic_timer(false, 0xffffffff);
	LAPIC_REG(LAPIC_LVT_TIMER) = VEC_TIMER | LVT_MASKED;
	wait_for_pit();
	left = LAPIC_REG(LAPIC_TIMER_NOW);
	pic_mask(IRQ_TIMER);
	return 0xffffffff - left;
}

static void on_tick(struct frame *f)
{
	LAPIC_REG(LAPIC_EOI) = 0;
	clock_ticks++;
	for (unsigned i = 0; i < PROCESSES; i++) {
		struct process *p = process_slot(i);
		/* The difference, not the two: the count may wrap in between. */
		if (p->state == BLOCKED && p->channel == &p->wake_at &&
		    (int32_t)(clock_ticks - p->wake_at) >= 0)
			p->state = READY;
	}
	/* The kernel itself is interrupted only in schedule(), when there is nobody to run. */
	if (!from_user(f))
		return;
	current->ticks++;
	if (--current->slice == 0)
		yield();
	if (current->killed)
		process_exit(STATUS_KILLED);
}

void clock_init(void)
{
	uint32_t count = measure();
	trap_handle(VEC_TIMER, on_tick);
	lapic_timer(true, count);
}
