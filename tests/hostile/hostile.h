/* SPDX-License-Identifier: MIT */
/*
 * What every hostile image begins with: a Multiboot header, a GDT, an IDT whose handlers note what
 * came, a serial console and the exit port.  An image defines `hostile` and ends with PASS; a
 * check that fails prints its address.
 *
 * The images know nothing of Ringside but the addresses they attack, and where it makes sense they
 * also run on QEMU.
 */
#define COM1		0x3f8
#define EXIT_PORT	0xf4
#define EXIT_GOOD	0x10	/* status 33 */
#define EXIT_BAD	0x11	/* status 35 */

#define SEL_CODE	0x08
#define SEL_DATA	0x10
#define SEL_WINDOW	0x28	/* DPL 3 data on `window`, 64 bytes: where a host has flat data */
#define SEL_LDT		0x48
#define SEL_TSS		0x40
#define GDT_BYTES	128	/* up to and with 0x7b, the highest a host lets ring 3 load */

	.section .multiboot, "a"
	.balign	4
	.long	0x1badb002, 3, -(0x1badb002 + 3)

	.text
	.globl	start
start:
	cli
	cld
	movl	$stack_top, %esp
	call	setup
	jmp	hostile

/* Copy descriptors and gates into place: they are computed, so the tables begin empty. */
setup:
	movl	$window, %eax		/* base of SEL_WINDOW */
	movw	%ax, gdt + SEL_WINDOW + 2
	shrl	$16, %eax
	movb	%al, gdt + SEL_WINDOW + 4
	movl	$ldt, %eax
	movw	%ax, gdt + SEL_LDT + 2
	shrl	$16, %eax
	movb	%al, gdt + SEL_LDT + 4
	movl	$window, %eax
	movw	%ax, ldt + 2
	shrl	$16, %eax
	movb	%al, ldt + 4
	movl	$tss, %eax
	movw	%ax, gdt + SEL_TSS + 2
	shrl	$16, %eax
	movb	%al, gdt + SEL_TSS + 4

	xorl	%ecx, %ecx		/* 256 gates to 256 stubs of 16 bytes */
	movl	$idt, %edi
	movl	$stubs, %eax
0:	movw	%ax, (%edi)
	movw	$SEL_CODE, 2(%edi)
	movw	$0x8e00, 4(%edi)
	movl	%eax, %edx
	shrl	$16, %edx
	movw	%dx, 6(%edi)
	addl	$16, %eax
	addl	$8, %edi
	incl	%ecx
	cmpl	$256, %ecx
	jb	0b

	lgdt	gdtr
	ljmp	$SEL_CODE, $1f
1:	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	lidt	idtr
	ret

/* Handlers: note the trap; go on at `resume` if a TRY is under way, else it is a failure. */
	.balign	16
stubs:
	.set	vec, 0
	.rept	256
	.balign	16
	.if	!(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17)
	pushl	$0
	.endif
	pushl	$vec
	jmp	trapped
	.set	vec, vec + 1
	.endr

trapped:
	popl	seen_vector
	popl	seen_error
	incl	seen_count
	pushl	%eax
	movl	4(%esp), %eax
	movl	%eax, seen_eip
	movl	12(%esp), %eax
	movl	%eax, seen_eflags
	movl	resume, %eax
	testl	%eax, %eax
	jz	unexpected
	movl	%eax, 4(%esp)
	andl	$~0x44100, 12(%esp)	/* go on without TF, NT, AC */
	movl	$0, resume
	popl	%eax
	iret

unexpected:
	movl	$text_unexpected, %esi
	call	puts
	movl	seen_vector, %eax
	call	put_hex
	movl	seen_eip, %eax
	jmp	fail_at

/* ---- the end ---- */

fail_here:				/* called: the return address says which check it was */
	popl	%eax
fail_at:
	pushl	%eax
	movl	$text_failed, %esi
	call	puts
	popl	%eax
	call	put_hex
	movl	$text_newline, %esi
	call	puts
	movb	$EXIT_BAD, %al
	jmp	leave
pass:
	movl	$text_ok, %esi
	call	puts
	movb	$EXIT_GOOD, %al
leave:
	outb	%al, $EXIT_PORT
0:	cli
	hlt
	jmp	0b

puts:	movw	$COM1 + 5, %dx
0:	inb	%dx, %al
	testb	$0x20, %al
	jz	0b
	movw	$COM1, %dx
	lodsb
	testb	%al, %al
	jz	1f
	outb	%al, %dx
	jmp	puts
1:	ret

put_hex:
	movl	$8, %ecx
	movl	$text_hex, %edi
0:	roll	$4, %eax
	movl	%eax, %ebx
	andl	$15, %ebx
	movb	digits(%ebx), %bl
	movb	%bl, (%edi)
	incl	%edi
	loop	0b
	movl	$text_hex, %esi
	jmp	puts

	.data
digits:		.ascii	"0123456789abcdef"
text_hex:	.asciz	"........"
text_newline:	.asciz	"\n"
text_ok:	.asciz	"ok\n"
text_failed:	.asciz	"not ok at "
text_unexpected:.asciz	"unexpected trap "

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* 08 flat code */
	.quad	0x00cf93000000ffff	/* 10 flat data */
	.quad	0, 0			/* 18, 20 */
	.quad	0x0040f2000000003f	/* 28 SEL_WINDOW */
	.quad	0, 0			/* 30, 38 */
	.quad	0x0000890000000067	/* 40 SEL_TSS */
	.quad	0x0000820000000007	/* 48 SEL_LDT: one entry */
	.quad	0, 0, 0, 0, 0, 0	/* 50 to 78 */
ldt:	.quad	0x0040f2000000003f	/* LDT entry 0: like SEL_WINDOW */
gdtr:	.word	GDT_BYTES - 1
	.long	gdt
	.balign	4
idtr:	.word	256 * 8 - 1
	.long	idt
	.balign	4
seen_vector:	.long	-1
seen_error:	.long	-1
seen_eip:	.long	0
seen_eflags:	.long	0
seen_count:	.long	0
resume:		.long	0

	.bss
	.balign	16
idt:	.skip	256 * 8
tss:	.skip	104
	.balign	16
window:	.skip	64
	.skip	8192
stack_top:

	.text

/* ---- words for the images ---- */

	.macro	PASS
	jmp	pass
	.endm

	.macro	FAIL
	call	fail_here
	.endm

	/* Run what stands before END, of which one instruction may trap; go on behind END. */
	.macro	TRY
	movl	$-1, seen_vector
	movl	$9f, resume
	.endm
	.macro	END
9:	movl	$0, resume
	.endm

	/* The TRY before must have trapped with this vector (and error code). */
	.macro	WANT vector, error=0
	cmpl	$\vector, seen_vector
	je	.Lvector\@
	FAIL
.Lvector\@:
	cmpl	$\error, seen_error
	je	.Lerror\@
	FAIL
.Lerror\@:
	.endm

	/* The TRY before must have gone through. */
	.macro	WANT_NO_TRAP
	cmpl	$-1, seen_vector
	je	.Lno\@
	FAIL
.Lno\@:
	.endm

	/* Operands must be equal. */
	.macro	SAME a, b
	cmpl	\a, \b
	je	.Lsame\@
	FAIL
.Lsame\@:
	.endm

	/* Point the gate of a vector elsewhere.  Clobbers EAX. */
	.macro	GATE vector, label
	movl	$\label, %eax
	movw	%ax, idt + 8 * \vector
	shrl	$16, %eax
	movw	%ax, idt + 8 * \vector + 6
	.endm
