/* SPDX-License-Identifier: MIT */
/* Two tasks at ring 3 that give way to each other. */
#include "workload.h"

static uint8_t user_stack[2][STACK_SIZE] USER_DATA;
static uint32_t sum USER_DATA = CHECKSUM_INIT, left USER_DATA;

static struct task task[2] = { { .user_stack = user_stack[0] }, { .user_stack = user_stack[1] } };
static unsigned running;

/* The task that ran is at @f; returns where the other is. */
__attribute__((used, regparm(1))) struct frame *yield(struct frame *f);
__attribute__((regparm(1))) struct frame *yield(struct frame *f)
{
	task[running].at = f;
	running ^= 1;
	task_next(&task[running]);
	return task[running].at;
}

void on_yield(void);
__asm__(".text\n"
	".type on_yield, @function\n"
	"on_yield:\n\t"
	"pushal\n\t"
	"movl	%esp, %eax\n\t"
	"call	yield\n\t"
	"movl	%eax, %esp\n\t"
	"popal\n\t"
	"iret\n\t"
	".size on_yield, . - on_yield\n");

/* @own is a number of this task's, somewhere. */
static USER_CODE __attribute__((noreturn)) void user_yields(uint32_t own)
{
	volatile uint32_t *counter = (uint32_t *)own;

	while (left) {
		left--;
		*counter += 3;
		sum = checksum(sum, *counter);
		__asm__ volatile("int %0" : : "i"(VEC_YIELD) : "memory");
	}
	user_leave(sum);
}

uint32_t switches(uint32_t n, uint32_t *const own[2], const uint32_t cr3[2])
{
	left = n;
	idt_gate(VEC_YIELD, on_yield, 3);
	for (unsigned i = 0; i < 2; i++) {
		task[i].cr3 = cr3[i];
		task_init(&task[i], user_yields, (uint32_t)own[i]);
	}
	return task_run(&task[0]);
}
