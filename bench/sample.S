/* SPDX-License-Identifier: MIT */
/* Makes a loadable image of 32-bit compiler output, of which bench/code.c scans the pages. */
	.section .multiboot, "a"
	.balign	4
	.long	0x1badb002, 0, -0x1badb002

	.text
	.globl	start
start:
	ud2
