/* SPDX-License-Identifier: MIT */
/*
 * MC146818A real-time clock and the PC's 128 bytes of CMOS memory.
 * Source: Motorola MC146818A data sheet; IBM PC/AT Technical Reference, "Real-Time Clock/CMOS RAM
 * Information", for the memory sizes.
 *
 * The clock is the host's (UTC) plus an offset that the guest sets by setting the time.  Nothing
 * ticks: registers and flags are brought up to date when they are read, and a vtimer is armed only
 * for an enabled interrupt while none is asserted.  The day of the week is computed, not stored.
 */
#include <stdlib.h>

#include "vmm/dev/devices.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71
#define CMOS_SIZE  128

enum {
	REG_SECONDS = 0,
	REG_SECONDS_ALARM,
	REG_MINUTES,
	REG_MINUTES_ALARM,
	REG_HOURS,
	REG_HOURS_ALARM,
	REG_WEEKDAY,
	REG_DAY,
	REG_MONTH,
	REG_YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
	REG_BASE_LOW = 0x15, /* KiB below 1 MiB */
	REG_EXT_LOW = 0x17,  /* KiB above 1 MiB, at most 63 MiB */
	REG_EXT2_LOW = 0x30, /* the same as measured by the BIOS */
	REG_CENTURY = 0x32,
	REG_HIGH_LOW = 0x34, /* 64 KiB units above 16 MiB */
};

#define A_UIP      0x80
#define A_DV       0x70
#define A_DV_RESET 0x60 /* 11x: the divider is held in reset */
#define A_RS       0x0f
#define B_SET      0x80
#define B_PIE      0x40
#define B_AIE      0x20
#define B_UIE      0x10
#define B_BINARY   0x04
#define B_24H      0x02
#define C_IRQF     0x80
#define C_FLAGS    0x70 /* PF, AF, UF; at the places of their enables in B */
#define D_VALID    0x80 /* the battery is fine */
#define HOUR_PM    0x80
#define ALARM_ANY  0xc0 /* both top bits: matches everything */

#define NS_PER_S         1000000000ll
#define UIP_NS           244000         /* UIP rises 244 us before the update */
#define DIVIDER_START_NS (NS_PER_S / 2) /* the first update after a divider reset */
#define XTAL_HZ          32768

struct rtc {
	struct irq_line irq8;
	struct timers *timers;
	struct vtimer timer;
	uint64_t (*wall_ns)(void *arg);
	void *arg;
	int64_t offset_ns; /* guest time = wall + offset; ns since 1970 */
	int64_t synced_ns; /* guest time up to which the flags in C are right */
	uint8_t index;
	uint8_t cmos[CMOS_SIZE];
};

/* Time broken down; the whole range of the registers is legal input to the arithmetic. */
struct civil {
	int year, month, day, hour, minute, second;
};

