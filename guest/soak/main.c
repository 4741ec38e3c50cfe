/* SPDX-License-Identifier: MIT */
/* The processors' lives: start, run, stop, finish.  See soak.h. */
#include "soak.h"

#define BEAT_TICKS   256u  /* of CPU 0, between two lines that say that it is alive */
#define TOKENS       1000u /* times that the token is passed on */
#define ENOUGH_TICKS 64u
#define PATIENCE_S   20u /* for what is under way to arrive */

struct cpu cpus[CPUS];
volatile enum phase phase;
uint32_t hz = 1000;
static uint32_t seconds; /* 0: until "stop" */
static uint32_t started, stopped, finished;
/* How often the token was passed on: only its holder, CPU token % CPUS, changes it. */
static volatile uint32_t token;
/* How many messages of CPU 0 each has got when it has the last of all. */
static volatile uint32_t farewell[CPUS];

/* ---- interrupts ---- */

void interrupt(struct frame *f)
{
	uint32_t cpu = this_cpu(), v = f->vector;

	if (v < 32) {
		wrong(BAD_VECTOR, v, f->at[0]);
		report_and_exit();
	}
	cpus[cpu].handled[v]++;
	switch (v) {
	case VEC_SPURIOUS: return; /* no EOI: SDM Vol. 3A, "Spurious Interrupt" (10.9) */
	case VEC_COM1: serial_interrupt(); break;
	case VEC_TIMER:
		sti(); /* what has a higher priority may come in between */
		cpus[cpu].ticks++;
		cli();
		break;
	case VEC_IPI ... VEC_IPI + CPUS - 1: mail_receive(v - VEC_IPI, cpu); break;
	case VEC_DOORBELL ... VEC_DOORBELL + 1:
	case VEC_LAST: doorbell_interrupt(cpu, v); break;
	default: wrong(BAD_VECTOR, v, cpu);
	}
	apic_eoi();
}

static void idt_init(void)
{
	for (unsigned v = 0; v < 256; v++)
		idt_gate(v, entries + 16 * v, 0);
	idt_load();
}

/* ---- what each processor does ---- */

static uint32_t load(const uint32_t *n)
{
	return *(const volatile uint32_t *)n;
}

/* With its timer and everything else off: whatever is still requested is let in. */
static void settle(uint32_t cpu)
{
	uint32_t busy = 1;

	sti();
	for (unsigned i = 0; busy && i < 10000; i++)
		busy = apic_busy();
	cli();
	if (busy)
		wrong(BUSY_APIC, cpu, busy);
}

/* Sleep until this CPU has a tick it has not worked on; do the work; @*done is its number. */
static void turn(uint32_t cpu, uint32_t *done)
{
	cli();
	if (cpus[cpu].ticks == *done)
		sti_hlt();
	else
		sti();
	if (cpus[cpu].ticks == *done)
		return;
	*done = cpus[cpu].ticks;
	if (phase == PHASE_RUN)
		mail_tick(cpu, *done);
}

/* Pass the token on if this CPU has it and there is time for it. */
static void token_turn(uint32_t cpu)
{
	if (phase != PHASE_TOKEN || token == TOKENS || token % CPUS != cpu)
		return;
	token++;
	mail_send(cpu, (cpu + 1) % CPUS);
}

