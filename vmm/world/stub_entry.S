/* SPDX-License-Identifier: MIT */
/*
 * The parts of the world stub that C cannot express: the entry, the mapper (which may not touch
 * writable memory, hence no stack), and the signal trampoline.
 */
#include <asm/unistd.h>
#include "vmm/world/share.h"

#define FUTEX_WAIT 0

	.section .text.entry, "ax"
	.globl _start
_start:
	/* Leave the initial stack (world_start unmaps it) for a small one in .bss. */
	mov	%rsp, %rdi
	movabs	$boot_stack_top, %rsp
	xor	%ebp, %ebp
	movabs	$world_start, %rax
	call	*%rax
	ud2

	/*
	 * long spawn_mapper(flags): clone(2) a thread that goes straight to the mapper.  The child
	 * gets no stack of its own and uses none.
	 */
	.globl spawn_mapper
spawn_mapper:
	xor	%esi, %esi
	xor	%edx, %edx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	mov	$__NR_clone, %eax
	syscall
	test	%eax, %eax
	jz	mapper
	ret

	/*
	 * The mapper.  Everything it decides on is in registers or in the control page, which this
	 * process cannot write.  What it stores in the exchange page is only its report.
	 *   rbx control page, rbp exchange page, r12d last batch done, r13d index, r14 request
	 */
mapper:
	/* Its own seccomp filter first: seccomp(SET_MODE_FILTER, SPEC_ALLOW, &mapper_prog). */
	mov	$__NR_seccomp, %eax
	mov	$1, %edi
	mov	$4, %esi
	movabs	$mapper_prog, %rdx
	syscall
	test	%eax, %eax
	jnz	die
	movabs	$WORLD_SHARE_ADDR, %rbx
	lea	WORLD_PAGE(%rbx), %rbp
	xor	%r12d, %r12d
wait_batch:
	mov	CTL_MAP_SEQ(%rbx), %eax
	cmp	%r12d, %eax
	jne	batch
	mov	$__NR_futex, %eax
	lea	CTL_MAP_SEQ(%rbx), %rdi
	mov	$FUTEX_WAIT, %esi
	mov	%r12d, %edx
	xor	%r10d, %r10d
	syscall
	jmp	wait_batch
batch:
	mov	%eax, %r12d
	lea	CTL_REQ(%rbx), %r14
	xor	%r13d, %r13d
next:
	movabs	$report_done, %rsi
	cmp	CTL_MAP_COUNT(%rbx), %r13d
	jae	done
	mov	(%r14), %rax
	mov	8(%r14), %rdi
	mov	16(%r14), %rsi
	mov	24(%r14), %rdx
	mov	32(%r14), %r10
	mov	40(%r14), %r8
	mov	48(%r14), %r9
	syscall
	/* mmap returns an address, errors are -4095..-1; modify_ldt's is 32 bits wide. */
	cmp	$-4095, %rax
	jae	failed
	test	%eax, %eax
	jns	ok
	cmp	$-4095, %eax
	jae	failed32
ok:
	inc	%r13d
	add	$CTL_REQ_SIZE, %r14
	jmp	next
failed32:
	cmpq	$__NR_modify_ldt, (%r14)
	jne	ok
failed:
	mov	%eax, XCHG_MAP_ERROR(%rbp)
	mov	%r13d, XCHG_MAP_INDEX(%rbp)
	movabs	$report_failed, %rsi
done:
	mov	$__NR_write, %eax
	mov	$WORLD_FD_DONE, %edi
	mov	$8, %edx
	syscall
	jmp	wait_batch
die:
	mov	$__NR_exit_group, %eax
	mov	$125, %edi
	syscall
	ud2

	.globl signal_return
signal_return:
	mov	$__NR_rt_sigreturn, %eax
	syscall
	ud2

	.section .rodata
	.balign	8
report_done:	.quad	MAP_DONE
report_failed:	.quad	MAP_FAILED_AT

	.section .bss
	.balign	16
	.skip	4096
boot_stack_top:
	.section .note.GNU-stack, "", @progbits
