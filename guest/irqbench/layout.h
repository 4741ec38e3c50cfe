/* SPDX-License-Identifier: MIT */
/* Numbers that the assembly and the C of irqbench share. */
#ifndef IRQBENCH_LAYOUT_H
#define IRQBENCH_LAYOUT_H

#include "../runtime/start.h"

#define CPUS_MAX   8
#define STACK_SIZE 16384 /* a power of two: the stack tells which CPU it is */

#define VEC_PIC      0x20 /* of IRQ 0; up to 0x2f */
#define VEC_PIT      0x41 /* IRQ 0 through the I/O APIC */
#define VEC_UART     0x42 /* IRQ 4, too */
#define VEC_TIMER    0x43 /* the local APIC's timer */
#define VEC_PING     0x50
#define VEC_PONG     0x51
#define VEC_WAKE     0x52 /* look at your mode */
#define VEC_ASSIGNED 0x60
#define VEC_SPURIOUS 0xff

#endif
