/* SPDX-License-Identifier: MIT */
/* Numbers that both C and assembly need. */
#ifndef CONFORM_LAYOUT_H
#define CONFORM_LAYOUT_H

#include "../runtime/start.h"

/* struct state, conform.h */
#define S_EIP    0
#define S_CS     4
#define S_EFLAGS 8
#define S_EAX    12
#define S_ECX    16
#define S_EDX    20
#define S_EBX    24
#define S_EBP    28
#define S_ESI    32
#define S_EDI    36
#define S_ESP    40 /* SS follows: LSS loads both */
#define S_SS     44
#define S_DS     48
#define S_ES     52
#define S_FS     56
#define S_GS     60
/* struct seen: the same, and then */
#define S_VECTOR 64
#define S_ERROR  68

#define NO_FAULT 0x100 /* not a vector: the case reached its end */
#define GATE16   0x101 /* came through a 16-bit gate */

#define CODE16_BASE 0x180000 /* kernel.ld, too */

#define TAIL 7 /* bytes of CASE_END: PUSHFL, PUSHL %CS, CALL */

#endif
