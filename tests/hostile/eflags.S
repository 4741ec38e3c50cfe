/* SPDX-License-Identifier: MIT */
/*
 * EFLAGS bits that are dangerous for whoever emulates: TF, NT, AC, RF, VM, VIF, VIP, ID, IOPL.
 *
 * MUST: TF by POPF and by IRET gives the guest's own #DB, once; AC never gives #AC at ring 0; NT
 * from an IRET shows in the next frame and is clear in the handler; RF and VM from POPF do nothing.
 * Status 33.
 * Source: SDM Vol. 1, "EFLAGS Register" (3.4.3); Vol. 2B, "POPF", "IRET".
 */
#include "tests/hostile/hostile.h"

	/* Load an EFLAGS image by IRET, then run instructions. */
	.macro	IRET_FLAGS image
	pushl	$\image
	pushl	$SEL_CODE
	pushl	$.Liret\@
	iret
.Liret\@:
	.endm

hostile:
	movl	%esp, %ebp

	/* TF by POPF: the instruction after it runs, then #DB. */
	pushl	$0x102
	TRY
	popf; nop; tf1: nop; nop; nop
	END
	SAME	$1, seen_vector
	SAME	$tf1, seen_eip
	SAME	$1, seen_count

	/* TF by IRET. */
	pushl	$0x102
	pushl	$SEL_CODE
	pushl	$tf2
	TRY
	iret; tf2: nop; tf3: nop; nop
	END
	SAME	$1, seen_vector
	SAME	$tf3, seen_eip
	SAME	$2, seen_count

	/* TF over an instruction that is emulated: #DB behind it all the same. */
	pushl	$0x102
	TRY
	popf; cli; tf4: nop; nop
	END
	SAME	$1, seen_vector
	SAME	$tf4, seen_eip

	/* NT: an IRET would now return to another task, so clear it by way of a frame. */
	IRET_FLAGS 0x4002
	TRY
	int3
	END
	WANT	3
	testl	$0x4000, seen_eflags
	jnz	0f
	FAIL
0:
	/* AC: ring 0 does not check alignment. */
	IRET_FLAGS 0x40002
	TRY
	movl window + 1, %eax; movl %eax, window + 3
	END
	WANT_NO_TRAP
	pushl	$0x40002
	TRY
	popf; movl window + 1, %eax; movl %eax, window + 3
	END
	WANT_NO_TRAP
	TRY			/* go on without */
	int3
	END
	WANT	3

	/* RF, VIF, VIP, ID, IOPL 3. */
	IRET_FLAGS 0x10002
	IRET_FLAGS 0x180002
	IRET_FLAGS 0x200002
	IRET_FLAGS 0x3002
	TRY
	cli; sti; cli; int3
	END
	WANT	3
	TRY
	int3
	END
	WANT	3

	/* By POPF: RF, VM, VIF, VIP cannot be set at all, the rest does nothing we can see. */
	pushl	$0x3b3002
	popf
	TRY
	int3
	END
	WANT	3
	testl	$0x20000, seen_eflags
	jz	0f
	FAIL
0:	pushl	$2
	popf
	cli
	SAME	%ebp, %esp
	PASS
