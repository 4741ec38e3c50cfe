/* SPDX-License-Identifier: MIT */
/* Segments for guests with a ring 3; the numbers are for assembly, too. */
#ifndef GUEST_RUNTIME_SEGMENTS_H
#define GUEST_RUNTIME_SEGMENTS_H

#include "start.h"

#define SEL_USER_CODE 0x1b
#define SEL_USER_DATA 0x23
#define SEL_TSS       0x28

#ifndef __ASSEMBLER__

#include <stdint.h>

/* SDM Vol. 3A, figure "32-Bit Task-State Segment (TSS)" (7-2). */
struct tss {
	uint32_t link, esp0, ss0, other[22];
	uint16_t trap, io_bitmap;
};
extern struct tss tss;

/*
 * SEL_CODE, SEL_DATA in SS, the TSS without I/O bitmap.  DS and ES are SEL_USER_DATA from here on,
 * in the kernel too: no handler loads them, so none is paid for.
 */
void segments_init(void);

#endif

#endif
