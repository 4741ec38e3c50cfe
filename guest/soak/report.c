/* SPDX-License-Identifier: MIT */
/* What went wrong, and the totals, printed by polling when everything is still. */
#include "soak.h"

static const char *const names[MISTAKES] = {
	[BAD_MESSAGE] = "message out of order (number expected, word found)",
	[BAD_LINE] = "line out of order (number expected, number found)",
	[BAD_DOORBELL] = "doorbell count went back (count seen, count found)",
	[BAD_VECTOR] = "unexpected interrupt (vector, cpu or eip)",
	[BAD_SERIAL] = "no room for output",
	[LATE_MESSAGE] = "messages sent and not received (from, to)",
	[LATE_DOORBELL] = "doorbell rung and not heard (device, count)",
	[LATE_LAST] = "the last doorbell was not heard",
	[LATE_SERIAL] = "output not sent (bytes)",
	[LATE_TOKEN] = "the token was not passed on (cpu, times passed)",
	[LATE_STOP] = "processors did not stop (stopped, phase)",
	[BUSY_APIC] = "interrupt stays requested or in service (cpu, vector)",
};

static struct {
	uint32_t times, a, b;
} mistakes[MISTAKES];

void wrong(enum mistake m, uint32_t a, uint32_t b)
{
	if (__atomic_fetch_add(&mistakes[m].times, 1, __ATOMIC_RELAXED))
		return;
	mistakes[m].a = a;
	mistakes[m].b = b;
}

void report_and_exit(void)
{
	bool good = true;

	for (uint32_t i = 0; i < CPUS; i++)
		for (uint32_t v = 0; v < 256; v++)
			if (cpus[i].handled[v])
				print("cpu %u vector %u handled %u\n", i, v, cpus[i].handled[v]);
	for (uint32_t from = 0; from < CPUS; from++) {
		for (uint32_t to = 0; to < CPUS; to++) {
			struct mail_count c = mail_counts(from, to);

			if (from != to)
				print("from %u to %u messages %u received %u ipis %u\n", from, to,
				      c.messages, c.received, c.ipis);
		}
	}
	for (uint32_t i = 0; doorbell_shm && i < doorbells; i++)
		print("device %u seen %u\n", i, doorbell_seen(i));
	print("lines %u\n", serial_lines());
	for (unsigned m = 0; m < MISTAKES; m++) {
		if (!mistakes[m].times)
			continue;
		good = false;
		print("wrong: %s: %u times, first %u %u (0x%x 0x%x)\n", names[m], mistakes[m].times,
		      mistakes[m].a, mistakes[m].b, mistakes[m].a, mistakes[m].b);
	}
	print(good ? "soak: PASS\n" : "soak: FAIL\n");
	machine_exit(good ? EXIT_GOOD : EXIT_BAD);
}
