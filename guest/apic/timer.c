/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's timer.  Its clock has 1 GHz on both machines; how true it is is measured against
 * channel 2 of the PIT, by intervals: of two readings around a third, one is earlier and one later,
 * whatever the host does in between.
 * Source: SDM Vol. 3A, "APIC Timer" (10.5.4).
 */
#include "apic.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define MHZ       1000u

static const struct {
	uint8_t dcr, divider;
} dividers[] = { { 0x0, 2 },  { 0x1, 4 },  { 0x2, 8 },   { 0x3, 16 },
		 { 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 } };

/* PIT ticks in ns, to compare: 838.095 each. */
static uint32_t ns(uint32_t ticks)
{
	return ticks * 838u + ticks / 10;
}

/* The count after 5 ms, compared with the watch; again if the host was away for too long. */
static void rate(uint8_t dcr, unsigned divider)
{
	uint32_t t0, t1, t2, t3, c0, c1, counted, least, most;
	const char *verdict;
	bool good;

	do {
		wr(LVT_TIMER, MASKED | 0x48);
		wr(DIVIDE, dcr);
		watch_start();
		good = watch(&t0);
		wr(INITIAL, 0xffffffff);
		c0 = rd(CURRENT);
		good &= watch(&t1);
		do {
			good &= watch(&t2);
		} while (good && t2 - t1 < 6000);
		c1 = rd(CURRENT);
		good &= watch(&t3);
	} while (!good);
	counted = (c0 - c1) * divider;
	least = ns(t2 - t1 - 2);
	most = ns(t3 - t0 + 2);
	verdict = counted < least - least / 50 ? "slow"
		  : counted > most + most / 50 ? "fast"
					       : "true";
	line(name("timer/rate/divide by %u", divider), "%s", verdict);
	quiet();
}

/* Wait until @vector is pending. */
static void await(unsigned vector)
{
	while (!pending(vector))
		;
}

static void one_shot(uint32_t us)
{
	uint32_t ticks, after;
	const char *when;

	wr(LVT_TIMER, 0x48);
	watch_start();
	wr(INITIAL, us * MHZ);
	await(0x48);
	/* Wrapped is certainly not early. */
	when = watch(&ticks) && ns(ticks + 2) < us * MHZ - us * 10 ? "early" : "not early";
	after = rd(CURRENT);
	window();
	line(name("timer/one-shot/%u us", us), "%s, count %u: %s", when, after, taken());
	wait_us(2 * us + 100);
	window();
	line(name("timer/one-shot/%u us, once", us), "%s, initial %u", taken(), rd(INITIAL));
	quiet();
}

static void periodic(uint32_t us)
{
	unsigned came = 0;
	uint32_t ticks, current;
	const char *when;

	wr(LVT_TIMER, PERIODIC | 0x48);
	watch_start();
	wr(INITIAL, us * MHZ);
	while (came < 4) {
		await(0x48);
		window();
		came = taken_count();
	}
	/* Late ones merge, so four can come early only by being too many. */
	when = watch(&ticks) && ns(ticks + 2) < 3 * us * MHZ ? "too many" : "not too many";
	current = rd(CURRENT);
	wr(LVT_TIMER, MASKED | PERIODIC | 0x48);
	line(name("timer/periodic/%u us", us), "%s, count within %s", when,
	     current <= us * MHZ ? "yes" : "no");
	quiet();
}

static void masks(void)
{
	wr(LVT_TIMER, MASKED | 0x48);
	wr(INITIAL, 100 * MHZ);
	wait_us(300);
	line("timer/masked/one-shot", "count %u irr %s", rd(CURRENT), vectors(IRR));
	wr(LVT_TIMER, 0x48);
	wait_us(300);
	line("timer/masked/unmasked after the end", "irr %s", vectors(IRR));
	quiet();
	wr(LVT_TIMER, MASKED | PERIODIC | 0x48);
	wr(INITIAL, 100 * MHZ);
	wait_us(300);
	line("timer/masked/periodic", "irr %s", vectors(IRR));
	wr(LVT_TIMER, PERIODIC | 0x48);
	await(0x48);
	line("timer/masked/periodic, unmasked", "irr %s", vectors(IRR));
	wr(LVT_TIMER, MASKED | PERIODIC | 0x48);
	window();
	taken();
	wait_us(300);
	window();
	line("timer/masked/periodic, masked again", "%s", taken());
	quiet();
}

