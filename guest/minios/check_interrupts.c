/* SPDX-License-Identifier: MIT */
/*
 * Checks of interrupts: when they come, and when they must not.
 *
 * Whether interrupts are on is observed by what gets in, and by the EFLAGS that a trap pushed.
 */
#include "minios.h"
#include "trap.h"
#include "x86.h"

#define TICK     62500u /* timer counts, divided by 16: a millisecond where it runs at 1 GHz */
#define PATIENCE 5000000000ull /* time stamp counts: seconds, but not for ever */

/* With interrupts off, start a one-shot and wait until it is waiting to be taken. */
static const char *make_pending(void)
{
	uint64_t limit = rdtsc() + PATIENCE;
	lapic_timer(false, 100);
	while (!lapic_requested(VEC_TIMER))
		if (rdtsc() > limit)
			return why("the timer never asked for an interrupt");
	return NULL;
}

static const char *check_cli(void)
{
	unsigned before = lapic_ticks;
	const char *reason;
	cli();
	reason = make_pending();
	if (!reason && lapic_ticks != before)
		reason = why("an interrupt came through cli");
	sti_nop_cli();
	if (!reason && lapic_ticks != before + 1)
		reason = why("%u interrupts came after sti, not 1", lapic_ticks - before);
	lapic_timer_stop();
	return reason;
}

/* STI; CLI lets nothing in between: SDM Vol. 2B, "STI". */
static const char *check_sti_shadow(void)
{
	unsigned before = lapic_ticks, in_between;
	const char *reason;
	cli();
	reason = make_pending();
	__asm__ volatile("sti\n\tcli" : : : "memory");
	in_between = lapic_ticks - before;
	sti_nop_cli();
	lapic_timer_stop();
	if (reason)
		return reason;
	return in_between ? why("an interrupt came between sti and cli") : NULL;
}

static const char *check_flag_image(void)
{
	cli();
	TRAP("", "int3");
	if (trap_seen.eflags & EFLAGS_IF)
		return why("IF is set in the frame after cli");
	sti();
	TRAP("", "int3");
	cli();
	return trap_seen.eflags & EFLAGS_IF ? NULL : why("IF is clear in the frame after sti");
}

/* An IRET that sets IF lets in what waits. */
static const char *check_iret_if(void)
{
	unsigned before = lapic_ticks;
	const char *reason;
	cli();
	reason = make_pending();
	__asm__ volatile("pushl $0x202\n\t"
			 "pushl %0\n\t"
			 "pushl $1f\n\t"
			 "iret\n"
			 "1:	nop\n\t"
			 "cli"
			 :
			 : "i"(SEL_CODE)
			 : "memory", "cc");
	lapic_timer_stop();
	if (reason)
		return reason;
	return lapic_ticks == before + 1 ? NULL : why("%u interrupts, not 1", lapic_ticks - before);
}

/* ---- what the kind of a gate does to IF ---- */

static unsigned ticks_seen_inside;

static void linger(struct frame *f)
{
	(void)f;
	__asm__ volatile("nop\n\tnop" : : : "memory");
	ticks_seen_inside = lapic_ticks;
}

/* Enter a handler through a gate of @kind with one interrupt waiting; may it come inside? */
static const char *through_gate(enum gate kind, unsigned want)
{
	unsigned before = lapic_ticks;
	const char *reason;
	trap_handle(0x32, linger);
	idt_set_gate(0x32, kind);
	cli();
	reason = make_pending();
	/* The shadow of STI covers the INT: the interrupt cannot come before the handler. */
	__asm__ volatile("sti\n\tint $0x32\n\tnop\n\tcli" : : : "memory");
	lapic_timer_stop();
	trap_handle(0x32, NULL);
	if (reason)
		return reason;
	if (lapic_ticks != before + 1)
		return why("%u interrupts in all, not 1", lapic_ticks - before);
	if (ticks_seen_inside - before != want)
		return why("%u interrupts inside, not %u", ticks_seen_inside - before, want);
	return NULL;
}

