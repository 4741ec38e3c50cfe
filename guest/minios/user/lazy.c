/* SPDX-License-Identifier: MIT */
/*
 * lazy: watch memory appear.  How many page frames does each step take?
 */
#include "user.h"

#define PAGE 4096u

static int before;

/*
 * Storing the number may itself take a page, and what ended just before us may still be giving its
 * pages back on another processor: so do it until nothing changes for a while.
 */
static void begin(void)
{
	do {
		before = frames();
		sleep(30);
	} while (before != frames());
}

static void step(const char *what)
{
	int now = frames();
	printf("%-40s %2d frames\n", what, before - now);
	before = frames();
}

int main(int argc, char **argv)
{
	uint32_t start = brk(0);
	volatile uint8_t *heap = (uint8_t *)start;
	int pid;
	(void)argc;
	(void)argv;

	begin();
	step("nothing");
	brk(start + 1024 * PAGE);
	step("a heap of 1024 pages");
	for (uint32_t i = 0; i < 10; i++)
		heap[i * PAGE] = 1;
	step("ten of them written to");
	pid = fork();
	if (pid == 0) {
		begin();
		for (uint32_t i = 0; i < 10; i++)
			if (heap[i * PAGE] != 1)
				return 1;
		step("child: the ten read, shared with parent");
		for (uint32_t i = 0; i < 4; i++)
			heap[i * PAGE] = 2;
		step("child: four written to, so copied");
		return 0;
	}
	wait(pid, NULL, false);
	for (uint32_t i = 0; i < 10; i++)
		heap[i * PAGE] = 3;
	begin();
	brk(start);
	step("the heap given back");
	return 0;
}
