/* SPDX-License-Identifier: MIT */
/* What the assembler and the C files of the soak guest agree on. */
#ifndef SOAK_LAYOUT_H
#define SOAK_LAYOUT_H

#define CPUS       4
#define STACK_SIZE 16384  /* and alignment: the CPU's number is the lowest word of its stack */
#define TRAMPOLINE 0x8000 /* start-up vector 8 */
#define LAPIC_BASE 0xfee00000

#define SEL_CODE 0x08
#define SEL_DATA 0x10

#endif
