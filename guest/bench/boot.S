/* SPDX-License-Identifier: MIT */
/*
 * Where the benchmark guest begins, how it goes to ring 3 and back, and its trap handlers.
 * Source: Multiboot Specification 0.6.96, "OS image format" (3.1), "Machine state" (3.2).
 */
#include "../runtime/start.inc"
#include "layout.h"

	.section .multiboot, "a"
	multiboot_header 3

	.text
	.globl	start
	.type	start, @function
start:
	cli
	cld
	movl	$stack_top, %esp
	pushl	%ebx
	pushl	%eax
	call	bench_main		/* never returns */
0:	cli
	hlt
	jmp	0b
	.size	start, . - start

/*
 * void run_user(user_fn *fn, uint32_t a, uint32_t b): run at ring 3 until `int $VEC_LEAVE`, which
 * comes back here.  The arguments travel in EAX and EDX; the return address is on the user's stack
 * already.  DS and ES are flat segments of ring 3 at all times, in the kernel too: no handler
 * loads them, so none is paid for.
 */
	.globl	run_user
	.type	run_user, @function
run_user:
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	20(%esp), %ecx
	movl	24(%esp), %eax
	movl	28(%esp), %edx
	movl	%esp, tss + TSS_ESP0
	pushl	$SEL_USER_DATA
	pushl	$USER_ESP
	pushl	$2			/* EFLAGS: interrupts off */
	pushl	$SEL_USER_CODE
	pushl	%ecx
	iret
	.size	run_user, . - run_user

	.globl	on_leave
	.type	on_leave, @function
on_leave:
	addl	$20, %esp		/* the five words that the trap pushed at TSS.ESP0 */
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret
	.size	on_leave, . - on_leave

/* The null system call. */
	.globl	on_null
	.type	on_null, @function
on_null:
	iret
	.size	on_null, . - on_null

/* A system call that changes to the other of two address spaces and does nothing else. */
	.globl	on_switch
	.type	on_switch, @function
on_switch:
	pushl	%eax
	movl	switch_next, %eax
	xchgl	%eax, switch_now
	movl	%eax, switch_next
	movl	switch_now, %eax
	movl	%eax, %cr3
	popl	%eax
	iret
	.size	on_switch, . - on_switch

	.globl	on_page_fault
	.type	on_page_fault, @function
on_page_fault:
	pushal
	movl	%cr2, %eax
	leal	36(%esp), %edx		/* behind the eight registers and the error code: EIP */
	pushl	%edx
	pushl	32+4(%esp)		/* the error code */
	pushl	%eax
	call	page_fault		/* page_fault(cr2, error, &eip) */
	addl	$12, %esp
	popal
	addl	$4, %esp
	iret
	.size	on_page_fault, . - on_page_fault

	.globl	on_timer
	.type	on_timer, @function
on_timer:
	pushal
	call	timer_tick
	popal
	iret
	.size	on_timer, . - on_timer

	.globl	on_spurious
on_spurious:
	iret

/* Any other vector: the benchmark is broken. */
	.globl	on_other
	.type	on_other, @function
on_other:
	call	unexpected

	.bss
	.balign	16
	.skip	16384
stack_top:
