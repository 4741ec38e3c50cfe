/* SPDX-License-Identifier: MIT */
/*
 * The scanner of shadow code pages: which bytes of a page of guest code must be replaced so that no
 * sensitive instruction can execute at ring 3 without a trap?
 *
 * Recursive descent from every place where control is known to arrive (the faulting EIP, targets of
 * branches, function symbols), then a linear sweep of the gaps.  x86 code cannot be told from data
 * for certain, so the result keeps apart what was proven and what was assumed:
 *
 *   verified   reached by descent; every sensitive instruction among them is patched
 *   assumed    in a gap that looks like compiled code (sweep_is_code); patched as well
 *   unverified neither: data, padding, or code that only an indirect branch reaches.  Not patched,
 *              since the bytes may be data that the guest reads; counted, not hidden.
 *
 * Pure: bytes in, bitmaps out.  Knows nothing of VMs.
 */
#ifndef RINGSIDE_DECODER_SCAN_H
#define RINGSIDE_DECODER_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_PAGE  4096u
#define SCAN_WORDS (SCAN_PAGE / 64)
#define SCAN_PATCH 0xf4 /* hlt: one byte, #GP(0) at ring 3 */

typedef uint64_t scan_bitmap[SCAN_WORDS];

static inline bool scan_test(const scan_bitmap b, unsigned off)
{
	return b[off / 64] >> (off % 64) & 1;
}
static inline void scan_set(scan_bitmap b, unsigned off)
{
	b[off / 64] |= 1ull << (off % 64);
}

struct scan_input {
	const uint8_t *bytes; /* the page, and what is known of the bytes that follow it */
	size_t avail;         /* SCAN_PAGE .. SCAN_PAGE + INSN_MAX - 1 */
	uint32_t linear;      /* linear address of the page */
	uint32_t cs_base;     /* near branches wrap relative to it in 16-bit code */
	unsigned bits;        /* 16 or 32 */
	unsigned lead;        /* bytes at the start that end an instruction of the page before */
	bool lead_known;      /* that page was scanned: @lead is reliable */
	bool patch_tsc;       /* also rdtsc (rdtscp always is) */
	bool patch_pause;     /* also pause */
	/*
	 * scan_bitmaps of what the image says: bytes of code sections, and of data sections.  Both
	 * NULL if nothing is known of the page.  Gaps in data are never assumed to be code, gaps at
	 * the end of the page only if they are known to be.
	 */
	const uint64_t *code, *data;
	const uint64_t *entries; /* scan_bitmap: offsets where control is known to arrive */
	/* Called for every branch target outside the page, as a linear address.  May be NULL. */
	void (*external)(void *arg, uint32_t linear);
	void *arg;
};

struct scan_result {
	scan_bitmap start;      /* first bytes of verified instructions */
	scan_bitmap body;       /* all bytes of verified and assumed instructions */
	scan_bitmap privileged; /* first bytes of verified instructions that trap by themselves */
	scan_bitmap patch;      /* bytes to be replaced by SCAN_PATCH */
	uint16_t tail;          /* bytes of the last instruction that lie in the next page */
	uint16_t verified;      /* bytes */
	uint16_t assumed;       /* bytes */
	uint16_t unverified;    /* bytes that are neither, all-zero and padding runs not counted */
	uint16_t patches;       /* instructions */
};

void scan_page(const struct scan_input *in, struct scan_result *out);

#endif
