/* SPDX-License-Identifier: MIT */
/*
 * The trap account: every exit of a vCPU by cause, with what it cost.  Written by the vCPU's thread
 * only, without a lock; others may read it meanwhile (counter.h), but sorted and printed are sums
 * of copies.
 */
#ifndef RINGSIDE_VMM_ACCOUNT_H
#define RINGSIDE_VMM_ACCOUNT_H

#include <stdio.h>

#include "decoder/insn.h"
#include "vmm/engine.h"

struct vm;
struct vcpu;
struct account;
struct json_object;
struct model_counts;

/*
 * A cause: an emulated sensitive instruction by operation, an ordinary instruction emulated for
 * MMIO, an exception of the guest's own by vector, or another exit reason.
 */
#define CAUSE_INSN(op)    (op)                 /* enum insn_op, sensitive */
#define CAUSE_MMIO        (OP_COUNT)           /* access to no RAM, emulated */
#define CAUSE_LOW         (OP_COUNT + 1)       /* access to RAM that cannot be mapped */
#define CAUSE_FILL        (OP_COUNT + 2)       /* mapping made on demand */
#define CAUSE_SCAN        (OP_COUNT + 3)       /* first execution of a code page */
#define CAUSE_CODE_WRITE  (OP_COUNT + 4)       /* write to a shadow code page */
#define CAUSE_ORIGINAL    (OP_COUNT + 5)       /* patched neighbour, run from the original */
#define CAUSE_INT(n)      (OP_COUNT + 6 + (n)) /* int n, n = 0..255 */
#define CAUSE_EXC(vector) (OP_COUNT + 6 + 256 + (vector)) /* 0..31 */
#define CAUSE_EXIT(r)     (OP_COUNT + 6 + 256 + 32 + (r)) /* enum exit_reason: kick, step, ... */
#define CAUSE_COUNT       (CAUSE_EXIT(EXIT_REASONS))

/* "cli", "mmio", "int 0x80", "#DE", "kick"; writes into @buf where a number is in it. */
const char *cause_name(unsigned cause, char *buf, size_t size);

/* "#PF", "NMI" ...; NULL if the vector is no architectural exception. */
const char *vector_name(uint8_t vector);

struct account *account_new(void);
void account_free(struct account *a);
/* One exit: @cause, the engine's times in @x, and @handling_ns from exit seen to guest resumed. */
void account_exit(struct account *a, unsigned cause, const struct exit *x, uint64_t handling_ns);
/* The same exit happened at @eip: counted by place, and reported by symbol. */
void account_site(struct account *a, uint32_t eip, unsigned cause);
/* An event delivered into the guest. */
void account_inject(struct account *a, uint8_t vector, bool external);
/* The exit counted last had no trap of its own (--lookahead). */
void account_lookahead(struct account *a);
uint64_t account_lookaheads(const struct account *a);
/* Time the vCPU was blocked (halted). */
void account_blocked(struct account *a, uint64_t ns);
/* Time it could have run, but another vCPU had its pCPU. */
void account_ready(struct account *a, uint64_t ns);
/* One access to where there is no RAM: what the devices see of an instruction. */
void account_mmio(struct account *a);
/* The engine changed the way in which VMM and guest take turns. */
void account_handoff_switch(struct account *a);

/* What the model of hardware needs to know beyond causes (model.h); NULL if memory ran out. */
struct model_counts *account_model(const struct account *a);

uint64_t account_total(const struct account *a);
uint64_t account_count(const struct account *a, unsigned cause);

/*
 * Print the account of @vm's vCPUs: a table (cause, count, share, mean and 99th percentile in ns of
 * hand-off and of handling, most frequent first), events injected by vector, time split
 * guest / hand-off / handling / blocked, unclaimed I/O.  Or the same as one JSON object.
 */
void account_print(const struct vm *vm, FILE *f);
struct json_object *account_json(const struct vm *vm);
/*
 * The same while the vCPUs run: any thread, but no lock of the VM held.  Each number is right,
 * though they are not all of one instant.  The end is said to be "running"; "symbols", "kvm" and
 * "model" are null.
 */
struct json_object *account_live_json(const struct vm *vm);

#endif
