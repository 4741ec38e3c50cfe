/* SPDX-License-Identifier: MIT */
/*
 * Into 64-bit mode: a host's GDT has a 64-bit code segment at 0x33 that any ring-3 code may jump
 * to.  Once there, a guest can address everything in its world.
 *
 * The far jump is hidden in the middle of a MOV and reached by an indirect jump, so that whoever
 * looks for it by disassembling sees only the MOV.  (far64-plain.S has it in the open.)
 */
#include "tests/hostile/hostile.h"
#include "vmm/world/share.h"

#define HOST_CODE64	0x33

	.macro	FAR64
	movl	$text_going, %esi
	call	puts
	movl	$.Lhidden\@ + 2, %eax
	jmp	*%eax
.Lhidden\@:
	.byte	0xc7, 0x05		/* movl $imm32, disp32, of which the rest is */
	.byte	0xea			/* ljmp $HOST_CODE64, $.Lfar */
	.long	.Lfar\@
	.word	HOST_CODE64
	.byte	0x90
	.code64
.Lfar\@:
	.endm

	.data
text_going: .asciz "going to 64-bit mode\n"
	.text
