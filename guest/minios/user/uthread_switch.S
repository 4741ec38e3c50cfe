/* SPDX-License-Identifier: MIT */
/*
 * void ut_switch(uint32_t *save_esp, uint32_t load_esp): as switch_stack() in ../switch.S.
 *
 * void ut_continue(uint32_t *save_esp, const struct taken *regs): leave as ut_switch() does, and go
 * on where another processor was interrupted, with all its registers.  Below its stack pointer
 * nothing belongs to anybody (the i386 has no red zone): they are put there and popped.
 */
#define EAX    0
#define ECX    4
#define EDX    8
#define EBX    12
#define ESP    16
#define EBP    20
#define ESI    24
#define EDI    28
#define EIP    32
#define EFLAGS 36

	.section .text.uthread, "ax", @progbits
	.globl	ut_switch
	.type	ut_switch, @function
ut_switch:
	movl	4(%esp), %eax
	movl	8(%esp), %edx
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, (%eax)
	movl	%edx, %esp
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret
	.size	ut_switch, . - ut_switch

	.globl	ut_continue
	.type	ut_continue, @function
ut_continue:
	movl	4(%esp), %eax
	movl	8(%esp), %edx
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, (%eax)
	movl	ESP(%edx), %esp
	pushl	EIP(%edx)
	pushl	EFLAGS(%edx)
	pushl	EAX(%edx)
	pushl	ECX(%edx)
	pushl	EDX(%edx)
	pushl	EBX(%edx)
	pushl	EBP(%edx)
	pushl	ESI(%edx)
	pushl	EDI(%edx)
	popl	%edi
	popl	%esi
	popl	%ebp
	popl	%ebx
	popl	%edx
	popl	%ecx
	popl	%eax
	popfl
	ret
	.size	ut_continue, . - ut_continue
	.section .note.GNU-stack, "", @progbits
