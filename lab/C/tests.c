/* SPDX-License-Identifier: MIT */
/*
 * Part C: priorities, the timer's arithmetic, what may be delivered.
 * Expectations: SDM Vol. 3A, "Task and Processor Priorities" (10.8.3.1), "Interrupt Acceptance for
 * Fixed Interrupts" (10.8.4), "Signaling Interrupt Servicing Completion" (10.8.5), "APIC Timer"
 * (10.5.4), "Masking Maskable Hardware Interrupts" (6.8.1), "Handling Multiple NMIs" (6.7.1).
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lab/grade/item.h"
#include "vmm/deliver.h"
#include "vmm/dev/lapic_count.h"
#include "vmm/dev/lapic_irqs.h"
#include "vmm/types.h"

/* ---- 1. which interrupt is next ---- */

/* A set of vectors, ending with 0. */
#define SET(...) ((const uint8_t[]){ __VA_ARGS__ __VA_OPT__(, ) 0 })

static bool has(const uint32_t *set, unsigned vector)
{
	return set[vector >> 5] & UINT32_C(1) << (vector & 31);
}

/* The vectors of @set in a text; a few of those of a call. */
static const char *list(const uint32_t *set)
{
	static char buf[4][120];
	static unsigned at;
	char *text = buf[at++ % 4];
	size_t len = 0;

	text[0] = 0;
	for (unsigned v = 256; v-- > 0;) {
		if (has(set, v) && len < sizeof(buf[0]) - 12)
			len += (size_t)snprintf(text + len, sizeof(buf[0]) - len, "%s%#x",
						len ? " " : "", v);
	}
	return len ? text : "none";
}

static const char *vector_text(int vector)
{
	static char buf[4][16];
	static unsigned at;
	char *text = buf[at++ % 4];

	snprintf(text, sizeof(buf[0]), vector < 0 ? "%d" : "%#x", vector);
	return text;
}

static struct lapic_irqs irqs(const uint8_t *irr, const uint8_t *isr, uint32_t tpr)
{
	struct lapic_irqs q = { .tpr = tpr };

	for (; *irr; irr++)
		q.irr[*irr >> 5] |= UINT32_C(1) << (*irr & 31);
	for (; *isr; isr++)
		q.isr[*isr >> 5] |= UINT32_C(1) << (*isr & 31);
	return q;
}

static void same_set(const uint32_t *got, const uint32_t *want, const char *name, const char *when)
{
	if (memcmp(got, want, 32))
		LOSE("%s %s: expected %s, got %s", name, when, list(want), list(got));
}

static void same_irqs(const struct lapic_irqs *got, const struct lapic_irqs *want, const char *when)
{
	same_set(got->irr, want->irr, "IRR", when);
	same_set(got->isr, want->isr, "ISR", when);
	same_set(got->tmr, want->tmr, "TMR", when);
	WANT(got->tpr, want->tpr, "TPR %s", when);
}

/* Numbers that look random and are the same each time. */
static uint32_t dice(void)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 16);
}

/* Some vectors in IRR and ISR, often of the same class; and a TPR. */
static struct lapic_irqs any_irqs(void)
{
	struct lapic_irqs q = { .tpr = dice() % 3 ? dice() & 0xff : 0 };

	for (unsigned n = dice() % 4; n > 0; n--) {
		unsigned v = 16 + dice() % 240;

		q.irr[v >> 5] |= UINT32_C(1) << (v & 31);
	}
	for (unsigned n = dice() % 3; n > 0; n--) {
		unsigned v = 16 + dice() % 240;

		q.isr[v >> 5] |= UINT32_C(1) << (v & 31);
	}
	return q;
}

static unsigned highest_class(const uint32_t *set)
{
	for (unsigned v = 256; v-- > 0;) {
		if (has(set, v))
			return v / 16;
	}
	return 0;
}

/* The vector that is due, or -1: one at a time from the top, as the manual says it. */
static int due(const struct lapic_irqs *q)
{
	unsigned now = highest_class(q->isr);

	if (q->tpr / 16 > now)
		now = q->tpr / 16;
	for (unsigned v = 256; v-- > 16 * (now + 1);) {
		if (has(q->irr, v))
			return (int)v;
	}
	return -1;
}

