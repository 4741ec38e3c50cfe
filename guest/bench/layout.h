/* SPDX-License-Identifier: MIT */
/* Numbers that the assembly and the C of the benchmark guest share. */
#ifndef BENCH_LAYOUT_H
#define BENCH_LAYOUT_H

#include "../runtime/segments.h"

/* All of a process is in the 4 MiB from USER_BASE on: one page table.  The stack is the last page.
 */
#define USER_BASE  0x40000000
#define USER_STACK 0x403ff000
#define USER_ESP   0x403ffff0 /* the return address is there */

#define TSS_ESP0 4 /* bytes into the TSS */

#define VEC_PF       14
#define VEC_TIMER    0x40
#define VEC_NULL     0x80
#define VEC_LEAVE    0x81
#define VEC_SWITCH   0x82
#define VEC_SPURIOUS 0xff

#endif
