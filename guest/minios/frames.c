/* SPDX-License-Identifier: MIT */
/*
 * Physical memory, in frames of 4 KiB.
 *
 * There is one number for each frame: how many page tables point at it.  0 means free.  After a
 * fork() two address spaces share their frames (space.c), so the number can be more than 1.
 *
 * RAM is mapped at its physical address, so the kernel reaches a frame by its address.
 */
#include "os.h"

#define FRAMES_MAX (64u << 20 >> 12) /* 64 MiB are enough for us, whatever the machine has */

static uint16_t owners[FRAMES_MAX];
static uint32_t first, last, next; /* frame numbers: address / 4096; last is one behind */
static uint32_t free_count;
static struct lock lock = { .rank = RANK_FRAMES, .name = "frames" };

void frames_init(uint32_t begin, uint32_t end)
{
	first = next = page_up(begin) / PAGE_SIZE;
	last = end / PAGE_SIZE < FRAMES_MAX ? end / PAGE_SIZE : FRAMES_MAX;
	if (first >= last)
		panic("no memory left: the programs end at %x, RAM at %x", begin, end);
	free_count = last - first;
}

uint32_t frame_alloc(void)
{
	uint32_t pa;
	lock_take(&lock);
	if (!free_count) {
		lock_drop(&lock);
		return 0;
	}
	/* Search onwards from the last success: a full search from the start would be slow. */
	while (owners[next])
		next = next + 1 < last ? next + 1 : first;
	owners[next] = 1;
	free_count--;
	pa = next * PAGE_SIZE;
	lock_drop(&lock);
	/* Never hand out what another process left there. */
	memset((void *)pa, 0, PAGE_SIZE);
	return pa;
}

void frame_share(uint32_t pa)
{
	lock_take(&lock);
	owners[pa / PAGE_SIZE]++;
	lock_drop(&lock);
}

void frame_release(uint32_t pa)
{
	uint32_t n = pa / PAGE_SIZE;
	bool shared;
	lock_take(&lock);
	if (n < first || n >= last || !owners[n])
		panic("frame %x released, but not in use", pa);
	shared = owners[n] > 1;
	if (shared)
		owners[n]--;
	lock_drop(&lock);
	if (shared)
		return;
	/* Ours alone still.  Junk: who goes on using the frame shall notice soon. */
	memset((void *)pa, 0xa5, PAGE_SIZE);
	lock_take(&lock);
	owners[n] = 0;
	free_count++;
	lock_drop(&lock);
}

bool frame_is_shared(uint32_t pa)
{
	return owners[pa / PAGE_SIZE] > 1;
}

uint32_t frames_free(void)
{
	return free_count;
}

uint32_t frames_end(void)
{
	return last * PAGE_SIZE;
}