ITEM(ppr)
{
	for (unsigned n = 0; n < 2000; n++) {
		struct lapic_irqs q = any_irqs();
		uint32_t tpr = q.tpr, task = tpr / 16, service = highest_class(q.isr), got;
		uint32_t want = task >= service ? tpr : service * 16;

		got = irqs_ppr(&q);
		if (task == service && got == (tpr & 0xf0))
			continue; /* the manual allows both */
		if (got != want)
			LOSE("irqs_ppr() with TPR %#x and in service %s: expected %#x, got %#x",
			     tpr, list(q.isr), want, got);
	}
}

static void pending_in(const struct lapic_irqs *q, int want)
{
	int got = irqs_pending(q);

	if (got != want)
		LOSE("irqs_pending() with waiting %s, in service %s, TPR %#x: expected %s, got %s",
		     list(q->irr), list(q->isr), q->tpr, vector_text(want), vector_text(got));
}

static void pending_is(const uint8_t *irr, const uint8_t *isr, uint32_t tpr, int want)
{
	struct lapic_irqs q = irqs(irr, isr, tpr);

	pending_in(&q, want);
}

ITEM(pending)
{
	pending_is(SET(0x31, 0x52, 0x40), SET(), 0, 0x52);
	pending_is(SET(0xff), SET(), 0xef, 0xff);
	pending_is(SET(0x10), SET(), 0, 0x10);
	pending_is(SET(), SET(), 0, -1);
	pending_is(SET(0x5f), SET(0x50), 0, -1); /* the same class waits */
	pending_is(SET(0x60), SET(0x5f), 0, 0x60);
	pending_is(SET(0x5f), SET(), 0x50, -1);
	pending_is(SET(0x60), SET(), 0x5f, 0x60);
	pending_is(SET(0x60, 0x71), SET(0x61), 0x75, -1);
	for (unsigned n = 0; n < 5000; n++) {
		struct lapic_irqs q = any_irqs();

		pending_in(&q, due(&q));
	}
}

ITEM(accept)
{
	struct lapic_irqs q = irqs(SET(0x31), SET(0x52), 0x20),
			  want = irqs(SET(0x31, 0xfe), SET(0x52), 0x20);

	irqs_accept(&q, 0xfe, false);
	same_irqs(&q, &want, "after irqs_accept(0xfe, edge)");
	irqs_accept(&q, 0xfe, false);
	same_irqs(&q, &want, "after a second irqs_accept(0xfe, edge)");
	irqs_accept(&q, 0x52, true);
	want.irr[2] |= 1u << 0x12;
	want.tmr[2] |= 1u << 0x12;
	same_irqs(&q, &want, "after irqs_accept(0x52, level) while 0x52 is in service");
	irqs_accept(&q, 0x40, true);
	want.irr[2] |= 1u;
	want.tmr[2] |= 1u;
	same_irqs(&q, &want, "after irqs_accept(0x40, level)");
	irqs_accept(&q, 0x52, false);
	want.tmr[2] &= ~(1u << 0x12);
	same_irqs(&q, &want, "after irqs_accept(0x52, edge), level before");
}

ITEM(ack)
{
	for (unsigned n = 0; n < 2000; n++) {
		struct lapic_irqs q = any_irqs(), want;
		int vector = due(&q), got;
		char when[300];

		q.tmr[n % 8] = dice();
		want = q;
		if (vector >= 0) {
			want.irr[vector >> 5] &= ~(UINT32_C(1) << (vector & 31));
			want.isr[vector >> 5] |= UINT32_C(1) << (vector & 31);
		}
		snprintf(when, sizeof(when), "irqs_ack() with waiting %s, in service %s, TPR %#x",
			 list(q.irr), list(q.isr), q.tpr);
		got = irqs_ack(&q);
		if (got != vector)
			LOSE("%s: expected that it returns %s, got %s%s", when, vector_text(vector),
			     vector_text(got),
			     vector < 0 ? " (nothing can be taken: the caller makes it spurious)"
					: "");
		memmove(when + 6, when, strlen(when) + 1);
		memcpy(when, "after ", 6);
		same_irqs(&q, &want, when);
	}
}

ITEM(eoi)
{
	for (unsigned n = 0; n < 2000; n++) {
		struct lapic_irqs q = any_irqs(), want = q;
		int vector = -1, got;
		char when[200];

		for (int v = 0; v < 256; v++) {
			if (has(q.isr, (unsigned)v))
				vector = v;
		}
		if (vector >= 0)
			want.isr[vector >> 5] &= ~(UINT32_C(1) << (vector & 31));
		snprintf(when, sizeof(when), "after irqs_eoi() with in service %s", list(q.isr));
		got = irqs_eoi(&q);
		same_irqs(&q, &want, when);
		if (got != vector)
			LOSE("what it returned %s: expected %s, got %s", when, vector_text(vector),
			     vector_text(got));
	}
}