static const char *check_interrupt_gate(void)
{
	return through_gate(GATE_INTERRUPT, 0);
}

static const char *check_trap_gate(void)
{
	return through_gate(GATE_TRAP, 1);
}

/* ---- the timers ---- */

static const char *check_hlt(void)
{
	unsigned before = lapic_ticks;
	const char *reason;
	cli();
	reason = make_pending(); /* an interrupt that is there already must end the HLT */
	if (!reason)
		sti_hlt_cli();
	if (!reason && lapic_ticks != before + 1)
		reason = why("woke up after %u ticks, not 1", lapic_ticks - before);
	lapic_timer(false, 10 * TICK); /* and so must one that comes during it */
	if (!reason)
		sti_hlt_cli();
	if (!reason && lapic_ticks != before + 2)
		reason = why("woke up after %u ticks, not 2", lapic_ticks - before);
	lapic_timer_stop();
	return reason;
}

static const char *check_ticks(void)
{
	unsigned before = lapic_ticks, naps = 0;
	cli();
	lapic_timer(true, TICK);
	while (lapic_ticks - before < 100) {
		sti_hlt_cli();
		naps++;
	}
	lapic_timer_stop();
	return naps <= 100 ? NULL : why("woke up %u times for 100 ticks", naps);
}

static const char *check_countdown(void)
{
	uint32_t first, second;
	uint64_t limit = rdtsc() + PATIENCE;
	lapic_timer(false, 0xffffffff);
	LAPIC_REG(LAPIC_LVT_TIMER) = VEC_TIMER | 0x10000; /* masked: it counts all the same */
	first = LAPIC_REG(LAPIC_TIMER_NOW);
	do
		second = LAPIC_REG(LAPIC_TIMER_NOW);
	while (second == first && rdtsc() < limit);
	lapic_timer_stop();
	return second < first ? NULL : why("the count went from %x to %x", first, second);
}

static volatile unsigned pit_ticks;

static void on_pit(struct frame *f)
{
	(void)f;
	pit_ticks++;
	pic_eoi(IRQ_TIMER);
}

static const char *check_pit(void)
{
	cli();
	pit_ticks = 0;
	trap_handle(IRQ_BASE + IRQ_TIMER, on_pit);
	pit_start(1000);
	pic_unmask(IRQ_TIMER);
	while (pit_ticks < 3)
		sti_hlt_cli();
	pic_mask(IRQ_TIMER);
	sti_nop_cli();
	return NULL; /* being here at all is the proof */
}

/* The task priority shuts out vectors of its class and below: SDM Vol. 3A, 10.8.3. */
static const char *check_priority(void)
{
	unsigned before = lapic_ticks, while_high;
	const char *reason;
	cli();
	LAPIC_REG(LAPIC_TPR) = VEC_TIMER & 0xf0;
	reason = make_pending();
	sti_nop_cli();
	while_high = lapic_ticks - before;
	sti();
	LAPIC_REG(LAPIC_TPR) = 0; /* now it may come */
	__asm__ volatile("nop\n\tcli");
	lapic_timer_stop();
	if (reason)
		return reason;
	if (while_high)
		return why("an interrupt came through the task priority");
	return lapic_ticks == before + 1 ? NULL : why("it did not come afterwards");
}

const struct check irq_checks[] = {
	{ "cli and sti", check_cli },
	{ "shadow of sti", check_sti_shadow },
	{ "flags in a trap frame", check_flag_image },
	{ "iret that sets if", check_iret_if },
	{ "interrupt gate", check_interrupt_gate },
	{ "trap gate", check_trap_gate },
	{ "hlt wakes up", check_hlt },
	{ "lapic timer counts down", check_countdown },
	{ "100 lapic timer ticks", check_ticks },
	{ "pit tick through the pic", check_pit },
	{ "task priority", check_priority },
	{ NULL, NULL },
};
