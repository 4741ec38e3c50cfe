/* SPDX-License-Identifier: MIT */
/*
 * void switch_stack(uint32_t *save_esp, uint32_t load_esp)
 *
 * The context switch.  A process in the kernel is a kernel stack, no more: whoever called us finds
 * all it needs there when it returns.  So to switch is to save the registers that a C function
 * must preserve, to change the stack, and to return, to the other one's caller.
 * Source: System V ABI, Intel386 supplement, "Registers" (3-11).
 */
	.text
	.globl	switch_stack
	.type	switch_stack, @function
switch_stack:
	movl	4(%esp), %eax
	movl	8(%esp), %edx
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, (%eax)
	movl	%edx, %esp
	.globl	switch_arrive		/* a processor arrives here on its first stack: trampoline.S */
switch_arrive:
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret
	.size	switch_stack, . - switch_stack

/*
 * Where a new process begins, its stack being made by hand: it does what all do that come back
 * from switch_stack(), then goes on with what is next on that stack (process_create()).
 */
	.globl	switch_first
	.type	switch_first, @function
switch_first:
	call	schedule_arrived
	ret
	.size	switch_first, . - switch_first
