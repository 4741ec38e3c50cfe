/* SPDX-License-Identifier: MIT */
/*
 * One page of zeros on demand: ring 3 writes where nothing is, the kernel maps a frame and returns.
 * It has PAGES frames: from then on each fault also takes away the page mapped longest.
 */
#include "runtime/workload.h"

#define PAGES  64u
#define WITHIN 1024u /* pages of the window */

static uint32_t frame[PAGES][1024] __attribute__((aligned(4096)));
static uint32_t faults;

/* SDM Vol. 3A, "Page-Fault Exceptions" (4.7): not present, a write, from user mode. */
#define EXPECTED 6u

__attribute__((used, regparm(1))) void page_fault(uint32_t error);
__attribute__((regparm(1))) void page_fault(uint32_t error)
{
	uint32_t page = (READ_CR(2) - WINDOW) / PAGE_SIZE, *f = frame[faults % PAGES];

	if (error != EXPECTED)
		die("a page fault of another kind");
	if (page != faults % WITHIN)
		die("a page fault somewhere else");
	if (faults >= PAGES) {
		uint32_t old = (faults - PAGES) % WITHIN;

		kernel_space.window[old] = 0;
		invlpg(WINDOW + old * PAGE_SIZE);
	}
	memset(f, 0, sizeof(frame[0]));
	kernel_space.window[page] = (uint32_t)f | PTE_P | PTE_W | PTE_U;
	faults++;
}

void on_page_fault(void);
__asm__(".text\n"
	".type on_page_fault, @function\n"
	"on_page_fault:\n\t"
	"pushal\n\t"
	"movl	32(%esp), %eax\n\t" /* the error code is behind the eight registers */
	"call	page_fault\n\t"
	"popal\n\t"
	"addl	$4, %esp\n\t"
	"iret\n\t"
	".size on_page_fault, . - on_page_fault\n");

static USER_CODE __attribute__((noreturn)) void user_touch(uint32_t n)
{
	uint32_t sum = CHECKSUM_INIT;

	for (uint32_t i = 0; i < n; i++) {
		volatile uint32_t *p = (uint32_t *)(WINDOW + i % WITHIN * PAGE_SIZE);

		*p = i;
		sum = checksum(sum, p[0] + p[1023]);
	}
	user_leave(sum);
}

static uint32_t page_faults(uint32_t n)
{
	idt_gate(VEC_PF, on_page_fault, 0);
	return run_user(user_touch, n);
}

const struct workload workload = { "page-fault", 5000, true, page_faults };
