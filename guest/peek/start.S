/* SPDX-License-Identifier: MIT */
/*
 * A kernel that looks at itself with instructions that do not trap at ring 3: pushf, popf, smsw,
 * sgdt, sidt, sldt, str, mov from and push of segment registers.  It knows what it has loaded, so it
 * can tell whether it is told the truth.  A line for each, "ok NAME" or "no NAME: WANTED got GOT";
 * ends with status 33 if all are ok, 35 if not.
 */
#include "../runtime/start.inc"

#define COM1	  0x3f8
#define IF	  0x200
#define GATES	  0x110000 /* the IDT: 256 gates */
#define IDT_LIMIT 0x7ff
#define SEL_OTHER 0x18 /* data again */
#define SEL_TSS	  0x20
#define SEL_LDT	  0x28
#define SPINS	  200000000

	.code32
	.text
	multiboot_header 0

/*
 * EAX must be @want.  The name is far from here: what follows a call is code for whoever looks for
 * code.
 */
	.macro	is name, want
	mov	\want, %edx
	.pushsection .data
9:	.asciz	"\name"
	.popsection
	push	$9b
	call	judge
	.endm

	.globl	_start
_start:
	cli
	mov	$0x200000, %esp
	lgdt	gdtr
	ljmp	$SEL_CODE, $1f
1:	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %ss
	mov	$SEL_OTHER, %eax
	mov	%eax, %es
	mov	%eax, %gs
	xor	%eax, %eax
	mov	%eax, %fs
	mov	$tss, %eax /* its base, into the descriptor */
	mov	%ax, gdt + SEL_TSS + 2
	shr	$16, %eax
	mov	%al, gdt + SEL_TSS + 4
	mov	$SEL_TSS, %eax
	ltr	%ax
	mov	$SEL_LDT, %eax
	lldt	%ax
	lidt	idtr
	xor	%ebp, %ebp /* lines that are not ok */

	/* The flags: IF and IOPL are the guest's own. */
	cli
	pushf
	pop	%eax
	and	$IF, %eax
	is	"cli, pushf: IF", $0
	sti
	pushf
	cli
	pop	%eax
	and	$IF, %eax
	is	"sti, pushf: IF", $IF
	push	$IF | 2
	popf
	pushf
	cli
	pop	%eax
	and	$IF, %eax
	is	"popf sets IF", $IF
	sti
	push	$2
	popf
	pushf
	pop	%eax
	and	$IF, %eax
	is	"popf clears IF", $0
	push	$0x1002
	popf
	pushf
	pop	%eax
	and	$0x3000, %eax
	is	"popf sets IOPL", $0x1000
	pushw	$2
	popfw
	pushfw
	pop	%ax
	and	$0x3200, %eax
	is	"popfw clears IOPL", $0
	xor	%eax, %eax
	push	$IF | 2
	/* an operand-size prefix, and one that means nothing */
	.byte	0xf3, 0x9d
	.byte	0x2e, 0x9c
	cli
	pop	%eax
	and	$IF, %eax
	is	"prefixed popf sets IF", $IF

	/* CR0's low half: protected mode, no paging. */
	mov	%cr0, %ecx
	smsw	%eax
	is	"smsw: CR0", %ecx
	mov	$-1, %eax
	push	%eax
	smsw	(%esp)
	pop	%eax
	or	$0xffff0000, %ecx
	is	"smsw to memory: two bytes", %ecx

	/* The tables. */
	sub	$8, %esp
	movl	$-1, 4(%esp)
	sgdt	(%esp)
	movzwl	(%esp), %eax
	is	"sgdt: limit", $(gdt_end - gdt - 1)
	mov	2(%esp), %eax
	is	"sgdt: base", $gdt
	movzwl	6(%esp), %eax
	is	"sgdt: six bytes", $0xffff
	sidt	(%esp)
	movzwl	(%esp), %eax
	is	"sidt: limit", $IDT_LIMIT
	mov	2(%esp), %eax
	is	"sidt: base", $GATES
	add	$8, %esp
	sldt	%eax
	is	"sldt", $SEL_LDT
	str	%eax
	is	"str", $SEL_TSS

	/* Selectors: at ring 3 the real ones are others. */
	mov	%cs, %eax
	is	"mov from CS", $SEL_CODE
	mov	%ss, %eax
	is	"mov from SS", $SEL_DATA
	mov	%ds, %eax
	is	"mov from DS", $SEL_DATA
	mov	%es, %eax
	is	"mov from ES", $SEL_OTHER
	mov	%fs, %eax
	is	"mov from FS", $0
	mov	$-1, %eax
	push	%eax
	mov	%gs, (%esp)
	pop	%eax
	is	"mov from GS to memory", $(0xffff0000 + SEL_OTHER)
	push	$0
	push	%cs
	pop	%eax
	movzwl	%ax, %eax
	add	$4, %esp
	is	"push CS", $SEL_CODE

	/* The immediate of a mov is executed, too: pushf; pop %ecx; nop; nop. */
	xor	%esi, %esi
	cli
	jmp	2f
