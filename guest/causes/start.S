/* SPDX-License-Identifier: MIT */
/*
 * What hardware can exit for, each a known number of times: for `ringside compare`, whose model and
 * measured exits must agree exactly.  No timers, no polling, no interrupts; those are in
 * guest/exits.  Beside each is what it is under SVM with nested paging (vmm/model_events.c); "-":
 * no exit.  There is no int1, which QEMU does not know.  Exits through port 0xf4 with 0x10 at the end, with 0x11 if an exception came that none
 * was to come, or one did not come.
 */
#define LAPIC	 0xfee00000
#define TPR	 0x80
#define EOI	 0xb0
#define SVR	 0xf0
#define LVT_TIMER 0x320
#define DEVICE	 0xd0000000	/* nobody is there */
#define DIRECTORY 0x180000
#define STACK	 0x200000

/* @insn must raise an exception, of whatever kind; execution goes on behind it. */
.macro RAISES insn:vararg
	movl	$771f, resume
	\insn
	jmp	failed
771:	movl	$failed, resume
	mov	$STACK, %esp
.endm

	.code32
	.text
	.long	0x1badb002, 0, -0x1badb002
	.globl	_start
_start:
	mov	$STACK, %esp
	lgdt	gdtr			/* - */
	ljmp	$8, $1f			/* - */
1:	mov	$0x10, %ax
	mov	%ax, %ds		/* - */
	mov	%ax, %es
	mov	%ax, %ss
	mov	$handler, %eax
	mov	$idt, %edi
	mov	$32, %ecx
2:	mov	%ax, (%edi)
	movw	$8, 2(%edi)
	movw	$0x8e00, 4(%edi)
	mov	%eax, %edx
	shr	$16, %edx
	mov	%dx, 6(%edi)
	add	$8, %edi
	loop	2b
	lidt	idtr			/* - */

	/* ---- instructions ---- */
	.rept	3
	xor	%eax, %eax
	cpuid				/* cpuid 3 */
	.endr
	pushf				/* - */
	popf
	cli
	rdtsc
	sgdt	scratch
	.rept	4
	mov	$0x55, %al
	out	%al, $0x80		/* port I/O 8 */
	in	$0x80, %al
	.endr
	mov	$0xe9, %dx
	mov	$text, %esi
	mov	$16, %ecx
	rep outsb			/* port I/O 1, or up to 17 */
	outsb				/* port I/O 1 */

	/* ---- CR0; 0x11 at first: PE, ET ---- */
	mov	%cr0, %eax		/* - */
	or	$8, %eax
	mov	%eax, %cr0		/* TS: - */
	clts				/* - */
	mov	%cr0, %eax
	mov	%eax, %cr0		/* nothing: - */
	or	$2, %eax
	mov	%eax, %cr0		/* MP: - */
	lmsw	%ax			/* nothing: - */
	and	$~2, %eax
	mov	%eax, %cr0		/* MP: - */
	smsw	%ebx			/* - */
	or	$0x10000, %eax
	mov	%eax, %cr0		/* WP: CR0 1 */
	or	$0x40000, %eax
	mov	%eax, %cr0		/* AM: CR0 1 */
	or	$4, %eax
	lmsw	%ax			/* EM: CR0 1 */
	and	$~4, %eax
	lmsw	%ax			/* EM: CR0 1 */
	or	$0x40000000, %eax
	mov	%eax, %cr0		/* CD: CR0 1 */
	mov	%cr0, %ebx		/* caches off: CR0 1 */
	mov	%eax, %cr0		/* CR0 1 */
	clts				/* CR0 1 */
	and	$~0x40000000, %eax
	mov	%eax, %cr0		/* CR0 1 */
	mov	%cr0, %ebx		/* - */
	mov	$0x80000000, %eax
	RAISES	mov %eax, %cr0		/* PG without PE, #GP: CR0 0 or 1 */

	/* ---- CR2, CR3, CR4 ---- */
	mov	%eax, %cr2		/* - */
	mov	%cr2, %eax
	mov	$DIRECTORY, %eax
	mov	%eax, %cr3		/* - */
	mov	%eax, %cr3
	mov	%cr3, %ebx
	mov	%cr4, %ecx		/* CR4 1 */
	or	$8, %ecx
	mov	%ecx, %cr4		/* DE: CR4 1 */
	mov	%ecx, %cr4		/* nothing: CR4 1 */
	or	$0x80, %ecx
	mov	%ecx, %cr4		/* PGE: CR4 1 */
	or	$0x10, %ecx
	mov	%ecx, %cr4		/* PSE: CR4 1 */
	mov	%cr4, %ebx		/* CR4 1 */
	mov	$0x80000000, %eax
	RAISES	mov %eax, %cr4		/* reserved, #GP: CR4 0 or 1 */

	/* ---- caches, TLB ---- */
	wbinvd				/* cache flush 2 */
	invd
	invlpg	0x1000			/* - */

	/* ---- MSRs ---- */
	mov	$0x10, %ecx
	rdmsr				/* TSC: MSR 2 */
	rdmsr
	mov	$0x174, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr				/* SYSENTER: - */
	rdmsr
	mov	$0xc0000080, %ecx
	rdmsr				/* EFER: MSR 2 */
	wrmsr
	mov	$0xdead, %ecx
	RAISES	rdmsr			/* #GP: MSR 1 */
	mov	$0x3fffffff, %ecx
	RAISES	rdpmc			/* no such counter, #GP: rdpmc 1 */

	/* ---- debug registers: from the first access to the next exit ---- */
	mov	%dr7, %eax		/* debug register 1 */
	xor	%ebx, %ebx
	mov	%ebx, %dr0		/* - */
	mov	%ebx, %dr1
	mov	%dr0, %ebx

	/* ---- exceptions ---- */
	RAISES	ud2			/* #UD 1 */
	RAISES	.byte 0xf0, 0x90	/* lock nop: #UD 1 */
	RAISES	.byte 0x0f, 0x01, 0xc2	/* vmlaunch: #UD 1 */
	RAISES	xsetbv			/* CR4.OSXSAVE is clear: #UD 1 */
	RAISES	int3			/* - */
	xor	%ecx, %ecx
	RAISES	div %ecx		/* - */
	mov	$0x70, %eax
	RAISES	mov %ax, %ds		/* #GP: - */
	pushf
	orl	$0x100, (%esp)
	movl	$3f, resume
	popf
	nop				/* single step: #DB 1 */
	jmp	failed
