/* SPDX-License-Identifier: MIT */
/* Tasks, which are what runs at ring 3. */
#include "ring.h"

static uint8_t *stack_top(const struct task *t)
{
	return (uint8_t *)t->kernel_stack + sizeof(t->kernel_stack);
}

void task_init(struct task *t, user_fn *fn, uint32_t arg)
{
	/* as if fn(arg) had been called, with 0 as the address to return to */
	uint32_t *stack = (uint32_t *)(t->user_stack + STACK_SIZE) - 2;

	stack[0] = 0;
	stack[1] = arg;
	t->at = (struct frame *)stack_top(t) - 1;
	*t->at = (struct frame){
		.eip = (uint32_t)fn,
		.cs = SEL_USER_CODE,
		.eflags = 2, /* interrupts off */
		.esp = (uint32_t)stack,
		.ss = SEL_USER_DATA,
	};
}

void task_next(const struct task *t)
{
	tss.esp0 = (uint32_t)stack_top(t);
	if (t->cr3)
		WRITE_CR(3, t->cr3);
}

uint32_t task_run(struct task *t)
{
	idt_gate(VEC_LEAVE, ring_leave, 3);
	task_next(t);
	return ring_enter(t->at);
}

uint32_t run_user(user_fn *fn, uint32_t arg)
{
	static uint8_t user_stack[STACK_SIZE] USER_DATA;
	static struct task t = { .user_stack = user_stack };

	task_init(&t, fn, arg);
	return task_run(&t);
}
