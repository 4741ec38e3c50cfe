/* SPDX-License-Identifier: MIT */
/*
 * Where conform begins, and the way into a case and out of it again.
 *
 * A case runs with registers, flags, segments and stack of its own choice, some of them absurd, and
 * ends in an exception, an interrupt, or by reaching its end.  So nothing but CS (which came out of
 * a gate) and room on the stack can be relied on at first when it is over.
 */
#include "../runtime/start.inc"
#include "layout.h"

	.section .multiboot, "a"
	multiboot_header 3

	.text
	.globl	start
start:
	cli
	cld
	movl	$boot_stack, %esp
	pushl	%ebx
	pushl	%eax
	call	conform_main		/* conform_main(magic, info) never returns */
0:	cli
	hlt
	jmp	0b

/*
 * void enter(const struct state *s): go to s->cs:s->eip with everything as in *s.  Returns when the
 * case is over, with what became of it in `seen`.
 */
	.globl	enter
enter:
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, runner_esp
	movl	20(%esp), %ebx
	lss	S_ESP(%ebx), %esp
	pushl	S_EFLAGS(%ebx)		/* IRET loads all the flags at once, TF just in time */
	pushl	S_CS(%ebx)
	pushl	S_EIP(%ebx)
	movw	S_ES(%ebx), %es
	movw	S_FS(%ebx), %fs
	movw	S_GS(%ebx), %gs
	movl	S_EAX(%ebx), %eax
	movl	S_ECX(%ebx), %ecx
	movl	S_EDX(%ebx), %edx
	movl	S_EBP(%ebx), %ebp
	movl	S_ESI(%ebx), %esi
	movl	S_EDI(%ebx), %edi
	pushl	S_DS(%ebx)
	movl	S_EBX(%ebx), %ebx
	popl	%ds
	iret

/* The end of a case without an exception: its tail (CODE3 in conform.h) called us with flags and CS pushed. */
	.globl	run_done
run_done:
	pushl	$0
	pushl	$NO_FAULT

/* Stack: vector, error code or 0, EIP, CS, EFLAGS.  POPL finds its way on any kind of stack. */
	.globl	record
record:
	ljmp	$SEL_CODE, $1f		/* the case's own CS may not be readable */
1:	lgdt	%cs:good_gdtr
	lidt	%cs:good_idtr
	pushl	%ds
	pushl	%eax
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	popl	seen + S_EAX
	popl	seen + S_DS
	popl	seen + S_VECTOR
	popl	seen + S_ERROR
	popl	seen + S_EIP
	popl	seen + S_CS
	popl	seen + S_EFLAGS
	movl	%esp, seen + S_ESP
	movl	%ecx, seen + S_ECX
	movl	%edx, seen + S_EDX
	movl	%ebx, seen + S_EBX
	movl	%ebp, seen + S_EBP
	movl	%esi, seen + S_ESI
	movl	%edi, seen + S_EDI
	movl	%es, %eax
	movl	%eax, seen + S_ES
	movl	%fs, %eax
	movl	%eax, seen + S_FS
	movl	%gs, %eax
	movl	%eax, seen + S_GS
	movl	%ss, %eax
	movl	%eax, seen + S_SS
	movl	$SEL_DATA, %eax
	movl	%eax, %es
	movl	%eax, %ss
	movl	runner_esp, %esp
	pushl	$2
	popfl
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret

/* One stub for each vector, 16 bytes apart; those that push an error code: SDM Vol. 3A, table 6-1. */
	.balign	16
	.globl	stubs
stubs:
	.set	vec, 0
	.rept	256
	.balign	16
	.if	!(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17)
	pushl	$0
	.endif
	pushl	$vec
	jmp	record
	.set	vec, vec + 1
	.endr

/* For INT n with such a vector, which pushes none. */
	.globl	stub_no_error
stub_no_error:
	pushl	$0
	pushl	$0x1000
	jmp	record

/* Behind a 16-bit gate: IP, CS, FLAGS of two bytes each; DS is flat in these cases. */
	.globl	stub_gate16
stub_gate16:
	popw	frame16
	popw	frame16 + 4
	popw	frame16 + 8
	pushl	frame16 + 8
	pushl	frame16 + 4
	pushl	frame16
	pushl	$0
	pushl	$GATE16
	jmp	record

/*
 * #DB while a case is traced: note where, and go on; at the end of the case single-stepping ends.
 * DS and SS are flat in these cases.
 */
	.globl	stub_trace
stub_trace:
	pushal
	pushl	%esp
	call	trace_step
	popl	%eax
	popal
	iret

/* Targets of far transfers; what they push is what the end of a case does. */
	.globl	target32
target32:
	pushfl
	pushl	%cs
	call	run_done

	.section .code16, "ax"
	.code16
	.globl	target16
target16:
	pushfl
	pushl	%cs
	pushl	$(target16_end - CODE16_BASE)
	ljmpl	$SEL_CODE, $run_done
	.globl	target16_end
target16_end:
	.code32

	.bss
	.balign	16
	.skip	16384
boot_stack:
	.globl	frame16
frame16:
	.skip	12
	.globl	runner_esp
runner_esp:
	.skip	4
