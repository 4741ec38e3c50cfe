/* SPDX-License-Identifier: MIT */
/* Numbers that the assembly and the C of the workloads share. */
#ifndef WORKLOADS_LAYOUT_H
#define WORKLOADS_LAYOUT_H

#include "../../runtime/segments.h"

#define STACK_SIZE 4096

#define VEC_PF       14
#define VEC_TIMER    0x40
#define VEC_SELF     0x41
#define VEC_PING     0x42
#define VEC_PONG     0x43
#define VEC_SYSCALL  0x80
#define VEC_LEAVE    0x81 /* the end of what runs at ring 3; EAX is the result */
#define VEC_YIELD    0x82
#define VEC_SPURIOUS 0xff

#endif