/* ---- 2. the timer ---- */

#define BY_1   0xbu
#define BY_2   0x0u
#define BY_16  0x3u
#define BY_128 0xau

/* The numbers below are of a counter that goes down once a nanosecond. */
_Static_assert(LAPIC_NS_PER_COUNT == 1, "the items' expectations");

ITEM(timer_divisor)
{
	static const struct {
		uint32_t reg, by;
	} figure[] = { { 0x0, 2 },  { 0x1, 4 },  { 0x2, 8 },   { 0x3, 16 },
		       { 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 } };

	for (unsigned i = 0; i < sizeof(figure) / sizeof(figure[0]); i++)
		WANT(count_divisor(figure[i].reg), figure[i].by,
		     "count_divisor(%#x) (figure 10-10)", figure[i].reg);
}

static void count_is(const struct lapic_count *c, uint64_t now, uint32_t want)
{
	WANT(count_at(c, now), want, "count_at() at %llu ns", (unsigned long long)now);
}

static void expires(struct lapic_count *c, bool periodic, uint64_t now, bool want)
{
	WANT(count_expire(c, periodic, now), want, "count_expire() at %llu ns, %s",
	     (unsigned long long)now, periodic ? "periodic" : "one-shot");
	NOTE("at %llu ns: count_expire() gives %s", (unsigned long long)now,
	     want ? "an interrupt" : "none");
}

ITEM(timer_one_shot)
{
	struct lapic_count c = { .divide = BY_2 };

	NOTE("at 5000 ns: count_start(1000), divided by 2");
	count_start(&c, 1000, 5000);
	WANT(c.initial, 1000, "the initial count register");
	WANT(c.counting, true, "counting");
	WANT(c.zero_ns, 7000, "when it reaches zero (zero_ns)");
	count_is(&c, 5000, 1000);
	count_is(&c, 5001, 1000); /* begun, and not over */
	count_is(&c, 5002, 999);
	count_is(&c, 6998, 1);
	count_is(&c, 6999, 1);
	count_is(&c, 7000, 0);
	count_is(&c, 9000, 0);
	expires(&c, false, 6999, false);
	expires(&c, false, 7000, true);
	expires(&c, false, 7000, false);
	expires(&c, false, 90000, false);
	count_is(&c, 90000, 0);
	WANT(c.initial, 1000, "the initial count register after the interrupt");

	NOTE("count_start(500) at 100000 ns, count_start(800) at 100100 ns");
	count_start(&c, 500, 100000);
	count_start(&c, 800, 100100);
	count_is(&c, 100100, 800);
	expires(&c, false, 101000, false);
	NOTE("count_start(0) at 101200 ns");
	count_start(&c, 0, 101200);
	count_is(&c, 101200, 0);
	expires(&c, false, 200000, false);

	c.divide = BY_128;
	NOTE("count_start(0xffffffff) at 0 ns, divided by 128");
	count_start(&c, 0xffffffff, 0);
	WANT(c.zero_ns, 0xffffffffull * 128, "when it reaches zero (zero_ns)");
	count_is(&c, 128, 0xfffffffe);
	expires(&c, false, 500000000000, false);
	expires(&c, false, 0xffffffffull * 128 + 5, true);
}

ITEM(timer_periodic)
{
	struct lapic_count c = { .divide = BY_1 };

	NOTE("at 1000 ns: count_start(100000), divided by 1, periodic");
	count_start(&c, 100000, 1000);
	expires(&c, true, 100999, false);
	expires(&c, true, 101000, true);
	expires(&c, true, 101000, false);
	WANT(c.counting, true, "counting after the first interrupt");
	count_is(&c, 101000, 100000); /* it is reloaded as it reaches zero */
	count_is(&c, 101001, 99999);
	expires(&c, true, 200999, false);
	expires(&c, true, 201040, true); /* a little late: the next is not */
	WANT(c.zero_ns, 301000, "when it reaches zero next (zero_ns)");
	expires(&c, true, 651000, true); /* four at once: one, and in phase */
	expires(&c, true, 651001, false);
	WANT(c.zero_ns, 701000, "when it reaches zero next (zero_ns)");
	count_is(&c, 651000, 50000);
	expires(&c, true, 701000, true); /* exactly on time */
	WANT(c.zero_ns, 801000, "when it reaches zero next (zero_ns)");

	NOTE("at 0 ns: count_start(7000), divided by 1, periodic: a period below 20 us");
	count_start(&c, 7000, 0);
	expires(&c, true, 7000, true);
	WANT(c.zero_ns, 28000, "the next interrupt, 3 periods of 7000 ns later (zero_ns)");
	count_is(&c, 7000, 7000);
	count_is(&c, 13999, 1);
	count_is(&c, 14000, 7000);
	count_is(&c, 15000, 6000);
	count_is(&c, 27000, 1000);
	expires(&c, true, 27999, false);
	expires(&c, true, 28001, true);
	WANT(c.zero_ns, 49000, "the next interrupt (zero_ns)");
}

