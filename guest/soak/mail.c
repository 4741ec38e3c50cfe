/* SPDX-License-Identifier: MIT */
/*
 * Numbered messages between processors: a ring of them for each ordered pair, one writer, one
 * reader.  The reader looks only when an interrupt of the sender's vector tells it to, so an
 * interrupt that is lost after the last message leaves that message behind.
 */
#include "soak.h"

#define SLOTS 64u

struct box {
	volatile uint32_t head; /* messages written; the sender's */
	volatile uint32_t tail; /* messages read; the receiver's */
	uint32_t ipis;          /* the sender's */
	volatile uint32_t slot[SLOTS];
};

static struct box boxes[CPUS][CPUS]; /* from, to */

static uint32_t word(uint32_t from, uint32_t to, uint32_t number)
{
	return from << 28 | to << 24 | (number & 0xffffff);
}

static bool put(uint32_t from, uint32_t to)
{
	struct box *b = &boxes[from][to];
	uint32_t n = b->head;

	if (n - b->tail == SLOTS)
		return false;
	b->slot[n % SLOTS] = word(from, to, n);
	b->head = n + 1; /* x86 keeps stores in order; volatile has the compiler keep them too */
	return true;
}

static void ipi(uint32_t from, uint32_t to)
{
	boxes[from][to].ipis++;
	apic_ipi(to, VEC_IPI + from);
}

bool mail_send(uint32_t from, uint32_t to)
{
	if (!put(from, to))
		return false;
	ipi(from, to);
	return true;
}

/* One message to each of the others, and one interrupt command for all. */
static void broadcast(uint32_t from)
{
	for (uint32_t to = 0; to < CPUS; to++)
		if (to != from && boxes[from][to].head - boxes[from][to].tail == SLOTS)
			return;
	for (uint32_t to = 0; to < CPUS; to++) {
		if (to == from)
			continue;
		put(from, to);
		boxes[from][to].ipis++;
	}
	apic_ipi_others(VEC_IPI + from);
}

void mail_tick(uint32_t from, uint32_t tick)
{
	uint32_t to = (from + 1 + tick % (CPUS - 1)) % CPUS;

	if (tick % 32 == 0) {
		broadcast(from);
	} else if (tick % 16 == 1) { /* likely to coalesce */
		for (unsigned i = 0; i < 4; i++)
			mail_send(from, to);
	} else if (tick % 16 == 9) { /* several messages, one interrupt */
		bool any = put(from, to);

		any |= put(from, to);
		any |= put(from, to);
		if (any)
			ipi(from, to);
	} else {
		mail_send(from, to);
	}
}

void mail_receive(uint32_t from, uint32_t to)
{
	struct box *b = &boxes[from][to];

	while (b->tail != b->head) {
		uint32_t n = b->tail, got = b->slot[n % SLOTS];

		if (got != word(from, to, n))
			wrong(BAD_MESSAGE, n, got);
		b->tail = n + 1;
	}
}

bool mail_all_pairs(void)
{
	for (uint32_t from = 0; from < CPUS; from++)
		for (uint32_t to = 0; to < CPUS; to++)
			if (from != to && !boxes[from][to].tail)
				return false;
	return true;
}

bool mail_drained(bool complain)
{
	bool all = true;

	for (uint32_t from = 0; from < CPUS; from++) {
		for (uint32_t to = 0; to < CPUS; to++) {
			if (boxes[from][to].head == boxes[from][to].tail)
				continue;
			all = false;
			if (complain)
				wrong(LATE_MESSAGE, from, to);
		}
	}
	return all;
}

struct mail_count mail_counts(uint32_t from, uint32_t to)
{
	const struct box *b = &boxes[from][to];

	return (struct mail_count){ b->head, b->ipis, b->tail };
}
