/* SPDX-License-Identifier: MIT */
/*
 * Differential testing of decoder and emulator: random instances of every instruction that the
 * emulator executes and that ring 3 may run natively, each run in a world and through emulate() on
 * the same state.  Registers, EIP, the defined flags, the exception with its error code and memory
 * must agree.
 *
 * A case is determined by (seed, index) alone, so that any of them can be run again by itself.
 * Used by tests/differential.c and by tests/fuzz/differential.c; needs no Criterion.
 */
#ifndef RINGSIDE_TESTS_DIFF_H
#define RINGSIDE_TESTS_DIFF_H

#include <stdio.h>

#include "decoder/insn.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/*
 * Guest memory.  RAM is 1 MiB, of which the world maps three areas only: what else an instruction
 * touches is a page fault in the world, and an access to the bus or to plain RAM in the emulator.
 * The data end where RAM ends, so that an access over their end meets the bus.
 */
#define DIFF_RAM       0x100000u
#define DIFF_CODE      0x0d0000u
#define DIFF_CODE_LEN  0x010000u /* all HLT but for the instruction under test */
#define DIFF_STACK     0x0f0000u
#define DIFF_STACK_LEN 0x004000u
#define DIFF_DATA      0x0fc000u
#define DIFF_DATA_LEN  0x004000u

#define DIFF_CODE_MAX 24 /* bytes of a case: more than INSN_MAX, to meet #GP by length */
#define DIFF_POKES    8

/* A segment that a case may load, and the offsets in it where memory is. */
struct diff_desc {
	const char *name;
	struct segment seg;
	uint32_t lo, len;
};

struct diff_poke {
	uint32_t gva, val;
};

struct diff_case {
	uint64_t seed;
	unsigned long index;
	const char *template;
	uint8_t code[DIFF_CODE_MAX]; /* @len bytes, then HLT */
	unsigned len;
	unsigned bits;
	struct insn in;
	int decoded; /* what insn_decode() said */
	const struct diff_desc *desc[SEG_COUNT];
	uint32_t gpr[GPR_COUNT], eip, eflags; /* with TF: single-stepped */
	struct diff_poke poke[DIFF_POKES];    /* 32-bit values put into memory beforehand */
	unsigned pokes;
	uint32_t fill_gva, fill_len; /* and a run of equal bytes, for REPE to go through */
	uint8_t fill;
};

/* diff_gen.c: build case @index of @seed.  Cases with consecutive indices go through all forms. */
void diff_generate(struct diff_case *c, uint64_t seed, unsigned long index);
unsigned diff_templates(void);

/*
 * diff_flags.c: the flags that @in leaves undefined when run with @ecx; *@result: what it writes is
 * undefined as well.  Source: SDM Vol. 2, "Flags Affected" of each instruction.
 */
uint32_t diff_undefined(const struct insn *in, uint32_t ecx, bool *result);

enum diff_verdict {
	DIFF_SAME,     /* everything agrees */
	DIFF_FAULT,    /* both raised the same exception */
	DIFF_ADDRESS,  /* the world had a page fault where the emulator went to the bus */
	DIFF_LENGTH,   /* the emulator declines it, but its length is right */
	DIFF_OUTSIDE,  /* it touched what only one of them has: nothing to compare */
	DIFF_MISMATCH, /* reported to @out */
	DIFF_VERDICTS
};

/* The two machines. */
struct diff {
	struct vm native_vm, emu_vm;
	struct vcpu native, emu;
	struct exit exit; /* how the native run ended */
	bool bus_seen;    /* the emulator went to the bus ... */
	uint32_t bus_gpa; /* ... first here */
	uint32_t tamper;  /* tests: XORed into EBX after emulation, to be noticed */
	unsigned long count[DIFF_VERDICTS];
	FILE *out; /* where mismatches are reported */
};

/* diff_run.c.  Returns 0 or negative errno with a sentence on stderr. */
int diff_open(struct diff *d, FILE *out);
void diff_close(struct diff *d);
/* Returns enum diff_verdict, counted in d->count, or negative errno if the world died. */
int diff_run(struct diff *d, const struct diff_case *c);

#endif