3:	movl	$failed, resume
	mov	$STACK, %esp

	/* ---- paging: 4 MiB pages, of which the second is not there ---- */
	mov	$DIRECTORY, %edi
	xor	%eax, %eax
	mov	$1024, %ecx
	rep stosl
	movl	$0x00000083, DIRECTORY
	movl	$LAPIC + 0x83 - 0x200000, DIRECTORY + (LAPIC >> 22) * 4
	movl	$DEVICE + 0x83, DIRECTORY + (DEVICE >> 22) * 4
	mov	%cr0, %eax		/* - */
	or	$0x80000000, %eax
	mov	%eax, %cr0		/* PG: CR0 1 */
	.rept	5
	RAISES	mov 0x400000, %ebx	/* #PF: - */
	.endr
	mov	%cr3, %ebx		/* - */
	mov	%ebx, %cr3
	invlpg	0x400000

	/* ---- memory without RAM ---- */
	.rept	3
	mov	DEVICE, %ebx		/* device memory 6 */
	movl	$1, DEVICE + 8
	.endr
	movl	$0x1ff, LAPIC + SVR	/* local APIC 8 */
	mov	LAPIC + LVT_TIMER, %ebx
	movl	$0x20, LAPIC + TPR
	mov	LAPIC + TPR, %ebx
	movl	$0, LAPIC + TPR
	movl	$0, LAPIC + EOI
	movl	$0, LAPIC + EOI
	mov	LAPIC + LVT_TIMER, %ebx

	/* ---- the same as MSRs, in x2APIC mode ---- */
	mov	$0x1b, %ecx
	rdmsr				/* APIC base: MSR 2 */
	or	$0x400, %eax
	wrmsr
	mov	$0x808, %ecx
	mov	$0x20, %eax
	xor	%edx, %edx
	wrmsr				/* TPR: MSR 2 */
	rdmsr
	mov	$0x802, %ecx
	rdmsr				/* ID: MSR 1 */
	mov	$0x80b, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr				/* EOI: MSR 1 */

	mov	$0x10, %al
	out	%al, $0xf4		/* port I/O 1 */
	jmp	.

/* Whatever it was: nothing of it is needed but that it came. */
handler:
	mov	$STACK, %esp
	jmp	*resume

failed:
	mov	$0x11, %al
	out	%al, $0xf4
	jmp	.

	.data
	.balign	8
gdt:	.quad	0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr:	.word	. - gdt - 1
	.long	gdt
idtr:	.word	32 * 8 - 1
	.long	idt
resume:	.long	failed
scratch: .quad	0
text:	.ascii	"seventeen letters"
	.balign	8
idt:	.fill	32, 8, 0
