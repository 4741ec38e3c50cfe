/* SPDX-License-Identifier: MIT */
/*
 * What the guest did last: a ring of recent exits for the report of a VM that died, and, with
 * --trace, one line (or one Chrome/Perfetto event) an exit.
 */
#ifndef RINGSIDE_VMM_TRACE_H
#define RINGSIDE_VMM_TRACE_H

#include <stdio.h>

#include "vmm/engine.h"

struct vm;
struct vcpu;
struct trace;
struct symbols;

enum trace_format { TRACE_TEXT, TRACE_CHROME };

#define TRACE_RING 16

struct trace_entry {
	uint64_t time_ns; /* host TSC as ns when the exit was seen; only differences count */
	uint32_t eip;     /* where it happened (CS base not added) */
	uint16_t cause;   /* account.h */
	uint8_t insn_len; /* 0: no instruction was decoded */
	uint8_t insn[INSN_MAX];
	uint8_t bits;   /* 16 or 32 */
	uint32_t error; /* error code, or gva for page faults and MMIO */
	uint32_t guest_ns, handoff_ns;
	uint64_t handling_ns;
};

/*
 * @path NULL: only the ring.  Returns NULL with one sentence in @err if the file cannot be written.
 * Writes are buffered; a full disk is reported once on stderr by trace_free and loses only the
 * tail.
 */
struct trace *trace_new(const char *path, enum trace_format format, char *err, size_t err_size);
/* Any vCPU thread; all of a VM may share one trace. */
void trace_exit(struct trace *t, const struct vcpu *v, const struct trace_entry *e);
/* Finish the file (Chrome: the closing bracket).  Returns 0 or negative errno of a write that
 * failed. */
int trace_free(struct trace *t);
/* Oldest first; returns how many (<= TRACE_RING) were copied to @out. */
size_t trace_last(const struct trace *t, struct trace_entry out[TRACE_RING]);

/*
 * The instruction of @e in AT&T syntax, "-" if none was decoded; and "name+0x12" for @eip, "-" if
 * no symbol holds it (@s may be NULL).  Symbol names come from the image: anything that is not
 * printable ASCII is shown as '?'.
 */
void trace_insn_text(const struct trace_entry *e, char *buf, size_t size);
void trace_symbol_text(const struct symbols *s, uint32_t eip, char *buf, size_t size);

/* report.c: why the VM died, registers, last exits, disassembly around EIP, to @f. */
void report_death(const struct vm *vm, const struct vcpu *v, FILE *f);
/* Where all vCPUs are and what they did last.  None may be running. */
void report_vcpus(const struct vm *vm, FILE *f);

#endif
