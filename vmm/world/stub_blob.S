/* SPDX-License-Identifier: MIT */
/* The linked world stub as bytes inside ringside. */
	.section .rodata
	.balign	16
	.globl	world_stub, world_stub_end
world_stub:
	.incbin	STUB_ELF
world_stub_end:
	.section .note.GNU-stack, "", @progbits
