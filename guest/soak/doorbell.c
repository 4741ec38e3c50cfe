/* SPDX-License-Identifier: MIT */
/*
 * Assigned devices.  With shm=1 each counts up in a page of shared memory and then rings; here the
 * count is written back when it was seen.  Rings may coalesce, so counts may be skipped, but not
 * the last.
 */
#include "soak.h"

struct page {
	volatile uint32_t rung; /* the device's */
	volatile uint32_t seen; /* ours */
};

uint32_t doorbells, doorbell_shm;
static volatile bool last_heard;

static struct page *page(uint32_t device)
{
	return (struct page *)(SHM_BASE + device * 4096);
}

void doorbell_interrupt(uint32_t cpu, uint32_t vector)
{
	uint32_t device = (vector - VEC_DOORBELL) * CPUS + cpu, rung;

	if (vector == VEC_LAST) {
		last_heard = true;
		return;
	}
	if (device >= doorbells) {
		wrong(BAD_VECTOR, vector, cpu);
		return;
	}
	if (!doorbell_shm)
		return;
	rung = page(device)->rung;
	if (rung < page(device)->seen)
		wrong(BAD_DOORBELL, page(device)->seen, rung);
	page(device)->seen = rung;
}

/*
 * The host rings the last one, after "soak: quiet", when the other doorbells are still, and they
 * are all posted by one thread: so when this one is heard no other can come any more.
 */
bool doorbell_drained(bool complain)
{
	bool all = !doorbells || last_heard;

	if (!all && complain)
		wrong(LATE_LAST, 0, 0);
	for (uint32_t i = 0; doorbell_shm && i < doorbells; i++) {
		if (page(i)->seen == page(i)->rung)
			continue;
		all = false;
		if (complain)
			wrong(LATE_DOORBELL, i, page(i)->rung);
	}
	return all;
}

uint32_t doorbell_seen(uint32_t device)
{
	return page(device)->seen;
}
