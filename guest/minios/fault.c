/* SPDX-License-Identifier: MIT */
/*
 * Exceptions.  A page fault may only mean that a page is not there yet.  All else that a process
 * causes ends it, with one line on the console; what the kernel causes ends the machine.
 * Source: SDM Vol. 3A, "Exception and Interrupt Reference" (6.15); the page fault's error code:
 * "Page-Fault Exceptions" (4.7).
 */
#include "os.h"
#include "x86.h"

#define PF_WRITE   0x2u
#define PAGE_FAULT 14

static const char *const names[32] = {
	[0] = "divide error",
	[1] = "debug",
	[2] = "NMI",
	[3] = "breakpoint",
	[4] = "overflow",
	[5] = "bound range",
	[6] = "undefined opcode",
	[7] = "no coprocessor",
	[8] = "double fault",
	[10] = "invalid TSS",
	[11] = "segment absent",
	[12] = "stack segment",
	[13] = "general protection",
	[PAGE_FAULT] = "page fault",
	[16] = "x87 error",
	[17] = "alignment",
	[18] = "machine check",
	[19] = "SIMD error",
};

static void on_fault(struct frame *f)
{
	const char *name = names[f->vector] ? names[f->vector] : "unknown exception";
	uint32_t va = READ_CR(2);
	/* The kernel touches user memory for a system call, which has checked that it may. */
	bool for_process = current->space && va >= USER_BASE && va < USER_END;

	if (f->vector == PAGE_FAULT && (from_user(f) || for_process)) {
		bool write = f->error & PF_WRITE;
		const char *reason = space_fault(current->space, va, write);
		const char *what = write ? "write to" : va == f->eip ? "jump to" : "read of";
		if (!reason)
			return;
		print("%s (%d) killed: page fault, %s %x at %x: %s\n", current->name, current->pid,
		      what, va, f->eip, reason);
		process_exit(STATUS_FAULT | PAGE_FAULT);
	}
	if (!from_user(f))
		panic("%s in the kernel, error %x, at %x, cr2 %x", name, f->error, f->eip, va);
	print("%s (%d) killed: %s, error %x, at %x\n", current->name, current->pid, name, f->error,
	      f->eip);
	process_exit(STATUS_FAULT | (int)f->vector);
}

void fault_init(void)
{
	for (unsigned v = 0; v < 32; v++)
		trap_handle(v, on_fault);
}