/* Days since 1970-01-01 in the proleptic Gregorian calendar; months outside 1-12 carry over. */
static int64_t days_from_civil(int year, int month, int day)
{
	int64_t y, era, yoe, doy;

	y = year + (month - 1) / 12;
	month = (month - 1) % 12 + 1;
	if (month <= 2)
		y--;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static struct civil civil_from_seconds(int64_t s)
{
	int64_t days = floor_div(s, 86400), tod = s - days * 86400;
	int64_t z = days + 719468, era = floor_div(z, 146097), doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	int month = (int)(mp < 10 ? mp + 3 : mp - 9);

	return (struct civil){
		.year = (int)(yoe + era * 400 + (month <= 2)),
		.month = month,
		.day = (int)(doy - (153 * mp + 2) / 5 + 1),
		.hour = (int)(tod / 3600),
		.minute = (int)(tod / 60 % 60),
		.second = (int)(tod % 60),
	};
}

/* Numbers as the data mode bit of B says. */
static uint8_t encode(const struct rtc *r, int v)
{
	return (uint8_t)(r->cmos[REG_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static int decode(const struct rtc *r, uint8_t v)
{
	return r->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hour(const struct rtc *r, int hour)
{
	if (r->cmos[REG_B] & B_24H)
		return encode(r, hour);
	return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int decode_hour(const struct rtc *r, uint8_t v)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, v);
	return decode(r, v & (uint8_t)~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0);
}

/* The time stands still: the guest is setting it, or holds the divider in reset. */
static bool frozen(const struct rtc *r)
{
	return (r->cmos[REG_B] & B_SET) || (r->cmos[REG_A] & A_DV_RESET) == A_DV_RESET;
}

static int64_t guest_ns(const struct rtc *r)
{
	return (int64_t)r->wall_ns(r->arg) + r->offset_ns;
}

/* Bring the time registers up to @now. */
static void registers_from_time(struct rtc *r, int64_t now)
{
	int64_t s = floor_div(now, NS_PER_S);
	struct civil t = civil_from_seconds(s);

	r->cmos[REG_SECONDS] = encode(r, t.second);
	r->cmos[REG_MINUTES] = encode(r, t.minute);
	r->cmos[REG_HOURS] = encode_hour(r, t.hour);
	r->cmos[REG_DAY] = encode(r, t.day);
	r->cmos[REG_MONTH] = encode(r, t.month);
	r->cmos[REG_YEAR] = encode(r, t.year % 100);
	r->cmos[REG_CENTURY] = encode(r, t.year / 100 % 100);
	/* 1970-01-01 was a Thursday; Sunday is 1. */
	r->cmos[REG_WEEKDAY] = (uint8_t)(((floor_div(s, 86400) + 4) % 7 + 7) % 7 + 1);
}

/* The time is what the registers say, @fraction_ns into the second. */
static void time_from_registers(struct rtc *r, int64_t fraction_ns)
{
	int year = decode(r, r->cmos[REG_CENTURY]) * 100 + decode(r, r->cmos[REG_YEAR]);
	int month = decode(r, r->cmos[REG_MONTH]);
	int64_t s = days_from_civil(year, month ? month : 1, decode(r, r->cmos[REG_DAY])) * 86400 +
		    decode_hour(r, r->cmos[REG_HOURS]) * 3600 +
		    decode(r, r->cmos[REG_MINUTES]) * 60 + decode(r, r->cmos[REG_SECONDS]);
	int64_t was = guest_ns(r), now;

	/*
	 * Half of what 64 bits of ns hold, so that differences do not overflow: 1824 to 2116.  A
	 * year beyond, which only garbage in the registers gives, becomes the nearest of these.
	 */
	if (s > INT64_MAX / NS_PER_S / 2)
		s = INT64_MAX / NS_PER_S / 2;
	if (s < -(INT64_MAX / NS_PER_S / 2))
		s = -(INT64_MAX / NS_PER_S / 2);
	now = s * NS_PER_S + fraction_ns;
	r->offset_ns += now - was;
	r->synced_ns += now - was; /* setting the time is no passing of time */
}

/* Periods of the crystal, 32768 Hz, in guest time @ns. */
static int64_t xtal(int64_t ns)
{
	int64_t s = floor_div(ns, NS_PER_S);

	return s * XTAL_HZ + (ns - s * NS_PER_S) * XTAL_HZ / NS_PER_S;
}

/* The first ns at which xtal() gives @x. */
static int64_t xtal_ns(int64_t x)
{
	int64_t s = floor_div(x, XTAL_HZ);

	return s * NS_PER_S + ((x - s * XTAL_HZ) * NS_PER_S + XTAL_HZ - 1) / XTAL_HZ;
}

/* Crystal periods of a periodic interrupt, 0 for none (table 5; rates 1 and 2 repeat 8 and 9). */
static int64_t periodic_xtal(const struct rtc *r)
{
	unsigned rs = r->cmos[REG_A] & A_RS;

	if (!rs)
		return 0;
	return 1ll << ((rs <= 2 ? rs + 7 : rs) - 1);
}

static int64_t next_periodic(const struct rtc *r, int64_t after)
{
	int64_t period = periodic_xtal(r);

	if (!period)
		return INT64_MAX;
	return xtal_ns((floor_div(xtal(after), period) + 1) * period);
}

static int64_t next_update(int64_t after)
{
	return (floor_div(after, NS_PER_S) + 1) * NS_PER_S;
}

static bool alarm_matches(uint8_t alarm, uint8_t now)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == now;
}

/*
 * The next second after @after at which the alarm bytes match, or INT64_MAX if no time of day
 * does.  Skips to the next hour or minute where those do not match: some 150 steps at most.
 */
static int64_t next_alarm(const struct rtc *r, int64_t after)
{
	int64_t s = floor_div(after, NS_PER_S) + 1, end = s + 86400;

	while (s < end) {
		struct civil t = civil_from_seconds(s);

		if (!alarm_matches(r->cmos[REG_HOURS_ALARM], encode_hour(r, t.hour)))
			s += 3600 - (t.minute * 60 + t.second);
		else if (!alarm_matches(r->cmos[REG_MINUTES_ALARM], encode(r, t.minute)))
			s += 60 - t.second;
		else if (!alarm_matches(r->cmos[REG_SECONDS_ALARM], encode(r, t.second)))
			s++;
		else
			return s * NS_PER_S;
	}
	return INT64_MAX;
}

/* Bring the flags in C up to now, show them on the line, arm the timer for the next that matters.
 */
static void rtc_sync(struct rtc *r)
{
	int64_t now = guest_ns(r), next = INT64_MAX, at;
	uint8_t b = r->cmos[REG_B], *c = &r->cmos[REG_C];
	bool runs = !frozen(r);

	/* The host's clock may step back; then nothing has passed. */
	if (now > r->synced_ns) {
		if (next_periodic(r, r->synced_ns) <= now)
			*c |= B_PIE;
		if (runs && next_update(r->synced_ns) <= now)
			*c |= B_UIE;
		if (runs && !(*c & B_AIE) && next_alarm(r, r->synced_ns) <= now)
			*c |= B_AIE;
	}
	r->synced_ns = now;
	*c = (*c & C_FLAGS) | (*c & b & C_FLAGS ? C_IRQF : 0);
	irq_set(&r->irq8, *c & C_IRQF);
	/* While the line is up more events change nothing, so an unread C costs no wake-ups. */
	if (!(*c & C_IRQF)) {
		if ((b & B_PIE) && (at = next_periodic(r, now)) < next)
			next = at;
		if ((b & B_UIE) && runs && (at = next_update(now)) < next)
			next = at;
		if ((b & B_AIE) && runs && (at = next_alarm(r, now)) < next)
			next = at;
	}
	timer_set(r->timers, &r->timer,
		  next == INT64_MAX ? TIMER_NEVER : timers_now(r->timers) + (uint64_t)(next - now));
}

static void rtc_fire(void *arg, uint64_t now_ns)
{
	(void)now_ns;
	rtc_sync(arg);
}

static bool is_time(uint8_t reg)
{
	return reg == REG_SECONDS || reg == REG_MINUTES || reg == REG_HOURS ||
	       (reg >= REG_WEEKDAY && reg <= REG_YEAR) || reg == REG_CENTURY;
}

static int64_t fraction(int64_t ns)
{
	return ns - floor_div(ns, NS_PER_S) * NS_PER_S;
}

/* A and B start and stop the time: registers keep it while it stands. */
static void write_control(struct rtc *r, uint8_t reg, uint8_t val)
{
	bool was = frozen(r), divider = (r->cmos[REG_A] & A_DV_RESET) == A_DV_RESET;
	int64_t now = guest_ns(r);

	if (!was)
		registers_from_time(r, now);
	if (reg == REG_A)
		r->cmos[REG_A] = val & (uint8_t)~A_UIP;
	else
		r->cmos[REG_B] = val & B_SET ? val & (uint8_t)~B_UIE : val; /* SET clears UIE */
	if (was && !frozen(r))
		time_from_registers(r, divider && reg == REG_A ? DIVIDER_START_NS : fraction(now));
}

static void write_time(struct rtc *r, uint8_t reg, uint8_t val)
{
	int64_t now = guest_ns(r);

	if (frozen(r)) {
		r->cmos[reg] = val;
		return;
	}
	registers_from_time(r, now);
	r->cmos[reg] = val;
	time_from_registers(r, fraction(now));
}

static void rtc_write(void *dev, uint64_t off, unsigned width, uint32_t val32)
{
	struct rtc *r = dev;
	uint8_t val = (uint8_t)val32;

	(void)width;
	if (off == 0) {
		r->index = val & (CMOS_SIZE - 1); /* bit 7 gates NMIs, of which there are none */
		return;
	}
	rtc_sync(r);
	if (r->index == REG_A || r->index == REG_B)
		write_control(r, r->index, val);
	else if (is_time(r->index))
		write_time(r, r->index, val);
	else if (r->index != REG_C && r->index != REG_D)
		r->cmos[r->index] = val;
	rtc_sync(r);
}

static uint8_t read_a(const struct rtc *r)
{
	bool uip = !frozen(r) && fraction(guest_ns(r)) >= NS_PER_S - UIP_NS;

	return r->cmos[REG_A] | (uip ? A_UIP : 0);
}

static uint32_t rtc_read(void *dev, uint64_t off, unsigned width)
{
	struct rtc *r = dev;
	uint8_t val;

	(void)width;
	if (off == 0)
		return 0xff; /* the index is write-only */
	if (r->index == REG_A)
		return read_a(r);
	if (r->index == REG_C) {
		rtc_sync(r);
		val = r->cmos[REG_C];
		r->cmos[REG_C] = 0;
		rtc_sync(r);
		return val;
	}
	if (is_time(r->index) && !frozen(r))
		registers_from_time(r, guest_ns(r));
	return r->cmos[r->index];
}

static void put16(struct rtc *r, unsigned reg, uint64_t val)
{
	if (val > 0xffff)
		val = 0xffff;
	r->cmos[reg] = val & 0xff;
	r->cmos[reg + 1] = (uint8_t)(val >> 8);
}

struct rtc *rtc_new(struct bus *pio, struct irq_line irq8, struct timers *ts,
		    uint64_t (*wall_ns)(void *arg), void *arg, uint64_t ram_len)
{
	struct rtc *r = calloc(1, sizeof(*r));
	uint64_t ext_kib = ram_len > 1 << 20 ? (ram_len - (1 << 20)) >> 10 : 0;
	uint64_t high = ram_len > 16 << 20 ? (ram_len - (16 << 20)) >> 16 : 0;

	if (!r)
		return NULL;
	r->irq8 = irq8;
	r->timers = ts;
	r->wall_ns = wall_ns;
	r->arg = arg;
	r->synced_ns = guest_ns(r);
	timer_init(&r->timer, rtc_fire, r);
	r->cmos[REG_A] = 0x26; /* 32.768 kHz crystal, 1024 Hz: as a BIOS sets it */
	r->cmos[REG_B] = B_24H;
	r->cmos[REG_D] = D_VALID;
	/* Floppy (0x10) and equipment (0x14) stay zero: there is none. */
	put16(r, REG_BASE_LOW, 640);
	put16(r, REG_EXT_LOW, ext_kib);
	put16(r, REG_EXT2_LOW, ext_kib);
	put16(r, REG_HIGH_LOW, high);
	if (bus_add(pio, &(struct bus_range){ .name = "rtc",
					      .base = CMOS_INDEX,
					      .len = CMOS_DATA - CMOS_INDEX + 1,
					      .dev = r,
					      .read = rtc_read,
					      .write = rtc_write,
					      .split = 1 })) {
		free(r);
		return NULL;
	}
	return r;
}

void rtc_free(struct rtc *r)
{
	if (!r)
		return;
	timer_cancel(r->timers, &r->timer);
	free(r);
}
