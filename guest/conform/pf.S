/* SPDX-License-Identifier: MIT */
/*
 * The short way into one access and back, for thousands of them: DS and ES stay as they are (flat,
 * of DPL 3), and of what became of it only a few words are kept.
 */
#include "layout.h"

	.text
/* void pf_go(const struct access *a); the prologue is that of enter(): record knows the way back. */
	.globl	pf_go
pf_go:
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, runner_esp
	movl	20(%esp), %edx
	movl	16(%edx), %ebx
	movl	20(%edx), %eax
	testl	$3, 4(%edx)
	jz	1f
	pushl	12(%edx)
	pushl	8(%edx)
	pushl	$2
	pushl	4(%edx)
	pushl	(%edx)
	iret
1:	movl	8(%edx), %esp
	pushl	$2			/* IRET: a hypervisor that patches code learns of the way in */
	pushl	4(%edx)
	pushl	(%edx)
	iret

/* #PF */
	.globl	pf_fault
pf_fault:
	movl	$14, seen + S_VECTOR
	popl	seen + S_ERROR
	popl	seen + S_EIP
	movl	%eax, seen + S_EAX
	movl	%cr2, %eax
	movl	%eax, pf_cr2
	jmp	2f

/* INT 0x31: the access went well. */
	.globl	pf_done
pf_done:
	movl	$0x31, seen + S_VECTOR
	movl	$0, seen + S_ERROR
	popl	seen + S_EIP
	movl	%eax, seen + S_EAX
2:	movl	runner_esp, %esp
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret

/* Accesses at EBX; for both privilege levels. */
	.section user_code, "ax"
	.globl	pf_read, pf_write, pf_rmw, pf_add, pf_jump
pf_read:
	movl	(%ebx), %eax
	int	$0x31
pf_write:
	movl	%eax, (%ebx)
	int	$0x31
pf_rmw:
	lock addl $1, (%ebx)
	int	$0x31
pf_add:					/* unlocked: QEMU makes it a read first, then a write */
	addl	$1, (%ebx)
	int	$0x31
pf_jump:
	jmp	*%ebx

	.globl	user_target
user_target:
	int	$0x31

	.bss
	.globl	pf_cr2
pf_cr2:
	.skip	4