ITEM(timer_new_divisor)
{
	struct lapic_count c = { .divide = BY_1 };

	NOTE("at 0 ns: count_start(1000), divided by 1");
	count_start(&c, 1000, 0);
	NOTE("at 400 ns: count_set_divide(0x3), that is, by 16");
	count_set_divide(&c, BY_16, 400);
	WANT(c.divide, BY_16, "the divide configuration register");
	WANT(c.zero_ns, 400 + 600 * 16, "when it reaches zero (zero_ns)");
	count_is(&c, 400, 600);
	count_is(&c, 416, 599);
	NOTE("at 9984 ns: count_set_divide(0xffffffff), that is, by 1");
	count_set_divide(&c, 0xffffffff, 9984);
	WANT(c.divide, 0xb, "the divide configuration register: it has bits 3, 1, 0");
	WANT(c.zero_ns, 9985, "when it reaches zero, with a count of 1 left (zero_ns)");
	expires(&c, false, 9985, true);
	NOTE("at 20000 ns, not counting: count_set_divide(0)");
	count_set_divide(&c, 0, 20000);
	WANT(c.divide, 0, "the divide configuration register");
	count_is(&c, 20000, 0);
	expires(&c, false, 100000, false);
	WANT(c.initial, 1000, "the initial count register");
}

/* ---- 3. what may be delivered now ---- */

static const char *deliver_name(enum deliver d)
{
	switch (d) {
	case DELIVER_NONE: return "DELIVER_NONE";
	case DELIVER_NMI: return "DELIVER_NMI";
	case DELIVER_IRQ: return "DELIVER_IRQ";
	case DELIVER_STEP: return "DELIVER_STEP";
	}
	return "something else";
}

/*
 * All combinations.  A row: an NMI waits, an interrupt waits; in it by IF and by nmi_blocked:
 * N the NMI, I the interrupt, - nothing.
 */
static const char *const table[2][2] = {
	/* IF nmi_blocked: 0 0, 0 1, 1 0, 1 1 */
	{ "----", "--II" }, /* no NMI; no interrupt, an interrupt */
	{ "N-N-", "N-NI" }, /* an NMI */
};

static void combinations(bool shadows)
{
	for (unsigned n = 0; n < 16 * 4 * 8; n++) {
		unsigned shadow = n >> 4 & 3;
		struct deliver_state s = {
			.nmi = n >> 3 & 1,
			.irq = n >> 2 & 1,
			.nmi_blocked = n & 1,
			.sti_shadow = shadow & 1,
			.movss_shadow = shadow & 2,
			.eflags = FL_FIXED | (n & 2 ? FL_IF : 0) | (n & 64 ? FL_TF | FL_CF : 0) |
				  (n & 128 ? FL_IOPL : 0) | (n & 256 ? FL_VIF | FL_AC | FL_NT : 0),
		};
		char c = table[s.nmi][s.irq][n & 3];
		enum deliver want = c == 'N' ? DELIVER_NMI : DELIVER_IRQ, got;

		if (shadows != (shadow != 0))
			continue;
		if (c == '-')
			want = DELIVER_NONE;
		else if (shadow)
			want = DELIVER_STEP;
		got = deliver_next(&s);
		if (got != want)
			LOSE("deliver_next() with %s%s%s%s%s%s (eflags %#x): expected %s, got %s",
			     s.nmi ? "an NMI waiting, " : "", s.irq ? "an interrupt waiting, " : "",
			     s.nmi_blocked ? "NMIs blocked, " : "",
			     s.sti_shadow ? "the STI shadow, " : "",
			     s.movss_shadow ? "the MOV SS shadow, " : "",
			     s.eflags & FL_IF ? "IF set" : "IF clear", s.eflags, deliver_name(want),
			     deliver_name(got));
	}
}

ITEM(deliver_masks)
{
	combinations(false);
}

ITEM(deliver_shadows)
{
	combinations(true);
}