void ap_main(uint32_t cpu)
{
	uint32_t done = 0;

	idt_load();
	apic_init();
	__atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
	while (phase == PHASE_START)
		__asm__ volatile("pause");
	apic_timer_start(hz);
	while (phase == PHASE_RUN)
		turn(cpu, &done);
	apic_timer_stop();
	__atomic_fetch_add(&stopped, 1, __ATOMIC_SEQ_CST);
	/* Nothing but messages and doorbells can wake it now: the last one must. */
	for (;;) {
		cli();
		/* A doorbell may have woken it before that message came. */
		if (phase == PHASE_FINISH && mail_counts(0, cpu).received == farewell[cpu])
			break;
		token_turn(cpu);
		sti_hlt();
	}
	settle(cpu);
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

/* ---- CPU 0 ---- */

/* Seconds of the clock; it counts in BCD, and only differences up to a minute are looked at. */
static uint32_t clock_seconds(void)
{
	uint8_t bcd;

	outb(0x70, 0x00);
	bcd = inb(0x71);
	return (bcd >> 4) * 10u + (bcd & 15u);
}

/* Whole seconds that have passed since @*last, which moves on. */
static uint32_t passed(uint32_t *last)
{
	uint32_t now = clock_seconds(), n = (now + 60 - *last) % 60;

	*last = now;
	return n;
}

static void beat(void)
{
	static uint32_t number;
	char buf[32];
	char *p = buf + sizeof(buf) - 1;
	uint32_t n = ++number;

	*p = 0;
	*--p = '\n';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	p -= 5;
	memcpy(p, "beat ", 5);
	serial_put(p);
}

/* Every source has been at work, also where the host is so busy that little happens in a second. */
static bool busy_enough(void)
{
	for (uint32_t i = 0; i < CPUS; i++)
		if (cpus[i].ticks < ENOUGH_TICKS)
			return false;
	return mail_all_pairs();
}

static void run(uint32_t *done)
{
	uint32_t beaten = 0, last = clock_seconds(), total = 0, enough = 0;

	/* Past the end it goes on for a while until there is enough. */
	for (;;) {
		bool over = serial_stop_asked() || (seconds && total >= seconds);

		if (over && (busy_enough() || enough > PATIENCE_S))
			return;
		turn(0, done);
		if (*done - beaten >= BEAT_TICKS) {
			beaten = *done;
			beat();
		}
		if (over)
			enough += passed(&last);
		else if (*done == beaten) /* reading the clock is two traps */
			total += passed(&last);
	}
}

static bool others_reached(const uint32_t *count, bool complain)
{
	if (load(count) == CPUS - 1)
		return true;
	if (complain)
		wrong(LATE_STOP, load(count), phase);
	return false;
}

static bool token_arrived(bool complain)
{
	if (phase != PHASE_TOKEN || token == TOKENS)
		return true;
	if (complain)
		wrong(LATE_TOKEN, token % CPUS, token);
	return false;
}

/* All that is under way has arrived.  All parts are asked, to complain each for itself. */
static bool arrived(const uint32_t *count, bool complain)
{
	bool all = others_reached(count, complain);

	all &= mail_drained(complain);
	all &= token_arrived(complain);
	all &= serial_drained(complain);
	if (phase == PHASE_QUIET)
		all &= doorbell_drained(complain);
	return all;
}

/* Until then; or until patience ends, which is wrong and the end. */
static void wait_arrived(const uint32_t *count, uint32_t *done)
{
	uint32_t last = clock_seconds(), total = 0;

	while (!arrived(count, false)) {
		token_turn(0);
		turn(0, done);
		total += passed(&last);
		if (total > PATIENCE_S && !arrived(count, true)) {
			cli();
			report_and_exit();
		}
	}
}

static const char *number_after(const char *p, const char *key, uint32_t *n)
{
	p = after_prefix(p, key);
	if (!p)
		return NULL;
	for (*n = 0; *p >= '0' && *p <= '9'; p++)
		*n = *n * 10 + (uint32_t)(*p - '0');
	return p;
}

/* hz=N seconds=N doorbells=N shm=1 */
static void options(uint32_t magic, const uint32_t *info)
{
	const char *p = command_line(magic, info);

	for (; *p; p++) {
		number_after(p, "hz=", &hz);
		number_after(p, "seconds=", &seconds);
		number_after(p, "doorbells=", &doorbells);
		number_after(p, "shm=", &doorbell_shm);
	}
	if (!hz || hz > 10000)
		hz = 1000;
	if (doorbells > DOORBELLS_MAX)
		doorbells = DOORBELLS_MAX;
}

void boot_main(uint32_t magic, const uint32_t *info)
{
	uint32_t done = 0;

	options(magic, info);
	idt_init();
	outb(0x21, 0xff); /* both 8259A: nothing */
	outb(0xa1, 0xff);
	apic_init();
	apic_start_others();
	while (load(&started) < CPUS - 1)
		__asm__ volatile("pause");
	serial_init();
	ioapic_com1(true);
	sti();
	serial_put("soak: running\n");
	apic_timer_start(hz);
	phase = PHASE_RUN;
	run(&done);
	phase = PHASE_STOP;
	wait_arrived(&stopped, &done);
	phase = PHASE_TOKEN;
	wait_arrived(&stopped, &done);
	phase = PHASE_QUIET;
	serial_put("soak: quiet\n");
	wait_arrived(&stopped, &done);
	/* The last message of all wakes the others once more. */
	for (uint32_t to = 1; to < CPUS; to++)
		farewell[to] = mail_counts(0, to).messages + 1;
	phase = PHASE_FINISH;
	for (uint32_t to = 1; to < CPUS; to++)
		mail_send(0, to);
	wait_arrived(&finished, &done);
	apic_timer_stop();
	serial_stop();
	settle(0);
	ioapic_com1(false);
	report_and_exit();
}
