/* SPDX-License-Identifier: MIT */
/*
 * A task at ring 3 gives way to the other: INT, another kernel stack, TSS.ESP0, IRET.  Both live in
 * one address space, without paging.
 */
#include "runtime/workload.h"

static uint32_t counter[2] USER_DATA = { 0, 1000000 };

static uint32_t context_switch(uint32_t n)
{
	return switches(n, (uint32_t *const[2]){ &counter[0], &counter[1] },
			(const uint32_t[2]){ 0, 0 });
}

const struct workload workload = { "context-switch", 10000, false, context_switch };