1:	.byte	0xb8
2:	.byte	0x9c, 0x59, 0x90, 0x90
	test	%esi, %esi
	jnz	3f
	inc	%esi
	jmp	1b
3:	is	"mov with code in it", $0x9090599c
	mov	%ecx, %eax
	and	$IF, %eax
	is	"pushf inside a mov: IF", $0

	jmp	split

	/* 0f at the end of a page, 01 e0 at the start of the next. */
	.org	_start - 12 + 0xff8
	/* Data that contain pushf, popf and what no compiler uses. */
	.byte	0x9c, 0x61, 0x9d, 0x62
split:	nop
	nop
	nop
	smsw	%eax
	mov	%cr0, %ecx
	is	"smsw across a page's end", %ecx
	mov	split - 4, %eax
	is	"data between is as it was", $0x629d619c

	/* The timer interrupts, if popf lets it. */
	mov	$timer, %eax
	mov	%ax, GATES + 8 * 0x20
	movw	$SEL_CODE, GATES + 8 * 0x20 + 2
	movw	$0x8e00, GATES + 8 * 0x20 + 4
	shr	$16, %eax
	mov	%ax, GATES + 8 * 0x20 + 6
	mov	$0x11, %al /* both PICs: ICW1-4, vectors from 0x20, IRQ 0 only */
	out	%al, $0x20
	mov	$0x20, %al
	out	%al, $0x21
	mov	$0x04, %al
	out	%al, $0x21
	mov	$0x01, %al
	out	%al, $0x21
	mov	$0xfe, %al
	out	%al, $0x21
	mov	$0x34, %al /* PIT channel 0: rate generator, 1 kHz */
	out	%al, $0x43
	mov	$0xa9, %al
	out	%al, $0x40
	mov	$0x04, %al
	out	%al, $0x40
	movl	$0, ticks
	mov	$SPINS, %ecx
	push	$IF | 2
	popf
1:	cmpl	$3, ticks
	jae	2f
	dec	%ecx
	jnz	1b
2:	cli
	mov	ticks, %eax
	cmp	$3, %eax
	jbe	3f
	mov	$3, %eax
3:	is	"interrupts after popf", $3

	mov	$0x10, %eax
	test	%ebp, %ebp
	jz	4f
	inc	%eax
4:	out	%eax, $0xf4
	hlt
	jmp	4b

timer:	push	%eax
	incl	ticks
	mov	$0x20, %al
	out	%al, $0x20
	pop	%eax
	iret

/* EAX is what came, EDX what is true; the line's name is on the stack.  Other registers stay. */
judge:	push	%ecx
	push	%ebx
	mov	%eax, %ebx
	mov	$yes, %ecx
	cmp	%eax, %edx
	je	1f
	inc	%ebp
	mov	$no, %ecx
1:	call	text
	mov	12(%esp), %ecx
	call	text
	cmp	%ebx, %edx
	je	2f
	mov	$colon, %ecx
	call	text
	call	hex
	mov	$got, %ecx
	call	text
	mov	%ebx, %edx
	call	hex
2:	mov	$'\n', %al
	call	char
	pop	%ebx
	pop	%ecx
	ret	$4

/* The text at ECX. */
text:	mov	(%ecx), %al
	test	%al, %al
	jz	1f
	call	char
	inc	%ecx
	jmp	text
1:	ret

/* EDX. */
hex:	push	%ecx
	mov	$8, %ecx
1:	rol	$4, %edx
	mov	%edx, %eax
	and	$15, %eax
	mov	digits(%eax), %al
	call	char
	loop	1b
	pop	%ecx
	ret

char:	push	%edx
	mov	$COM1, %edx
	out	%al, %dx
	pop	%edx
	ret

	.data
	.align	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
	.quad	0x00cf93000000ffff
	.quad	0x0000890000000067 /* the TSS */
	.quad	0x0000820000000007 /* an LDT of one entry */
gdt_end:
gdtr:	.word	gdt_end - gdt - 1
	.long	gdt
idtr:	.word	IDT_LIMIT
	.long	GATES
yes:	.asciz	"ok "
no:	.asciz	"no "
colon:	.asciz	": "
got:	.asciz	" got "
digits:	.ascii	"0123456789abcdef"
	.align	4
ticks:	.long	0
tss:	.skip	104
	.section .note.GNU-stack, "", @progbits
