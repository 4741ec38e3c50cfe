/* SPDX-License-Identifier: MIT */
/* Between machine.c, ring.c and enter.S. */
#ifndef WORKLOADS_RING_H
#define WORKLOADS_RING_H

#include "workload.h"

/* SDM Vol. 3A, figure "32-Bit Task-State Segment (TSS)" (7-2). */
struct tss {
	uint32_t link, esp0, ss0, other[22];
	uint16_t trap, io_bitmap;
};
extern struct tss tss;

/* Save what a function must keep, go to ring 3 with @f; when a task leaves, return its result. */
uint32_t ring_enter(const struct frame *f);
/* The handler of VEC_LEAVE. */
void ring_leave(void);

#endif
