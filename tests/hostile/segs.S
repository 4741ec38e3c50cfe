/* SPDX-License-Identifier: MIT */
/*
 * Load the selectors that a host lets any ring-3 code load, behind the VMM's back: 32-bit code
 * 0x20, data 0x28, 64-bit code 0x30, tiny data 0x78, with each RPL.
 *
 * MUST: mean what the guest's own GDT says: at 0x28 a window of 64 bytes, everywhere else nothing
 * and so #GP(selector).  The CLI behind each load is where a VMM without patching finds out.
 * Status 33.
 */
#include "tests/hostile/hostile.h"

	/* One selector into one register: must be #GP(@error), and the register be as before. */
	.macro	NOTHING_AT sel, reg
	movl	$\sel, %eax
	TRY
	movl %eax, \reg; cli
	END
	WANT	13, (\sel & 0xfffc)
	.endm

	.macro	WINDOW_AT sel, reg
	movl	$0x11111111, window
	movl	$0x22222222, window + 60
	movl	$\sel, %eax
	movl	%eax, \reg
	cli
	movl	\reg:0, %eax
	SAME	$0x11111111, %eax
	movl	\reg:60, %eax
	SAME	$0x22222222, %eax
	movl	$0x33333333, \reg:4
	SAME	$0x33333333, window + 4
	TRY
	movl \reg:61, %eax
	END
	WANT	13, 0
	TRY
	movb %al, \reg:64
	END
	WANT	13, 0
	xorl	%eax, %eax
	movl	%eax, \reg
	TRY
	movl \reg:0, %eax
	END
	WANT	13, 0
	.endm

hostile:
	.irp	sel, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31, 0x32, 0x33, 0x78, 0x79, 0x7a, 0x7b
	NOTHING_AT \sel, %fs
	NOTHING_AT \sel, %gs
	NOTHING_AT \sel, %es
	NOTHING_AT \sel, %ds
	.endr
	.irp	sel, 0x28, 0x29, 0x2a, 0x2b
	WINDOW_AT \sel, %fs
	WINDOW_AT \sel, %gs
	.endr
	/* SS wants RPL = DPL = CPL = 0, so the window will not do, and 0x78 is nothing. */
	NOTHING_AT 0x29, %ss
	NOTHING_AT 0x2a, %ss
	NOTHING_AT 0x28, %ss
	NOTHING_AT 0x7b, %ss
	PASS
