/* SPDX-License-Identifier: MIT */
/* What the assembler and the C files of the soak guest agree on. */
#ifndef SOAK_LAYOUT_H
#define SOAK_LAYOUT_H

#include "../runtime/start.h"

#define CPUS       4
#define STACK_SIZE 16384 /* and alignment: the CPU's number is the lowest word of its stack */

#endif
