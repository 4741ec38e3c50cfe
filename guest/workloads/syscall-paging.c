/* SPDX-License-Identifier: MIT */
/* One INT 0x80 from ring 3, and the kernel's IRET, with paging. */
#include "runtime/workload.h"

const struct workload workload = { "syscall-paging", 10000, true, syscalls };
