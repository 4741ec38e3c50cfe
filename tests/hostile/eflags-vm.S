/* SPDX-License-Identifier: MIT */
/*
 * IRET with the VM flag at ring 0 enters virtual-8086 mode, here to code that only runs INT 0x99.
 *
 * MUST: end with the VM killed with a sentence while that mode is not supported, or reach the
 * guest's handler.  Status 3 or 33.
 * Source: SDM Vol. 3B, "Entering Virtual-8086 Mode" (20.2.5).
 */
#include "tests/hostile/hostile.h"

hostile:
	movl	$stack_top, tss + 4	/* ESP0, SS0 for the way back */
	movl	$SEL_DATA, tss + 8
	movl	$SEL_TSS, %eax
	ltr	%ax
	movb	$0xf4, 0x8000		/* HLT: #GP at CPL 3 */
	GATE	13, handler
	pushl	$0			/* GS FS DS ES */
	pushl	$0
	pushl	$0
	pushl	$0
	pushl	$0			/* SS:ESP */
	pushl	$0x7000
	pushl	$0x23002		/* VM, IOPL 3 */
	pushl	$0
	pushl	$0x8000
	iret
handler:
	PASS
