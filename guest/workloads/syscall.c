/* SPDX-License-Identifier: MIT */
/* One INT 0x80 from ring 3, and the kernel's IRET. */
#include "runtime/workload.h"

const struct workload workload = { "syscall", 10000, false, syscalls };
