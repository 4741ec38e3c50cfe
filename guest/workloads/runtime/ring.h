/* SPDX-License-Identifier: MIT */
/* Between ring.c and enter.S. */
#ifndef WORKLOADS_RING_H
#define WORKLOADS_RING_H

#include "workload.h"

/* Save what a function must keep, go to ring 3 with @f; when a task leaves, return its result. */
uint32_t ring_enter(const struct frame *f);
/* The handler of VEC_LEAVE. */
void ring_leave(void);

#endif
