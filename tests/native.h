/* SPDX-License-Identifier: MIT */
/*
 * Run a few bytes of 32-bit code on the real CPU: the reference the decoder's and the emulator's
 * tests compare with.  The code runs at ring 3 in compatibility mode (CS 0x23, flat segments)
 * inside the test's own process, as guest code does in a world; whatever ends it comes back as
 * a trap number.  The technique: iretq to CS 0x23 with everything below 4 GiB, and one signal
 * handler on an alternate stack that puts the host's segments back and returns to the caller.
 *
 * Memory is identity-mapped, so a test reads and writes it through native_ptr():
 *
 *     uint32_t *mem = native_ptr(NATIVE_DATA);
 *     struct native_state st = native_state();
 *     struct native_trap trap;
 *     mem[0] = 41;
 *     st.gpr[EBX] = NATIVE_DATA;
 *     cr_assert_eq(native_run((const uint8_t[]){0xff, 0x03}, 2, &st, &trap), NATIVE_DONE);
 *     cr_assert_eq(mem[0], 42);                                  // incl (%ebx)
 */
#ifndef RINGSIDE_TESTS_NATIVE_H
#define RINGSIDE_TESTS_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#include "decoder/insn.h"

#define NATIVE_CODE      0x00100000u /* the code starts here */
#define NATIVE_CODE_LEN  0x1000u     /* bytes; the page after it is not mapped */
#define NATIVE_DATA      0x00200000u /* scratch, read and write */
#define NATIVE_DATA_LEN  0x10000u    /* bytes; not mapped before and after */
#define NATIVE_STACK     0x00300000u /* scratch for the stack, read and write */
#define NATIVE_STACK_LEN 0x10000u    /* bytes; not mapped before and after */
#define NATIVE_ESP       (NATIVE_STACK + NATIVE_STACK_LEN / 2)

#define NATIVE_FLAT 0x2b /* the host's flat data selector */

/* Registers before and after.  Segment selectors are the host's: 0x2b is flat, 0 is null. */
struct native_state {
	uint32_t gpr[GPR_COUNT];
	uint32_t eip;    /* before: ignored, it is NATIVE_CODE; after: as the CPU reported it */
	uint32_t eflags; /* before: the arithmetic flags, DF, TF, AC, ID are loaded; IF is 1 */
	uint16_t sreg[SEG_COUNT]; /* before: DS ES FS GS are loaded, CS and SS ignored */
};

struct native_trap {
	int signo;    /* SIGSEGV, SIGILL ... */
	int trapno;   /* the CPU's vector: 0 #DE, 1 #DB, 6 #UD, 13 #GP, 14 #PF ...; -1 for SIGSYS */
	uint32_t err; /* the CPU's error code (the kernel shows #GP's and #PF's) */
	uint32_t cr2; /* address of the last page fault */
};

enum native_end {
	NATIVE_DONE,    /* reached the end of the code; EIP is NATIVE_CODE + len */
	NATIVE_TRAPPED, /* trapped before: see struct native_trap */
};

/* A state to start from: zero GPRs but ESP = NATIVE_ESP, EFLAGS 0x202, flat segments. */
struct native_state native_state(void);

/*
 * The host's pointer to guest address @gva in one of the three areas above, or NULL if low memory
 * cannot be had (skip the test then).
 */
void *native_ptr(uint32_t gva);

/*
 * Run the @len bytes of @code (at most NATIVE_CODE_LEN - 1) from NATIVE_CODE with the registers of
 * *@st, until it falls off its end or traps.  Out: *@st, *@trap (which may be NULL).
 * Data and stack areas keep what the caller and earlier runs wrote there.
 * Returns NATIVE_DONE or NATIVE_TRAPPED; -ETIMEDOUT if the code used a second of CPU time without
 * ending; -E2BIG; or what mmap() said if low memory cannot be had (skip the test then).
 * A branch to NATIVE_CODE + @len counts as done; one anywhere else in the code page meets int3
 * and is a trap with trapno 3.
 * The first call forbids 32-bit system calls to the calling process for good (seccomp): they come
 * back as SIGSYS.  64-bit ones are not stopped: do not far-jump to CS 0x33.
 * One run at a time in a process (serialized by a lock).
 */
int native_run(const uint8_t *code, size_t len, struct native_state *st, struct native_trap *trap);

#endif