static void stops(void)
{
	wr(LVT_TIMER, 0x48);
	wr(INITIAL, 1000 * MHZ);
	wr(INITIAL, 0);
	line("timer/stop/initial 0", "count %u initial %u", rd(CURRENT), rd(INITIAL));
	wait_us(1500);
	line("timer/stop/nothing comes", "irr %s", vectors(IRR));
	wr(LVT_TIMER, PERIODIC | 0x48);
	wr(INITIAL, 100 * MHZ);
	await(0x48);
	wr(INITIAL, 0);
	window();
	taken();
	wait_us(300);
	window();
	line("timer/stop/periodic", "%s count %u", taken(), rd(CURRENT));
	quiet();
}

static void changes(void)
{
	uint32_t a, b, tries = 0;

	/* Written again: starts over. */
	wr(LVT_TIMER, MASKED | 0x48);
	wr(INITIAL, 0x40000000);
	wait_us(500);
	a = rd(CURRENT);
	do { /* again if the host was away in between */
		wr(INITIAL, 0x40000000);
		b = rd(CURRENT);
	} while (b <= a && tries++ < 1000);
	line("timer/change/initial again", "counts %s, restarts %s",
	     a < 0x40000000 - 400 * MHZ ? "yes" : "no", b > a ? "yes" : "no");
	wr(INITIAL, 0x10000000);
	line("timer/change/initial less", "within %s", rd(CURRENT) <= 0x10000000 ? "yes" : "no");
	wr(INITIAL, 1000);
	wait_us(100);
	wr(LVT_TIMER, MASKED | PERIODIC | 0x48);
	line("timer/change/periodic after the end", "count %s", rd(CURRENT) ? "runs" : "stands");
	quiet();
	/* The vector that counts is the one at the end. */
	do { /* again if it ended before the change */
		window();
		wr(LVT_TIMER, 0x48);
		wr(INITIAL, 2000 * MHZ);
		wr(LVT_TIMER, 0x49);
	} while (!rd(CURRENT));
	await(0x49);
	line("timer/change/vector", "irr %s", vectors(IRR));
	window();
	taken();
	/* One-shot made periodic before its end goes on as periodic. */
	do {
		window();
		taken();
		wr(LVT_TIMER, 0x48);
		wr(INITIAL, 2000 * MHZ);
		wr(LVT_TIMER, PERIODIC | 0x48);
	} while (pending(0x48));
	await(0x48);
	window();
	await(0x48);
	window();
	line("timer/change/one-shot to periodic", "%s", taken_count() >= 2 ? "periodic" : "once");
	taken();
	/* And the other way round. */
	wr(LVT_TIMER, PERIODIC | 0x48);
	wr(INITIAL, 1000 * MHZ);
	await(0x48);
	wr(LVT_TIMER, 0x48);
	window();
	taken();
	wait_us(5000);
	window();
	a = taken_count();
	line("timer/change/periodic to one-shot", "%s, count %s", a <= 1 ? "ends" : "goes on",
	     rd(CURRENT) ? "runs" : "stands");
	quiet();
	/* Shutting the APIC off masks the timer. */
	wr(LVT_TIMER, 0x48);
	wr(SVR, 0xff);
	wr(SVR, SVR_ON | 0xff);
	line("timer/change/software disable", "lvt %05x", rd(LVT_TIMER));
	quiet();
}

static void halted(void)
{
	wr(LVT_TIMER, 0x48);
	wr(INITIAL, 1000 * MHZ);
	sti_hlt_cli();
	line("timer/wakes from hlt", "%s", taken());
	wr(LVT_TIMER, PERIODIC | 0x48);
	wr(INITIAL, 1000 * MHZ);
	for (unsigned i = 0; i < 5; i++)
		sti_hlt_cli();
	wr(LVT_TIMER, MASKED);
	line("timer/wakes from hlt five times", "%s", taken_count() >= 5 ? "yes" : "no");
	quiet();
	wr(LVT_TIMER, 0x48);
	wr(TPR, 0x40);
	wr(INITIAL, 100 * MHZ);
	await(0x48);
	window();
	line("timer/held by tpr", "%s irr %s", taken(), vectors(IRR));
	quiet();
}

void cases_timer(void)
{
	static const uint32_t times[] = { 50, 500, 5000, 20000 };

	for (unsigned i = 0; i < LENGTH(dividers); i++)
		rate(dividers[i].dcr, dividers[i].divider);
	for (unsigned i = 0; i < LENGTH(times); i++)
		one_shot(times[i]);
	for (unsigned i = 0; i < LENGTH(times) - 1; i++)
		periodic(times[i]);
	masks();
	stops();
	changes();
	halted();
}
